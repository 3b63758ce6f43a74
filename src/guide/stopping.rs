//! How to stop a service well.
//!
//! # Four ways to ask
//!
//! A server stops at the first *trigger*. Later ones belong to the same stop.
//!
//! | trigger | how |
//! |---|---|
//! | a signal | [`Server::stop_on_signals`](crate::Server) (feature `signals`): Ctrl+C, SIGTERM, SIGHUP; `stop_on_interrupt_and_terminate` leaves SIGHUP to the application |
//! | a request | a handler calls [`ShutdownHandle::shutdown_by`](crate::ShutdownHandle::shutdown_by) with [`Trigger::Request`](crate::Trigger::Request), and returns its answer |
//! | the program | [`ShutdownHandle::shutdown`](crate::ShutdownHandle::shutdown), from any thread |
//! | a restart | another process goes on with the listening socket: [`ListenerHandle`](crate::ListenerHandle) |
//!
//! The answer to a request that stops the server arrives like every other answer. The
//! handler needs no delay and no thread for that:
//!
//! ```no_run
//! use farewell::{Request, Router, Server, Trigger};
//!
//! fn main() -> Result<(), farewell::Error> {
//!     let server = Server::bind("127.0.0.1:8081", farewell::Config::default())?;
//!     let stop = server.shutdown_handle();
//!     let routes = Router::new()
//!         .get("/", |_: Request| "hello\n")
//!         .post("/shutdown", move |request: Request| {
//!             stop.shutdown_by(Trigger::Request(request.peer_addr()));
//!             "shutting down\n"
//!         })
//!         .build()?;
//!     let report = server.serve(routes)?;
//!     println!("{report}");
//!     Ok(())
//! }
//! ```
//!
//! Guard such a route: a client that may call it may stop the service. `StopRoutes`
//! (feature `stop-routes`) has it as a component: guarded, with a confirmation, with the
//! progress of the stop, and with `/healthz` and `/readyz`.
//!
//! # The time that a stop takes
//!
//! A stop with idle keep-alive connections takes `last_call` (500 ms), because their
//! clients may have sent a request already. After that it takes as long as the
//! slowest request. What is not answered `drain_timeout` (5 s) after the lame duck is
//! cut, and the stop ends soon after that: [the bound of a
//! stop](crate::Config#the-bound-of-a-stop).
//!
//! - **Give the supervisor more time than the server.** `docker stop` kills after 10 s
//!   and Kubernetes after 30 s. Their time has to be longer than that bound, 9 s by
//!   default, or the kill cuts what the drain would have finished. If requests take
//!   longer than 5 s, raise both.
//! - **Behind a load balancer, set [`Config::lame_duck`](crate::Config::lame_duck)** to the time in which
//!   the balancer notices that the service is not ready. During the lame duck the
//!   server serves as before, and [`ShutdownHandle::phase`](crate::ShutdownHandle::phase) says
//!   [`Phase::LameDuck`](crate::Phase::LameDuck): a readiness route answers 503 from then on.
//! - **Endless answers end by themselves.** [`Events`](crate::Events) and other streams without an end
//!   are told at the drain, and are closed with a complete message.
//! - **Long handlers can ask.** [`Request::phase`](crate::Request::phase) says whether a stop has begun, and
//!   [`Request::deadline`](crate::Request::deadline) when what is left will be cut. So a handler may
//!   shorten its work.
//! - **Downloads tell what is left.** [`ShutdownHandle::unsent`](crate::ShutdownHandle::unsent) has the bytes
//!   that are left of responses of known length, the time in which they are likely to be
//!   sent, and whether the deadline will probably cut some. A client that is cut can continue
//!   at the next instance of the server by a request with a range.
//!
//! # After `serve`
//!
//! [`Server::serve`](crate::Server::serve) returns when every connection has ended and every thread of
//! the server is joined. Save state, flush files and stop your own threads after it.
//! Not before: a handler may still run.
//!
//! The [`Report`](crate::Report) says what became of each connection and each request:
//!
//! - [`Report::all_answered`](crate::Report::all_answered) says whether the server failed no request. Use it for
//!   the exit code, so that a supervisor sees a stop that lost something.
//! - [`Report::cut`](crate::Report::cut) names the requests that were cut, and how far
//!   their responses came.
//! - [`Report::unreturned`](crate::Report::unreturned) names code of the application that has not returned.
//!
//! # Threads that are left
//!
//! Code that does not return keeps its thread: [`Report::threads_left`](crate::Report::threads_left). The thread
//! ends when its code returns, or when `main` does. While one is left, the handlers and
//! routes are not dropped, nor the values that they have captured. If one of these is the
//! sender of a channel, the channel stays open. A thread of yours that ends with the
//! channel then does not end, and its `join()` waits for ever. Bound your own part of the
//! stop too, in one of these ways:
//!
//! - End such a thread by a message or a flag, as `examples/graceful.rs` does, and not by
//!   dropping the senders.
//! - Have it wait by `recv_timeout`, and check [`ShutdownHandle::phase`](crate::ShutdownHandle::phase) each time.
//! - Do not join it if `threads_left` is not 0. Return from `main`, which ends the process
//!   with all its threads.
//!
//! # The log
//!
//! The thread `farewell-log` calls the logger. No thread that accepts, serves or stops
//! waits for it. 4 MiB of lines may wait for the logger; further lines are dropped, and their
//! number is logged as soon as the logger takes lines again. A line is dated when the
//! logger gets it. When the server stops, the logger has a second for the lines that are
//! left.
//!
//! A handler that logs does so on its worker's thread: a logger that blocks there holds
//! the worker, as any call does.
//!
//! # Is it true?
//!
//! The drill of this project stops any server under load, and counts the answers that
//! clients lost. Run it against your own service: `farewell drill --help`.
