//! What a handler sees: the request it gets, the response it gives.

pub(crate) mod body;
pub(crate) mod handler;
pub(crate) mod request;
pub(crate) mod request_body;
pub(crate) mod response;
