//! Routes as a program writes them: by path and method, in any order.

mod draft;
mod layers;
mod nodes;
mod path;
pub(crate) mod routes;
mod spelling;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use http::Method;

use crate::handler::Handler;
use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::Response;
use crate::route_table::body_limits::BodyLimits;

/// Which handler answers which request, by path and method.
///
/// Add routes in any order. [`build`](Self::build) checks them as a whole and
/// returns [`Routes`](crate::Routes), which is the [`Handler`]; so no server runs
/// with routes that contradict each other.
///
/// ```no_run
/// use farewell::{Handler, Request, Router, Server};
///
/// let users = Router::new()
///     .get("/", |_: Request| "all users")
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
/// A path begins with `/`. The parameter `{name}` matches one segment, or a part
/// of one (`/img-{name}.png`). The catch-all `{*rest}`, allowed only at the end,
/// matches the whole rest of the path, slashes included. Both match at least one
/// character. [`Request::param`] returns the values. Literal text takes precedence
/// over a parameter: `/users/me` over `/users/{id}`. All routes must use the same
/// name for a parameter in the same place, and a place has either a parameter or a
/// catch-all.
///
/// A parameter has no pattern and no type: the handler parses it. A segment that is
/// written as a parameter of another router (`:id`, `*rest`, `*`, `<id>`, `{id:int}`)
/// is an error of [`build`](Self::build), which says what to write. Elsewhere in a
/// segment, `:` and `*` are literal: `/things:batch`.
///
/// A path is matched as the client sent it, before percent-decoding. So `%2F` in
/// a parameter is part of its value and separates nothing, and a path with a
/// needless encoding (`/%75sers`) does not match `/users`. A parameter that is not
/// percent-encoded UTF-8 (RFC 3986 section 2.1) gets a 400. `/users` and `/users/`
/// are two paths: a request that differs only in the last slash gets a 404, not a
/// redirect.
///
/// # Responses of the router itself
///
/// - 404 if no route matches the path, unless there is a
///   [`fallback`](Self::fallback).
/// - 405 if routes match the path, but not the method; `Allow` lists their methods
///   (RFC 9110 section 15.5.6).
/// - `HEAD`, if the path has a `GET` and no `HEAD`: the handler of `GET` gets the
///   request unchanged, and the server leaves out the body.
/// - `OPTIONS`, if the path has no `OPTIONS`: 204 with `Allow`. `OPTIONS *` asks
///   about the whole server, and gets the methods of all routes (RFC 9110 section
///   9.3.7).
#[derive(Default)]
#[must_use = "a router serves nothing until `build` is called"]
pub struct Router {
    pub(crate) routes: Vec<Route>,
    /// Nested routers with their prefixes.
    pub(crate) nested: Vec<(String, Self)>,
    pub(crate) merged: Vec<Self>,
    /// `build` refuses more than one.
    pub(crate) fallbacks: Vec<Arc<dyn Handler>>,
    /// The innermost first.
    pub(crate) layers: Vec<Layer>,
    pub(crate) limits: BodyLimits,
}

/// A function that wraps a handler.
pub(crate) type Layer = Arc<dyn Fn(Request, &dyn Handler) -> Response + Send + Sync>;

pub(crate) struct Route {
    pub(crate) methods: Methods,
    pub(crate) path: String,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) is_urgent: bool,
}

