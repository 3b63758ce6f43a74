//! [`Router::build`]: turns a router into routes that can be served. It flattens nested
//! routers into one tree of whole paths, and wraps every handler in its layers.

use std::fmt;
use std::sync::Arc;

use http::Method;
use http::StatusCode;
use matchit::InsertError;

use crate::error::Error;

use super::Methods;
use super::Route;
use super::Router;
use super::layers::Layers;
use super::layers::allow;
use super::layers::answer;
use super::layers::options;
use super::path;
use super::prefixes::Prefixes;
use super::routes::Area;
use super::routes::Endpoint;
use super::routes::Routes;
use crate::handler::Handler;

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

#[derive(Default)]
struct Draft {
    paths: matchit::Router<usize>,
    entries: Vec<Entry>,
    prefixes: Prefixes,
    areas: Vec<Area>,
    /// How many routers have been added: the number of the next one.
    routers: usize,
    /// The layers of the outermost router.
    layers: Layers,
}

/// One path, and the routes that have been added for it.
struct Entry {
    /// Never empty. All have the same path.
    routes: Vec<Route>,
    /// The number of the router that the routes belong to.
    owner: usize,
    layers: Layers,
    bad_parameter: Arc<dyn Handler>,
}

/// What a router inherits from the routers that it is nested in.
struct Outside {
    /// Empty, or a path that does not end with `/`.
    prefix: String,
    layers: Layers,
    fallback: Arc<dyn Handler>,
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
        Draft::of(self).map(Draft::finish)
    }
}

impl Draft {
    fn of(router: Router) -> Result<Self, Error> {
        let mut draft = Self {
            layers: Layers::new(router.layers.clone(), &Layers::default()),
            ..Self::default()
        };
        let outside = Outside {
            prefix: String::new(),
            layers: Layers::default(),
            fallback: answer(StatusCode::NOT_FOUND, "not found"),
        };
        draft.add(router, &outside)?;
        Ok(draft)
    }

    fn finish(self) -> Routes {
        let endpoints: Vec<Endpoint> = self.entries.into_iter().map(Entry::finish).collect();
        let takes_every = |endpoint: &Endpoint| endpoint.handlers.is_empty();
        let common = match endpoints.iter().any(takes_every) {
            true => &COMMON[..],
            false => &[],
        };
        let methods = endpoints
            .iter()
            .flat_map(|endpoint| &endpoint.handlers)
            .map(|(method, _)| method)
            .chain(common)
            .chain([&Method::OPTIONS]);
        Routes {
            options_of_server: self.layers.wrap(&options(allow(methods))),
            paths: self.paths,
            endpoints,
            prefixes: self.prefixes,
            areas: self.areas,
        }
    }

    /// Adds a router and the routers nested in it. Its area comes after theirs, so
    /// that of the outermost router is the last.
    fn add(&mut self, router: Router, outside: &Outside) -> Result<(), Error> {
        let prefix = &outside.prefix;
        let fallback = match &router.fallbacks[..] {
            [] => &outside.fallback,
            [fallback] => fallback,
            _ => return Err(Error::config("the router", two_fallbacks(prefix))),
        };
        let layers = Layers::new(router.layers, &outside.layers);
        let area = Area {
            prefix: prefix.clone(),
            names: path::names(prefix),
            not_found: layers.wrap(fallback),
            bad_parameter: layers.wrap(&answer(
                StatusCode::BAD_REQUEST,
                "path parameter is not percent-encoded UTF-8",
            )),
        };

        let owner = self.routers;
        self.routers += 1;
        for route in router.routes {
            let route = under(prefix, route)?;
            self.add_route(route, owner, &layers, &area)?;
        }
        for (inner, router) in router.nested {
            let outside = Outside {
                prefix: nested_prefix(prefix, &inner)?,
                layers: layers.clone(),
                fallback: Arc::clone(fallback),
            };
            let first = self.areas.len();
            self.add(router, &outside)?;
            self.register_prefix(first)?;
        }
        self.areas.push(area);
        Ok(())
    }

