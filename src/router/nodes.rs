//! The routers of a [`Router`] that is built: which router is inside which, and what
//! answers under a prefix if no route matches.

use std::fmt;
use std::iter;
use std::ops::Index;
use std::sync::Arc;

use http::StatusCode;
use matchit::InsertError;

use super::Router;
use super::layers::Layers;
use super::layers::answer;
use super::routes::AreaHandlers;
use crate::error::Error;
use crate::handler::Handler;
use crate::route_table::Area;
use crate::route_table::body_limits::BodyLimits;
use crate::route_table::params;
use crate::route_table::prefixes::Prefixes;

/// See the module. A router comes before the routers inside it, and the outermost is
/// the first. Its index is its number.
#[derive(Default)]
pub(super) struct Nodes(Vec<Node>);

/// A router, without its routes.
pub(super) struct Node {
    /// The router around it. That of the outermost router is itself.
    parent: usize,
    join: Join,
    /// Empty, or a path that does not end with `/`.
    pub(super) prefix: String,
    /// Those of the routers around it included.
    pub(super) layers: Layers,
    /// Those of the routers around it included.
    pub(super) limits: BodyLimits,
    fallback: Fallback,
}

/// How a router belongs to the router around it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    /// It has a prefix, and answers what matches no route there.
    Nested,
    /// It adds its routes.
    Merged,
}

/// What answers requests that match no route.
#[derive(Clone)]
struct Fallback {
    /// The router that it is from.
    owner: usize,
    handler: Arc<dyn Handler>,
    /// Those of the merged routers that it comes from, inside the owner.
    limits: BodyLimits,
}

/// A fallback inside the layers and limits of the routers that are merged.
type OwnFallback = (Arc<dyn Handler>, BodyLimits);

/// The number of the outermost router.
const OUTERMOST: usize = 0;

impl Nodes {
    /// Adds a router, and returns its number. `outside` is the router around it, and
    /// the whole prefix; `None` for the outermost.
    pub(super) fn add(
        &mut self,
        router: &Router,
        join: Join,
        outside: Option<(usize, String)>,
    ) -> Result<usize, Error> {
        let number = self.0.len();
        let (parent, prefix) = outside.unwrap_or_default();
        let own = own_fallback(router, &prefix)?;
        router.limits.validate(&named(&prefix))?;
        let outermost = Fallback {
            owner: number,
            handler: answer(StatusCode::NOT_FOUND, "not found"),
            limits: BodyLimits::new(),
        };
        let (around, limits, inherited) = match self.0.get(parent) {
            Some(Node {
                layers,
                limits,
                fallback,
                ..
            }) => (layers.clone(), *limits, fallback.clone()),
            None => (Layers::default(), BodyLimits::new(), outermost),
        };
        self.0.push(Node {
            parent,
            join,
            prefix,
            layers: Layers::new(router.layers.clone(), &around),
            limits: router.limits.inside(limits),
            fallback: match own {
                Some((handler, limits)) => Fallback {
                    owner: number,
                    handler,
                    limits,
                },
                None => inherited,
            },
        });
        Ok(number)
    }

    pub(super) fn outermost(&self) -> &Node {
        &self[OUTERMOST]
    }

    /// The innermost router that contains all these routers; one of them, if it contains
    /// the others.
    pub(super) fn common(&self, routers: impl Iterator<Item = usize>) -> usize {
        let common_of_two = |mut one: usize, mut other: usize| {
            while one != other {
                // The router with the higher number does not contain the other.
                let inner = if one > other { &mut one } else { &mut other };
                *inner = self[*inner].parent;
            }
            one
        };
        routers.reduce(common_of_two).unwrap_or(OUTERMOST)
    }

    /// Whether the router `inner` is the router `outer`, or inside it.
    fn contains(&self, outer: usize, inner: usize) -> bool {
        let around = |&router: &usize| (router > outer).then(|| self[router].parent);
        iter::successors(Some(inner), around).last() == Some(outer)
    }

