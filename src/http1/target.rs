//! The target of a request, in one of its four forms (RFC 9112 section 3.2).
//!
//! A path and a query may contain the characters of RFC 3986, UTF-8, and what
//! browsers do not encode (the URL standard of the WHATWG): `[ ] \ ^ { | }`, the
//! backtick, and a `%` that begins no escape. Characters that browsers always
//! encode are refused in both: `"`, `<`, `>`, blanks and control characters.
//! Nothing is decoded or normalized.

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::Uri;

use super::Refusal;
use super::authority;

/// A valid target.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) uri: Uri,
    /// The host, if the target names one. It replaces `Host` (RFC 9112 section
    /// 3.2.2).
    pub(super) host: Option<HeaderValue>,
}

pub(super) const TOO_LONG: Refusal =
    Refusal::new(StatusCode::URI_TOO_LONG, "request target is too long");

/// The refusal of every valid CONNECT.
pub(crate) const NO_TUNNELS: Refusal =
    Refusal::new(StatusCode::NOT_IMPLEMENTED, "CONNECT is not supported");

const NO_PATH: Refusal = Refusal::bad_request("request target is neither a path nor an http URI");

const BAD_HOST: Refusal = Refusal::bad_request("invalid host in the request target");

/// Parses a target. It must be UTF-8, and not empty.
pub(super) fn read(method: &Method, target: Bytes) -> Result<Target, Refusal> {
    if *method == Method::CONNECT {
        return authority_form(target);
    }
    match target[..] {
        [b'/', ..] => Ok(Target {
            uri: origin_form(target)?,
            host: None,
        }),
        [b'*'] if *method == Method::OPTIONS => Ok(Target {
            uri: Uri::from_static("*"),
            host: None,
        }),
        [b'*'] => Err(Refusal::bad_request(
            "request target * is allowed only with OPTIONS",
        )),
        _ => absolute_form(target),
    }
}

fn authority_form(target: Bytes) -> Result<Target, Refusal> {
    if !authority::is_host_with_port(&target) {
        return Err(Refusal::bad_request(
            "request target of CONNECT is not a host and a port",
        ));
    }
    let uri = Uri::from_maybe_shared(target).map_err(|_| NO_TUNNELS)?;
    Ok(Target { uri, host: None })
}

fn origin_form(target: Bytes) -> Result<Uri, Refusal> {
    let target = check(&target)?.map_or(target, Bytes::from);
    // The length is the only reason left for a `Uri` not to hold it.
    Uri::from_maybe_shared(target).map_err(|_| TOO_LONG)
}

fn absolute_form(target: Bytes) -> Result<Target, Refusal> {
    let colon = target.iter().position(|&byte| byte == b':');
    let scheme = &target[..colon.ok_or(NO_PATH)?];
    let secure = scheme.eq_ignore_ascii_case(b"https");
    if !secure && !scheme.eq_ignore_ascii_case(b"http") {
        return Err(NO_PATH);
    }
    let start = scheme.len() + "://".len();
    if !target[scheme.len()..].starts_with(b"://") {
        return Err(BAD_HOST);
    }
    let path = target[start..]
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .map_or(target.len(), |length| start + length);
    let host = target.slice(start..path);
    if !authority::is_host_and_port(&host) {
        return Err(BAD_HOST);
    }
    // RFC 9110 section 7.4: an https target needs TLS, which the server does not have.
    if secure {
        return Err(Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            "https request target on a connection without TLS",
        ));
    }
    let origin = match target.get(path) {
        None => Bytes::from_static(b"/"),
        Some(b'/') => target.slice(path..),
        Some(_) => Bytes::from([b"/", &target[path..]].concat()),
    };
    let origin = check(&origin)?.map_or(origin, Bytes::from);
    let whole = [b"http://", &host[..], &origin[..]].concat();
    // A `Uri` cannot hold escapes in a host, nor every address of a future version
    // of IP. Such a host is only in `Host`.
    let uri = Uri::from_maybe_shared(Bytes::from(whole))
        .or_else(|_| Uri::from_maybe_shared(origin))
        .map_err(|_| TOO_LONG)?;
    let host = HeaderValue::from_maybe_shared(host).map_err(|_| BAD_HOST)?;
    Ok(Target {
        uri,
        host: Some(host),
    })
}

/// A byte that neither a path nor a query may contain.
const WRONG: u8 = 1;

/// A byte that a `Uri` accepts in a query, but not in a path.
const BACKTICK: u8 = 2;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte <= b' ' as usize {
        classes[byte] = WRONG;
        byte += 1;
    }
    classes[0x7f] = WRONG;
    classes[b'"' as usize] = WRONG;
    classes[b'#' as usize] = WRONG;
    classes[b'<' as usize] = WRONG;
    classes[b'>' as usize] = WRONG;
    classes[b'`' as usize] = BACKTICK;
    classes
};

/// Checks a path and its query. Returns an encoded form if a `Uri` cannot hold
/// them as they are.
fn check(target: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    let classes = target
        .iter()
        .fold(0, |found, &byte| found | CLASSES[usize::from(byte)]);
    match classes {
        0 => Ok(None),
        BACKTICK => Ok(Some(encode_backticks(target))),
        // RFC 9112 section 3.2: no form of a target has a fragment.
        _ if target.contains(&b'#') => Err(Refusal::bad_request("request target has a fragment")),
        _ => Err(Refusal::bad_request(
            "request target contains a character that must be percent-encoded",
        )),
    }
}

