//! Whether a web page of another site has sent a request. A browser sends requests of any
//! page to any server that it can reach, also to one on its own machine.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;
use http::uri::Authority;

/// What the browser says in `Sec-Fetch-Site`: whether the user or a page of this server has
/// sent the request. `None` if it says nothing: browsers say it to servers on their own
/// machine, and over HTTPS; programs other than browsers never do.
pub(crate) fn fetch_is_own(headers: &HeaderMap) -> Option<bool> {
    const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let sites = headers.get_all(SEC_FETCH_SITE);
    let is_own = |site: &HeaderValue| site == "none" || site == "same-origin";
    let mut sites = sites.iter().peekable();
    sites.peek()?;
    Some(sites.all(is_own))
}

/// Whether `Origin` is this host, under one of these schemes, or is not there.
pub(crate) fn origin_is(host: Option<&Authority>, schemes: &[&str], headers: &HeaderMap) -> bool {
    headers.get_all(header::ORIGIN).iter().all(|origin| {
        let mut schemes = schemes.iter();
        let authority = schemes.find_map(|scheme| {
            let rest = origin.as_bytes().strip_prefix(scheme.as_bytes())?;
            rest.strip_prefix(b"://")
        });
        authority.is_some_and(|authority| {
            Authority::try_from(authority).is_ok_and(|authority| Some(&authority) == host)
        })
    })
}

/// The host that the request is for.
pub(crate) fn host(headers: &HeaderMap) -> Option<Authority> {
    let host = headers.get(header::HOST)?;
    Authority::try_from(host.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let field = |&(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in fields.iter().map(field) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn the_browser_says_which_site_a_request_is_from() {
        for (sites, expected) in [
            (&[][..], None),
            (&["none"], Some(true)),
            (&["same-origin"], Some(true)),
            (&["same-site"], Some(false)),
            (&["cross-site"], Some(false)),
            (&[""], Some(false)),
            (&["none", "cross-site"], Some(false)),
        ] {
            let fields: Vec<_> = sites.iter().map(|&site| ("sec-fetch-site", site)).collect();
            assert_eq!(fetch_is_own(&headers(&fields)), expected, "{sites:?}");
        }
    }

    #[test]
    fn an_origin_is_compared_with_the_host() {
        let is = |origin: &str, host_name: &str| {
            let headers = headers(&[("origin", origin), ("host", host_name)]);
            origin_is(host(&headers).as_ref(), &["http", "https"], &headers)
        };
        assert!(is("http://a.example:8080", "a.example:8080"));
        assert!(is("https://a.example", "A.EXAMPLE"));
        for (origin, host) in [
            ("null", "a.example"),
            ("", "a.example"),
            ("a.example", "a.example"),
            ("http://b.example", "a.example"),
            ("http://a.example:8080", "a.example"),
            ("http://a.example.b.example", "a.example"),
            ("ftp://a.example", "a.example"),
            ("httpx://a.example", "a.example"),
            ("http://a.example", ""),
        ] {
            assert!(!is(origin, host), "{origin} {host}");
        }
        let none = headers(&[("host", "a.example")]);
        assert!(origin_is(host(&none).as_ref(), &["http"], &none));
        let https = headers(&[("origin", "https://a"), ("host", "a")]);
        assert!(!origin_is(host(&https).as_ref(), &["http"], &https));
    }
}
