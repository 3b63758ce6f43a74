//! [`Router::build`]: turns a router into routes that can be served. It flattens nested
//! and merged routers into one tree of whole paths, and wraps every handler in its
//! layers.

use std::fmt;
use std::sync::Arc;

use http::Method;
use matchit::InsertError;

use crate::error::Error;

use super::Methods;
use super::Route;
use super::Router;
use super::layers::allow;
use super::layers::options;
use super::nodes::Join;
use super::nodes::Nodes;
use super::nodes::bad_parameter;
use super::nodes::explain;
use super::path;
use super::routes::EndpointHandlers;
use super::routes::Routes;
use crate::handler::Handler;
use crate::route_table::Endpoint;
use crate::route_table::RouteTable;
use crate::route_table::Treatment;
use crate::route_table::params;

/// The methods that `OPTIONS *` lists for a route of every method: the common ones
/// of an origin server.
const COMMON: [Method; 6] = [
    Method::DELETE,
    Method::GET,
    Method::HEAD,
    Method::PATCH,
    Method::POST,
    Method::PUT,
];

/// The routers, and their routes in one tree.
#[derive(Default)]
struct Draft {
    routers: Nodes,
    /// Maps whole paths to indices of `entries`.
    paths: matchit::Router<usize>,
    entries: Vec<Entry>,
}

/// One path, and the routes that have been added for it.
struct Entry {
    /// Never empty. All have the same path.
    routes: Vec<Route>,
    /// The router of each route.
    owners: Vec<usize>,
}

impl Router {
    /// Checks all routes, and returns the [`Handler`].
    ///
    /// # Errors
    ///
    /// The first mistake, with [`Error::is_config`] true: two handlers for one
    /// method and path; two paths that match the same requests without precedence
    /// (`/{a}` and `/{b}`); an invalid path; a second fallback. The text names both
    /// routes:
    ///
    /// ```
    /// use farewell::{Request, Router};
    ///
    /// let error = Router::new()
    ///     .get("/users/{id}", |_: Request| "one")
    ///     .delete("/users/{name}", |_: Request| "another")
    ///     .build()
    ///     .unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the route DELETE /users/{name} conflicts with GET /users/{id}"
    /// );
    /// ```
    ///
    /// A `Router` itself cannot be served:
    ///
    /// ```compile_fail,E0277
    /// # let server = farewell::Server::bind("127.0.0.1:0", farewell::Config::default()).unwrap();
    /// server.serve(farewell::Router::new());
    /// ```
    pub fn build(self) -> Result<Routes, Error> {
        Draft::of(self)?.finish()
    }
}

impl Draft {
    fn of(router: Router) -> Result<Self, Error> {
        let mut draft = Self::default();
        draft.add(router, Join::Nested, None)?;
        Ok(draft)
    }

    fn finish(self) -> Result<Routes, Error> {
        let Self {
            routers,
            paths,
            entries,
        } = self;
        let (prefixes, areas) = routers.areas()?;
        let (areas, area_handlers) = areas.into_iter().unzip();
        let (endpoints, handlers): (Vec<Endpoint>, Vec<EndpointHandlers>) = entries
            .into_iter()
            .map(|entry| entry.finish(&routers))
            .unzip();
        let takes_every = |handlers: &EndpointHandlers| handlers.by_method.is_empty();
        let common = match handlers.iter().any(takes_every) {
            true => &COMMON[..],
            false => &[],
        };
        let methods = handlers
            .iter()
            .flat_map(|handlers| &handlers.by_method)
            .map(|(method, _)| method)
            .chain(common)
            .chain([&Method::OPTIONS]);
        let outermost = routers.outermost();
        Ok(Routes {
            options_of_server: outermost.layers.wrap(&options(allow(methods))),
            table: RouteTable::new((paths, endpoints), (prefixes, areas), outermost.limits),
            endpoints: handlers,
            areas: area_handlers,
        })
    }

    /// Adds a router and the routers inside it. `outside` is the router around it, and
    /// the whole prefix.
    fn add(
        &mut self,
        router: Router,
        join: Join,
        outside: Option<(usize, String)>,
    ) -> Result<(), Error> {
        let number = self.routers.add(&router, join, outside)?;
        for route in router.routes {
            let route = under(&self.routers[number].prefix, route)?;
            self.add_route(route, number)?;
        }
        for (inner, router) in router.nested {
            let prefix = nested_prefix(&self.routers[number].prefix, &inner)?;
            self.add(router, Join::Nested, Some((number, prefix)))?;
        }
        for router in router.merged {
            let prefix = self.routers[number].prefix.clone();
            self.add(router, Join::Merged, Some((number, prefix)))?;
        }
        Ok(())
    }

    fn add_route(&mut self, route: Route, owner: usize) -> Result<(), Error> {
        let place = self.entries.len();
        let same_path = |entry: &&mut Entry| entry.routes[0].path == route.path;
        if let Some(entry) = self.entries.iter_mut().find(same_path) {
            return entry.add(route, owner);
        }
        self.paths
            .insert(&route.path, place)
            .map_err(|error| refuse(&route, self.conflict(&error)))?;
        self.entries.push(Entry {
            routes: vec![route],
            owners: vec![owner],
        });
        Ok(())
    }