/// Percent-encodes the backticks of the path.
fn encode_backticks(target: &[u8]) -> Vec<u8> {
    let query = target.iter().position(|&byte| byte == b'?');
    let (path, query) = target.split_at(query.unwrap_or(target.len()));
    let parts: Vec<&[u8]> = path.split(|&byte| byte == b'`').collect();
    [&parts.join(&b"%60"[..]), query].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: Method, target: &str) -> Result<Target, u16> {
        read(&method, Bytes::from(target.to_owned())).map_err(|refusal| refusal.status.as_u16())
    }

    fn get(form: &str) -> Result<String, u16> {
        target(Method::GET, form).map(|target| target.uri.to_string())
    }

    fn refused(form: &str) -> u16 {
        get(form).expect_err(form)
    }

    #[test]
    fn path_and_query_allow_the_same_characters() {
        for byte in 0..=u8::MAX {
            let allowed = match byte {
                b'"' | b'#' | b'<' | b'>' => false,
                0x80.. => continue,
                byte => byte.is_ascii_graphic(),
            };
            let character = char::from(byte);
            for before in ["/", "/?", "/?a=", "http://a/", "http://a?"] {
                let form = format!("{before}{character}b");
                match allowed {
                    true => assert!(get(&form).is_ok(), "{form:?}"),
                    false => assert_eq!(refused(&form), 400, "{form:?}"),
                }
            }
        }
        for fine in [
            "/?filter[name]=x",
            "/a[0]|{b}^\\c",
            "/100%",
            "/?q=100%&r=%zz",
            "/\u{fc}?\u{1f600}",
            "//a",
            "/?a?b/c",
        ] {
            assert_eq!(get(fine).as_deref(), Ok(fine));
        }
    }

    #[test]
    fn a_backtick_in_a_path_is_encoded() {
        assert_eq!(get("/`a``?`b").as_deref(), Ok("/%60a%60%60?`b"));
        assert_eq!(get("/?`").as_deref(), Ok("/?`"));
        assert_eq!(get("http://a/`?`").as_deref(), Ok("http://a/%60?`"));
        assert_eq!(refused(&format!("/{}", "`".repeat(30_000))), 414);
    }

    #[test]
    fn an_absolute_target_has_the_scheme_http_and_a_host() {
        for (form, uri) in [
            ("http://a", "http://a/"),
            ("HTTP://a:/b", "http://a:/b"),
            ("http://a?b", "http://a/?b"),
            ("http://[::1]:80/b", "http://[::1]:80/b"),
            ("http://a/?b:c@d", "http://a/?b:c@d"),
        ] {
            assert_eq!(get(form).as_deref(), Ok(uri));
        }
        for form in [
            "http:",
            "http:x",
            "http:/x",
            "http://",
            "http:///x",
            "http://?x",
            "http://:80/x",
            "http://u@a/",
            "http://u:p@a/",
            "http://@a/",
            "http://a@/",
            "http://a:b/",
            "http://a:65536/",
            "http://[zz]/",
            "http://[]/",
            "http://a\\b/",
            "http://\u{fc}/",
            "http://a%/",
            "http://a/#b",
            "http://a#b",
            "http://a/\"",
            "https:///x",
            "https:x",
            "https://u@a/",
            "ftp://a/x",
            "ws://a/",
            "httpx://a/",
            "a",
            "a:80",
            "a/b",
            "?a",
            ":",
            "://a",
            "**",
            "*a",
        ] {
            assert_eq!(refused(form), 400, "{form}");
        }
        for form in ["https://a/x", "HTTPS://a", "https://a:443/?b"] {
            assert_eq!(refused(form), 421, "{form}");
        }
    }

    #[test]
    fn a_host_that_no_uri_holds_is_in_the_field_alone() {
        for (form, host, uri) in [
            ("http://a%41:80/b?c", "a%41:80", "/b?c"),
            ("http://%c3%bc", "%c3%bc", "/"),
            ("http://a%41?`", "a%41", "/?`"),
            (
                "http://[v1.1:2:3:4:5:6:7:8:9:10]/`",
                "[v1.1:2:3:4:5:6:7:8:9:10]",
                "/%60",
            ),
        ] {
            let target = target(Method::GET, form).expect(form);
            assert_eq!(
                target.host.as_ref().map(HeaderValue::as_bytes),
                Some(host.as_bytes())
            );
            assert_eq!(target.uri, uri);
        }
    }

    #[test]
    fn asterisk_is_for_options_and_authority_for_connect() {
        let status = |method, form| target(method, form).err();
        assert_eq!(status(Method::OPTIONS, "*"), None);
        assert_eq!(status(Method::OPTIONS, "http://a"), None);
        assert_eq!(status(Method::GET, "*"), Some(400));
        assert_eq!(status(Method::CONNECT, "a:80"), None);
        assert_eq!(status(Method::CONNECT, "[::1]:80"), None);
        assert_eq!(status(Method::CONNECT, "a%41:80"), Some(501));
        for wrong in ["/", "*", "a", "a:", ":80", "u@a:80", "http://a:80"] {
            assert_eq!(status(Method::CONNECT, wrong), Some(400), "{wrong}");
        }
    }
}
