//! Requests that no server has read: for tests.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Instant;

use super::request::Origin;
use super::request::Request;
use super::request_body::RequestBody;
use super::route_match::RouteMatch;
use crate::config::Config;
use crate::http1::fields::Fields;
use crate::http1::fields::Present;
use crate::http1::head::Head;
use crate::lifecycle::phase::Lifecycle;

impl Origin {
    /// That of a request without a connection.
    fn of_no_connection() -> Self {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            peer: nowhere.into(),
            local: nowhere.into(),
            arrived: Instant::now(),
            connection: 1,
            number: 1,
        }
    }
}

/// The life of a server that is never asked to stop: that of requests without a server.
static NO_SERVER: LazyLock<Arc<Lifecycle>> =
    LazyLock::new(|| Arc::new(Lifecycle::new(&Config::default())));

impl Request {
    /// A request that no server has read: for a test that calls a handler, or
    /// [`Routes`](crate::Routes), without a socket.
    ///
    /// Method, target, version, fields and extensions are those of `request`. Nothing
    /// that a server checks on the wire is checked: `Host` may be missing, the target
    /// may be one that the server refuses, and the body may be larger than
    /// [`Config::body_bytes_max`](crate::Config::body_bytes_max). No field is added,
    /// `Content-Length` neither; [`RequestBody::length`] knows the length.
    ///
    /// [`peer_addr`](Self::peer_addr) and [`local_addr`](Self::local_addr) are
    /// `127.0.0.1:0`, [`arrived`](Self::arrived) is now,
    /// [`connection_number`](Self::connection_number) and [`number`](Self::number) are 1,
    /// [`phase`](Self::phase) is [`Phase::Running`](crate::Phase::Running), and [`deadline`](Self::deadline) is
    /// `None`.
    ///
    /// ```
    /// use farewell::{Handler, Request, Router, StatusCode};
    ///
    /// let routes = Router::new()
    ///     .post("/shout/{name}", |mut request: Request| {
    ///         let text = request.text()?.to_uppercase();
    ///         let name = request.param("name").unwrap_or_default();
    ///         Ok::<_, farewell::Rejection>(format!("{name}: {text}"))
    ///     })
    ///     .build()?;
    ///
    /// let request = http::Request::post("/shout/me").body("hello")?;
    /// let response = routes.handle(Request::from_http(request));
    /// assert_eq!(response.status(), StatusCode::OK);
    /// assert_eq!(response.into_body().into_bytes(1024)?, "me: HELLO");
    ///
    /// let request = http::Request::get("/shout/me").body(())?;
    /// let response = routes.handle(request.into());
    /// assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_http<B: Into<RequestBody>>(request: http::Request<B>) -> Self {
        let (parts, body) = request.into_parts();
        let head = Head {
            method: parts.method,
            uri: parts.uri,
            version: parts.version,
            present: Present::default(),
            fields: Fields::of_map(parts.headers),
        };
        let origin = Origin::of_no_connection();
        let mut request = Self::new(
            head,
            RouteMatch::default(),
            body.into(),
            origin,
            Arc::clone(&NO_SERVER),
        );
        *request.extensions_mut() = parts.extensions;
        request
    }
}

impl<B: Into<RequestBody>> From<http::Request<B>> for Request {
    /// See [`from_http`](Request::from_http).
    fn from(request: http::Request<B>) -> Self {
        Self::from_http(request)
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use http::Version;

    use super::*;
    use crate::address::PeerAddr;
    use crate::lifecycle::phase::Phase;

    #[test]
    fn a_request_without_a_server_has_what_was_built_and_plain_values_otherwise() {
        let built = http::Request::put("http://localhost/a?b")
            .version(Version::HTTP_10)
            .header("x-y", "1")
            .extension(7_u8)
            .body("hello");
        let mut request = Request::from_http(built.unwrap());
        assert_eq!(request.method(), Method::PUT);
        assert_eq!(request.uri(), "http://localhost/a?b");
        assert_eq!(request.version(), Version::HTTP_10);
        assert_eq!(request.headers().len(), 1);
        assert_eq!(request.headers()["x-y"], "1");
        assert_eq!(request.extensions().get(), Some(&7_u8));
        assert_eq!(request.body_mut().length(), Some(5));
        assert_eq!(request.text().unwrap(), "hello");
        assert_eq!(request.phase(), Phase::Running);
        assert_eq!(request.deadline(), None);
        assert_eq!((request.connection_number(), request.number()), (1, 1));
        assert_eq!(request.peer_addr().to_string(), "127.0.0.1:0");
        let peer: SocketAddr = "[::1]:9".parse().unwrap();
        assert_eq!(
            request.with_peer_addr(peer).peer_addr(),
            PeerAddr::from(peer)
        );
    }
}
