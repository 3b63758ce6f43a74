//! What a stop promises, line by line.
//!
//! *Stop* means: from the first trigger to the return of
//! [`Server::serve`](crate::Server::serve). *We* is the server.
//!
//! 1. **Every connection that the kernel has begun to open is served.** This
//!    includes connections in the kernel's accept queue, and handshakes that have begun
//!    when the drain begins, if they complete within
//!    [`Config::handshake_grace`](crate::Config::handshake_grace). None of them is reset.
//!
//! 2. **Every request that reaches us before we half-close its connection is
//!    answered in full.** The last answer on a connection says `Connection: close`.
//!    A request that a client pipelines behind an answer that says so is not
//!    answered ([RFC 9112 section 9.6](https://www.rfc-editor.org/rfc/rfc9112#section-9.6)).
//!
//! 3. **A connection without a request in progress gets the last call.** For
//!    [`Config::last_call`](crate::Config::last_call) after the drain has begun, it may still start a
//!    request, which is answered. Then it is half-closed. For a connection that becomes
//!    idle or is accepted later than that, the last call begins then.
//!
//! 4. **A response counts as delivered when the client has closed its side after
//!    it.** Until then the process stays, for [`Config::linger`](crate::Config::linger) of silence at most.
//!    A client that still sends its request is read on, so that it gets to read an
//!    early answer ([`Config::linger_max`](crate::Config::linger_max)). So the confirmation of a request that
//!    stops the server arrives. A client that half-closes before it has its answer
//!    proves nothing by that; it gets the answer all the same.
//!
//! 5. **The kernel refuses new connections.** None is accepted and then dropped. A
//!    client that is refused can connect elsewhere at once.
//!
//!    **On a unix socket** ([`Server::bind_unix`](crate::Server::bind_unix)), `connect`
//!    makes a whole connection, so every client whose `connect` has succeeded is served.
//!    A stop removes the socket's file while the server still listens: from then on,
//!    `connect` fails with `ENOENT`, and a successor can bind to the path. Then the kernel
//!    refuses clients that have looked the file up before (`ECONNREFUSED`), while the
//!    backlog stays.
//!
//! 6. **A stop is bounded, whatever code of the application, the logger or a client
//!    does** ([by how much](crate::Config#the-bound-of-a-stop)).
//!    [`Config::drain_timeout`](crate::Config::drain_timeout) after the lame duck, what is left is cut. A request that no
//!    handler has started gets a 503 with `Retry-After`. Other connections are
//!    closed. Requests that were cut are named in [`Report::cut`](crate::Report::cut). Code of the
//!    application that does not return (a handler, a body's next piece, a drop, a
//!    call after a delivery) is left behind on its thread, and named in
//!    [`Report::unreturned`](crate::Report::unreturned). [`ShutdownHandle::abort`](crate::ShutdownHandle::abort) cuts at once.
//!
//! 7. **The accounting adds up.** Each accepted connection ends in exactly one
//!    [`ConnectionOutcome`](crate::ConnectionOutcome), and each request in exactly one
//!    [`RequestOutcome`](crate::RequestOutcome).
//!
//! # What is not promised
//!
//! - **A request that crosses our half-close on the wire**, after the last call, is
//!   not answered. No server can rule that out; [RFC 9112 section
//!   9.3.1](https://www.rfc-editor.org/rfc/rfc9112#section-9.3.1) has clients retry it. The report counts it as
//!   [`CrossedClose`](crate::ConnectionOutcome::CrossedClose).
//! - **Points 1 and 5 need Linux**, and a listener that only this process holds
//!   ([`Ownership::Sole`](crate::Ownership::Sole)). On other systems the server accepts until the backlog
//!   is empty and then closes the listener. A connection that arrives in between is
//!   reset. A listener that another process holds too
//!   ([`Ownership::Shared`](crate::Ownership::Shared)) is left alone: its connections wait for the other
//!   process.
//! - **That a unix socket's file is its own to the last instant.** The server removes the
//!   file only if it still is the one that it has created. A program that replaces the
//!   file of a server that listens, between this check and the removal, loses its file.
//!   [`Server::bind_unix`](crate::Server::bind_unix) never replaces such a file.
//! - **That a client of a unix socket notices a cut** where nothing but the end of the
//!   connection ends the answer (HTTP/1.0 without a length): a unix socket cannot be
//!   reset.
//! - **A SIGKILL, a crash and a loss of power** stop nothing in good order.
//! - **What the client does with an answer** is beyond the server. The close of the
//!   client's side proves that its system has the bytes.
//!
//! # Times, in their order
//!
//! | from | to | bounded by | default |
//! |---|---|---|---|
//! | the trigger | the drain | [`Config::lame_duck`](crate::Config::lame_duck) | 0 |
//! | the drain | the end of the last handshake | [`Config::handshake_grace`](crate::Config::handshake_grace) | 250 ms |
//! | the drain | the half-close of idle connections | [`Config::last_call`](crate::Config::last_call) | 500 ms |
//! | the drain | the abort | [`Config::drain_timeout`](crate::Config::drain_timeout) | 5 s |
//! | the last byte of an answer | the close | [`Config::linger`](crate::Config::linger) of silence | 2 s |
//!
//! On Linux the last call is longer by four round trips to the client that is farthest
//! away, by 2 s at most. The grace is too, and from a round trip of 10 ms on by one more
//! second. The deadline ends both as before.
//!
//! The 503s that are given at the deadline have `linger` to arrive, and then the clients
//! that follow the stop have `linger` to read its end. Both are part of [the bound of a
//! stop](crate::Config#the-bound-of-a-stop).
