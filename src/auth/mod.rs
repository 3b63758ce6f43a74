//! HTTP authentication (RFC 9110 section 11): the credentials of a request, and layers
//! that refuse requests without the right ones.

#[cfg(feature = "auth")]
pub(crate) mod basic;
#[cfg(feature = "auth")]
pub(crate) mod bearer;
pub(crate) mod credentials;
pub(crate) mod token;
