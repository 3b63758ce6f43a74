//! Whether a connection goes on after a response (RFC 9112 section 9.3).

use http::HeaderMap;
use http::HeaderValue;
use http::Version;
use http::header;

/// What becomes of a connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persist {
    KeepAlive,
    /// It goes on, and speaks another protocol (RFC 9110 section 7.8).
    Upgrade,
    Close(CloseReason),
}

/// Why a response is its connection's last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// It asked for it, or speaks HTTP/1.0 and did not ask to keep it.
    Client,
    /// The handler said `Connection: close`.
    Handler,
    /// The handler wants to know when its response is delivered, and only
    /// the client's EOF tells.
    Delivery,
    /// The answer ends with the server: nothing can come after it.
    Follower,
    /// The server rejected the request: where the next one begins is not certain.
    Rejected,
    /// The handler has not read the request's body, and it is too much to
    /// discard, or may never come.
    UnreadBody,
    /// The handler upgrades the connection.
    Upgraded,
    /// The answer ends when its client stops listening, or when the server
    /// stops.
    Endless,
    /// The body has no length and the client knows no chunks: its end is the
    /// connection's end.
    UntilClose,
    /// The server is stopping.
    Draining,
}

impl Persist {
    /// What the client asked for.
    pub(crate) fn asked(version: Version, headers: &HeaderMap) -> Self {
        if has_token(headers, "close") {
            return Self::Close(CloseReason::Client);
        }
        if version == Version::HTTP_10 && !has_token(headers, "keep-alive") {
            return Self::Close(CloseReason::Client);
        }
        Self::KeepAlive
    }

    /// Closes for `reason` if `condition` holds and nothing closed it before.
    pub(crate) fn close_if(self, condition: bool, reason: CloseReason) -> Self {
        match self {
            Self::KeepAlive if condition => Self::Close(reason),
            decided => decided,
        }
    }
}

/// Whether `Connection` lists `token`, in any case.
pub(crate) fn has_token(headers: &HeaderMap, token: &str) -> bool {
    // To go through a few fields costs less than to look one up.
    headers
        .iter()
        .filter(|(name, _)| *name == header::CONNECTION)
        .any(|(_, value)| lists(value, token))
}

/// Whether a list of tokens has this one, in any case.
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
