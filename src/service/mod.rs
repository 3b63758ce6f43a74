//! What a handler sees: the request it gets, the response it gives. And what
//! finds the handler for a request: the routes.

pub(crate) mod body;
#[cfg(feature = "form")]
pub(crate) mod form;
pub(crate) mod handler;
#[cfg(feature = "json")]
pub(crate) mod json;
pub(crate) mod matched;
#[cfg(any(feature = "json", feature = "form"))]
mod media_type;
mod path;
pub(crate) mod rejection;
pub(crate) mod request;
pub(crate) mod request_body;
pub(crate) mod response;
pub(crate) mod router;
pub(crate) mod routes;
