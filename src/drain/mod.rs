//! Stopping: where the server is in its life ([`phase`]), the books that it
//! keeps ([`report`]), and the steps of a shutdown in their order
//! ([`shutdown`]).

pub(crate) mod phase;
pub(crate) mod report;
pub(crate) mod shutdown;
