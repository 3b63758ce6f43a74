//! Stopping: where the server is in its life ([`phase`]), the books that it
//! keeps ([`books`], [`outcome`]), what it tells at the end ([`report`]), and
//! the steps of a shutdown in their order ([`shutdown`]).

pub(crate) mod books;
pub(crate) mod outcome;
pub(crate) mod phase;
pub(crate) mod progress;
pub(crate) mod report;
pub(crate) mod shutdown;
