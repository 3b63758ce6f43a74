//! Stopping a server: the [`handle`] that asks for it, what those that [`follow`]
//! it are told, and [`drain`], the steps in their order.

pub(crate) mod drain;
pub(crate) mod follow;
pub(crate) mod handle;