    /// One area for each prefix, and its handlers.
    pub(super) fn areas(&self) -> Result<(Prefixes, Vec<(Area, AreaHandlers)>), Error> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for number in (0..self.0.len()).filter(|&number| self.is_innermost(number)) {
            let same_prefix =
                |group: &&mut Vec<usize>| self[group[0]].prefix == self[number].prefix;
            match groups.iter_mut().find(same_prefix) {
                Some(group) => group.push(number),
                None => groups.push(vec![number]),
            }
        }
        let (mut prefixes, mut areas) = (Prefixes::default(), Vec::new());
        for group in groups {
            let prefix = &self[group[0]].prefix;
            prefixes
                .insert(prefix, areas.len())
                .map_err(|error| refuse(prefix, explain(&error)))?;
            areas.push(self.area(&group)?);
        }
        Ok((prefixes, areas))
    }

    /// Whether a router is nested, and no router nested in it has the same prefix.
    fn is_innermost(&self, number: usize) -> bool {
        let has_area = |number: usize| self[number].join == Join::Nested;
        let is_inside = |other: usize| {
            has_area(other)
                && self[other].prefix == self[number].prefix
                && self.contains(number, other)
        };
        has_area(number) && !(number + 1..self.0.len()).any(is_inside)
    }

    /// What answers under the prefix of these routers, which is the same for all. None
    /// of them is inside another.
    fn area(&self, routers: &[usize]) -> Result<(Area, AreaHandlers), Error> {
        let owner_of = |&router: &usize| self[router].fallback.owner;
        let length_of = |owner: usize| self[owner].prefix.len();
        // The fallback of the innermost router that has one: a router inside another
        // has a longer prefix, or the same prefix and a higher number.
        let owners = || routers.iter().map(owner_of);
        let chosen = owners().max_by_key(|&owner| (length_of(owner), owner));
        let chosen = chosen.unwrap_or(OUTERMOST);
        let mut rivals = owners().filter(|&owner| length_of(owner) == length_of(chosen));
        if rivals.any(|owner| !self.contains(owner, chosen)) {
            return Err(refuse(&self[chosen].prefix, "has two fallbacks"));
        }
        let inside = routers.iter().filter(|router| owner_of(router) == chosen);
        let around_fallback = &self[self.common(inside.copied())];
        let around_all = &self[self.common(routers.iter().copied())];
        let fallback = &self[chosen].fallback;
        let area = Area {
            names: params::names(&self[routers[0]].prefix),
            limits: fallback.limits.inside(around_fallback.limits),
        };
        let handlers = AreaHandlers {
            not_found: around_fallback.layers.wrap(&fallback.handler),
            bad_parameter: around_all.layers.wrap(&bad_parameter()),
        };
        Ok((area, handlers))
    }
}

impl Index<usize> for Nodes {
    type Output = Node;

    fn index(&self, number: usize) -> &Node {
        &self.0[number]
    }
}

/// The fallback of a router or of the routers merged into it, inside the layers and the
/// limits of these.
fn own_fallback(router: &Router, prefix: &str) -> Result<Option<OwnFallback>, Error> {
    let own = router.fallbacks.iter();
    let mut fallbacks: Vec<OwnFallback> = own
        .map(|fallback| (Arc::clone(fallback), BodyLimits::new()))
        .collect();
    for merged in &router.merged {
        let layers = Layers::new(merged.layers.clone(), &Layers::default());
        let fallback = own_fallback(merged, prefix)?;
        fallbacks.extend(
            fallback
                .map(|(fallback, limits)| (layers.wrap(&fallback), limits.inside(merged.limits))),
        );
    }
    match fallbacks.len() {
        0 | 1 => Ok(fallbacks.pop()),
        _ => Err(Error::config(&named(prefix), "has two fallbacks")),
    }
}

/// The answer to a request whose path has a parameter that is no text.
pub(super) fn bad_parameter() -> Arc<dyn Handler> {
    answer(
        StatusCode::BAD_REQUEST,
        "path parameter is not percent-encoded UTF-8",
    )
}

/// A router, for messages.
fn named(prefix: &str) -> String {
    match prefix {
        "" => "the router".to_owned(),
        _ => format!("the router under {prefix}"),
    }
}

fn refuse(prefix: &str, problem: impl fmt::Display) -> Error {
    let prefix = if prefix.is_empty() { "/" } else { prefix };
    Error::config(&format!("the prefix {prefix}"), problem)
}

/// Why the tree of paths refuses one.
pub(super) fn explain(error: &InsertError) -> String {
    match error {
        InsertError::Conflict { with } => format!("conflicts with {with}"),
        InsertError::InvalidParam => "has an invalid parameter: write {name}".to_owned(),
        InsertError::InvalidParamSegment => "has two parameters in one segment".to_owned(),
        InsertError::InvalidCatchAll => "has a catch-all before its end".to_owned(),
        other => other.to_string(),
    }
}
