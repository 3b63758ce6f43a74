//! Sockets, and no HTTP. What differs between systems is in [`os`].

pub(crate) mod acceptor_waker;
pub(crate) mod interrupt;
pub(crate) mod listener;
pub(crate) mod listener_handle;
pub(crate) mod os;
pub(crate) mod ownership;
pub(crate) mod stream;
