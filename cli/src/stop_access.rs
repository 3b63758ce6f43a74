//! Which requests may stop the program.

use std::env;
use std::fs;
use std::net::IpAddr;

use farewell::PeerAddr;
use farewell::Request;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Version;
use http::header;
use http::uri::Authority;
use subtle::ConstantTimeEq;

use super::Failure;
use super::args::Options;

/// Environment variable that can hold the token instead of a file.
const TOKEN_VARIABLE: &str = "FAREWELL_SHUTDOWN_TOKEN";

/// Which requests may stop the program.
pub(super) enum StopAccess {
    /// Requests that a program on this machine sends directly. Requests from
    /// web pages of other sites and from proxies are denied.
    Loopback,
    /// Requests that carry the token.
    Bearer(Token),
}

/// A secret. It has no `Debug`, so that it cannot get into the log.
pub(super) struct Token(String);

/// Why a request may not stop the program.
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

    /// Whether the client can try again with credentials.
    pub(super) fn wants_credentials(self) -> bool {
        matches!(self, Self::NoToken | Self::WrongToken)
    }
}

impl StopAccess {
    pub(super) fn from_options(options: &Options) -> Result<Self, Failure> {
        let file_option = || options.name("shutdown_token_file");
        let (token, place) = match (&options.shutdown_token_file, env::var_os(TOKEN_VARIABLE)) {
            (None, None) => return Ok(Self::Loopback),
            (Some(_), Some(_)) => {
                return Err(Failure::usage(format!(
                    "the token is given twice, in {TOKEN_VARIABLE} and by {}: remove one",
                    file_option()
                )));
            }
            (None, Some(token)) => (
                token
                    .into_string()
                    .map_err(|_| Failure::usage(format!("{TOKEN_VARIABLE} is not UTF-8")))?,
                TOKEN_VARIABLE.to_owned(),
            ),
            (Some(file), None) => {
                let place = format!("{} ({})", file.display(), file_option());
                let token = fs::read_to_string(file).map_err(|error| {
                    Failure::error(format!("cannot read the token in {place}: {error}"))
                })?;
                (token, place)
            }
        };
        let token = token.trim();
        if token.is_empty() {
            return Err(Failure::usage(format!(
                "the token in {place} is empty: it must be one word of visible ASCII characters"
            )));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::usage(format!(
                "the token in {place} must be one word of visible ASCII characters"
            )));
        }
        Ok(Self::Bearer(Token(token.to_owned())))
    }

    /// Checks whether this request may stop the program.
    pub(super) fn check(&self, request: &Request) -> Result<(), Denial> {
        match self {
            Self::Bearer(token) => check_token(token, request.headers()),
            Self::Loopback => {
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
        check_local(PeerAddr::Inet((ip, 1).into()), &headers(fields))
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
        let token = Token("secret".to_owned());
        let with = |value| check_token(&token, &headers(&[("authorization", value)]));
        assert_eq!(with("Bearer secret"), Ok(()));
        assert_eq!(with("bearer secret"), Ok(()));
        for wrong in ["Bearer secre", "Bearer secrets", "Bearer Secret", "Bearer "] {
            assert_eq!(with(wrong), Err(Denial::WrongToken), "{wrong}");
        }
        assert_eq!(with("Basic secret"), Err(Denial::NoToken));
        assert_eq!(check_token(&token, &headers(&[])), Err(Denial::NoToken));
    }
}
