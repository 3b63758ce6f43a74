//! Checked routes, which find the handler for a request.
//!
//! The responses of a router itself (404, 405, 400, `OPTIONS`) are handlers too,
//! with the same layers around them. So a request is one look-up in a tree, and a
//! call of the handler that it finds.

use std::fmt;
use std::sync::Arc;

use http::Method;

use super::path;
use super::prefixes::Prefixes;
use crate::handler::Handler;
use crate::message::request::Request;
use crate::message::response::Response;
use crate::message::route_match::RouteMatch;

/// A checked [`Router`](crate::Router): the [`Handler`] that passes each request to the
/// handler of its route. [`Router::build`](crate::Router::build) returns it.
pub struct Routes {
    /// Maps whole paths to indices of `endpoints`.
    pub(super) paths: matchit::Router<usize>,
    pub(super) endpoints: Vec<Endpoint>,
    /// Maps prefixes to indices of `areas`.
    pub(super) prefixes: Prefixes,
    /// One for each prefix, that of the outermost router included.
    pub(super) areas: Vec<Area>,
    /// The answer to `OPTIONS *`.
    pub(super) options_of_server: Arc<dyn Handler>,
}

/// One path and its handlers.
pub(super) struct Endpoint {
    pub(super) path: Arc<str>,
    pub(super) names: Vec<Arc<str>>,
    /// Those of `HEAD` and `OPTIONS` included, where the router answers them.
    pub(super) handlers: Vec<(Method, Arc<dyn Handler>)>,
    /// The handler of every other method, or of the 405.
    pub(super) otherwise: Arc<dyn Handler>,
    pub(super) bad_parameter: Arc<dyn Handler>,
}

/// The responses to requests under one prefix that match no route.
pub(super) struct Area {
    pub(super) names: Vec<Arc<str>>,
    pub(super) not_found: Arc<dyn Handler>,
    pub(super) bad_parameter: Arc<dyn Handler>,
}

impl Routes {
    pub(super) fn choose(&self, method: &Method, path: &str) -> (&dyn Handler, RouteMatch) {
        if path == "*" && *method == Method::OPTIONS {
            return (&*self.options_of_server, RouteMatch::default());
        }
        let Ok(found) = self.paths.at(path) else {
            return self.area(path);
        };
        let endpoint = &self.endpoints[*found.value];
        let route = Some(Arc::clone(&endpoint.path));
        match path::values(&endpoint.names, &found.params) {
            Some(params) => (endpoint.handler(method), RouteMatch { route, params }),
            None => {
                let params = Vec::new();
                (&*endpoint.bad_parameter, RouteMatch { route, params })
            }
        }
    }

    /// The handler for a path that matches no route: that of the deepest prefix.
    fn area(&self, path: &str) -> (&dyn Handler, RouteMatch) {
        let found = self.prefixes.deepest(path);
        let found = found.expect("the empty prefix of the outermost router matches all");
        let area = &self.areas[*found.value];
        match path::values(&area.names, &found.params) {
            Some(params) => {
                let route = None;
                (&*area.not_found, RouteMatch { route, params })
            }
            None => (&*area.bad_parameter, RouteMatch::default()),
        }
    }
}

impl Handler for Routes {
    fn handle(&self, mut request: Request) -> Response {
        let (handler, route_match) = self.choose(request.method(), request.uri().path());
        request.set_route_match(route_match);
        handler.handle(request)
    }
}

impl Endpoint {
    fn handler(&self, method: &Method) -> &dyn Handler {
        let mut handlers = self.handlers.iter();
        match handlers.find(|(known, _)| known == method) {
            Some((_, handler)) => &**handler,
            None => &*self.otherwise,
        }
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.endpoints.iter().map(|endpoint| &endpoint.path);
        f.debug_list().entries(paths).finish()
    }
}
