//! Which requests may stop a server.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::Version;
use http::header;
use http::uri::Authority;

use crate::address::PeerAddr;
use crate::auth::credentials::Problem;
use crate::auth::token;
use crate::auth::token::Token;
use crate::error::Error;
use crate::message::rejection::Rejection;
use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::Response;
use crate::message::same_site;

/// Which requests may stop a server by [`StopRoutes`](crate::StopRoutes). Needs the
/// feature `stop-routes`.
///
/// With a [`token`](Self::token), requests that carry it, from any machine. Without one,
/// programs on this machine, by [`loopback`](Self::loopback) or by a
/// [`unix_socket`](Self::unix_socket). There is no default. Other requests get a 403 or a
/// 401, whose body says why. They are logged, with at most one line a second.
///
/// ```
/// use farewell::StopAccess;
///
/// // `None` in development.
/// fn access(token: Option<&str>) -> Result<StopAccess, farewell::Error> {
///     match token {
///         Some(token) => StopAccess::token(token),
///         None => Ok(StopAccess::loopback()),
///     }
/// }
/// # assert!(access(None).is_ok() && access(Some("open-sesame")).is_ok());
/// ```
///
/// # Behind a proxy
///
/// Behind any proxy, use a token, or do not serve the path, or have the proxy not forward
/// it. A reverse proxy on the same machine, or in a container that shares the network,
/// makes each of its clients a loopback peer. **Without a token, each client of such a
/// proxy may then stop the server**: its requests are refused only if the proxy marks
/// them, and proxies mark nothing by default. nginx before 1.29.7 forwards in HTTP/1.0,
/// which is refused. Later versions forward in HTTP/1.1 with a loopback address as
/// `Host`, as a local `curl` does.
#[derive(Clone)]
pub struct StopAccess(Rule);

#[derive(Clone)]
enum Rule {
    /// Requests of loopback clients.
    Loopback,
    /// Requests of the clients of a unix socket.
    UnixSocket,
    /// Requests that carry the token.
    Bearer(Token),
}

/// Why a request may not stop the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    /// By its token.
    Token(Problem),
    NotLoopback,
    OverUnixSocket,
    NotOverUnixSocket,
    NotLoopbackHost,
    OtherSite,
    Prefetch,
    Forwarded,
    Http10,
}

