//! Which requests each access allows.

use std::net::SocketAddr;

use super::*;

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for &(name, value) in fields {
        headers.append(name, value.parse().unwrap());
    }
    headers
}

fn check(
    access: &StopAccess,
    peer: PeerAddr,
    fields: &[(&'static str, &'static str)],
) -> Result<(), Denial> {
    let mut request = http::Request::get("/shutdown").body(()).unwrap();
    *request.headers_mut() = headers(fields);
    access.rule_on(&Request::from_http(request).with_peer_addr(peer))
}

fn local(peer: &str, fields: &[(&'static str, &'static str)]) -> Result<(), Denial> {
    let ip: IpAddr = peer.parse().unwrap();
    let peer = SocketAddr::from((ip, 1)).into();
    check(&StopAccess::loopback(), peer, fields)
}

#[test]
fn a_client_of_a_unix_socket_may_stop_only_where_the_access_says_so() {
    let host = [("host", "localhost")];
    let (loopback, unix) = (StopAccess::loopback(), StopAccess::unix_socket());
    let refused = check(&loopback, PeerAddr::Unix, &host);
    assert_eq!(refused, Err(Denial::OverUnixSocket));
    assert_eq!(check(&unix, PeerAddr::Unix, &host), Ok(()));
    let evil = [("host", "evil.example")];
    let refused = check(&unix, PeerAddr::Unix, &evil);
    assert_eq!(refused, Err(Denial::NotLoopbackHost));
    let inet: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let refused = check(&unix, inet.into(), &host);
    assert_eq!(refused, Err(Denial::NotOverUnixSocket));
}

/// A limit that the documentation states: `proxy_pass http://127.0.0.1:8081` of nginx from
/// 1.29.7 on sends what a local program may send.
#[test]
fn the_request_of_a_proxy_that_marks_nothing_may_stop() {
    let fields = [
        ("host", "127.0.0.1:8081"),
        ("user-agent", "curl/8.5.0"),
        ("accept", "*/*"),
    ];
    assert_eq!(local("127.0.0.1", &fields), Ok(()));
}

#[test]
fn a_prefetch_of_a_browser_may_not_stop() {
    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "Prefetch"),
    ] {
        let fields = [("host", "localhost"), (name, value)];
        assert_eq!(
            local("127.0.0.1", &fields),
            Err(Denial::Prefetch),
            "{value}"
        );
    }
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
fn a_token_is_checked_and_not_shown() {
    let access = StopAccess::token(" open-sesame\r\n").unwrap();
    assert_eq!(format!("{access:?}"), "StopAccess(token)");
    let peer = PeerAddr::Unix;
    let right = ("authorization", "Bearer open-sesame");
    assert_eq!(check(&access, peer, &[right]), Ok(()));
    for (fields, problem) in [
        (&[][..], Problem::Missing),
        (&[("authorization", "Bearer sesame")], Problem::Wrong),
        (&[right, right], Problem::Repeated),
    ] {
        assert_eq!(check(&access, peer, fields), Err(Denial::Token(problem)));
    }
    assert!(StopAccess::token("open sesame").unwrap_err().is_config());
}

#[test]
fn a_denial_asks_for_credentials_only_where_they_help() {
    for (problem, status, challenge) in [
        (Problem::Missing, 401, "Bearer"),
        (Problem::Wrong, 401, "Bearer error=\"invalid_token\""),
        (Problem::Repeated, 400, "Bearer error=\"invalid_request\""),
    ] {
        let response = Denial::Token(problem).into_response();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], challenge);
    }
    let response = Denial::NotLoopback.into_response();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(!response.headers().contains_key(header::WWW_AUTHENTICATE));
}
