//! Where a server is in its life ([`phase`]), the accounting of its connections
//! and requests ([`accounting`], [`outcome`]), and what it reports at the end
//! ([`report`]). Values and counters, and no threads.

pub(crate) mod accounting;
pub(crate) mod counts;
pub(crate) mod counts_watch;
pub(crate) mod outcome;
pub(crate) mod phase;
pub(crate) mod report;
