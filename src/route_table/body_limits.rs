//! Limits on the bodies of requests to some routes.

use std::time::Duration;

use crate::config;
use crate::config::Config;
use crate::error::Error;

/// Limits on the bodies of requests to the routes of a
/// [`Router`](crate::Router::body_limits). A limit that is not set is that of the
/// router around it, and in the end that of [`Config`].
///
/// ```
/// use farewell::BodyLimits;
///
/// const UPLOADS: BodyLimits = BodyLimits::new().bytes_max(100 << 20);
/// # let _ = UPLOADS;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "limits do nothing until a router has them"]
pub struct BodyLimits {
    bytes_max: Option<u64>,
    buffer: Option<usize>,
    timeout: Option<Duration>,
}

/// The limits on one body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LimitsInForce {
    pub(crate) bytes_max: u64,
    pub(crate) buffer: usize,
    pub(crate) timeout: Duration,
}

impl BodyLimits {
    /// No limit is set.
    pub const fn new() -> Self {
        Self {
            bytes_max: None,
            buffer: None,
            timeout: None,
        }
    }

    /// Sets the largest request body, in bytes, in place of
    /// [`Config::body_bytes_max`]. With 0, every body is refused.
    pub const fn bytes_max(mut self, bytes: u64) -> Self {
        self.bytes_max = Some(bytes);
        self
    }

    /// Sets how much of a request body the server reads before it calls the handler, in
    /// bytes, in place of [`Config::body_buffer`]. With 0 it calls the handler when the
    /// head has arrived.
    pub const fn buffer(mut self, bytes: usize) -> Self {
        self.buffer = Some(bytes);
        self
    }

    /// Sets the longest time in which a request body may make no progress of at least
    /// [`Config::rate_min`], in place of [`Config::body_timeout`].
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// These limits, and those of `around` that are not set here.
    pub(crate) fn inside(self, around: Self) -> Self {
        Self {
            bytes_max: self.bytes_max.or(around.bytes_max),
            buffer: self.buffer.or(around.buffer),
            timeout: self.timeout.or(around.timeout),
        }
    }

    /// Checks that every limit is in the range of its field of [`Config`]. `of` says
    /// which router has them.
    pub(crate) fn validate(&self, of: &str) -> Result<(), Error> {
        let field = |name: &str| format!("the body limits of {of}: {name}");
        if let Some(buffer) = self.buffer {
            // Unlike the field, it may be 0.
            config::check_count(&field("buffer"), buffer.max(1), config::BODY_BUFFER_MAX)?;
        }
        if let Some(timeout) = self.timeout {
            config::check_timeout(&field("timeout"), timeout, false)?;
        }
        Ok(())
    }

    pub(crate) fn in_force(self, config: &Config) -> LimitsInForce {
        LimitsInForce {
            bytes_max: self.bytes_max.unwrap_or(config.body_bytes_max),
            buffer: self.buffer.unwrap_or(config.body_buffer),
            timeout: self.timeout.unwrap_or(config.body_timeout),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_limit_that_is_set_is_in_force() {
        let second = Duration::from_secs(1);
        let outer = BodyLimits::new().bytes_max(1).buffer(2);
        let inner = BodyLimits::new().bytes_max(3).timeout(second);
        let both = inner.inside(outer);
        assert_eq!(
            both,
            BodyLimits::new().bytes_max(3).buffer(2).timeout(second)
        );
        let config = Config::default();
        let in_force = BodyLimits::new().bytes_max(0).in_force(&config);
        assert_eq!(in_force.bytes_max, 0);
        assert_eq!(in_force.buffer, config.body_buffer);
        assert_eq!(in_force.timeout, config.body_timeout);
    }
}
