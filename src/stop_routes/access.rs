//! Which requests may stop a server.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::Version;
use http::header;
use http::uri::Authority;
use subtle::ConstantTimeEq;

use crate::address::PeerAddr;
use crate::error::Error;
use crate::message::rejection::Rejection;
use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::Response;

/// Which requests may stop a server by [`StopRoutes`](crate::StopRoutes). Needs the
/// feature `stop-routes`.
///
/// The default is [`loopback`](Self::loopback): programs on this machine. With a
/// [`token`](Self::token), requests that carry it, from any machine. Other requests
/// get a 403 or a 401, whose body says why, and a line in the log.
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
/// A reverse proxy on the same machine makes each of its clients a loopback peer.
/// The loopback access refuses the requests that a proxy has marked. It cannot tell
/// a proxy that marks nothing from a local `curl`. So behind a proxy, and in a
/// container whose network a proxy shares, use a token, and have the proxy not
/// forward the path.
#[derive(Clone, Default)]
pub struct StopAccess(Rule);

#[derive(Clone, Default)]
enum Rule {
    /// Requests that a program on this machine sends directly.
    #[default]
    Loopback,
    /// Requests that carry the token.
    Bearer(Token),
}

/// A secret. It has no `Debug`, so that it cannot get into the log.
#[derive(Clone)]
struct Token(Arc<str>);

/// Why a request may not stop the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    NoToken,
    WrongToken,
    NotLoopback,
    NotLoopbackHost,
    OtherSite,
    Forwarded,
    Http10,
}

impl StopAccess {
    /// Requests that a program on this machine sends directly. Others get a 403. A
    /// request may stop the server if all of these hold:
    ///
    /// - It comes from a loopback address, as `127.0.0.1` or `::1`.
    /// - Its host is `localhost` or a loopback address, in `Host` and in an absolute
    ///   target. So a name of another site that resolves to a loopback address
    ///   (DNS rebinding) stops nothing.
    /// - No web page of another site has sent it: `Sec-Fetch-Site`, if there is one,
    ///   is `none` or `same-origin`, and `Origin`, if there is one, is the host of
    ///   the request.
    /// - No proxy has marked it: there is no `Forwarded`, `X-Forwarded-*`, `Via`,
    ///   `X-Real-IP`, `True-Client-IP` or `CF-Connecting-IP`, and it is not HTTP/1.0,
    ///   in which nginx forwards by default.
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
    /// let stop = StopRoutes::new(server.shutdown_handle()); // as with:
    /// let stop = stop.access(StopAccess::loopback());
    /// # let _ = stop;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    pub fn loopback() -> Self {
        Self(Rule::Loopback)
    }

    /// Requests that carry `token` as `Authorization: Bearer TOKEN` (RFC 6750 section
    /// 2.1), wherever they come from. Others get a 401 with `WWW-Authenticate`.
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
        let token = token.trim();
        let problem = match token.bytes().all(|byte| byte.is_ascii_graphic()) {
            true if token.is_empty() => "is empty: it must be one word of visible ASCII characters",
            true => return Ok(Self(Rule::Bearer(Token(Arc::from(token))))),
            false => "must be one word of visible ASCII characters",
        };
        Err(Error::config("the token", problem))
    }

    /// Checks whether this request may stop the server.
    pub(super) fn check(&self, request: &Request) -> Result<(), Denial> {
        match &self.0 {
            Rule::Bearer(token) => check_token(token, request.headers()),
            Rule::Loopback => {
                // The authority in the request target overrides the Host field
                // (RFC 9112 section 3.2.2).
                let host = request
                    .headers()
                    .get(header::HOST)
                    .map(HeaderValue::as_bytes);
                let target = request.uri().authority();
                if target.is_some_and(|target| Some(target.as_str().as_bytes()) != host) {
                    return Err(Denial::NotLoopbackHost);
                }
                // nginx by default forwards requests in HTTP/1.0, with the name
                // of the upstream server as Host, which may be a loopback name.
                if request.version() == Version::HTTP_10 {
                    return Err(Denial::Http10);
                }
                check_local(request.peer_addr(), request.headers())
            }
        }
    }
}

