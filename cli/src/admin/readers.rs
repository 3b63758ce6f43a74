//! Which requests may read the numbers.

use farewell::LocalAddr;
use farewell::Rejection;
use farewell::Request;
use farewell::StopAccess;

/// Which requests may read the numbers: those to which one of the rules applies.
#[derive(Clone, Debug)]
pub(super) struct Readers {
    /// Without a rule, every client that can connect may read.
    rules: Vec<StopAccess>,
    has_token: bool,
}

impl Readers {
    /// On the listener of the application: the requests that may stop the program.
    pub(super) fn of_application(token: Option<StopAccess>) -> Self {
        Self {
            has_token: token.is_some(),
            rules: vec![token.unwrap_or_else(StopAccess::loopback)],
        }
    }

    /// On a listener for operators at this address. The clients of a unix socket are those
    /// that its file lets connect. Those of a loopback address are programs of this
    /// machine; a page of another site, which a browser on this machine shows, is not one.
    /// From elsewhere they need the token, if there is one.
    pub(super) fn of_operators(listener: &LocalAddr, token: Option<StopAccess>) -> Self {
        let local = match listener {
            LocalAddr::Inet(address) => address.ip().to_canonical().is_loopback(),
            _ => {
                return Self {
                    rules: Vec::new(),
                    has_token: false,
                };
            }
        };
        let has_token = token.is_some();
        let local = local.then(StopAccess::loopback);
        Self {
            rules: local.into_iter().chain(token).collect(),
            has_token,
        }
    }

    /// Whether every client that can connect may read.
    pub(super) fn are_all(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether the token lets a client read. So it may be worth while to ask for it.
    pub(super) fn include_token(&self) -> bool {
        self.has_token
    }

    /// # Errors
    ///
    /// The response for a request that may not read: why the last rule does not apply,
    /// which is that of the token if there is one.
    pub(super) fn check(&self, request: &Request) -> Result<(), Rejection> {
        let mut result = Ok(());
        for rule in &self.rules {
            result = rule.check(request);
            if result.is_ok() {
                break;
            }
        }
        result
    }
}
