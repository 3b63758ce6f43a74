//! Sockets, and no HTTP.

pub(crate) mod listener;
pub(crate) mod stream;
