//! A blocking, threaded HTTP/1.1 server that answers every request before it stops.
//!
//! Most servers lose requests when they are stopped under load, and say nothing. This one
//! accepts what the kernel has begun to accept, answers every request that has arrived,
//! and delivers each answer before the process ends. Then it reports how every connection
//! and every request ended. It has no async runtime and no `unsafe` code.
//!
//! ```no_run
//! # #[cfg(feature = "signals")]
//! fn main() -> Result<(), farewell::Error> {
//!     let server = farewell::Server::bind("127.0.0.1:8081", farewell::Config::default())?;
//!     server.stop_on_signals()?;
//!     let report = server.serve(|request: farewell::Request| {
//!         format!("you asked for {}\n", request.uri().path())
//!     })?;
//!     println!("{report}");
//!     Ok(())
//! }
//! # #[cfg(not(feature = "signals"))]
//! # fn main() {}
//! ```
//!
//! # How to use it
//!
//! - [`Server::bind`] takes an address and a [`Config`]
//!   ([`bind_unix`](Server::bind_unix): the path of a unix socket); [`Server::serve`] takes a
//!   [`Handler`], and returns a [`Report`] when the server has stopped.
//!   [`Server::spawn`] serves on a thread of its own.
//! - A handler is a function from a [`Request`] to something that is
//!   [`IntoResponse`]. It may block: a slow handler holds up its own client, and no other
//!   one as long as one worker is free. A panic in it is a 500.
//! - A [`Router`] finds the handler by method and path. Layers go around handlers, and
//!   [`BodyLimits`] bound the bodies of some routes.
//! - Handlers and layers share a value by a [`State`].
//! - The body of a request streams in while the handler reads it ([`RequestBody`]). The
//!   [`Body`] of a response is bytes, a file, a reader, an iterator, a writer function,
//!   or [`Events`]. [`Body::upgrade`] takes the connection out of HTTP.
//! - The types of `http` and `bytes` that signatures name are re-exported, and the crate
//!   [`http`](https://docs.rs/http) as a whole: a program needs to depend on neither.
//! - [`Server::shutdown_handle`] gives what stops the server, from any thread.
//! - [`Server::metrics`] gives the numbers of requests and connections while it runs.
//!
//! # What it promises
//!
//! The stop begins at the first *trigger*: a signal, a request, or a call of
//! [`ShutdownHandle::shutdown`].
//!
//! 1. Every connection that the kernel has begun to open is served.
//! 2. Every request that reaches the server before it half-closes the connection is
//!    answered in full.
//! 3. A connection without a request in progress may still start one for a while: the
//!    last call.
//! 4. An answer counts as delivered when the client has closed its side after it. Until
//!    then the process stays, within a bound.
//! 5. The kernel refuses new connections. None is accepted and then dropped.
//! 6. A stop is bounded, whatever code of the application, the logger or a client does
//!    ([by how much](Config#the-bound-of-a-stop)). What is cut is named.
//! 7. Every connection and every request ends in exactly one outcome, and the
//!    [`Report`] adds up.
//!
//! This is the short form: [`guide::contract`] has each of them with its limits. Points 1
//! and 5 need Linux, and a listener that only this process holds.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `signals` | yes | `Server::stop_on_signals`: Ctrl+C, SIGTERM and SIGHUP stop the server; `stop_on_interrupt_and_terminate` leaves SIGHUP to the application |
//! | `json` | no | `Json`, `Request::json` |
//! | `form` | no | `Request::query`, `Request::form` |
//! | `auth` | no | `bearer_auth`, `basic_auth`: layers for requests with a token or a password |
//! | `cookies` | no | `Request::cookies`, and a `CookieJar` beside a response |
//! | `multipart` | no | `Request::multipart`: uploads of web pages |
//! | `files` | no | `Files`: serves a folder |
//! | `stop-routes` | no | `StopRoutes`: guarded `/shutdown`, `/healthz`, `/readyz`; `Report::to_json` |
//! | `serde` | no | `Serialize` for [`Report`], [`Counts`], [`Totals`] and their parts |
//! | `metrics` | no | `Metrics::handler`, `Metrics::encode`: the numbers as text for Prometheus |
//!
//! # The log
//!
//! Install a logger, such as [`env_logger`](https://docs.rs/env_logger), in `main`: without
//! one nothing is shown. The library logs with the [`log`](https://docs.rs/log) crate, from
//! a thread of its own, so that a logger that blocks or panics costs lines of the log and
//! nothing else: [the log in the guide](guide::stopping#the-log).
//!
//! # Where to read on
//!
//! - [`guide::stopping`]: how to stop a service well.
//! - [`guide::contract`]: what is promised, and what is not.
//! - [`guide::architecture`]: how it works inside.
//! - [`Config`]: every limit and timeout, with its default.