    /// Why the tree refuses a path, with the route that it conflicts with.
    fn conflict(&self, error: &InsertError) -> String {
        let InsertError::Conflict { with } = error else {
            return explain(error);
        };
        let mut entries = self.entries.iter();
        match entries.find(|entry| entry.routes[0].path == *with) {
            Some(entry) => format!("conflicts with {}", entry.routes[0]),
            None => explain(error),
        }
    }
}

impl Entry {
    /// Adds a route of the same path.
    fn add(&mut self, route: Route, owner: usize) -> Result<(), Error> {
        let mut others = self.routes.iter();
        let other = others.find(|other| other.methods.overlap(&route.methods));
        match other {
            Some(other) if other.methods == route.methods => {
                Err(refuse(&route, "is registered twice"))
            }
            Some(other) => Err(refuse(&route, format!("conflicts with {other}"))),
            None => {
                self.routes.push(route);
                self.owners.push(owner);
                Ok(())
            }
        }
    }

    /// Whether requests with a method that has no route of its own are urgent: those that a
    /// route of every method answers, or the 405 and the answer to `OPTIONS`.
    fn is_urgent_otherwise(&self) -> bool {
        let mut routes = self.routes.iter();
        match routes.find(|route| matches!(route.methods, Methods::Every)) {
            Some(every) => every.is_urgent,
            None => self.routes.iter().all(|route| route.is_urgent),
        }
    }

    fn finish(self, routers: &Nodes) -> (Endpoint, EndpointHandlers) {
        let path: Arc<str> = Arc::from(&*self.routes[0].path);
        let around_all = &routers[routers.common(self.owners.iter().copied())];
        let treatments = self.treatments(routers);
        let otherwise = Treatment {
            limits: around_all.limits,
            is_urgent: self.is_urgent_otherwise(),
        };
        let mut by_method: Vec<(Method, Arc<dyn Handler>)> = Vec::new();
        let mut every = None;
        for (route, owner) in self.routes.into_iter().zip(self.owners) {
            let handler = routers[owner].layers.wrap(&route.handler);
            match route.methods {
                Methods::One(method) => by_method.push((method, handler)),
                Methods::Every => every = Some(handler),
            }
        }
        let every = every.unwrap_or_else(|| around_all.layers.add_own_handlers(&mut by_method));
        let endpoint = Endpoint {
            names: params::names(&path),
            path,
            by_method: treatments,
            otherwise,
        };
        let handlers = EndpointHandlers {
            by_method,
            otherwise: every,
            bad_parameter: around_all.layers.wrap(&bad_parameter()),
        };
        (endpoint, handlers)
    }

    /// How the requests to each route are treated. `HEAD` is as `GET`, unless it has a
    /// route.
    fn treatments(&self, routers: &Nodes) -> Vec<(Method, Treatment)> {
        let mut treatments = Vec::new();
        for (route, owner) in self.routes.iter().zip(&self.owners) {
            if let Methods::One(method) = &route.methods {
                let treatment = Treatment {
                    limits: routers[*owner].limits,
                    is_urgent: route.is_urgent,
                };
                treatments.push((method.clone(), treatment));
            }
        }
        let get = treatments.iter().find(|(method, _)| method == Method::GET);
        if let Some((_, of_get)) = get {
            // Behind that of a route of `HEAD`, which is found first.
            treatments.push((Method::HEAD, *of_get));
        }
        treatments
    }
}

/// Puts a route under a prefix, if its whole path is valid.
fn under(prefix: &str, route: Route) -> Result<Route, Error> {
    if let Some(flaw) = path::flaw(&route.path) {
        return Err(refuse(&route, flaw));
    }
    let path = path::join(prefix, &route.path);
    let route = Route { path, ..route };
    // The prefix and the path may have a parameter of the same name.
    match path::flaw(&route.path) {
        Some(flaw) => Err(refuse(&route, flaw)),
        None => Ok(route),
    }
}

fn nested_prefix(outer: &str, inner: &str) -> Result<String, Error> {
    let refuse = |prefix: &str, problem| Error::config(&format!("the prefix {prefix}"), problem);
    if let Some(flaw) = path::flaw(inner) {
        return Err(refuse(inner, flaw));
    }
    if inner.contains("{*") {
        return Err(refuse(inner, "has a catch-all".to_owned()));
    }
    if inner == "/" {
        return Ok(outer.to_owned());
    }
    if inner.ends_with('/') {
        return Err(refuse(inner, "ends with '/'".to_owned()));
    }
    let whole = format!("{outer}{inner}");
    match path::flaw(&whole) {
        Some(flaw) => Err(refuse(&whole, flaw)),
        None => Ok(whole),
    }
}

fn refuse(route: &Route, problem: impl fmt::Display) -> Error {
    Error::config(&format!("the route {route}"), problem)
}
