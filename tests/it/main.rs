//! Tests of the library's promises, one file for each.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod activity;
mod answers;
#[cfg(feature = "auth")]
mod auth;
mod backlog;
mod body_limits;
mod counts;
mod deadline;
mod downloads;
mod early_answers;
mod events;
mod expectations;
#[cfg(all(feature = "json", feature = "form"))]
mod extract;
#[cfg(feature = "files")]
mod files;
mod followers;
#[cfg(unix)]
mod handover;
mod held_up;
mod hostile;
mod in_flight;
mod last_call;
mod left_behind;
mod lifecycle;
mod listeners;
mod loss;
mod metrics;
mod multipart;
mod peers;
mod prometheus;
mod refusals;
mod refusing;
mod rejections;
mod request_bodies;
mod response_bodies;
mod router;
mod scheduling;
mod state;
mod stop_in_call;
#[cfg(feature = "stop-routes")]
mod stop_routes;
mod support;
mod tidy;
mod timeouts;
mod transforming;
#[cfg(unix)]
mod unix_sockets;
mod upgrade;
#[cfg(feature = "stop-routes")]
mod urgent;
mod user_code;
mod without_a_socket;
