//! Which handler answers which request: as the program writes it down.

mod draft;
mod layers;
mod path;
mod prefixes;
pub(crate) mod routes;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use http::Method;

use crate::handler::Handler;
use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::Response;

/// Which handler answers which request, by path and method.
///
/// It is written down in any order, and checked as a whole by
/// [`build`](Self::build). What that gives, [`Routes`](crate::Routes), is the [`Handler`]; so
/// no server runs with routes that contradict each other.
///
/// ```no_run
/// use farewell::{Handler, Request, Router, Server};
///
/// let users = Router::new()
///     .get("/", |_: Request| "everyone")
///     .get("/{id}", |request: Request| {
///         format!("user {}", request.param("id").unwrap_or_default())
///     });
///
/// let routes = Router::new()
///     .get("/", |_: Request| "hello")
///     .post("/echo", |mut request: Request| request.bytes())
///     .nest("/users", users)
///     .layer(|request: Request, next: &dyn Handler| {
///         let what = format!("{} {}", request.method(), request.uri());
///         let response = next.handle(request);
///         eprintln!("{what}: {}", response.status());
///         response
///     })
///     .build()?;
///
/// Server::bind("127.0.0.1:8080", farewell::Config::default())?.serve(routes)?;
/// # Ok::<(), farewell::Error>(())
/// ```
///
/// # Paths
///
/// A path begins with `/`. `{name}` in it stands for one segment, or for a part
/// of one (`/img-{name}.png`), and for at least one character; `{*rest}`, at its
/// end alone, for everything that is left, slashes included, and for at least
/// one character too. [`Request::param`] has the values. What is written out
/// goes before a parameter: `/users/me` before `/users/{id}`. In one place there
/// can be parameters of one name alone, and either those or a catch-all.
///
/// A path is matched as the client sent it, before percent-encoding is undone;
/// so `%2F` in a parameter is a character of its value and divides nothing, and
/// a client that encodes what needs no encoding (`/%75sers`) finds nothing. A
/// parameter that is not the encoding of UTF-8 text (RFC 3986 section 2.1) is
/// answered 400. `/users` and `/users/` are two paths: a request that differs in
/// the last slash alone gets a 404, and no redirect.
///
/// # What it answers itself
///
/// - 404 if no route has the path, unless there is a [`fallback`](Self::fallback).
/// - 405 if one has it, and not the method; `Allow` has those that it takes
///   (RFC 9110 section 15.5.6).
/// - `HEAD`, where there is `GET` and no handler of its own: the handler of
///   `GET`, which gets the request as it is. The server leaves out the body.
/// - `OPTIONS`, where it has no handler: 204, with `Allow`. `OPTIONS *` asks for
///   the server as a whole, and gets the methods of all routes together
///   (RFC 9110 section 9.3.7).
#[derive(Default)]
#[must_use = "it serves nothing before it is built"]
pub struct Router {
    pub(crate) routes: Vec<Route>,
    /// Prefixes, and what is under them.
    pub(crate) nested: Vec<(String, Self)>,
    /// More than one is a mistake, which `build` finds.
    pub(crate) fallbacks: Vec<Arc<dyn Handler>>,
    /// The innermost first.
    pub(crate) layers: Vec<Layer>,
}

/// What goes around a handler.
pub(crate) type Layer = Arc<dyn Fn(Request, &dyn Handler) -> Response + Send + Sync>;

pub(crate) struct Route {
    pub(crate) methods: Methods,
    pub(crate) path: String,
    pub(crate) handler: Arc<dyn Handler>,
}

/// The methods that one handler takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Methods {
    Every,
    One(Method),
}

impl Methods {
    pub(crate) fn overlap(&self, other: &Self) -> bool {
        self == other || *self == Self::Every || *other == Self::Every
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => f.write_str("ANY"),
            Self::One(method) => method.fmt(f),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.methods, self.path)
    }
}

impl Router {
    /// A router without routes: it answers 404.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has `handler` answer this method at this path.
    pub fn route(self, method: Method, path: &str, handler: impl Handler) -> Self {
        self.with(Methods::One(method), path, handler)
    }

