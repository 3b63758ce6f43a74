//! A worker: receives a job, and with it owns a shard. It serves the connections
//! that are ready, polls for more, and so on, waking no thread, until the job is
//! with another worker. What a connection says it waits for, the worker does not
//! wait for: it suspends the connection. Only code of the application may block.

#[cfg(test)]
mod tests;

use std::io;
use std::iter;
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::Engine;
use super::body_source::SlotBodySource;
use super::buffer::Buffer;
use super::connection::Answer;
use super::connection::BodyTask;
use super::connection::Connection;
use super::connection::Context;
use super::connection::FilePart;
use super::connection::Next;
use super::date::DateClock;
use super::deferred::Deferred;
use super::in_flight::InFlight;
use super::in_flight::OwnedJob;
use super::retake::LOOK_EVERY;
use super::shard::Job;
use super::shard::Suspended;
use super::upgraded;
use super::user_code::Runner;
use crate::escaped::Escaped;
use crate::isolate::Panicked;
use crate::isolate::isolate;
use crate::journal::note;
use crate::lifecycle::outcome::RequestOutcome;
use crate::lifecycle::phase::Phase;
use crate::lifecycle::report::UserCode;
use crate::message::body::source::BodyKind;
use crate::message::body::source::Piece;
use crate::message::body::source::PieceSource;
use crate::message::body::source::Waker;
use crate::message::request::Request;
use crate::net::stream::Sent;

/// The least size of an input buffer, in bytes.
const BUFFER_MIN: usize = 16 * 1024;

/// How many steps a connection may take before the others have their turn.
const BUDGET: usize = 64;

/// How many of them a connection may still take after a call for which others have
/// waited: it writes a short answer, is idle, and sees whether there is another
/// request, which then waits for its turn.
const STEPS_BEHIND: usize = 3;

/// Serves connections until the run queue is closed. `number` is the worker's, from
/// 0.
pub(crate) fn work(engine: &Arc<Engine>, number: usize, slot: &Arc<InFlight>) {
    slot.set_thread();
    let services = &engine.services;
    let mut worker = Worker {
        engine,
        number,
        runner: Runner::new(engine, slot),
        buffer: Buffer::new(services.config.head_bytes_max.max(BUFFER_MIN)),
        date: DateClock::default(),
        phase: services.life.phase(),
        budget: 0,
        deferred: Vec::new(),
        body_tasks: Vec::new(),
        next_look: Instant::now(),
        gathered: 0,
        polls_in_vain: 0,
    };
    while let Some(job) = engine.run_queue.receive() {
        worker.runner.now = Instant::now();
        worker.runner.job = Some(job);
        worker.own();
    }
}

struct Worker<'a> {
    engine: &'a Arc<Engine>,
    number: usize,
    runner: Runner<'a>,
    buffer: Buffer,
    date: DateClock,
    /// The phase when `runner.now` was read, or later.
    phase: Phase,
    budget: usize,
    /// Code of the application that is to run after the turn.
    deferred: Vec<Deferred>,
    /// Code of the application that is to run on threads of its own.
    body_tasks: Vec<BodyTask>,
    /// When to look for long calls of other workers.
    next_look: Instant,
    /// How many connections the last poll of this owner has found ready.
    gathered: usize,
    /// How many jobs in a row had no connection that was ready.
    polls_in_vain: usize,
}

