//! A request, as the handler sees it.

use std::io::Read;
#[cfg(feature = "stop-routes")]
use std::ptr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::Extensions;
use http::HeaderMap;
use http::Method;
use http::Uri;
use http::Version;

use super::rejection::Rejection;
use super::rendering::Renderer;
use super::request_body::RequestBody;
use super::response::IntoResponse;
use super::route_match::RouteMatch;
use crate::address::LocalAddr;
use crate::address::PeerAddr;
use crate::http1::head::Head;
use crate::lifecycle::phase::Lifecycle;
use crate::lifecycle::phase::Phase;

/// A request: its head, and its [body](RequestBody).
///
/// The server makes one of what a client sends. A test makes one of an
/// [`http::Request`], with [`from_http`](Self::from_http), and calls the handler
/// itself.
#[derive(Debug)]
pub struct Request(Box<RequestParts>);

/// In a box, because a request is moved from function to function.
#[derive(Debug)]
struct RequestParts {
    head: Head,
    body: RequestBody,
    origin: Origin,
    life: Arc<Lifecycle>,
    route_match: RouteMatch,
    extensions: Extensions,
    /// Renders the rejections of the request's handler and layers.
    renderer: Option<Renderer>,
}

/// Where a request comes from, and when it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) peer: PeerAddr,
    pub(crate) local: LocalAddr,
    pub(crate) arrived: Instant,
    /// The number of the connection: 1 for the first of the server.
    pub(crate) connection: u64,
    /// The number of the request: 1 for the first of its connection.
    pub(crate) number: u64,
}

impl Request {
    pub(crate) fn new(
        head: Head,
        route_match: RouteMatch,
        body: RequestBody,
        origin: Origin,
        life: Arc<Lifecycle>,
    ) -> Self {
        Self(Box::new(RequestParts {
            head,
            body,
            origin,
            life,
            route_match,
            extensions: Extensions::new(),
            renderer: None,
        }))
    }

    /// The same request from another address: for a test.
    #[must_use]
    pub fn with_peer_addr(mut self, peer: impl Into<PeerAddr>) -> Self {
        self.0.origin.peer = peer.into();
        self
    }

    /// The method: any token of at most 32 bytes (a longer method gets a 501).
    /// `HEAD` reaches the handler unchanged; the server does not send the body of
    /// the response.
    pub fn method(&self) -> &Method {
        &self.0.head.method
    }

