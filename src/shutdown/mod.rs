//! Stopping a server: the [`handle`] that asks for it, the progress that clients
//! [`follow`], and [`drain`], the steps in their order.

pub(crate) mod drain;
pub(crate) mod follow;
pub(crate) mod handle;
