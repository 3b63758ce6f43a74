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

use crate::drain::phase::Lifecycle;
use crate::drain::phase::Phase;
use crate::http::head::Head;

use super::matched::Matched;
#[cfg(any(feature = "json", feature = "form"))]
use super::rejection::Rejection;

/// A request, whole: its head and its body.
#[derive(Debug)]
pub struct Request {
    head: Head,
    body: Bytes,
    peer: SocketAddr,
    local: SocketAddr,
    life: Arc<Lifecycle>,
    matched: Matched,
    extensions: Extensions,
}

impl Request {
    pub(crate) fn new(
        head: Head,
        body: Bytes,
        peer: SocketAddr,
        local: SocketAddr,
        life: Arc<Lifecycle>,
    ) -> Self {
        Self {
            head,
            body,
            peer,
            local,
            life,
            matched: Matched::default(),
            extensions: Extensions::new(),
        }
    }

    /// The method. `HEAD` reaches the handler as it is; the body of its
    /// response is not sent.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// The request target (RFC 9112 section 3.2), as the client sent it.
    pub fn uri(&self) -> &Uri {
        &self.head.uri
    }

    /// HTTP/1.1 or HTTP/1.0.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// The header fields. In HTTP/1.1 `Host` is there, once.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The body; empty if there is none. At most
    /// [`Config::body_bytes_max`](crate::Config::body_bytes_max) bytes.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The client's address, or that of the proxy before us.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// Our address on this connection.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Where the server is in its life, at this moment. From
    /// [`Phase::LameDuck`] on it has been asked to stop.
    pub fn phase(&self) -> Phase {
        self.life.phase()
    }

    /// When the answer will be cut if it is not complete; `None` until the
    /// server has been asked to stop. Long work can look here now and then,
    /// and stop early.
    pub fn deadline(&self) -> Option<Instant> {
        self.life.deadline()
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
        self.matched.param(name)
    }

    /// The whole path of the route that matched, as it was registered, such as
    /// `/api/users/{id}`: what to count requests by. Layers see it too, and so
    /// does the answer to a method that the route does not take. `None` if no
    /// route matched, or if there is no [`Router`](crate::Router).
    pub fn route(&self) -> Option<&str> {
        self.matched.route.as_deref()
    }

    /// What layers have left for the handler.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
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
        &mut self.extensions
    }

    pub(crate) fn set_matched(&mut self, matched: Matched) {
        self.matched = matched;
    }

    /// The whole body.
    #[cfg(any(feature = "json", feature = "form"))]
    #[expect(
        clippy::needless_pass_by_ref_mut,
        clippy::unnecessary_wraps,
        reason = "a body that is read when it is asked for will need both"
    )]
    pub(crate) fn bytes(&mut self) -> Result<Bytes, Rejection> {
        Ok(self.body.clone())
    }
}
