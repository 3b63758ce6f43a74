//! A blocking, threaded HTTP/1.1 server that answers everyone before it leaves.
//!
//! ```no_run
//! # fn main() -> Result<(), farewell::Error> {
//! let server = farewell::Server::bind("127.0.0.1:8081", farewell::Config::default())?;
//! server.stop_on_signals()?;
//! let report = server.serve(|request: farewell::Request| {
//!     format!("you asked for {}\n", request.uri().path())
//! })?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```
//!
//! With more than one thing to serve, a [`Router`] finds the handler for each
//! request. The features `json` and `form` read and write bodies as values:
//! `Json`, [`Request`]`::json`, `query` and `form`. The feature `signals` has
//! Ctrl+C, SIGTERM and SIGHUP stop a server: the first drains, the second aborts,
//! and one that was ignored from the start stays ignored
//! (`Server::stop_on_signals`).
//!
//! # The contract
//!
//! The *trigger* is the first call of [`ShutdownHandle::shutdown`], wherever it
//! comes from: a signal, a request, the program itself. From then on:
//!
//! 1. Every connection whose handshake the kernel had begun when it started to
//!    refuse new ones is accepted and served, if the handshake ends within
//!    [`Config::handshake_grace`]. None is reset.
//! 2. Every request whose bytes reach us before we half-close its connection
//!    is answered in full, and the last answer on a connection says
//!    `Connection: close`. What a client pipelines after it has been told so
//!    is not answered (RFC 9112 section 9.6).
//! 3. A connection with no request in progress, used or fresh, gets the last
//!    call, [`Config::last_call`], before it is half-closed.
//! 4. A response counts as delivered when the client has closed its side after
//!    it. Until then, or until the client has been silent for
//!    [`Config::linger`], the server stays; a client that is still sending its
//!    request is read on, so that it gets to read an early answer
//!    ([`Config::linger_max`]). A client that half-closes before it has its
//!    answer proves nothing by that; it gets it all the same.
//! 5. New connections are refused by the kernel, never accepted and then
//!    dropped.
//! 6. It is bounded, whatever the application's code, the logger or a client
//!    does: at [`Config::drain_timeout`] what is left is cut. Requests that no
//!    handler has started get a 503 with `Retry-After`; the rest is closed; what
//!    was cut is named. Code that does not return (a handler, a body's next
//!    piece, a drop, a call after a delivery) is left behind on its thread, and
//!    named in [`Report::unreturned`]. [`ShutdownHandle::abort`] cuts at once.
//! 7. The accounting adds up: every accepted connection ends in exactly one
//!    [`ConnectionOutcome`], every request in exactly one [`RequestOutcome`],
//!    and the [`Report`] adds up.
//!
//! Its one limit: a request that crosses our half-close on the wire, after the
//! last call, is not answered. No server can rule that out (RFC 9112 section
//! 9.3.1 has clients retry it); the report counts it as
//! [`CrossedClose`](ConnectionOutcome::CrossedClose).
//!
//! Points 1 and 5 need Linux, and a listener that is ours alone. Elsewhere the
//! backlog is emptied and the listener closed, and a connection that arrives in
//! between is reset.
//!
//! # The log
//!
//! The library logs with the [`log`](https://docs.rs/log) crate, from a thread of
//! its own, `farewell-log`. No thread that accepts, serves or stops waits for the
//! logger: one that blocks or panics costs lines of the log, and nothing else.
//! 1024 lines may wait for it; further ones are dropped, and counted in the log
//! as soon as it takes lines again. The logger sees a line a little after what it
//! tells, and dates it so. When the server stops, the logger has a
//! second for what is left. What handlers log themselves, they log on their own
//! threads: there a logger that blocks holds the worker, as any call does.
//!
//! # The life of a connection
//!
//! ```text
//!  kernel accept queue
//!         |
//!    acceptor --> connection --> its shard: suspended until readable, writable, woken, or a deadline
//!                                  |            ^
//!    run queue <---- jobs: a shard +            +---- suspend ----+
//!         |          and its ready connections                    |
//!         +--> worker: owns the shard, polls it, serves: advance, call the handler --> close
//! ```
//!
//! One thread accepts. The connections are divided among *shards*, one for each
//! core: a shard is an epoll, its connections, and their deadlines. A fixed pool
//! of workers takes *jobs* from a channel, the run queue: a job is a shard, with
//! those of its connections that are ready. The worker that has it owns the shard:
//! it serves the connections one after another, polls for more, and wakes no other
//! thread. What has to wait is suspended in its shard, and costs no worker; only
//! the application's code may block. Before a call that is expected to wait, the
//! worker hands its job to the next one; if a call turns out to be long, the job
//! is taken from it. So a slow handler holds up its own client alone, as long as
//! one worker is free. Follow a request through `engine/acceptor.rs`,
//! `engine/shard/`, `engine/worker.rs`, `engine/connection/` and
//! `engine/user_code.rs`; `engine/mod.rs` draws the machine.
//!
//! A request's body streams in while its handler reads it ([`RequestBody`]), a
//! response's while its client does ([`Body`]). A handler may upgrade
//! the connection ([`Body::upgrade`]), or feed it events ([`Events`]);
//! [`Router`] finds the handler for a request. How each rule of HTTP/1.1 is kept
//! stands in `http1/mod.rs`.
//!
//! # The life of a shutdown
//!
//! [`Phase`] only moves forwards: `Running`, `LameDuck`, `Draining`,
//! `Aborting`, `Stopped`. One function orders the steps, `drain` in
//! `shutdown/drain.rs`: the trigger; the lame duck; waking the acceptor, which
//! stops accepting new connections, drains the backlog and closes the listener; the
//! last call; waiting for everyone, or the deadline; joining every thread; the
//! report.
//!
//! # Vocabulary
//!
//! *Backlog*: completed by the kernel, not accepted. *Shard*: one epoll with its
//! connections and deadlines. *Job*: a shard and its ready connections, for the
//! worker that owns it. *Run queue*: jobs without a worker. *Exchange*: one request
//! and its response. *Suspended*: waiting in its shard.
//! *Last call*: the time in which an idle connection may still begin a request.
//! *Linger*: half-closed, reading to EOF. *Upgraded*: no longer HTTP, and on a
//! thread of its own. *Drain*: stop and finish. *Cut*:
//! ended by us before its answer was complete. *Timeout*: a `Duration` in the
//! [`Config`]. *Deadline*: an `Instant`.
//!
//! # Map
//!
//! From the bottom up; a file imports only from its own layer or from below.
//!
//! | | |
//! |---|---|
//! | `sync.rs`, `waiting.rs` | locks, atomics and the channel, for code that is modelled too; waiting for a condition |
//! | `error.rs`, `escaped.rs` | why a server does not start; what a client chose, for people |
//! | `isolate.rs`, `journal.rs` | calling the application's code; lines on their way to the logger |
//! | `http1/` | the protocol without I/O: bytes in, values out |
//! | `config.rs` | limits and timeouts |
//! | `lifecycle/` | where the server is in its life; the accounting; the report |
//! | `message/`, `handler.rs` | what a handler sees: requests, responses and their bodies |
//! | `router/` | which handler answers which request |
//! | `net/` | sockets, no HTTP; in `net/os/`, all that differs between systems |
//! | `engine/` | the connection, and the threads that carry it |
//! | `shutdown/` | the handle, what its followers are told, and the steps of a stop |
//! | `signals.rs` | the first signal drains, the second aborts |
//! | `server.rs` | assembly |
//! | `internals.rs` | what the bench `micro` measures; in no other build |
//! | `fuzzing/` | what `fuzz/` calls, and the unit tests; in no other build |

