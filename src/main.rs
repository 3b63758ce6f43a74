//! The program `farewell`: a small service on the library, and a way to see it
//! stop; and `farewell drill`, which sees how any server stops.
//!
//! Exit codes of the service: 0 everyone was answered; 1 an error (address in use, say);
//! 2 wrong usage; 3 the deadline, or `/shutdown?now`, cut somebody or turned
//! them away; 130 a second signal stopped it at once.

mod cli;
mod drill;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(cli::main())
}
