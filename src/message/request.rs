//! A request as its handler sees it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::Extensions;
use http::HeaderMap;
use http::Method;
use http::Uri;
use http::Version;

use super::request_body::BodyError;
use super::request_body::RequestBody;
use super::route_match::RouteMatch;
use crate::http1::head::Head;
use crate::lifecycle::phase::Lifecycle;
use crate::lifecycle::phase::Phase;

/// A request: its head, and its [body](RequestBody).
#[derive(Debug)]
pub struct Request(Box<RequestParts>);

/// In a place of their own, because a request is passed from hand to hand.
#[derive(Debug)]
struct RequestParts {
    head: Head,
    body: RequestBody,
    origin: Origin,
    life: Arc<Lifecycle>,
    route_match: RouteMatch,
    extensions: Extensions,
}

/// Where a request comes from, and when it did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) arrived: Instant,
    /// The connection's, since the server started.
    pub(crate) connection: u64,
    /// The request's, on its connection.
    pub(crate) number: u64,
}

impl Request {
    pub(crate) fn new(head: Head, body: RequestBody, origin: Origin, life: Arc<Lifecycle>) -> Self {
        Self(Box::new(RequestParts {
            head,
            body,
            origin,
            life,
            route_match: RouteMatch::default(),
            extensions: Extensions::new(),
        }))
    }

    /// The method: any token of at most 32 bytes (a longer one is refused with
    /// 501). `HEAD` reaches the handler as it is; the body of its response is not
    /// sent.
    pub fn method(&self) -> &Method {
        &self.0.head.method
    }

    /// The request target (RFC 9112 section 3.2), as the client sent it: nothing
    /// is decoded or normalized. Only an `OPTIONS` can be for `*`. If the target
    /// is absolute, its scheme is `http`, and no user stands before its host.
    ///
    /// Path and query hold the characters that RFC 3986 allows there; those that
    /// browsers send beside them as they are (the URL standard of the WHATWG):
    /// ``[ ] \ ^ { | } ` `` and a `%` that begins no escape; and any other
    /// character that is not ASCII, as UTF-8. A target with anything else, such as
    /// `"`, `<`, `>`, a blank or a control character, is refused with 400.
    ///
    /// Two targets are not there as they were sent, because a [`Uri`] cannot hold
    /// them: a backtick in the path is there as `%60`; and of an absolute target
    /// whose host has escapes, or is an address of a future version of IP that a
    /// `Uri` does not take, only path and query are there. Its host stands in
    /// [`Host`](Self::headers), as that of every absolute target.
    pub fn uri(&self) -> &Uri {
        &self.0.head.uri
    }

    /// HTTP/1.1 or HTTP/1.0.
    pub fn version(&self) -> Version {
        self.0.head.version
    }

    /// The header fields. In HTTP/1.1 `Host` is there, once; if the target
    /// names a host, it is that one (RFC 9112 section 3.2.2).
    pub fn headers(&self) -> &HeaderMap {
        self.0.head.headers()
    }

    /// The head as the `http` crate has it, without a body: for libraries that
    /// want one, such as a WebSocket's.
    pub fn to_http(&self) -> http::Request<()> {
        let mut request = http::Request::new(());
        *request.method_mut() = self.0.head.method.clone();
        *request.uri_mut() = self.0.head.uri.clone();
        *request.version_mut() = self.0.head.version;
        *request.headers_mut() = self.0.head.headers().clone();
        request
    }

    /// The body: `Read`, and more.
    pub fn body_mut(&mut self) -> &mut RequestBody {
        &mut self.0.body
    }

    /// The body alone.
    pub fn into_body(self) -> RequestBody {
        self.0.body
    }

    /// Reads the body to its end.
    ///
    /// # Errors
    ///
    /// It is too large, comes too slowly, breaks off, or is not well-formed:
    /// [`BodyError`] says which, and a handler can return it as its response.
    pub fn bytes(&mut self) -> Result<Bytes, BodyError> {
        self.0.body.read_all()
    }

    /// Reads the body to its end, as UTF-8.
    ///
    /// # Errors
    ///
    /// Those of [`bytes`](Self::bytes), and 400 if it is not UTF-8.
    pub fn text(&mut self) -> Result<String, BodyError> {
        self.0.body.read_text()
    }

    /// The client's address, or that of the proxy before us.
    pub fn peer_addr(&self) -> SocketAddr {
        self.0.origin.peer
    }

    /// Our address on this connection.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.origin.local
    }

    /// When its first byte was read.
    pub fn arrived(&self) -> Instant {
        self.0.origin.arrived
    }

    /// The number of its connection: 1 for the first that this server has
    /// accepted.
    pub fn connection_number(&self) -> u64 {
        self.0.origin.connection
    }

    /// Its own number on its connection: 1 for the first.
    pub fn number(&self) -> u64 {
        self.0.origin.number
    }

    /// Where the server is in its life, at this moment. From
    /// [`Phase::LameDuck`] on it has been asked to stop.
    pub fn phase(&self) -> Phase {
        self.0.life.phase()
    }

    /// When the answer will be cut if it is not complete; `None` until the
    /// server has been asked to stop. Long work can look here now and then,
    /// and stop early.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.life.deadline()
    }

    /// The value of a parameter in the path of the route that matched, decoded:
    /// for `/users/{id}` and a request of `/users/a%2Fb`, `id` is `a/b`. `None`
    /// if the route has no parameter of that name.
    ///
    /// The fallback of a nested [`Router`](crate::Router) has the parameters of
    /// its prefix.
    ///
    /// A value may hold anything that is text, `/`, `..` and NUL included: it
    /// is a name to look up, and no path of a file to open.
    ///
    /// ```
    /// # use farewell::Request;
    /// fn hello(request: Request) -> String {
    ///     format!("hello {}", request.param("name").unwrap_or("stranger"))
    /// }
    /// # let _ = farewell::Router::new().get("/hello/{name}", hello).build()?;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    pub fn param(&self, name: &str) -> Option<&str> {
        self.0.route_match.param(name)
    }

    /// The whole path of the route that matched, as it was registered, such as
    /// `/api/users/{id}`: what to count requests by. Layers see it too, and so
    /// does the answer to a method that the route does not take. `None` if no
    /// route matched, or if there is no [`Router`](crate::Router).
    pub fn route(&self) -> Option<&str> {
        self.0.route_match.route.as_deref()
    }

    /// What layers have left for the handler.
    pub fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    /// Where a layer leaves something for the handler.
    ///
    /// ```
    /// # use farewell::{Handler, Request};
    /// #[derive(Clone)]
    /// struct User(String);
    ///
    /// let routes = farewell::Router::new()
    ///     .get("/whoami", |request: Request| match request.extensions().get() {
    ///         Some(User(name)) => name.clone(),
    ///         None => "nobody".to_owned(),
    ///     })
    ///     .layer(|mut request: Request, next: &dyn Handler| {
    ///         request.extensions_mut().insert(User("me".to_owned()));
    ///         next.handle(request)
    ///     })
    ///     .build()?;
    /// # let _ = routes;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.0.extensions
    }

    pub(crate) fn set_route_match(&mut self, route_match: RouteMatch) {
        self.0.route_match = route_match;
    }
}
