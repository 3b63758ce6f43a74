//! The guide: how to stop well, what is promised, and how it works inside.
//!
//! These modules hold text and no code.
//!
//! - [`stopping`]: for the author of a service. What to configure, and what to do
//!   with the report.
//! - [`contract`]: for everyone who has to rely on it. Each promise, its limits, and
//!   the option that bounds it.
//! - [`architecture`]: for readers of the source. The map of the folders, and the ways of
//!   a request and of a stop through the files.

pub mod architecture;
pub mod contract;
pub mod stopping;
