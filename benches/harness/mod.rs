//! Shared by the benches: the servers of `benches/peers`, processes in sessions
//! of their own, `wrk`, and the file of results.

#![allow(dead_code, reason = "each bench uses a part of it")]

pub(crate) mod idle_connections;
pub(crate) mod machine;
pub(crate) mod numbers;
pub(crate) mod options;
pub(crate) mod peers;
pub(crate) mod plot;
pub(crate) mod process;
pub(crate) mod results;
pub(crate) mod wrk;

use std::path::Path;
use std::process::ExitCode;

/// Runs a bench, and prints its error. An interrupt kills the processes that it
/// has started.
pub(crate) fn exit_code(run: fn() -> Result<()>) -> ExitCode {
    match process::end_with_the_bench().and_then(|()| run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace. The benches that start the program belong to
/// the package in `cli/`.
pub(crate) fn top() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = package.ancestors();
    folders
        .find(|folder| folder.join("benches/harness").is_dir())
        .unwrap_or(package)
}

/// The error of a bench is a message for the terminal.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
