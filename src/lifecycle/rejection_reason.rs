//! Why the server itself rejects requests.

use http::StatusCode;

/// Why the server itself rejects a request, without a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RejectionReason {
    /// It is not valid HTTP: 400.
    Malformed,
    /// Its head was not complete in time: 408.
    HeadTimeout,
    /// Its body arrived too slowly: 408.
    BodyTimeout,
    /// 413.
    BodyTooLarge,
    /// 414.
    TargetTooLong,
    /// It expects what the server does not know: 417.
    Expectation,
    /// It is for `https`: 421.
    Misdirected,
    /// Its client has too many connections: 429.
    TooManyConnections,
    /// Its head or its trailers: 431.
    HeadTooLarge,
    /// Its method or its coding: 501.
    NotSupported,
    /// Its version of HTTP: 505.
    Version,
    /// It waited too long behind slow uploads: 503.
    TooManyUploads,
    /// The server stops, and no handler had started it: 503.
    Stopping,
}

/// Where in the request a timeout has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartOfRequest {
    Head,
    Body,
}

impl RejectionReason {
    pub(crate) const ALL: [Self; 13] = [
        Self::Malformed,
        Self::HeadTimeout,
        Self::BodyTimeout,
        Self::BodyTooLarge,
        Self::TargetTooLong,
        Self::Expectation,
        Self::Misdirected,
        Self::TooManyConnections,
        Self::HeadTooLarge,
        Self::NotSupported,
        Self::Version,
        Self::TooManyUploads,
        Self::Stopping,
    ];

    /// The reason for a refusal with this status, after `part` had begun to arrive.
    pub(crate) fn of_refusal(status: StatusCode, part: PartOfRequest) -> Self {
        match status {
            StatusCode::REQUEST_TIMEOUT if part == PartOfRequest::Head => Self::HeadTimeout,
            StatusCode::REQUEST_TIMEOUT => Self::BodyTimeout,
            StatusCode::PAYLOAD_TOO_LARGE => Self::BodyTooLarge,
            StatusCode::URI_TOO_LONG => Self::TargetTooLong,
            StatusCode::EXPECTATION_FAILED => Self::Expectation,
            StatusCode::MISDIRECTED_REQUEST => Self::Misdirected,
            StatusCode::TOO_MANY_REQUESTS => Self::TooManyConnections,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::HeadTooLarge,
            StatusCode::NOT_IMPLEMENTED => Self::NotSupported,
            StatusCode::HTTP_VERSION_NOT_SUPPORTED => Self::Version,
            _ => Self::Malformed,
        }
    }

    /// The name in [`Totals::rejections`](crate::Totals::rejections).
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::HeadTimeout => "head_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::BodyTooLarge => "body_too_large",
            Self::TargetTooLong => "target_too_long",
            Self::Expectation => "expectation",
            Self::Misdirected => "misdirected",
            Self::TooManyConnections => "too_many_connections",
            Self::HeadTooLarge => "head_too_large",
            Self::NotSupported => "not_supported",
            Self::Version => "version",
            Self::TooManyUploads => "too_many_uploads",
            Self::Stopping => "stopping",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_index() {
        for (index, reason) in RejectionReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{reason:?}");
        }
    }
}
