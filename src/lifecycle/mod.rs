//! The phases of a server's life ([`phase`]), the accounting of its connections
//! and requests ([`accounting`], [`counts`], [`outcome`]), their [`numbers`] and
//! [`totals`] since the start, what is left to send ([`bytes_left`], [`unsent`]), what the
//! workers do ([`activity`]), and the [`report`] of a stop. Values and counters, and no threads.

pub(crate) mod accounting;
pub(crate) mod activity;
mod byte_size;
mod bytes_left;
pub(crate) mod counts;
pub(crate) mod counts_watch;
pub(crate) mod method_label;
pub(crate) mod numbers;
pub(crate) mod outcome;
mod outcome_counts;
pub(crate) mod phase;
pub(crate) mod rejection_reason;
pub(crate) mod report;
#[cfg(feature = "serde")]
mod serialize;
pub(crate) mod stop_timings;
pub(crate) mod totals;
pub(crate) mod unsent;
