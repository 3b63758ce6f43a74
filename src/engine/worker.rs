//! A worker receives a job, and so owns its shard. It serves the connections that are
//! ready, polls for more, and so on, and wakes no other thread, until another worker
//! has the job. A connection that has to wait is suspended; the worker does not wait
//! for it. Only code of the application may block.
//!
//! The thread of the [reserve] is a worker that serves urgent requests only.

mod calls;
#[cfg(test)]
mod tests;

use std::iter;
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::Engine;
use super::buffer::Buffer;
use super::connection::BodyTask;
use super::connection::Call;
use super::connection::Connection;
use super::connection::Context;
use super::connection::Next;
use super::connection::Serves;
use super::date::DateClock;
use super::deferred::Deferred;
use super::in_flight::InFlight;
use super::in_flight::OwnedJob;
use super::reserve;
use super::reserve::Reserve;
use super::retake::LOOK_EVERY;
use super::shard::Job;
use super::shard::Suspend;
use super::shard::Suspended;
use super::shard::Wait;
use super::upgraded;
use super::user_code::Runner;
use crate::isolate::isolate;
use crate::journal::note;
use crate::lifecycle::phase::Phase;
use crate::lifecycle::report::UserCode;

/// The least size of an input buffer, in bytes.
const BUFFER_MIN: usize = 16 * 1024;

/// How many steps a connection may take in a turn, before other connections have
/// theirs.
const BUDGET: usize = 64;

/// How many steps a connection may still take after a call for which other connections
/// have waited. They suffice to write a short answer, and to look for the next request,
/// which then waits for the next turn.
const STEPS_BEHIND: usize = 2;

/// How many connections the reserve gives a turn before it looks whether a worker is free
/// for the job.
const URGENT_TURNS_MIN: usize = 64;

/// Serves connections until the run queue is closed. `number` is the number of the
/// worker, from 0.
pub(crate) fn work(engine: &Arc<Engine>, number: usize, slot: &Arc<InFlight>) {
    let mut worker = Worker::new(engine, number, slot);
    while let Some(job) = engine.run_queue.receive() {
        worker.runner.now = Instant::now();
        worker.runner.job = Some(job);
        worker.own();
    }
}

/// Serves urgent requests while no worker is free, until the run queue is closed: see
/// [`reserve`].
pub(crate) fn stand_by(engine: &Arc<Engine>, number: usize, reserve: &Reserve) {
    let mut worker = Worker::new(engine, number, &reserve.slot);
    worker.is_reserve = true;
    reserve.register_thread();
    // After the registration: a close before it is seen here, and one after it wakes.
    while !engine.run_queue.is_closed() {
        while engine.run_queue.is_behind() {
            let now = Instant::now();
            let due = |job: &OwnedJob| reserve::is_due(job, now);
            let Some(job) = engine.run_queue.receive_first(due) else {
                break;
            };
            worker.runner.job = Some(job);
            worker.serve_urgent();
            worker.runner.hand_off();
        }
        thread::park();
    }
}

struct Worker<'a> {
    engine: &'a Arc<Engine>,
    number: usize,
    is_reserve: bool,
    serves: Serves,
    runner: Runner<'a>,
    buffer: Buffer,
    date: DateClock,
    /// The phase at `runner.now`, or at a later time.
    phase: Phase,
    budget: usize,
    /// Code of the application that runs after the turn.
    deferred: Vec<Deferred>,
    /// Code of the application that runs on threads of its own.
    body_tasks: Vec<BodyTask>,
    /// When to look for long calls of other workers again.
    next_look: Instant,
    /// How many connections were ready after the last poll, since this worker owns the
    /// shard.
    found_ready: usize,
    /// How many jobs in a row had no ready connection.
    empty_polls: usize,
}

impl<'a> Worker<'a> {
    fn new(engine: &'a Arc<Engine>, number: usize, slot: &'a Arc<InFlight>) -> Self {
        slot.set_thread();
        let services = &engine.services;
        Self {
            engine,
            number,
            is_reserve: false,
            serves: Serves::Everything,
            runner: Runner::new(engine, slot),
            buffer: Buffer::new(services.config.head_bytes_max.max(BUFFER_MIN)),
            date: DateClock::default(),
            phase: services.life.phase(),
            budget: 0,
            deferred: Vec::new(),
            body_tasks: Vec::new(),
            next_look: Instant::now(),
            found_ready: 0,
            empty_polls: 0,
        }
    }

