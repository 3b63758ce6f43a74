//! What a handler sees: the request it gets, the response it gives. And what
//! finds the handler for a request: the routes.

pub(crate) mod handler;
pub(crate) mod matched;
mod path;
pub(crate) mod rejection;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod router;
pub(crate) mod routes;