    /// Has `handler` answer `GET` at this path, and `HEAD` unless that has a
    /// handler of its own.
    pub fn get(self, path: &str, handler: impl Handler) -> Self {
        self.route(Method::GET, path, handler)
    }

    /// Has `handler` answer `POST` at this path.
    pub fn post(self, path: &str, handler: impl Handler) -> Self {
        self.route(Method::POST, path, handler)
    }

    /// Has `handler` answer `PUT` at this path.
    pub fn put(self, path: &str, handler: impl Handler) -> Self {
        self.route(Method::PUT, path, handler)
    }

    /// Has `handler` answer `DELETE` at this path.
    pub fn delete(self, path: &str, handler: impl Handler) -> Self {
        self.route(Method::DELETE, path, handler)
    }

    /// Has `handler` answer `PATCH` at this path.
    pub fn patch(self, path: &str, handler: impl Handler) -> Self {
        self.route(Method::PATCH, path, handler)
    }

    /// Has `handler` answer every method at this path, `OPTIONS` and methods
    /// that nobody has heard of included. Another handler at this path is a
    /// conflict.
    pub fn any(self, path: &str, handler: impl Handler) -> Self {
        self.with(Methods::Every, path, handler)
    }

    /// Puts the routes of `router` under `prefix`, which begins with `/`, does
    /// not end with it, and may have parameters: `/api` and `/users/{id}` make
    /// `/api/users/{id}`. The path `/` of `router` becomes the prefix itself,
    /// `/api`. A prefix of `/` changes no path.
    ///
    /// Its layers go around its routes, inside the layers of this router; they
    /// and its fallback also get what is under the prefix and has no route.
    /// Without a fallback of its own, it has that of this router.
    ///
    /// All routes are matched together, wherever they come from; so a layer
    /// guards the routes of its router, and not its prefix: another router may
    /// have one that matches there. The methods of
    /// one path cannot be divided between two routers, nor can two routers be
    /// nested at one prefix: who would answer 405 or 404?
    pub fn nest(mut self, prefix: &str, router: Self) -> Self {
        self.nested.push((prefix.to_owned(), router));
        self
    }

    /// Has `handler` answer where no route has the path, in place of the 404;
    /// not where one has it without the method. A second one is a mistake.
    pub fn fallback(mut self, handler: impl Handler) -> Self {
        self.fallbacks.push(Arc::new(handler));
        self
    }

    /// Puts `layer` around this router as a whole: around every route, whether
    /// it was added before or after, around the nested routers, the fallback,
    /// and what the router answers itself (404, 405, 400, `OPTIONS`).
    ///
    /// The last layer is the outermost. Each gets the request, in which the
    /// route and its parameters are found already, and what is inside it; it
    /// calls that once, or answers by itself.
    ///
    /// ```
    /// use farewell::{Handler, IntoResponse, Request, Router};
    /// use http::StatusCode;
    ///
    /// let routes = Router::new()
    ///     .get("/secret", |_: Request| "42")
    ///     .layer(|request: Request, next: &dyn Handler| {
    ///         if request.headers().contains_key("x-trust-me") {
    ///             next.handle(request)
    ///         } else {
    ///             StatusCode::FORBIDDEN.into_response()
    ///         }
    ///     })
    ///     .build()?;
    /// # let _ = routes;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    pub fn layer<F, R>(mut self, layer: F) -> Self
    where
        F: Fn(Request, &dyn Handler) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.layers
            .push(Arc::new(move |request: Request, next: &dyn Handler| {
                layer(request, next).into_response()
            }));
        self
    }

    fn with(mut self, methods: Methods, path: &str, handler: impl Handler) -> Self {
        self.routes.push(Route {
            methods,
            path: path.to_owned(),
            handler: Arc::new(handler),
        });
        self
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes: Vec<String> = self.routes.iter().map(Route::to_string).collect();
        f.debug_struct("Router")
            .field("routes", &routes)
            .field("nested", &self.nested)
            .field("layers", &self.layers.len())
            .finish_non_exhaustive()
    }
}