    /// Owns a shard, until its job is with another worker, or the run queue is
    /// closed.
    fn own(&mut self) {
        let mut has_served = false;
        // The batch of the job was found by the poll of another owner.
        self.found_ready = 0;
        if let Some(job) = &mut self.runner.job
            && job.ready() > 0
            && self.engine.run_queue.is_behind()
        {
            // Adds the connections that became ready since the job's last poll, behind
            // its batch, so that both are served in the order of arrival.
            self.runner.now = job.poll_for(Some(Duration::ZERO));
        }
        while let Some(job) = &mut self.runner.job {
            if self.runner.now >= self.next_look {
                self.next_look = self.runner.now + LOOK_EVERY;
                self.engine.look_as_owner(self.number, self.runner.now);
                if self.engine.reserve.is_some() && reserve::is_due(job, self.runner.now) {
                    self.serve_urgent();
                    continue;
                }
            }
            if let Some(connection) = job.next() {
                has_served = true;
                self.empty_polls = 0;
                self.take_turn(connection);
            } else if self.engine.run_queue.is_closed() {
                self.runner.job = None;
            } else if self.engine.run_queue.is_behind() {
                // The other shards wait for this worker.
                if has_served {
                    self.runner.hand_off();
                } else if !self.find_ready() {
                    self.runner.put_back();
                }
            } else {
                self.poll();
            }
        }
    }

    /// Answers the urgent requests that wait in the job, and holds the connections with
    /// other requests.
    #[cold]
    fn serve_urgent(&mut self) {
        if let Some(job) = &mut self.runner.job {
            self.runner.now = job.poll_for(Some(Duration::ZERO));
        }
        self.serves = Serves::UrgentOnly;
        let mut turns = 0;
        // A call that is expected to wait has handed off the job.
        while let Some(job) = &mut self.runner.job
            && let Some(connection) = job.next_new()
        {
            self.take_turn(connection);
            turns += 1;
            if self.is_reserve && turns >= URGENT_TURNS_MIN && self.engine.run_queue.balance() > 0 {
                break;
            }
        }
        self.serves = Serves::Everything;
    }

    /// Sleeps until connections are ready.
    ///
    /// While several connections are ready at each poll, the worker first yields its
    /// core. Otherwise the scheduler would interrupt it in the middle of the next
    /// batch; and requests that arrive meanwhile make this batch larger. If no other
    /// thread wants the core, this costs one system call for several requests. It does
    /// not yield while another worker runs code of the application: that thread may
    /// compute, and keep the core for long.
    fn poll(&mut self) {
        if self.found_ready > 1 && !self.engine.has_workers_in_calls() {
            thread::yield_now();
        }
        self.empty_polls = 0;
        let run_queue = &self.engine.run_queue;
        if let Some(job) = &mut self.runner.job {
            self.runner.now = job.poll(|| !run_queue.is_behind() && !run_queue.is_closed());
            self.found_ready = job.ready();
        }
        // This worker may have been woken for a job that waits, but it has ready
        // connections itself: another owner takes the job.
        if self.found_ready > 0 && run_queue.is_behind() {
            self.engine.wake_owner();
        }
    }

    /// Looks for ready connections, while jobs wait for a worker. Returns whether this
    /// worker's job has any.
    fn find_ready(&mut self) -> bool {
        let Some(job) = &mut self.runner.job else {
            return false;
        };
        self.runner.now = job.poll_for(Some(Duration::ZERO));
        if job.ready() > 0 {
            return true;
        }
        self.empty_polls += 1;
        self.empty_polls >= self.engine.shards.len() && self.sleep_on_all()
    }

