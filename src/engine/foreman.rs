//! The foreman: looks around, and where a worker is held up has another one
//! take its seat. Where nobody rests any more, it does the polling that cannot
//! wait: for handlers that read or write themselves. And it watches the clock:
//! where a deadline has come, it wakes whoever polls there.

use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::Engine;
use super::seats::State;
use super::seats::Step;

/// How often to look around while there is work.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Who is in code of the user's, and does not wait there, is held up when so
/// many looks find it in the same call. It may just have no core at the moment,
/// which nobody else would have either.
const LOOKS_UNTIL_CALL_IS_LONG: u32 = 2;

/// The same for all else that a worker does.
const LOOKS_UNTIL_TURN_IS_LONG: u32 = 10;

/// A row that so many looks have found not polled is polled here.
const LOOKS_UNTIL_UNPOLLED: u32 = 2;

/// After so many looks without a change there is no work.
const LOOKS_UNTIL_ASLEEP: u32 = 20;

pub(crate) struct Foreman {
    engine: Arc<Engine>,
    /// For each seat: the last step seen, and how many looks found no other.
    seen: Vec<(Step, u32)>,
    /// For each row: how often it was polled, and how many looks have found no
    /// more.
    polls: Vec<(u32, u32)>,
}

impl Foreman {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        let seen: Vec<_> = engine.seats.last_steps().map(|step| (step, 0)).collect();
        let polls = vec![(0, 0); seen.len()];
        Self {
            engine,
            seen,
            polls,
        }
    }

    /// Looks around until nobody needs a seat any more.
    pub(crate) fn run(mut self) {
        let engine = Arc::clone(&self.engine);
        engine.seats.set_foreman();
        engine.lot.watch_deadlines();
        let mut looks_without_change = 0;
        while !engine.seats.is_closed() {
            thread::park_timeout(LOOK_EVERY);
            match self.look_around() {
                true => looks_without_change = 0,
                false => looks_without_change += 1,
            }
            if looks_without_change >= LOOKS_UNTIL_ASLEEP {
                let seen: Vec<Step> = self.seen.iter().map(|(step, _)| *step).collect();
                // A deadline that comes from here on unparks this thread.
                let due = engine.lot.scan_due();
                engine.seats.foreman_sleeps(&seen, due);
                looks_without_change = 0;
            }
        }
    }

    /// Says whether there is anything to look at.
    fn look_around(&mut self) -> bool {
        let mut work = false;
        for number in 0..self.seen.len() {
            let step = self.engine.seats.last_step(number);
            let (seen, looks) = &mut self.seen[number];
            match *seen == step {
                true => *looks += 1,
                false => (*seen, *looks) = (step, 0),
            }
            let looks = *looks;
            work |= looks == 0 || !matches!(step.state(), State::Free | State::Looking);
            if self.is_held_up(number, step, looks) {
                self.replace(number, step);
            }
            self.stand_in(number);
        }
        let rows = self.engine.lot.rows();
        let now = Instant::now();
        for row in rows {
            if row.scan_due().is_some_and(|due| due <= now) {
                row.nudge();
            }
        }
        // Somebody who sleeps could serve those.
        if rows.iter().any(|row| !row.queue().is_empty()) {
            self.engine.lot.nudge_one();
        }
        work
    }

    /// Polls a row that nobody has polled for long, whyever: others wait for
    /// what happens there, and for deadlines.
    fn stand_in(&mut self, number: usize) {
        let row = &self.engine.lot.rows()[number];
        let (seen, looks) = &mut self.polls[number];
        let (polls, asleep) = row.polls();
        match *seen == polls && !asleep {
            true => *looks += 1,
            false => (*seen, *looks) = (polls, 0),
        }
        if *looks >= LOOKS_UNTIL_UNPOLLED {
            row.poll_for_another();
        }
    }

    fn is_held_up(&self, number: usize, step: Step, looks: u32) -> bool {
        match step.state() {
            State::Free | State::Looking => false,
            State::Offered => true,
            State::Serving => looks >= LOOKS_UNTIL_TURN_IS_LONG,
            State::Calling => {
                looks >= LOOKS_UNTIL_CALL_IS_LONG
                    || self.engine.seats.waits(number).unwrap_or(looks > 0)
            }
        }
    }

    /// Has another worker take the seat, or polls for it.
    fn replace(&self, number: usize, step: Step) {
        let engine = &self.engine;
        // If its worker has made a step meanwhile, it is not held up.
        if step.state() != State::Offered && !engine.seats.offer(number, step) {
            return;
        }
        if !engine.seats.call_one() {
            engine.lot.rows()[number].poll_for_another();
        }
    }
}
