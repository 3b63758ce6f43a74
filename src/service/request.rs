//! A request as its handler sees it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::Uri;
use http::Version;

use crate::drain::phase::Lifecycle;
use crate::drain::phase::Phase;
use crate::http::head::Head;

/// A request, whole: its head and its body.
#[derive(Debug)]
pub struct Request {
    head: Head,
    body: Bytes,
    peer: SocketAddr,
    local: SocketAddr,
    life: Arc<Lifecycle>,
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
}