impl StopAccess {
    /// Requests of programs on this machine, to a server that no proxy forwards to (see
    /// [above](Self#behind-a-proxy)). Others get a 403. A request may stop the server if
    /// all of these hold:
    ///
    /// - It comes from a loopback address, as `127.0.0.1` or `::1`. The client of a unix
    ///   socket has none, and is refused.
    /// - Its host is `localhost` or a loopback address, in `Host` and in an absolute
    ///   target. So a name of another site that resolves to a loopback address
    ///   (DNS rebinding) stops nothing.
    /// - No web page of another site has sent it: `Sec-Fetch-Site`, if there is one,
    ///   is `none` or `same-origin`, and `Origin`, if there is one, is the host of
    ///   the request.
    /// - It is no prefetch of a browser: `Sec-Purpose` and `Purpose` do not say so.
    /// - No proxy has marked it: there is no `Forwarded`, `X-Forwarded-*`, `Via`,
    ///   `X-Real-IP`, `True-Client-IP` or `CF-Connecting-IP`, and it is not HTTP/1.0,
    ///   in which nginx before 1.29.7 forwards by default.
    ///
    /// So each user and each program of this machine may stop the server, and the
    /// client of a tunnel that ends on it (`ssh -L`, `kubectl port-forward`). A browser
    /// from before 2023 may send neither `Sec-Fetch-Site` nor, with a `GET`, `Origin`;
    /// a page of another site can then stop the server. Use a [`token`](Self::token)
    /// where this matters.
    ///
    /// ```
    /// use farewell::{Config, Server, StopAccess, StopRoutes};
    ///
    /// let server = Server::bind("127.0.0.1:0", Config::default())?;
    /// let stop = StopRoutes::new(server.shutdown_handle(), StopAccess::loopback());
    /// # let _ = stop;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    pub fn loopback() -> Self {
        Self(Rule::Loopback)
    }

    /// Requests of every program that may connect to the unix socket of the server, by
    /// the permissions of its file and folder. Others get a 403.
    ///
    /// **The usual client of a unix socket is a proxy**, and then each client of the proxy
    /// may stop the server. So use this for a socket of its own to which only operators
    /// can connect. The conditions of [`loopback`](Self::loopback) hold here too, except
    /// the first.
    ///
    /// ```no_run
    /// # #[cfg(unix)]
    /// # fn main() -> Result<(), farewell::Error> {
    /// use farewell::{Config, Server, StopAccess, StopRoutes};
    ///
    /// let server = Server::bind_unix("/run/hello/admin.sock", Config::default())?;
    /// let stop = StopRoutes::new(server.shutdown_handle(), StopAccess::unix_socket());
    /// # let _ = stop;
    /// # Ok(())
    /// # }
    /// # #[cfg(not(unix))]
    /// # fn main() {}
    /// ```
    pub fn unix_socket() -> Self {
        Self(Rule::UnixSocket)
    }

    /// Requests that carry `token` as `Authorization: Bearer TOKEN` (RFC 6750 section
    /// 2.1), wherever they come from. Others get a 401 with `WWW-Authenticate`, or a 400 if
    /// they have more than one `Authorization`.
    ///
    /// Whitespace around the token is removed, such as the end of the line in a file.
    /// The comparison takes the same time wherever a wrong token of the same length
    /// differs; the length is no secret. Nothing limits how many tokens a client may
    /// try, so use a random one: `openssl rand -hex 32`. Without TLS, which the
    /// server does not have, the token crosses the network in the clear.
    ///
    /// # Errors
    ///
    /// The token is empty, or is not one word of visible ASCII characters;
    /// [`Error::is_config`] is true. The text does not quote the token.
    ///
    /// ```
    /// use farewell::StopAccess;
    ///
    /// assert!(StopAccess::token("6b1f0a52c9\n").is_ok());
    /// assert!(StopAccess::token("").unwrap_err().is_config());
    /// ```
    pub fn token(token: &str) -> Result<Self, Error> {
        Token::new(token).map(|token| Self(Rule::Bearer(token)))
    }

    /// Checks a request by the same rule, for a handler of your own that only operators may
    /// use: one that shows numbers, or reloads a configuration. Nothing is logged.
    ///
    /// # Errors
    ///
    /// The response for a request that is denied: a 401 or a 400 for its token, or a 403.
    /// Its text says why.
    ///
    /// ```
    /// use farewell::{Config, Rejection, Request, Router, Server, StopAccess};
    ///
    /// let server = Server::bind("127.0.0.1:0", Config::default())?;
    /// let (access, metrics) = (StopAccess::loopback(), server.metrics());
    /// let numbers = move |request: Request| -> Result<String, Rejection> {
    ///     access.check(&request)?;
    ///     Ok(format!("{:?}\n", metrics.counts()))
    /// };
    /// let routes = Router::new().get("/numbers", numbers).build()?;
    /// # let _ = routes;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    pub fn check(&self, request: &Request) -> Result<(), Rejection> {
        self.rule_on(request)
            .map_err(|denial| denial.rejection("not allowed"))
    }

    /// Checks whether this request may stop the server.
    pub(super) fn rule_on(&self, request: &Request) -> Result<(), Denial> {
        let peer = request.peer_addr();
        match &self.0 {
            Rule::Bearer(token) => return token.check(request.headers()).map_err(Denial::Token),
            Rule::Loopback => check_loopback(peer)?,
            Rule::UnixSocket if peer == PeerAddr::Unix => {}
            Rule::UnixSocket => return Err(Denial::NotOverUnixSocket),
        }
        // The authority in the request target overrides the Host field (RFC 9112
        // section 3.2.2).
        let host = request.headers().get(header::HOST);
        let host = host.map(HeaderValue::as_bytes);
        let target = request.uri().authority();
        if target.is_some_and(|target| Some(target.as_str().as_bytes()) != host) {
            return Err(Denial::NotLoopbackHost);
        }
        // nginx before 1.29.7 by default forwards requests in HTTP/1.0, with the name of
        // the upstream server as Host, which may be a loopback name. Later versions do so
        // in HTTP/1.1: nothing tells these requests from those of a local program.
        if request.version() == Version::HTTP_10 {
            return Err(Denial::Http10);
        }
        check_fields(request.headers())
    }
}

