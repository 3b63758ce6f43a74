//! Sockets, and no HTTP.

pub(crate) mod interrupt;
pub(crate) mod listener;
pub(crate) mod stream;
