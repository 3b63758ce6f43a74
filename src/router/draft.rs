//! [`Router::build`]: from a router as it was written down to routes that can be
//! served. Nested
//! routers are unfolded into one tree of whole paths, and every handler gets
//! the layers that go around it.

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

/// What `OPTIONS *` says of a route that takes every method: those that mean
/// something at a server of origin.
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
    /// How many routers there were so far; their numbers tell them apart.
    routers: usize,
    /// Of the outermost router.
    layers: Layers,
}

/// One path, and what has been said of it so far.
struct Entry {
    /// Never empty; their paths are one and the same.
    routes: Vec<Route>,
    /// The number of the router that it belongs to.
    owner: usize,
    layers: Layers,
    bad_parameter: Arc<dyn Handler>,
}

/// What a router has from those that it is nested in.
struct Outside {
    /// Empty, or a path that does not end with `/`.
    prefix: String,
    layers: Layers,
    fallback: Arc<dyn Handler>,
}

impl Router {
    /// Checks everything, and gives the [`Handler`].
    ///
    /// # Errors
    ///
    /// The first mistake; [`Error::is_config`] is true. Two handlers for one
    /// method and path; paths that could both match a request with neither
    /// going before the other (`/{a}` and `/{b}`); a path that is none; a
    /// second fallback. The text names both sides:
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
    /// Without this step there is no server:
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
            fallback: answer(StatusCode::NOT_FOUND, "there is nothing at this path"),
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
            everywhere: self.layers.around(&options(allow(methods))),
            paths: self.paths,
            endpoints,
            prefixes: self.prefixes,
            areas: self.areas,
        }
    }

    /// Adds a router and those nested in it. Its area comes after theirs: the
    /// outermost is the last.
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
            not_found: layers.around(fallback),
            bad_parameter: layers.around(&answer(
                StatusCode::BAD_REQUEST,
                "a part of the path is not percent-encoded UTF-8",
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
            self.claim_prefix(first)?;
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

    /// What the tree has against a path.
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

    /// Gives the last area all that is under its prefix. Those from `first` on
    /// are inside it: one that has the same prefix has that already.
    fn claim_prefix(&mut self, first: usize) -> Result<(), Error> {
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
    /// One more route of the same path.
    fn add(&mut self, route: Route, owner: usize) -> Result<(), Error> {
        let mut others = self.routes.iter();
        let other = others.find(|other| other.methods.overlap(&route.methods));
        match other {
            Some(other) if other.methods == route.methods => Err(refuse(&route, "is there twice")),
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
            let handler = self.layers.around(&route.handler);
            match route.methods {
                Methods::One(method) => handlers.push((method, handler)),
                Methods::Every => every = Some(handler),
            }
        }
        let otherwise = every.unwrap_or_else(|| self.layers.complete(&mut handlers));
        Endpoint {
            path,
            names,
            handlers,
            otherwise,
            bad_parameter: self.bad_parameter,
        }
    }
}

/// The whole path of a route, if that can be one.
fn under(prefix: &str, route: Route) -> Result<Route, Error> {
    if let Some(flaw) = path::flaw(&route.path) {
        return Err(refuse(&route, flaw));
    }
    let path = path::join(prefix, &route.path);
    let route = Route { path, ..route };
    // A parameter may be in both parts.
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
        InsertError::Conflict { with } if with == prefix => "is there twice".to_owned(),
        other => explain(other),
    };
    Error::config(&format!("the prefix {prefix}"), problem)
}

fn explain(error: &InsertError) -> String {
    match error {
        InsertError::Conflict { with } => format!("conflicts with {with}"),
        InsertError::InvalidParam => "has a brace or a parameter that is not {name}".to_owned(),
        InsertError::InvalidParamSegment => "has two parameters in one segment".to_owned(),
        InsertError::InvalidCatchAll => "has more after its catch-all".to_owned(),
        other => other.to_string(),
    }
}