impl fmt::Debug for StopAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Rule::Loopback => "StopAccess(loopback)",
            Rule::UnixSocket => "StopAccess(unix socket)",
            Rule::Bearer(_) => "StopAccess(token)",
        })
    }
}

impl Denial {
    /// The reason, for the client and for the log.
    pub(super) fn explain(self) -> &'static str {
        match self {
            Self::Token(problem) => token::explain(problem),
            Self::NotLoopback => "the client is not on this machine, and no token is configured",
            Self::OverUnixSocket => {
                "the client of a unix socket may be a proxy, and no token is configured"
            }
            Self::NotOverUnixSocket => "the client is not one of a unix socket",
            Self::NotLoopbackHost => "the host of the request is not a loopback name",
            Self::OtherSite => "the request was sent by a page of another site",
            Self::Prefetch => "the request is a prefetch of a browser",
            Self::Forwarded => "the request was forwarded by a proxy",
            Self::Http10 => "the request is HTTP/1.0, as from a proxy",
        }
    }

    fn rejection(self, what: &str) -> Rejection {
        let rejection = Rejection::new(self.status(), format!("{what}: {}", self.explain()));
        match self {
            Self::Token(problem) => {
                let challenge = token::challenge(problem);
                rejection.with_header(header::WWW_AUTHENTICATE, challenge)
            }
            _ => rejection,
        }
    }

    /// 401 if the client can try again with credentials (RFC 9110 section 15.5.2).
    fn status(self) -> StatusCode {
        match self {
            Self::Token(problem) => problem.status(),
            _ => StatusCode::FORBIDDEN,
        }
    }
}

impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        self.rejection("not allowed to stop this server")
            .into_response()
    }
}

fn check_loopback(peer: PeerAddr) -> Result<(), Denial> {
    match peer.ip() {
        Some(ip) if ip.to_canonical().is_loopback() => Ok(()),
        None if peer == PeerAddr::Unix => Err(Denial::OverUnixSocket),
        _ => Err(Denial::NotLoopback),
    }
}

/// Checks the header fields of a request of a program on this machine.
fn check_fields(headers: &HeaderMap) -> Result<(), Denial> {
    // Protects against DNS rebinding: a page of another site may have a name
    // that resolves to a loopback address. The browser sends that name as Host.
    let host = same_site::host(headers);
    if !host.as_ref().is_some_and(is_loopback_name) {
        return Err(Denial::NotLoopbackHost);
    }
    let is_own = same_site::fetch_is_own(headers).unwrap_or(true);
    if !is_own || !same_site::origin_is(host.as_ref(), &["http"], headers) {
        return Err(Denial::OtherSite);
    }
    if is_prefetch(headers) {
        return Err(Denial::Prefetch);
    }
    if headers.keys().any(is_set_by_proxies) {
        return Err(Denial::Forwarded);
    }
    Ok(())
}

/// Whether a browser guesses that its user may want the response: the user has asked for
/// nothing.
fn is_prefetch(headers: &HeaderMap) -> bool {
    let purposes = ["sec-purpose", "purpose"].map(HeaderName::from_static);
    let mut values = purposes.iter().flat_map(|name| headers.get_all(name));
    values.any(|value| {
        value
            .as_bytes()
            .to_ascii_lowercase()
            .starts_with(b"prefetch")
    })
}

fn is_set_by_proxies(name: &HeaderName) -> bool {
    let names = [
        "forwarded",
        "via",
        "x-real-ip",
        "true-client-ip",
        "cf-connecting-ip",
    ];
    names.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded")
}

fn is_loopback_name(host: &Authority) -> bool {
    let name = host.host();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}