mod config;
mod engine;
mod error;
mod escaped;
#[cfg(all(unix, any(test, fuzzing)))]
#[doc(hidden)]
pub mod fuzzing;
mod handler;
mod http1;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod isolate;
mod journal;
mod lifecycle;
mod message;
mod net;
mod router;
mod server;
mod shutdown;
#[cfg(feature = "signals")]
mod signals;
mod sync;
mod waiting;

pub use crate::config::Config;
pub use crate::error::Error;
pub use crate::handler::Handler;
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
pub use crate::message::body::Body;
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
pub use crate::message::rejection::Rejection;
pub use crate::message::request::Request;
pub use crate::message::request_body::BodyError;
pub use crate::message::request_body::RequestBody;
pub use crate::message::response::Html;
pub use crate::message::response::IntoResponse;
pub use crate::message::response::Response;
pub use crate::net::listener::Ownership;
pub use crate::router::Router;
pub use crate::router::routes::Routes;
pub use crate::server::Server;
pub use crate::server::Spawned;
pub use crate::shutdown::follow::Progress;
pub use crate::shutdown::handle::ShutdownHandle;
#[cfg(feature = "signals")]
pub use crate::signals::Signals;

// What requests and responses are made of.
pub use ::http::HeaderMap;
pub use ::http::HeaderName;
pub use ::http::HeaderValue;
pub use ::http::Method;
pub use ::http::StatusCode;
pub use ::http::Uri;
pub use ::http::Version;
pub use ::http::header;

/// The examples in the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
