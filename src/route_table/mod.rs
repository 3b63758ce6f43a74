//! The paths of routes, the limits of their bodies, and which of them are urgent, without
//! the handlers: what the server needs when it has the head of a request.

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

/// The paths of [`Routes`](crate::Routes), the limits of their bodies, and which of them
/// are [urgent](crate::Router::urgent):
/// [`Handler::route_table`](crate::Handler::route_table) passes it to the server. It
/// holds no handler. A clone is the same table.
#[derive(Clone)]
pub struct RouteTable(Arc<Table>);

struct Table {
    /// No other table of the process has it, so a match of another table is not taken
    /// for one of this table.
    id: u64,
    paths: Paths,
    endpoints: Vec<Endpoint>,
    prefixes: Prefixes,
    /// The area of all paths, if the only prefix is the empty one.
    only_area: Option<usize>,
    areas: Vec<Area>,
    /// Of requests about the server as a whole.
    limits: BodyLimits,
    has_urgent: bool,
    /// The routes are the handler of a server, and no handler is around them.
    is_called_by_server: AtomicBool,
}

/// One path.
pub(crate) struct Endpoint {
    pub(crate) path: Arc<str>,
    pub(crate) names: Vec<Arc<str>>,
    pub(crate) by_method: Vec<(Method, Treatment)>,
    /// Of every other method.
    pub(crate) otherwise: Treatment,
}

/// How the server treats the requests to a route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Treatment {
    pub(crate) limits: BodyLimits,
    /// They are answered while every worker runs a handler.
    pub(crate) is_urgent: bool,
}

/// One prefix, for requests that match no route.
pub(crate) struct Area {
    pub(crate) names: Vec<Arc<str>>,
    pub(crate) limits: BodyLimits,
}

/// How an endpoint is found.
enum Paths {
    Tree(matchit::Router<usize>),
    /// The paths are few and have no parameters, so that they are compared. The bit `n` is
    /// set if a path has `n` bytes; the last one, if a path is longer than that.
    Compared {
        lengths: u64,
    },
}

/// As many paths are compared faster than a tree finds them.
const FEW_PATHS: usize = 16;

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
        let is_literal = |endpoint: &Endpoint| !endpoint.path.contains(['{', '}']);
        let paths = match endpoints.len() <= FEW_PATHS && endpoints.iter().all(is_literal) {
            true => Paths::Compared {
                lengths: endpoints
                    .iter()
                    .fold(0, |lengths, endpoint| lengths | length_bit(&endpoint.path)),
            },
            false => Paths::Tree(paths),
        };
        let has_urgent = endpoints.iter().any(Endpoint::has_urgent);
        Self(Arc::new(Table {
            id: TABLES.fetch_add(1, Relaxed),
            paths,
            endpoints,
            only_area: prefixes.only(),
            prefixes,
            areas,
            limits,
            has_urgent,
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
            Target::Endpoint(index) => endpoint(index).of_method(method).limits,
            Target::BadParameter(index) => endpoint(index).otherwise.limits,
            Target::Area(index) | Target::BadAreaParameter(index) => self.0.areas[index].limits,
        }
    }

    /// Whether any route is urgent.
    pub(crate) fn has_urgent(&self) -> bool {
        self.0.has_urgent
    }

    pub(crate) fn is_urgent(&self, target: Target, method: &Method) -> bool {
        match target {
            _ if !self.0.has_urgent => false,
            Target::Endpoint(index) => self.0.endpoints[index].of_method(method).is_urgent,
            Target::BadParameter(index) => self.0.endpoints[index].otherwise.is_urgent,
            Target::Server | Target::Area(_) | Target::BadAreaParameter(_) => false,
        }
    }
}

impl Table {
    fn look_up(&self, method: &Method, path: &str) -> (Target, RouteMatch) {
        if path == "*" && *method == Method::OPTIONS {
            return (Target::Server, RouteMatch::default());
        }
        let paths = match &self.paths {
            Paths::Tree(paths) => paths,
            Paths::Compared { lengths } if lengths & length_bit(path) == 0 => {
                return self.area(path);
            }
            Paths::Compared { .. } => {
                let mut endpoints = self.endpoints.iter();
                let Some(index) = endpoints.position(|endpoint| *endpoint.path == *path) else {
                    return self.area(path);
                };
                let route = Arc::clone(&self.endpoints[index].path);
                let route_match = RouteMatch::of(Some(route), Vec::new());
                return (Target::Endpoint(index), route_match);
            }
        };
        let Ok(found) = paths.at(path) else {
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
        if let Some(index) = self.only_area {
            return (Target::Area(index), RouteMatch::default());
        }
        let found = self.prefixes.deepest(path);
        let found = found.expect("the empty prefix matches every path");
        let index = *found.value;
        match params::values(&self.areas[index].names, &found.params) {
            Some(params) => (Target::Area(index), RouteMatch::of(None, params)),
            None => (Target::BadAreaParameter(index), RouteMatch::default()),
        }
    }
}

fn length_bit(path: &str) -> u64 {
    1 << path.len().min(63)
}

impl Endpoint {
    fn of_method(&self, method: &Method) -> Treatment {
        let mut by_method = self.by_method.iter();
        let found = by_method.find(|(known, _)| known == method);
        found.map_or(self.otherwise, |(_, treatment)| *treatment)
    }

    fn has_urgent(&self) -> bool {
        let mut by_method = self.by_method.iter();
        self.otherwise.is_urgent || by_method.any(|(_, treatment)| treatment.is_urgent)
    }
}

impl fmt::Debug for RouteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.paths()).finish()
    }
}
