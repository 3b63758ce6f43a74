//! `farewell drill` finds the faults of servers that stop badly, and none in a
//! server that stops well.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue fails")]
#![cfg(unix)]

#[path = "../../tests/support/built.rs"]
mod built;
#[path = "drill/errors.rs"]
mod errors;
#[path = "drill/faults.rs"]
mod faults;
#[path = "../../tests/support/inherited.rs"]
#[allow(dead_code, reason = "the tests of the program use the rest")]
mod inherited;
#[path = "drill/program.rs"]
mod program;
#[path = "drill/signals.rs"]
mod signals;
#[path = "drill/statuses.rs"]
mod statuses;
#[path = "drill/usage.rs"]
mod usage;
#[cfg(target_os = "linux")]
#[path = "drill/wrappers.rs"]
mod wrappers;