    fn add_route(
        &mut self,
        route: Route,
        owner: usize,
        layers: &Layers,
        area: &Area,
    ) -> Result<(), Error> {
        let place = self.entries.len();
        let same_path = |entry: &&mut Entry| entry.routes[0].path == route.path;
        if let Some(entry) = self.entries.iter_mut().find(same_path) {
            return entry.add(route, owner);
        }
        self.paths
            .insert(&route.path, place)
            .map_err(|error| refuse(&route, self.explain(&error)))?;
        self.entries.push(Entry {
            routes: vec![route],
            owner,
            layers: layers.clone(),
            bad_parameter: Arc::clone(&area.bad_parameter),
        });
        Ok(())
    }

    /// Why the tree refuses a path, with the route that it conflicts with.
    fn explain(&self, error: &InsertError) -> String {
        let InsertError::Conflict { with } = error else {
            return explain(error);
        };
        let mut entries = self.entries.iter();
        match entries.find(|entry| entry.routes[0].path == *with) {
            Some(entry) => format!("conflicts with {}", entry.routes[0]),
            None => explain(error),
        }
    }

    /// Registers the prefix of the last area. If a router nested in it (the areas
    /// from `first` on) has the same prefix, the prefix is registered already.
    fn register_prefix(&mut self, first: usize) -> Result<(), Error> {
        let Some((area, inside)) = self.areas[first..].split_last() else {
            return Ok(());
        };
        let prefix = &area.prefix;
        if inside.iter().any(|other| other.prefix == *prefix) {
            return Ok(());
        }
        let place = self.areas.len() - 1;
        self.prefixes
            .insert(prefix, place)
            .map_err(|error| refuse_prefix(prefix, &error))
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
            None if self.owner != owner => {
                let other = &self.routes[0];
                let problem = format!("conflicts with {other}, which is in another router");
                Err(refuse(&route, problem))
            }
            None => {
                self.routes.push(route);
                Ok(())
            }
        }
    }

    fn finish(self) -> Endpoint {
        let path = Arc::from(&*self.routes[0].path);
        let names = path::names(&path);
        let mut handlers: Vec<(Method, Arc<dyn Handler>)> = Vec::new();
        let mut every = None;
        for route in self.routes {
            let handler = self.layers.wrap(&route.handler);
            match route.methods {
                Methods::One(method) => handlers.push((method, handler)),
                Methods::Every => every = Some(handler),
            }
        }
        let otherwise = every.unwrap_or_else(|| self.layers.add_own_handlers(&mut handlers));
        Endpoint {
            path,
            names,
            handlers,
            otherwise,
            bad_parameter: self.bad_parameter,
        }
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

fn two_fallbacks(prefix: &str) -> String {
    match prefix {
        "" => "has two fallbacks".to_owned(),
        _ => format!("under {prefix} has two fallbacks"),
    }
}

fn refuse(route: &Route, problem: impl fmt::Display) -> Error {
    Error::config(&format!("the route {route}"), problem)
}

fn refuse_prefix(prefix: &str, error: &InsertError) -> Error {
    let prefix = if prefix.is_empty() { "/" } else { prefix };
    let problem = match error {
        InsertError::Conflict { with } if with == prefix => "is registered twice".to_owned(),
        other => explain(other),
    };
    Error::config(&format!("the prefix {prefix}"), problem)
}

fn explain(error: &InsertError) -> String {
    match error {
        InsertError::Conflict { with } => format!("conflicts with {with}"),
        InsertError::InvalidParam => "has an invalid parameter: write {name}".to_owned(),
        InsertError::InvalidParamSegment => "has two parameters in one segment".to_owned(),
        InsertError::InvalidCatchAll => "has a catch-all before its end".to_owned(),
        other => other.to_string(),
    }
}
