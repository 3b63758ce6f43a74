//! How it works inside, for readers of the source.
//!
//! # The machine
//!
//! ```text
//!  kernel accept queue
//!         |
//!     acceptor --> new connection --> its shard: suspended until readable, writable, woken, or a deadline
//!                                       |
//!     run queue <---- job: a shard, ----+------------- suspend <------+
//!         |           and its ready connections                       |
//!         +--> worker: owns the shard, polls it, serves: advance, call the handler --> close
//! ```
//!
//! - The **acceptor** is one thread. It waits in `accept`. A stop wakes it by an atomic
//!   flag and a connection to itself.
//! - A **connection** is a state machine. Any worker can take it up where the last one
//!   left it. It never waits; it says what it waits for, and is *suspended*.
//! - A **shard** is one epoll, with its connections and their deadlines. There is one
//!   for each core, and a connection stays in its shard for life.
//! - A **job** is a shard with those of its connections that are ready. The worker that
//!   holds the job *owns* the shard: it serves the connections, polls for more, and
//!   wakes no other thread.
//! - The **run queue** is a crossbeam channel with the jobs that no worker holds. It is
//!   closed by dropping its sender, and that ends the workers' loops.
//! - A **worker** is a thread of a fixed pool. Only code of the application may block
//!   it. Before a call that is expected to wait, the worker sends its job to the run
//!   queue, and another worker goes on with the shard.
//! - The **monitor** is a thread that takes the job from a worker whose call turns out
//!   to be long. While no worker polls a shard, the monitor watches the shard's
//!   deadlines, and counts what waits there.
//! - The **reserve** is a thread that answers requests to urgent routes (`/healthz`,
//!   `/shutdown`) while no worker is free. It takes a job from the run queue, gives each of
//!   its ready connections a turn that runs no code of other routes, and sends the job back
//!   with the connections that need such code *held* in it.
//!
//! # The map
//!
//! From below. A file imports only from its own layer or from a layer below.
//!
//! | folder | what it holds |
//! |---|---|
//! | `http1/` | the protocol without I/O: bytes in, values out |
//! | `lifecycle/` | phase, accounting, outcomes, totals, report: values and counters, no threads |
//! | `message/` | what a handler sees: `Request`, `Response`, `Body`, `Json`, `Form` |
//! | `route_table/` | the paths of routes, the limits of their bodies and which are urgent, for the engine to look up |
//! | `router/` | which handler answers a request |
//! | `metrics/` | the numbers of a server while it runs, for people and for Prometheus |
//! | `net/` | sockets; `net/os/` is what differs between systems |
//! | `engine/` | shards, run queue, workers, reserve, monitor, acceptor; `engine/connection/` is the state machine |
//! | `shutdown/` | the handle, the steps of a stop from top to bottom, and what follows a stop |
//! | `stop_routes/` | the stop as a component: `/shutdown`, `/healthz`, `/readyz` |
//! | `server.rs` | assembly |
//!
//! Below all of them stand the single files that every layer uses: `sync.rs` and
//! `waiting.rs` (locks, atomics, waiting for a condition), `error.rs`, `address.rs`, `escaped.rs` (text
//! that a client chose, for people), `isolate.rs` (calls of the application, whose panics
//! end there), and `journal.rs` (lines on their way to the logger).
//!
//! # The way of a keep-alive request
//!
//! From the event that brings its bytes, to the wait for the next request. The
//! connection was accepted in `engine/acceptor.rs`.
//!
//! 1. `engine/shard/job.rs`: the owner's poll finds the event, takes the connection out of
//!    its place in the shard (`engine/shard/slots.rs`), and puts it into the batch of the job.
//! 2. `engine/worker.rs`: `own` takes the connection from the batch, `take_turn` and `serve`
//!    advance it.
//! 3. `engine/connection/mod.rs`: `advance` has the connection's state take steps. `follow`
//!    has the arrows from state to state.
//! 4. `engine/connection/input.rs`: the states `Idle` and `Head`. The connection reads, and
//!    `http1/head.rs` parses the head. A body is read in
//!    `engine/connection/partial_body.rs`.
//! 5. `engine/connection/handling.rs` makes the `Request`.
//! 6. `engine/worker.rs` and `engine/user_code.rs`: the worker puts the connection and the
//!    job into its in-flight slot (`engine/in_flight_slot.rs`), where the monitor and an
//!    abort find them, and calls the handler. A router (`router/`) is a handler.
//! 7. `engine/connection/answer.rs`: the response becomes an `Answer`, and that the state
//!    `Writing`; `http1/encode.rs` makes the head.
//! 8. `engine/connection/writing.rs`: the answer is written.
//! 9. The connection is idle again. `Idle::until` in `engine/connection/input.rs` is the
//!    deadline: `idle_timeout`, or the end of the last call. `engine/shard/mod.rs` suspends
//!    the connection until input or that deadline.
//!
//! If the deadline comes first, `Slots::scan` (`engine/shard/slots.rs`) frees the
//! connection, for the owner after its poll or for the monitor. A worker gives it a
//! turn, and `Idle::step` half-closes it.
//!
//! # The way of an urgent request
//!
//! While every worker runs code of the application. `engine/reserve.rs` has the picture.
//!
//! 1. `engine/monitor.rs`: the monitor polls the jobs on the run queue, and so finds the
//!    connection ready. Once it has waited for 20 ms, the monitor wakes the reserve.
//! 2. `engine/worker.rs`: `stand_by` receives the job, and `serve_urgent` gives each connection a turn
//!    with `Serves::UrgentOnly`.
//! 3. The steps 3 to 8 above. `engine/connection/input.rs` finds in the route table that the
//!    request is urgent, so its handler is called. For another request the turn ends with
//!    `Next::Hold`, before the handler, and the connection stays in the state `Body`
//!    (`engine/connection/partial_body.rs`).
//! 4. `engine/shard/job.rs`: `hold` puts such a connection in front of the others. A worker
//!    that becomes free receives the job, and `next` returns the held connections first.
//!
//! # The way of a stop
//!
//! 1. A signal (`signals.rs`), or a call of `ShutdownHandle::shutdown`
//!    (`shutdown/handle.rs`), moves the phase in `lifecycle/phase.rs`. That wakes `drain`
//!    in `shutdown/drain.rs`, which orders all further steps and numbers them.
//! 2. After the lame duck, `drain` wakes the acceptor by a connection to it
//!    (`net/listener.rs`).
//! 3. `engine/acceptor.rs`: the acceptor has the kernel refuse new connections
//!    (`net/os/`), accepts what the kernel has begun, closes the listener, and ends.
//! 4. Meanwhile `announce` (`engine/shard/slots.rs`) gives idle connections the end of the
//!    last call as their deadline.
//! 5. Handlers, answers and lingering connections finish. At the deadline, `announce`
//!    wakes all connections, which end, and `engine/worker_pool.rs` takes the connections
//!    from the slots of workers that are still in a call. Then the clients that follow the
//!    stop get the report (`shutdown/follow.rs`).
//! 6. `engine/worker_pool.rs`: `join` closes the run queue and joins every thread, with a
//!    bound.
//! 7. `lifecycle/report.rs`: the report, which `serve` returns. The program makes its exit
//!    code of it (`cli/src/main.rs`).