impl fmt::Debug for StopAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Rule::Loopback => "StopAccess(loopback)",
            Rule::Bearer(_) => "StopAccess(token)",
        })
    }
}

impl Denial {
    /// The reason, for the client and for the log.
    pub(super) fn explain(self) -> &'static str {
        match self {
            Self::NoToken => "the request has no field Authorization: Bearer TOKEN",
            Self::WrongToken => "the token is wrong",
            Self::NotLoopback => "the client is not on this machine, and no token is configured",
            Self::NotLoopbackHost => "the host of the request is not a loopback name",
            Self::OtherSite => "the request was sent by a page of another site",
            Self::Forwarded => "the request was forwarded by a proxy",
            Self::Http10 => "the request is HTTP/1.0, as from a proxy",
        }
    }

    /// 401 if the client can try again with credentials (RFC 9110 section 15.5.2).
    fn status(self) -> StatusCode {
        match self {
            Self::NoToken | Self::WrongToken => StatusCode::UNAUTHORIZED,
            _ => StatusCode::FORBIDDEN,
        }
    }
}

impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        let text = format!("not allowed to stop this server: {}", self.explain());
        let mut response = Rejection::new(self.status(), text).into_response();
        if self.status() == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

fn check_token(token: &Token, headers: &HeaderMap) -> Result<(), Denial> {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, given)| given.trim())
        .ok_or(Denial::NoToken)?;
    match bool::from(given.as_bytes().ct_eq(token.0.as_bytes())) {
        true => Ok(()),
        false => Err(Denial::WrongToken),
    }
}

