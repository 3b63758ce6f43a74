//! What a handler sees: the request it gets, the response it gives.

pub(crate) mod handler;
pub(crate) mod rejection;
pub(crate) mod request;
pub(crate) mod response;