/// The methods of a route.
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
    /// A router without routes: it answers every request with 404.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has `handler` answer `method` at `path`.
    pub fn route(self, method: Method, path: &str, handler: impl Handler) -> Self {
        self.with(Methods::One(method), path, handler)
    }

    /// Has `handler` answer `GET` at `path`, and `HEAD` unless `HEAD` has a handler
    /// of its own.
    pub fn get(self, path: &str, handler: impl Handler) -> Self {
        self.route(Method::GET, path, handler)
    }

    /// Has `handler` answer `POST` at `path`.
    pub fn post(self, path: &str, handler: impl Handler) -> Self {
        self.route(Method::POST, path, handler)
    }

    /// Has `handler` answer `PUT` at `path`.
    pub fn put(self, path: &str, handler: impl Handler) -> Self {
        self.route(Method::PUT, path, handler)
    }

    /// Has `handler` answer `DELETE` at `path`.
    pub fn delete(self, path: &str, handler: impl Handler) -> Self {
        self.route(Method::DELETE, path, handler)
    }

    /// Has `handler` answer `PATCH` at `path`.
    pub fn patch(self, path: &str, handler: impl Handler) -> Self {
        self.route(Method::PATCH, path, handler)
    }

    /// Has `handler` answer every method at `path`, including `OPTIONS` and unknown
    /// methods. Another handler at the same path is a conflict.
    pub fn any(self, path: &str, handler: impl Handler) -> Self {
        self.with(Methods::Every, path, handler)
    }

    /// Puts the routes of `router` under `prefix`. The prefix begins with `/`, does
    /// not end with `/`, and may have parameters: `/api` and `/users/{id}` make
    /// `/api/users/{id}`. The path `/` of `router` becomes the prefix itself,
    /// `/api`. The prefix `/` changes no path.
    ///
    /// The layers of `router` wrap its routes, inside the layers of this router. A
    /// request under the prefix that matches no route goes to the fallback of
    /// `router`, through its layers. If `router` has no fallback, it uses the
    /// fallback of this router.
    ///
    /// All routes are matched together, whichever router they come from. So a layer
    /// guards the routes of its router, not the prefix: another router may have a
    /// route that matches under the same prefix. Beside a guarded `/admin`, the route
    /// `any("/{*rest}")` of another router gets `/%61dmin` and every other spelling that
    /// is not the literal one, so it must not decode the path and serve what is guarded.
    ///
    /// Several routers may have the same prefix. Then a request under it that matches
    /// no route goes to the fallback that one of them has; [`build`](Self::build)
    /// refuses two. If none has one, it goes to the fallback of the router around
    /// them, through the layers that they have in common.
    ///
    /// ```
    /// # use farewell::{Request, Router};
    /// let users = Router::new().get("/users", |_: Request| "all users");
    /// let pets = Router::new().get("/pets", |_: Request| "all pets");
    /// let routes = Router::new().nest("/api", users).nest("/api", pets).build()?;
    /// # let _ = routes;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    pub fn nest(mut self, prefix: &str, router: Self) -> Self {
        self.nested.push((prefix.to_owned(), router));
        self
    }

    /// Adds the routes of `router` to this router, at their own paths. They keep the
    /// layers of `router`, inside the layers of this router. So this gives a layer to
    /// one route, or to some:
    ///
    /// ```
    /// use farewell::{Handler, IntoResponse, Request, Response, Router, StatusCode};
    ///
    /// fn guard(request: Request, next: &dyn Handler) -> Response {
    ///     match request.headers().get("authorization") {
    ///         Some(token) if token == "Bearer 1234" => next.handle(request),
    ///         _ => StatusCode::UNAUTHORIZED.into_response(),
    ///     }
    /// }
    ///
    /// let guarded = Router::new()
    ///     .post("/notes", |_: Request| "added")
    ///     .delete("/notes/{id}", |_: Request| "deleted")
    ///     .layer(guard);
    /// let routes = Router::new()
    ///     .get("/notes", |_: Request| "all notes")
    ///     .merge(guarded)
    ///     .build()?;
    /// # let _ = routes;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    ///
    /// The methods of one path may come from several routers, merged or nested. Each
    /// route has the layers of its own router; `HEAD` has those of `GET`, if it is
    /// answered by its handler. The responses of the path itself (405, 400, `OPTIONS`)
    /// go through the layers that all these routers have in common. In the example, a
    /// `PUT` of `/notes` gets its 405 without the guard. The time that `==` takes tells how
    /// much of a token is right: compare real secrets in constant time, as the example of
    /// [`State`](crate::State) does. [`nest`](Self::nest) says which spellings of a path a
    /// guard does not cover.
    ///
    /// A request that matches no route does not go through the layers of `router`,
    /// unless it has a fallback: that becomes the fallback of this router, inside
    /// these layers. [`build`](Self::build) refuses two fallbacks.
    pub fn merge(mut self, router: Self) -> Self {
        self.merged.push(router);
        self
    }

    /// Has `handler` answer requests whose path matches no route, instead of the
    /// 404. If only the method does not match, the response is still the 405. A
    /// router has at most one fallback, with those of the routers merged into it.
    pub fn fallback(mut self, handler: impl Handler) -> Self {
        self.fallbacks.push(Arc::new(handler));
        self
    }

    /// Wraps this whole router in `layer`: every route, added before or after, the
    /// nested and merged routers, the fallback, and the router's own responses (404,
    /// 405, 400, `OPTIONS`). For a layer around some routes, see [`merge`](Self::merge).
    ///
    /// The layer added last is the outermost. A layer gets the request, with the
    /// route and its parameters already set, and the next handler. It calls the
    /// next handler once, or answers by itself.
    ///
    /// ```
    /// use farewell::{Handler, IntoResponse, Request, Router, StatusCode};
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

    /// Limits the bodies of requests to the routes of this router, and of the nested
    /// and merged routers that set no limit of their own. Each limit is taken from the
    /// innermost router that sets it; [`Config`](crate::Config) has the defaults.
    ///
    /// The server knows the route when it has the head of a request. So a body that is
    /// too large by its `Content-Length` gets a 413 before any of it is read, and
    /// without a 100 (Continue). A chunked body gets the 413 when it exceeds the limit,
    /// or the handler gets the error if it has begun.
    ///
    /// ```
    /// use farewell::{BodyLimits, Request, Router};
    ///
    /// let uploads = Router::new()
    ///     .put("/files/{name}", |mut request: Request| {
    ///         std::io::copy(request.body_mut(), &mut std::io::sink()).map(|_| ()).map_err(|_| "cut")
    ///     })
    ///     .body_limits(BodyLimits::new().bytes_max(100 << 20));
    /// let routes = Router::new()
    ///     .post("/notes", |mut request: Request| request.text())
    ///     .body_limits(BodyLimits::new().bytes_max(64 << 10))
    ///     .merge(uploads)
    ///     .build()?;
    /// # let _ = routes;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    ///
    /// A request whose method has no route (405) is under the limits that the routers
    /// of its path have in common. One that matches no route is under those of the routers
    /// whose layers it goes through: those of the router of its prefix, with or without a
    /// [`fallback`](Self::fallback), and of the routers around it. The limits of a merged
    /// router count if the fallback is its.
    ///
    /// A second call replaces the limits that it sets. The limits count in the routes
    /// that the server gets, or that its handler [forwards](Handler::route_table). They
    /// do not count if a closure calls the routes.
    pub fn body_limits(mut self, limits: BodyLimits) -> Self {
        self.limits = limits.inside(self.limits);
        self
    }

    /// Has the server answer the requests to all routes of this router so far while every
    /// worker runs a handler: for health checks, metrics, and the order to stop. Those of
    /// the routers nested and merged so far are included. It is kept when this router is
    /// nested or merged. The router of `StopRoutes` has it.
    ///
    /// ```
    /// use farewell::{Request, Router};
    ///
    /// let probes = Router::new().get("/healthz", |_: Request| "ok\n").urgent();
    /// let routes = Router::new()
    ///     .get("/report", |_: Request| "takes a minute\n")
    ///     .merge(probes)
    ///     .build()?;
    /// # let _ = routes;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    ///
    /// A server whose routes include an urgent one has one more thread, the reserve. When
    /// requests have waited for a worker for 20 ms, the reserve reads them, answers the urgent
    /// ones, and leaves the others to the workers, in their order. So an urgent request
    /// waits about 40 ms at most, however long the calls of other handlers take. While a
    /// worker is free, every request is answered as if no route was urgent.
    ///
    /// An urgent handler, and the layers around it, should return at once: there is one
    /// reserve, and it makes one call at a time. The 405 of a path and its `OPTIONS` are
    /// urgent if all routes of the path are. The [`fallback`](Self::fallback) never is.
    ///
    /// Not promised: a time, since a machine without a free core runs no thread; anything if
    /// a closure calls the routes, since the server does not see them then (see
    /// [`Handler::route_table`]).
    pub fn urgent(mut self) -> Self {
        for route in &mut self.routes {
            route.is_urgent = true;
        }
        let nested = self.nested.into_iter();
        self.nested = nested
            .map(|(prefix, router)| (prefix, router.urgent()))
            .collect();
        self.merged = self.merged.into_iter().map(Self::urgent).collect();
        self
    }

    fn with(mut self, methods: Methods, path: &str, handler: impl Handler) -> Self {
        self.routes.push(Route {
            methods,
            path: path.to_owned(),
            handler: Arc::new(handler),
            is_urgent: false,
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
            .field("merged", &self.merged)
            .field("layers", &self.layers.len())
            .finish_non_exhaustive()
    }
}
