//! Whether a connection persists after a response (RFC 9112 section 9.3).

use http::HeaderMap;
use http::HeaderValue;
use http::Version;
use http::header;

/// What happens to a connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persist {
    KeepAlive,
    /// The connection switches to another protocol (RFC 9110 section 7.8).
    Upgrade,
    Close(CloseReason),
}

/// Why a response is its connection's last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The client asked for it, or speaks HTTP/1.0 and did not ask for keep-alive.
    Client,
    /// The handler said `Connection: close`.
    Handler,
    /// The handler set a callback for the delivery, and only the client's EOF proves
    /// it.
    Delivery,
    /// The response reports the shutdown, and ends with the server.
    Follower,
    /// The server rejected the request: the start of the next one is uncertain.
    Rejected,
    /// The handler has not read the request's body, and the rest is too long to
    /// discard, or may never arrive.
    UnreadBody,
    /// The handler upgrades the connection.
    Upgraded,
    /// The response ends when the client closes its side, or when the server
    /// stops.
    Endless,
    /// The body has no length, and the client speaks HTTP/1.0, which has no
    /// chunks: the end of the connection ends the body.
    UntilClose,
    /// The server is stopping.
    Draining,
}

impl Persist {
    /// What the client asks for.
    pub(crate) fn asked(version: Version, headers: &HeaderMap) -> Self {
        if has_token(headers, "close") {
            return Self::Close(CloseReason::Client);
        }
        if version == Version::HTTP_10 && !has_token(headers, "keep-alive") {
            return Self::Close(CloseReason::Client);
        }
        Self::KeepAlive
    }

    /// Changes `KeepAlive` to a close for `reason`, if `condition` holds.
    pub(crate) fn close_if(self, condition: bool, reason: CloseReason) -> Self {
        match self {
            Self::KeepAlive if condition => Self::Close(reason),
            decided => decided,
        }
    }
}

/// Whether a `Connection` field lists `token`, in any case.
pub(crate) fn has_token(headers: &HeaderMap, token: &str) -> bool {
    // A scan of a few fields is faster than a look-up in the map.
    headers
        .iter()
        .filter(|(name, _)| *name == header::CONNECTION)
        .any(|(_, value)| lists(value, token))
}

/// Whether the comma-separated `value` lists `token`, in any case.
pub(crate) fn lists(value: &HeaderValue, token: &str) -> bool {
    value
        .as_bytes()
        .split(|&byte| byte == b',')
        .any(|listed| listed.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(version: Version, connection: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in connection {
            headers.append(header::CONNECTION, value.parse().unwrap());
        }
        Persist::asked(version, &headers) == Persist::KeepAlive
    }

    #[test]
    fn http_1_1_persists_unless_told_to_close() {
        assert!(asked(Version::HTTP_11, &[]));
        assert!(asked(Version::HTTP_11, &["upgrade"]));
        assert!(!asked(Version::HTTP_11, &["close"]));
        assert!(!asked(Version::HTTP_11, &["keep-alive , CLOSE"]));
        assert!(!asked(Version::HTTP_11, &["a", "close"]));
    }

    #[test]
    fn http_1_0_closes_unless_told_to_persist() {
        assert!(!asked(Version::HTTP_10, &[]));
        assert!(asked(Version::HTTP_10, &["Keep-Alive"]));
        assert!(!asked(Version::HTTP_10, &["keep-alive, close"]));
    }

    #[test]
    fn the_first_reason_to_close_stays() {
        let client = Persist::Close(CloseReason::Client);
        assert_eq!(client.close_if(true, CloseReason::Draining), client);
        let kept = Persist::KeepAlive;
        assert_eq!(kept.close_if(false, CloseReason::Draining), kept);
        assert_ne!(kept.close_if(true, CloseReason::Draining), kept);
    }
}