fn check_local(peer: PeerAddr, headers: &HeaderMap) -> Result<(), Denial> {
    // The permissions of a unix socket's file let its clients in.
    let is_local = match peer {
        PeerAddr::Unix => true,
        _ => peer.ip().is_some_and(|ip| ip.to_canonical().is_loopback()),
    };
    if !is_local {
        return Err(Denial::NotLoopback);
    }
    // Protects against DNS rebinding: a page of another site may have a name
    // that resolves to a loopback address. The browser sends that name as Host.
    let host = headers.get(header::HOST).map(|host| host.as_bytes());
    let host = host.and_then(|host| Authority::try_from(host).ok());
    if !host.as_ref().is_some_and(is_loopback_name) {
        return Err(Denial::NotLoopbackHost);
    }
    const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let same_site = headers
        .get_all(SEC_FETCH_SITE)
        .iter()
        .all(|site| site == "none" || site == "same-origin");
    let same_origin = headers.get_all(header::ORIGIN).iter().all(|origin| {
        let origin = origin.as_bytes().strip_prefix(b"http://");
        origin.is_some_and(|origin| {
            Authority::try_from(origin).is_ok_and(|origin| Some(origin) == host)
        })
    });
    if !same_site || !same_origin {
        return Err(Denial::OtherSite);
    }
    if headers.keys().any(is_set_by_proxies) {
        return Err(Denial::Forwarded);
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for &(name, value) in fields {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn local(peer: &str, fields: &[(&'static str, &'static str)]) -> Result<(), Denial> {
        let ip: IpAddr = peer.parse().unwrap();
        check_local(SocketAddr::from((ip, 1)).into(), &headers(fields))
    }

    #[test]
    fn a_client_of_a_unix_socket_is_local() {
        let at = |host| check_local(PeerAddr::Unix, &headers(&[("host", host)]));
        assert_eq!(at("localhost"), Ok(()));
        assert_eq!(at("evil.example"), Err(Denial::NotLoopbackHost));
    }

    #[test]
    fn a_loopback_client_with_a_loopback_host_may_stop() {
        for host in [
            "localhost",
            "LOCALHOST:81",
            "127.0.0.1:8081",
            "127.1.2.3",
            "[::1]:8081",
        ] {
            assert_eq!(local("127.0.0.1", &[("host", host)]), Ok(()), "{host}");
        }
        assert_eq!(local("::1", &[("host", "[::1]")]), Ok(()));
        assert_eq!(local("::ffff:127.0.0.1", &[("host", "localhost")]), Ok(()));
    }

    #[test]
    fn other_clients_and_other_hosts_may_not_stop() {
        assert_eq!(
            local("10.0.0.1", &[("host", "localhost")]),
            Err(Denial::NotLoopback)
        );
        assert_eq!(local("127.0.0.1", &[]), Err(Denial::NotLoopbackHost));
        for host in ["evil.example", "localhost.evil.example", "", "10.0.0.1"] {
            assert_eq!(
                local("127.0.0.1", &[("host", host)]),
                Err(Denial::NotLoopbackHost),
                "{host}"
            );
        }
    }

    #[test]
    fn a_page_of_another_site_may_not_stop() {
        let with = |name, value| local("127.0.0.1", &[("host", "localhost:1"), (name, value)]);
        assert_eq!(with("sec-fetch-site", "none"), Ok(()));
        assert_eq!(with("sec-fetch-site", "same-origin"), Ok(()));
        assert_eq!(with("sec-fetch-site", "cross-site"), Err(Denial::OtherSite));
        assert_eq!(with("sec-fetch-site", "same-site"), Err(Denial::OtherSite));
        assert_eq!(with("origin", "http://localhost:1"), Ok(()));
        assert_eq!(with("origin", "http://localhost:2"), Err(Denial::OtherSite));
        assert_eq!(with("origin", "null"), Err(Denial::OtherSite));
    }

    #[test]
    fn a_proxy_may_not_stop() {
        for name in ["forwarded", "x-forwarded-for", "via"] {
            let fields = [("host", "localhost"), (name, "x")];
            assert_eq!(
                local("127.0.0.1", &fields),
                Err(Denial::Forwarded),
                "{name}"
            );
        }
    }

    #[test]
    fn a_token_must_match_completely() {
        let token = Token(Arc::from("secret"));
        let with = |value| check_token(&token, &headers(&[("authorization", value)]));
        assert_eq!(with("Bearer secret"), Ok(()));
        assert_eq!(with("bearer secret"), Ok(()));
        for wrong in ["Bearer secre", "Bearer secrets", "Bearer Secret", "Bearer "] {
            assert_eq!(with(wrong), Err(Denial::WrongToken), "{wrong}");
        }
        assert_eq!(with("Basic secret"), Err(Denial::NoToken));
        assert_eq!(check_token(&token, &headers(&[])), Err(Denial::NoToken));
    }

    #[test]
    fn a_token_that_no_request_can_carry_is_refused_and_not_quoted() {
        for (token, problem) in [
            ("", "is empty"),
            (" \n", "is empty"),
            ("open sesame", "must be one word"),
            ("s\u{e9}same", "must be one word"),
            ("open\r\nsesame", "must be one word"),
        ] {
            let error = StopAccess::token(token).unwrap_err();
            assert!(error.is_config());
            assert!(error.to_string().contains(problem), "{token:?}: {error}");
            assert!(!error.to_string().contains("same"), "{error}");
        }
        let access = StopAccess::token(" open-sesame\r\n").unwrap();
        assert_eq!(format!("{access:?}"), "StopAccess(token)");
        let Rule::Bearer(token) = access.0 else {
            panic!("a token was given");
        };
        assert_eq!(&*token.0, "open-sesame");
    }

    #[test]
    fn a_denial_asks_for_credentials_only_where_they_help() {
        for denial in [Denial::NoToken, Denial::WrongToken] {
            let response = denial.into_response();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
            assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
        }
        let response = Denial::NotLoopback.into_response();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert!(!response.headers().contains_key(header::WWW_AUTHENTICATE));
    }
}