// The library never prints.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod address;
#[cfg(any(feature = "auth", feature = "stop-routes"))]
mod auth;
mod config;
mod engine;
mod error;
mod escaped;
#[cfg(feature = "files")]
mod files;
#[cfg(all(unix, any(test, fuzzing)))]
#[doc(hidden)]
pub mod fuzzing;
pub mod guide;
mod handler;
mod http1;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod isolate;
mod journal;
mod lifecycle;
mod message;
mod metrics;
mod net;
mod route_table;
mod router;
mod server;
mod shutdown;
#[cfg(feature = "signals")]
mod signals;
mod state;
#[cfg(feature = "stop-routes")]
mod stop_routes;
mod sync;
mod waiting;

pub use crate::address::LocalAddr;
pub use crate::address::PeerAddr;
#[cfg(feature = "auth")]
pub use crate::auth::basic::basic_auth;
#[cfg(feature = "auth")]
pub use crate::auth::bearer::bearer_auth;
pub use crate::config::AccessLogFormat;
pub use crate::config::Config;
pub use crate::error::Error;
#[cfg(feature = "files")]
pub use crate::files::Files;
#[cfg(feature = "files")]
pub use crate::files::Uploads;
pub use crate::handler::Handler;
pub use crate::lifecycle::activity::Activity;
pub use crate::lifecycle::activity::RunningCall;
pub use crate::lifecycle::activity::RunningRequest;
pub use crate::lifecycle::counts::Counts;
pub use crate::lifecycle::outcome::ConnectionOutcome;
pub use crate::lifecycle::outcome::Outcome;
pub use crate::lifecycle::outcome::RequestOutcome;
pub use crate::lifecycle::outcome::Tally;
pub use crate::lifecycle::phase::Abort;
pub use crate::lifecycle::phase::Phase;
pub use crate::lifecycle::phase::Trigger;
pub use crate::lifecycle::report::CutRequest;
pub use crate::lifecycle::report::Report;
pub use crate::lifecycle::report::Unreturned;
pub use crate::lifecycle::report::UnreturnedRequest;
pub use crate::lifecycle::report::UserCode;
pub use crate::lifecycle::stop_timings::StopTimings;
pub use crate::lifecycle::totals::Durations;
pub use crate::lifecycle::totals::RouteTotals;
pub use crate::lifecycle::totals::Totals;
pub use crate::lifecycle::unsent::Unsent;
pub use crate::message::body::Body;
pub use crate::message::body::read::BodyReader;
pub use crate::message::body::upgrade::IntoStdError;
pub use crate::message::body::upgrade::StdStream;
pub use crate::message::body::upgrade::Upgraded;
pub use crate::message::body::writer::BodyWriter;
pub use crate::message::events::Event;
pub use crate::message::events::EventSender;
pub use crate::message::events::Events;
pub use crate::message::events::SendError;
#[cfg(feature = "json")]
pub use crate::message::json::Json;
#[cfg(feature = "multipart")]
pub use crate::message::multipart::Multipart;
#[cfg(feature = "multipart")]
pub use crate::message::multipart::MultipartLimits;
#[cfg(feature = "multipart")]
pub use crate::message::multipart::Part;
pub use crate::message::redirect::Created;
pub use crate::message::redirect::Redirect;
pub use crate::message::rejection::Rejection;
pub use crate::message::request::Request;
pub use crate::message::request_body::BodyError;
pub use crate::message::request_body::RequestBody;
pub use crate::message::response::Html;
pub use crate::message::response::IntoResponse;
pub use crate::message::response::NoContent;
pub use crate::message::response::Response;
pub use crate::metrics::Metrics;
pub use crate::net::listener_handle::ListenerHandle;
pub use crate::net::ownership::Ownership;
pub use crate::route_table::RouteTable;
pub use crate::route_table::body_limits::BodyLimits;
pub use crate::router::Router;
pub use crate::router::routes::Routes;
pub use crate::server::Server;
pub use crate::server::spawned::Spawned;
pub use crate::shutdown::follow::Progress;
pub use crate::shutdown::handle::ShutdownHandle;
#[cfg(feature = "signals")]
pub use crate::signals::Signals;
pub use crate::state::State;
pub use crate::state::StateHandler;
pub use crate::state::StateLayer;
#[cfg(feature = "stop-routes")]
pub use crate::stop_routes::StopRoutes;
#[cfg(feature = "stop-routes")]
pub use crate::stop_routes::access::StopAccess;

// What requests and responses are made of. The whole crate `http` is for what is not
// re-exported by itself.
#[doc(no_inline)]
pub use ::http;
#[doc(no_inline)]
pub use ::http::Extensions;
#[doc(no_inline)]
pub use ::http::HeaderMap;
#[doc(no_inline)]
pub use ::http::HeaderName;
#[doc(no_inline)]
pub use ::http::HeaderValue;
#[doc(no_inline)]
pub use ::http::Method;
#[doc(no_inline)]
pub use ::http::StatusCode;
#[doc(no_inline)]
pub use ::http::Uri;
#[doc(no_inline)]
pub use ::http::Version;
#[doc(no_inline)]
pub use ::http::header;
#[doc(no_inline)]
pub use bytes::Bytes;

/// The crate [`cookie`](https://docs.rs/cookie), whose types
/// [`Request::cookies`] uses.
#[cfg(feature = "cookies")]
#[doc(no_inline)]
pub use ::cookie;

/// The examples in the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
