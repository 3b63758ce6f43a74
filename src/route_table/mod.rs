//! The paths of routes and the limits of their bodies, without the handlers: what the
//! server needs when it has the head of a request.

pub(crate) mod body_limits;
pub(crate) mod params;
pub(crate) mod prefixes;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use http::Method;

use self::body_limits::BodyLimits;
use self::prefixes::Prefixes;
use crate::message::route_match::RouteMatch;
use crate::message::route_match::Target;

/// The paths of [`Routes`](crate::Routes), and the limits of their bodies:
/// [`Handler::route_table`](crate::Handler::route_table) passes it to the server. It
/// holds no handler. A clone is the same table.
#[derive(Clone)]
pub struct RouteTable(Arc<Table>);

struct Table {
    /// No other table of the process has it, so a match of another table is not taken
    /// for one of this table.
    id: u64,
    paths: matchit::Router<usize>,
    endpoints: Vec<Endpoint>,
    prefixes: Prefixes,
    areas: Vec<Area>,
    /// Of requests about the server as a whole.
    limits: BodyLimits,
    /// The routes are the handler of a server, and no handler is around them.
    is_called_by_server: AtomicBool,
}

/// One path.
pub(crate) struct Endpoint {
    pub(crate) path: Arc<str>,
    pub(crate) names: Vec<Arc<str>>,
    pub(crate) limits_by_method: Vec<(Method, BodyLimits)>,
    /// Of every other method.
    pub(crate) limits: BodyLimits,
}

/// One prefix, for requests that match no route.
pub(crate) struct Area {
    pub(crate) names: Vec<Arc<str>>,
    pub(crate) limits: BodyLimits,
}

/// The number of tables that have been made in this process.
static TABLES: AtomicU64 = AtomicU64::new(0);

impl RouteTable {
    /// `paths` maps whole paths to indices of `endpoints`, `prefixes` to indices of
    /// `areas`. One prefix is empty.
    pub(crate) fn new(
        (paths, endpoints): (matchit::Router<usize>, Vec<Endpoint>),
        (prefixes, areas): (Prefixes, Vec<Area>),
        limits: BodyLimits,
    ) -> Self {
        Self(Arc::new(Table {
            id: TABLES.fetch_add(1, Relaxed),
            paths,
            endpoints,
            prefixes,
            areas,
            limits,
            is_called_by_server: AtomicBool::new(false),
        }))
    }

    /// States that only the server calls the routes, which renders rejections and catches
    /// panics: so the routes need not.
    pub(crate) fn set_called_by_server(&self) {
        self.0.is_called_by_server.store(true, Relaxed);
    }

    pub(crate) fn is_called_by_server(&self) -> bool {
        self.0.is_called_by_server.load(Relaxed)
    }

    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    /// The whole paths of the routes, as registered. Their positions are the indices of
    /// [`Target::endpoint`].
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.endpoints.iter().map(|endpoint| &endpoint.path)
    }

    /// What a request is for, and what its handler learns of that.
    pub(crate) fn look_up(&self, method: &Method, path: &str) -> (Target, RouteMatch) {
        let (target, mut route_match) = self.0.look_up(method, path);
        route_match.found = Some((self.id(), target));
        (target, route_match)
    }

    pub(crate) fn body_limits(&self, target: Target, method: &Method) -> BodyLimits {
        let endpoint = |index: usize| &self.0.endpoints[index];
        match target {
            Target::Server => self.0.limits,
            Target::Endpoint(index) => endpoint(index).limits_of(method),
            Target::BadParameter(index) => endpoint(index).limits,
            Target::Area(index) | Target::BadAreaParameter(index) => self.0.areas[index].limits,
        }
    }
}

impl Table {
    fn look_up(&self, method: &Method, path: &str) -> (Target, RouteMatch) {
        if path == "*" && *method == Method::OPTIONS {
            return (Target::Server, RouteMatch::default());
        }
        let Ok(found) = self.paths.at(path) else {
            return self.area(path);
        };
        let index = *found.value;
        let Endpoint {
            path: route, names, ..
        } = &self.endpoints[index];
        let (target, params) = match params::values(names, &found.params) {
            Some(params) => (Target::Endpoint(index), params),
            None => (Target::BadParameter(index), Vec::new()),
        };
        (target, RouteMatch::of(Some(Arc::clone(route)), params))
    }

    /// For a path that matches no route: that of the deepest prefix.
    fn area(&self, path: &str) -> (Target, RouteMatch) {
        let found = self.prefixes.deepest(path);
        let found = found.expect("the empty prefix matches every path");
        let index = *found.value;
        match params::values(&self.areas[index].names, &found.params) {
            Some(params) => (Target::Area(index), RouteMatch::of(None, params)),
            None => (Target::BadAreaParameter(index), RouteMatch::default()),
        }
    }
}

impl Endpoint {
    fn limits_of(&self, method: &Method) -> BodyLimits {
        let mut by_method = self.limits_by_method.iter();
        let found = by_method.find(|(known, _)| known == method);
        found.map_or(self.limits, |(_, limits)| *limits)
    }
}

impl fmt::Debug for RouteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.paths()).finish()
    }
}