    /// Lets a layer change the method.
    ///
    /// The layers of a [`Router`](crate::Router) run when the route is found already:
    /// there a new method or target changes only what inner layers and the handler see.
    /// A handler that calls [`Routes`](crate::Routes) can change the route.
    ///
    /// The server frames the response to what the client has sent: the response to a
    /// `HEAD` has no body, whatever a layer makes of the method. The log and the
    /// [`Report`](crate::Report) name what the client has sent, too.
    ///
    /// ```
    /// use farewell::{Handler, Method, Request, Router};
    ///
    /// let routes = Router::new()
    ///     .delete("/old", |_: Request| "deleted")
    ///     .build()?;
    /// // For clients behind proxies that pass only GET and POST. A GET stays one: links
    /// // and other sites can send it.
    /// let handler = move |mut request: Request| {
    ///     let wanted = request.headers().get("x-http-method-override");
    ///     let deletes = wanted.is_some_and(|method| method == "DELETE");
    ///     if deletes && *request.method() == Method::POST {
    ///         *request.method_mut() = Method::DELETE;
    ///     }
    ///     routes.handle(request)
    /// };
    ///
    /// let request = http::Request::post("/old").header("x-http-method-override", "DELETE");
    /// let response = handler(request.body(())?.into());
    /// assert_eq!(response.into_body().into_bytes(100)?, "deleted");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn method_mut(&mut self) -> &mut Method {
        self.forget_route();
        &mut self.0.head.method
    }

    /// The request target (RFC 9112 section 3.2), as the client sent it: nothing is
    /// decoded or normalized. The target `*` comes only with `OPTIONS`. An absolute
    /// target has the scheme `http` and no userinfo.
    ///
    /// Path and query contain the characters that RFC 3986 allows, characters beyond
    /// ASCII as UTF-8, and what browsers do not encode (the URL standard of the
    /// WHATWG): ``[ ] \ ^ { | } ` `` and a `%` that begins no escape. A target with
    /// any other character, such as `"`, `<`, `>`, a blank or a control character,
    /// gets a 400.
    ///
    /// A [`Uri`] cannot hold two kinds of targets, which therefore differ from what
    /// the client sent. A backtick in the path becomes `%60`. An absolute target whose
    /// host has escapes, or is an address of a future version of IP, is reduced to its
    /// path and query. The host of every absolute target is in
    /// [`Host`](Self::headers).
    pub fn uri(&self) -> &Uri {
        &self.0.head.uri
    }

    /// Lets a layer change the request target. What
    /// [`method_mut`](Self::method_mut) says of routes is true here too.
    pub fn uri_mut(&mut self) -> &mut Uri {
        self.forget_route();
        &mut self.0.head.uri
    }

    /// HTTP/1.1 or HTTP/1.0.
    pub fn version(&self) -> Version {
        self.0.head.version
    }

    /// The header fields. An HTTP/1.1 request has exactly one `Host`. If the target
    /// names a host, `Host` has that value (RFC 9112 section 3.2.2).
    pub fn headers(&self) -> &HeaderMap {
        self.0.head.headers()
    }

    /// Lets a layer change the header fields. The server has taken from them what it
    /// needs: a change of `Content-Length` or `Connection` here changes nothing on the
    /// connection.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.0.head.headers_mut()
    }

    /// A copy of the head as a request of the `http` crate, without the body: for
    /// libraries that take one, such as those for WebSockets.
    pub fn to_http(&self) -> http::Request<()> {
        let mut request = http::Request::new(());
        *request.method_mut() = self.0.head.method.clone();
        *request.uri_mut() = self.0.head.uri.clone();
        *request.version_mut() = self.0.head.version;
        *request.headers_mut() = self.0.head.headers().clone();
        request
    }

    /// The body, which implements [`Read`].
    pub fn body_mut(&mut self) -> &mut RequestBody {
        &mut self.0.body
    }

    /// Lets a layer wrap the body in a reader, which the handler reads instead: one that
    /// decodes, counts or checks. `wrap` gets the body, and is called at once.
    ///
    /// - **Length**: [`RequestBody::length`] is `None` then. A layer that knows the
    ///   length calls [`RequestBody::set_length`]. The fields are the layer's to correct:
    ///   a layer that decodes removes `Content-Encoding` and `Content-Length`.
    /// - **Errors**: if the wrapped body has failed, the handler gets that failure (408,
    ///   413 and so on) whatever error the reader makes of it, also if the reader
    ///   reports the end of the body instead. The reader can fail with a
    ///   [`BodyError::new`](crate::BodyError::new) of its own. Any other error becomes a 400 if its kind is
    ///   [`InvalidData`](std::io::ErrorKind::InvalidData),
    ///   [`InvalidInput`](std::io::ErrorKind::InvalidInput) or
    ///   [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof), which readers use for
    ///   malformed data. Otherwise it is logged, and becomes a 500.
    /// - **Trailers**: at the end of the reader the rest of the wrapped body is read and
    ///   discarded, up to 64 KiB, and [`RequestBody::trailers`] has its trailers. If more
    ///   is left, there are none.
    ///
    /// A reader that expands its input should bound what it returns: the server's limit
    /// ([`Config::body_bytes_max`](crate::Config::body_bytes_max)) bounds what the client
    /// sends. `examples/gunzip.rs` decodes with a bound.
    ///
    /// ```
    /// # use farewell::{Handler, Request, Response};
    /// use std::io::{self, Read};
    ///
    /// /// Makes the letters lower case.
    /// struct Lower<R>(R);
    ///
    /// impl<R: Read> Read for Lower<R> {
    ///     fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
    ///         let count = self.0.read(buffer)?;
    ///         buffer[..count].make_ascii_lowercase();
    ///         Ok(count)
    ///     }
    /// }
    ///
    /// fn lower(mut request: Request, next: &dyn Handler) -> Response {
    ///     let length = request.body_mut().length();
    ///     request.map_body(Lower);
    ///     request.body_mut().set_length(length);
    ///     next.handle(request)
    /// }
    ///
    /// let request = Request::from_http(http::Request::post("/").body("HeLLo")?);
    /// let response = lower(request, &|mut request: Request| request.text());
    /// assert_eq!(response.into_body().into_bytes(100)?, "hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_body<R>(&mut self, wrap: impl FnOnce(RequestBody) -> R)
    where
        R: Read + Send + 'static,
    {
        let body = std::mem::replace(&mut self.0.body, ().into());
        self.0.body = body.wrapped(wrap);
    }

    /// Takes the body, and drops the head.
    pub fn into_body(self) -> RequestBody {
        self.0.body
    }

    /// Reads the body to its end.
    ///
    /// # Errors
    ///
    /// The body is too large, arrives too slowly, breaks off, or is malformed: the
    /// [`Rejection`] says which, and has the [status](crate::BodyError::status) that fits.
    /// [`RequestBody::read_all`] has the [`BodyError`](crate::BodyError) itself.
    pub fn bytes(&mut self) -> Result<Bytes, Rejection> {
        Ok(self.0.body.read_all()?)
    }

    /// Reads the body to its end, as UTF-8.
    ///
    /// # Errors
    ///
    /// Those of [`bytes`](Self::bytes), and 400 if the body is not UTF-8.
    pub fn text(&mut self) -> Result<String, Rejection> {
        Ok(self.0.body.read_text()?)
    }

    /// Renders the rejections of this request by the function that
    /// [`Server::render_rejections`](crate::Server::render_rejections) takes: for a test,
    /// so that [`Routes`](crate::Routes) answer it as they do in that server.
    ///
    /// ```
    /// use farewell::{Handler, Rejection, Request, Router};
    ///
    /// fn as_error(rejection: &Rejection) -> String {
    ///     format!("error: {}", rejection.message())
    /// }
    ///
    /// let routes = Router::new().get("/", |_: Request| "hello").build()?;
    /// let request = http::Request::get("/nothing").body(())?;
    /// let request = Request::from_http(request).render_rejections(as_error);
    /// let response = routes.handle(request);
    /// assert_eq!(response.status(), 404);
    /// assert_eq!(response.into_body().into_bytes(100)?, "error: not found");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn render_rejections<R: IntoResponse>(
        mut self,
        render: impl Fn(&Rejection) -> R + Send + Sync + 'static,
    ) -> Self {
        self.set_renderer(Renderer::new(render));
        self
    }

    /// The client's address, or that of the proxy before the server.
    pub fn peer_addr(&self) -> PeerAddr {
        self.0.origin.peer
    }

    /// The server's address on this connection.
    pub fn local_addr(&self) -> LocalAddr {
        self.0.origin.local.clone()
    }

    /// When the server read the first byte of the request.
    pub fn arrived(&self) -> Instant {
        self.0.origin.arrived
    }

    /// The number of the connection: 1 for the first that the server accepted.
    pub fn connection_number(&self) -> u64 {
        self.0.origin.connection
    }

    /// The number of the request on its connection: 1 for the first.
    pub fn number(&self) -> u64 {
        self.0.origin.number
    }

    /// The current phase of the server. From [`Phase::LameDuck`] on, the server has
    /// been asked to stop.
    pub fn phase(&self) -> Phase {
        self.0.life.phase()
    }

    /// Whether this server has received it.
    #[cfg(feature = "stop-routes")]
    pub(crate) fn is_of(&self, server: &Lifecycle) -> bool {
        ptr::eq(Arc::as_ptr(&self.0.life), server)
    }

    /// When the server will cut the response if it is not complete; `None` until the
    /// server is asked to stop. A handler that works for long can check it and stop
    /// early.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.life.deadline()
    }

    /// The decoded value of a parameter in the path of the matching route: for
    /// `/users/{id}` and a request for `/users/a%2Fb`, `id` is `a/b`. `None` if the
    /// route has no parameter of that name.
    ///
    /// The fallback of a nested [`Router`](crate::Router) has the parameters of
    /// its prefix.
    ///
    /// A value may be any text, with `/`, `..` and NUL included. Do not open a file
    /// by it without a check.
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

    /// The whole path of the matching route, as registered, such as
    /// `/api/users/{id}`: a good label for metrics. It is set for layers too, and if
    /// only the method does not match (405). `None` if no route matches the path, or
    /// without a [`Router`](crate::Router).
    pub fn route(&self) -> Option<&str> {
        self.0.route_match.route.as_deref()
    }

    /// Values that layers have added for the handler.
    pub fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    /// Lets a layer add values for the handler.
    ///
    /// ```
    /// # use farewell::{Handler, Request};
    /// #[derive(Clone)]
    /// struct User(String);
    ///
    /// let routes = farewell::Router::new()
    ///     .get("/whoami", |request: Request| match request.extensions().get() {
    ///         Some(User(name)) => name.clone(),
    ///         None => "anonymous".to_owned(),
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

    pub(crate) fn set_renderer(&mut self, renderer: Renderer) {
        self.0.renderer = Some(renderer);
    }

    pub(crate) fn renderer(&self) -> Option<&Renderer> {
        self.0.renderer.as_ref()
    }

    pub(crate) fn head(&self) -> &Head {
        &self.0.head
    }

    pub(crate) fn route_match(&self) -> &RouteMatch {
        &self.0.route_match
    }

    /// The method or the URI has changed: the next router looks up the route again.
    /// Until then [`route`](Self::route) and [`param`](Self::param) stay.
    pub(crate) fn forget_route(&mut self) {
        self.0.route_match.found = None;
    }

    pub(crate) fn set_route_match(&mut self, route_match: RouteMatch) {
        self.0.route_match = route_match;
    }
}
