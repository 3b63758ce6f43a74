//! What a handler sees: the request and the response.

pub(crate) mod body;
#[cfg(feature = "cookies")]
mod cookies;
pub(crate) mod events;
mod fallible;
#[cfg(feature = "form")]
pub(crate) mod form;
mod from_http;
#[cfg(feature = "json")]
pub(crate) mod json;
#[cfg(any(feature = "json", feature = "form"))]
mod media_type;
#[cfg(feature = "multipart")]
pub(crate) mod multipart;
pub(crate) mod percent;
mod read_body;
pub(crate) mod redirect;
pub(crate) mod rejection;
pub(crate) mod rendering;
pub(crate) mod request;
pub(crate) mod request_body;
pub(crate) mod response;
mod response_parts;
pub(crate) mod route_match;
#[cfg(any(feature = "files", feature = "stop-routes"))]
pub(crate) mod same_site;
mod typed;