impl Worker<'_> {
    /// Owns a shard, until its job is with another worker, or the run queue is
    /// closed.
    fn own(&mut self) {
        let mut has_served = false;
        // A batch that came with the job has waited already.
        self.gathered = 0;
        if let Some(job) = &mut self.runner.job
            && job.ready() > 0
            && self.engine.run_queue.is_behind()
        {
            // Behind it, in the order of arrival, what has come since its poll.
            self.runner.now = job.poll_for(Some(Duration::ZERO));
        }
        while let Some(job) = &mut self.runner.job {
            if self.runner.now >= self.next_look {
                self.next_look = self.runner.now + LOOK_EVERY;
                self.engine.look_as_owner(self.number, self.runner.now);
            }
            if let Some(connection) = job.next() {
                has_served = true;
                self.polls_in_vain = 0;
                self.take_turn(connection);
            } else if self.engine.run_queue.is_closed() {
                self.runner.job = None;
            } else if self.engine.run_queue.is_behind() {
                // The other shards wait for this worker.
                if has_served {
                    self.runner.hand_off();
                } else if !self.find_one_of_several() {
                    self.runner.put_back();
                }
            } else {
                self.poll();
            }
        }
    }

    /// Sleeps until connections are ready.
    ///
    /// Where there is traffic, threads that want the core go first. The scheduler
    /// would let them in the middle of the next batch otherwise; so that batch is
    /// whole, and larger by what has come in meanwhile. It costs one system call
    /// for several requests where no thread wants the core. A worker that computes
    /// for a request would take it for long.
    fn poll(&mut self) {
        if self.gathered > 1 && !self.engine.has_workers_in_calls() {
            thread::yield_now();
        }
        self.polls_in_vain = 0;
        let run_queue = &self.engine.run_queue;
        if let Some(job) = &mut self.runner.job {
            self.runner.now = job.poll(|| !run_queue.is_behind() && !run_queue.is_closed());
            self.gathered = job.ready();
        }
        // It may have been woken for a job that waits, and has work of its own.
        if self.gathered > 0 && run_queue.is_behind() {
            self.engine.wake_owner();
        }
    }

    /// Looks for connections that are ready, while jobs wait for a worker. Says
    /// whether this job has any.
    fn find_one_of_several(&mut self) -> bool {
        let Some(job) = &mut self.runner.job else {
            return false;
        };
        self.runner.now = job.poll_for(Some(Duration::ZERO));
        if job.ready() > 0 {
            return true;
        }
        self.polls_in_vain += 1;
        self.polls_in_vain >= self.engine.shards.len() && self.sleep_on_all()
    }

    /// No job has a connection that is ready, and no worker is free for the jobs
    /// that wait: sleeps with all of them. Keeps the one that is ready first, and
    /// gives the others back. Says whether it has a connection that is ready.
    fn sleep_on_all(&mut self) -> bool {
        self.polls_in_vain = 0;
        let run_queue = &self.engine.run_queue;
        let mut jobs: Vec<OwnedJob> = self.runner.job.take().into_iter().collect();
        jobs.extend(iter::from_fn(|| run_queue.try_receive()));
        let ready = Job::sleep_on_all(&jobs, || {
            // One of them may have been handed off with a batch just now.
            let none_is_ready = jobs.iter().all(|job| job.ready() == 0);
            none_is_ready && !run_queue.is_behind() && !run_queue.is_closed()
        });
        let mut job = jobs.remove(ready.unwrap_or(0));
        self.runner.now = job.poll_for(Some(Duration::ZERO));
        let is_ready = job.ready() > 0;
        self.runner.job = Some(job);
        // Owners that sleep hear of these: this worker may soon be busy.
        for job in jobs {
            self.engine.hand_off(job);
        }
        is_ready
    }

    /// One turn of a connection, and the code that it leaves to run.
    fn take_turn(&mut self, connection: Box<Connection>) {
        let peer = connection.peer_addr();
        // Code of the application does not panic through here. A bug of ours
        // costs this connection and no other: the drop of its guard keeps the
        // accounting.
        if isolate(|| self.serve(connection)).is_err() {
            let services = &self.engine.services;
            note!(
                services.journal,
                Error,
                "serving {peer} panicked: the connection is cut"
            );
            self.runner.recover();
        }
        for body_task in mem::take(&mut self.body_tasks) {
            let BodyTask { run, subject } = body_task;
            let of = subject.clone();
            let threads = &self.engine.threads;
            if let Err(unstarted) =
                threads.spawn("farewell-body", UserCode::BodyWriter, of, |_| run())
            {
                self.deferred.push(Deferred::drop_of(unstarted, subject));
            }
        }
        let deferred = mem::take(&mut self.deferred);
        if deferred.is_empty() {
            return;
        }
        if self.engine.services.life.is_aborting() {
            // A worker that blocks in one of these could not end the others.
            return self.engine.threads.run_deferred(deferred);
        }
        for deferred in deferred {
            self.runner.run_deferred(deferred);
        }
    }

    /// One turn of a connection.
    fn serve(&mut self, mut connection: Box<Connection>) {
        self.budget = BUDGET;
        let mut next = connection.advance(&mut self.context());
        loop {
            match next {
                Next::Close(outcome) => {
                    let services = &self.engine.services;
                    return connection.close(outcome, services, &mut self.deferred);
                }
                Next::Suspend(suspend) => match connection.suspend(suspend) {
                    Suspended::Yes => return,
                    Suspended::Ready(back) => {
                        connection = back;
                        self.budget = self.budget.max(1);
                        next = connection.advance(&mut self.context());
                    }
                    Suspended::Refused(back, error) => {
                        let services = &self.engine.services;
                        if let Some(error) = error {
                            note!(services.journal, Error, "cannot wait for {back:?}: {error}");
                        }
                        return back.close_now(services, &mut self.deferred);
                    }
                },
                Next::Upgrade(upgrade) => {
                    return upgraded::start(
                        &self.engine.upgraded,
                        &self.engine.threads,
                        connection,
                        *upgrade,
                        &mut self.deferred,
                    );
                }
                Next::SendFile(part) => {
                    let Some((back, sent)) = self.send_file(connection, part) else {
                        return;
                    };
                    connection = back;
                    next = connection.file_sent(sent, &mut self.context());
                }
                Next::Pull(source, waker) => {
                    let Some((back, source, piece)) = self.pull(connection, source, &waker) else {
                        return;
                    };
                    connection = back;
                    next = connection.resume_with_piece(source, piece, &mut self.context());
                }
                Next::Call(request) => {
                    let is_upload = connection.body_follows();
                    let Some((back, answer)) = self.call(connection, request) else {
                        return;
                    };
                    connection = back;
                    let was_long = self.runner.job.is_none() && self.engine.run_queue.is_behind();
                    // Others have waited, and the next request of this client comes
                    // after theirs. After an upload the connection looks for one at
                    // once: what the handler has read does not tell whether the
                    // socket is empty. One is there if the kernel lets the client
                    // run in the midst of the write that wakes it. Such a client had
                    // upload after upload, while others were ready in the batch.
                    if was_long || is_upload {
                        self.budget = self.budget.min(STEPS_BEHIND);
                    }
                    next = connection.resume(answer, &mut self.context());
                }
            }
        }
    }

    /// Has the handler answer. `None` if a stop has taken the connection
    /// meanwhile.
    fn call(
        &mut self,
        connection: Box<Connection>,
        mut request: Request,
    ) -> Option<(Box<Connection>, Answer)> {
        let services = &self.engine.services;
        if connection.body_follows() {
            let slot = Arc::clone(self.runner.slot());
            let rest = SlotBodySource::new(services, slot, connection.exchange_number());
            request.body_mut().attach(Box::new(rest));
        }
        note!(
            services.journal,
            Debug,
            "{}: {} {}",
            request.peer_addr(),
            request.method(),
            Escaped(request.uri())
        );
        let life = &services.life;
        // Under the slot's lock: see `InFlightSlot`.
        let refused = || life.is_aborting();
        let key = connection.call_key();
        let begun = match self
            .runner
            .begin(UserCode::Handler, key, connection, refused)
        {
            Ok(begun) => begun,
            Err(connection) => return Some((connection, Answer::unavailable())),
        };
        let handler = &self.engine.handler;
        let handle = || Answer::new(handler.handle(request), RequestOutcome::Answered);
        let (connection, answered) = self.runner.run(begun, || isolate(handle))?;
        let answer = answered.unwrap_or_else(|Panicked| {
            note!(
                services.journal,
                Error,
                "the handler panicked ({connection:?}): the client gets a 500"
            );
            Answer::failed()
        });
        Some((connection, answer))
    }

    /// Asks a body for its next piece, which may run code of the application, as
    /// a handler does. `None` if a stop has taken the connection meanwhile.
    fn pull(
        &mut self,
        connection: Box<Connection>,
        mut source: Box<dyn PieceSource>,
        waker: &Waker,
    ) -> Option<(Box<Connection>, Box<dyn PieceSource>, Piece)> {
        // At an abort a body that ends by itself is cut; the others are to end
        // in good order, as long as connections can be suspended.
        let to_the_end = source.kind() != BodyKind::Finite;
        let engine = self.engine;
        let refused = || {
            let aborting = engine.services.life.is_aborting();
            aborting && (!to_the_end || engine.is_evicted())
        };
        let code = UserCode::BodyPiece;
        let key = connection.call_key().for_code(code);
        let begun = match self.runner.begin(code, key, connection, refused) {
            Ok(begun) => begun,
            Err(connection) => return Some((connection, source, Piece::NotYet)),
        };
        let waker = Arc::clone(waker);
        let next = move || {
            let piece = isolate(|| match source.next(&waker) {
                // The error may be the application's, and so are its text and drop.
                Piece::Failed(error) => Piece::Failed(io::Error::other(error.to_string())),
                piece => piece,
            });
            (source, piece)
        };
        let (connection, (source, piece)) = self.runner.run(begun, next)?;
        let piece = piece.unwrap_or_else(|Panicked| Piece::Failed(io::Error::other("it panicked")));
        Some((connection, source, piece))
    }

    /// Sends a part of a file. `None` if a stop has taken the connection meanwhile.
    fn send_file(
        &mut self,
        connection: Box<Connection>,
        part: FilePart,
    ) -> Option<(Box<Connection>, io::Result<Sent>)> {
        let code = UserCode::File;
        let key = connection.call_key().for_code(code);
        let refused = || self.engine.is_evicted();
        match self.runner.begin(code, key, connection, refused) {
            Ok(begun) => self.runner.run(begun, || part.send()),
            Err(connection) => Some((connection, Ok(Sent::Wait))),
        }
    }

    fn context(&mut self) -> Context<'_> {
        let services = &self.engine.services;
        let phase = services.life.phase();
        if phase != self.phase {
            // What this turn begins comes after the move to its phase.
            self.phase = phase;
            self.runner.now = Instant::now();
        }
        Context {
            services,
            buffer: &mut self.buffer,
            date: &mut self.date,
            phase,
            now: self.runner.now,
            budget: &mut self.budget,
            deferred: &mut self.deferred,
            body_tasks: &mut self.body_tasks,
        }
    }
}