    /// No job has a ready connection, and no worker is free for the jobs that wait.
    /// Sleeps until a connection of any of these jobs is ready. Keeps the job that is
    /// ready first, and hands off the others. Returns whether the job has a ready
    /// connection.
    fn sleep_on_all(&mut self) -> bool {
        self.empty_polls = 0;
        let run_queue = &self.engine.run_queue;
        let mut jobs: Vec<OwnedJob> = self.runner.job.take().into_iter().collect();
        jobs.extend(iter::from_fn(|| run_queue.try_receive()));
        let ready = Job::sleep_on_all(&jobs, || {
            // A job may have been handed off with a batch just now.
            let none_is_ready = jobs.iter().all(|job| job.ready() == 0);
            none_is_ready && !run_queue.is_behind() && !run_queue.is_closed()
        });
        let mut job = jobs.remove(ready.unwrap_or(0));
        self.runner.now = job.poll_for(Some(Duration::ZERO));
        let is_ready = job.ready() > 0;
        self.runner.job = Some(job);
        // This wakes owners that sleep, because this worker may soon be busy.
        for job in jobs {
            self.engine.hand_off(job);
        }
        is_ready
    }

    /// Serves a connection for one turn, and runs the code that the turn deferred.
    // Inlined, because it is called for every turn.
    #[inline(always)]
    fn take_turn(&mut self, connection: Box<Connection>) {
        let peer = connection.peer_addr();
        // Panics of the application's code do not get here. A bug of the server costs
        // only this connection: the drop of its guard enters its outcome.
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
        if self.is_reserve || self.engine.services.life.is_aborting() {
            // A worker that blocks in this code could not end other connections, and the
            // reserve could not answer urgent requests.
            return self.engine.threads.run_deferred(deferred);
        }
        for deferred in deferred {
            self.runner.run_deferred(deferred);
        }
    }

    /// Serves a connection for one turn.
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
                Next::Hold => return self.hold(connection),
                Next::SendFile(part) => {
                    let Some((back, file, sent)) = self.send_file(connection, part) else {
                        return;
                    };
                    connection = back;
                    next = connection.file_sent(file, sent, &mut self.context());
                }
                Next::Pull(stream) => {
                    let Some((back, stream, piece)) = self.pull(connection, stream) else {
                        return;
                    };
                    connection = back;
                    next = connection.resume_with_piece(stream, piece, &mut self.context());
                }
                Next::Call(call) => {
                    let is_upload = connection.body_follows();
                    let answered = match call {
                        Call::Handle(request) => self.handle(connection, request),
                        Call::Render(own) => self.render(connection, own),
                    };
                    let Some((back, answer)) = answered else {
                        return;
                    };
                    connection = back;
                    let was_long = self.runner.job.is_none() && self.engine.run_queue.is_behind();
                    // Other connections have waited: the next request of this client
                    // waits until they are served. After an upload the connection reads
                    // at once, because it does not know whether the socket is empty.
                    // The next upload may be there already: the write of the answer
                    // wakes the client, and the kernel may let it run first. Without
                    // this limit such a client gets one upload after another, while
                    // other connections of the batch wait.
                    if was_long || is_upload {
                        self.budget = self.budget.min(STEPS_BEHIND);
                    }
                    next = connection.resume(answer, &mut self.context());
                }
            }
        }
    }

    /// Holds a connection until it has a turn that serves everything.
    #[cold]
    fn hold(&mut self, connection: Box<Connection>) {
        let Some(job) = &mut self.runner.job else {
            // The job went to the run queue before an urgent call of this turn. The next
            // owner finds the connection.
            let until_turn = Suspend {
                wait: Wait::Turn,
                until: None,
                seen: self.phase,
            };
            if let Suspended::Ready(connection) | Suspended::Refused(connection, _) =
                connection.suspend(until_turn)
            {
                connection.close_now(&self.engine.services, &mut self.deferred);
            }
            return;
        };
        job.hold(connection);
    }

    fn context(&mut self) -> Context<'_> {
        let services = &self.engine.services;
        let phase = services.life.phase();
        if phase != self.phase {
            // A time of this turn must not be before the move to the phase.
            self.phase = phase;
            self.runner.now = Instant::now();
        }
        Context {
            services,
            buffer: &mut self.buffer,
            date: &mut self.date,
            phase,
            serves: self.serves,
            now: self.runner.now,
            budget: &mut self.budget,
            deferred: &mut self.deferred,
            body_tasks: &mut self.body_tasks,
        }
    }
}
