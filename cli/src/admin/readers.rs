//! Which requests may read the numbers.

use farewell::LocalAddr;
use farewell::Rejection;
use farewell::Request;
use farewell::StopAccess;

/// Which requests may read the numbers.
#[derive(Clone, Debug)]
pub(super) enum Readers {
    /// Every client that can connect.
    All,
    /// The requests to which one of these applies, at least one.
    AnyOf(Vec<StopAccess>),
}

impl Readers {
    /// On the listener of the application: the requests that may stop the program.
    pub(super) fn with(stop: StopAccess) -> Self {
        Self::AnyOf(vec![stop])
    }

    /// On a listener for operators at this address. The clients of a unix socket are those
    /// that its file lets connect. Those of a loopback address are programs of this
    /// machine; a page of another site, which a browser on this machine shows, is not one.
    /// From elsewhere they need the token, if there is one.
    pub(super) fn at(listener: &LocalAddr, token: Option<StopAccess>) -> Self {
        let ip = match listener {
            LocalAddr::Inet(address) => address.ip(),
            _ => return Self::All,
        };
        match (ip.to_canonical().is_loopback(), token) {
            (true, token) => {
                Self::AnyOf([StopAccess::loopback()].into_iter().chain(token).collect())
            }
            (false, Some(token)) => Self::with(token),
            (false, None) => Self::All,
        }
    }

    /// # Errors
    ///
    /// The response for a request that may not read: why the last rule does not apply,
    /// which is that of the token if there is one.
    pub(super) fn check(&self, request: &Request) -> Result<(), Rejection> {
        let Self::AnyOf(rules) = self else {
            return Ok(());
        };
        let mut result = Ok(());
        for rule in rules {
            result = rule.check(request);
            if result.is_ok() {
                break;
            }
        }
        result
    }
}
