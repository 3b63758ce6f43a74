//! Stopping: [`drain`], which orders the steps.

pub(crate) mod drain;
