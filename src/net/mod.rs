//! Sockets, and no HTTP.

pub(crate) mod listener;
pub(crate) mod os;
pub(crate) mod stream;
