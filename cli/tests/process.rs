//! The program as its users run it: signals, exit codes, output, load.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue fails")]
#![cfg(unix)]

#[path = "process/access_log.rs"]
mod access_log;
#[path = "process/activation.rs"]
mod activation;
#[path = "process/admin.rs"]
mod admin;
#[cfg(target_os = "linux")]
#[path = "process/blocked.rs"]
mod blocked;
#[path = "../../tests/support/browser.rs"]
mod browser;
#[path = "../../tests/support/client.rs"]
#[allow(dead_code, reason = "other test binaries use the rest")]
mod client;
#[path = "process/commands.rs"]
mod commands;
#[path = "process/config.rs"]
mod config;
#[cfg(target_os = "linux")]
#[path = "process/containers.rs"]
mod containers;
#[path = "process/files.rs"]
mod files;
#[path = "process/folder.rs"]
mod folder;
#[path = "process/folder_options.rs"]
mod folder_options;
#[path = "process/folder_password.rs"]
mod folder_password;
#[path = "../../tests/support/inherited.rs"]
mod inherited;
#[path = "process/load.rs"]
mod load;
#[path = "process/loss.rs"]
mod loss;
#[path = "process/output.rs"]
mod output;
#[path = "process/program.rs"]
mod program;
#[path = "process/prometheus.rs"]
mod prometheus;
#[path = "../../tests/support/prometheus.rs"]
mod prometheus_tools;
#[path = "process/restart.rs"]
mod restart;
#[path = "restarts/mod.rs"]
mod restarts;
#[cfg(target_os = "linux")]
#[path = "process/rolling.rs"]
mod rolling;
#[path = "process/routes.rs"]
mod routes;
#[path = "process/signals.rs"]
mod signals;
#[path = "process/status.rs"]
mod status;
#[path = "process/stops.rs"]
mod stops;
#[path = "process/units.rs"]
mod units;
#[path = "process/unix_socket.rs"]
mod unix_socket;
#[path = "process/wakeups.rs"]
mod wakeups;
