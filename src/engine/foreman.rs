//! The foreman: looks around, and where a worker is held up has another one
//! take its seat. Where nobody rests any more, it does the polling that cannot
//! wait: for handlers that read or write themselves.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::Engine;
use super::lot::Row;
use super::queue::Queue;
use super::seats::State;
use super::seats::Step;

/// How often to look around while there is work. Who is in code of the user's
/// from one look to the next is held up.
const LOOK_EVERY: Duration = Duration::from_micros(500);

/// The same for who is not. It may just have no core at the moment, which
/// nobody else would have either.
const LOOKS_UNTIL_HELD_UP: u32 = 20;

/// After so many looks without a change there is no work.
const LOOKS_UNTIL_ASLEEP: u32 = 20;

pub(crate) struct Foreman {
    engine: Arc<Engine>,
    queue: Queue,
    /// For each seat: the last step seen, and how many looks found no other.
    seen: Vec<(Step, u32)>,
}

impl Foreman {
    pub(crate) fn new(engine: Arc<Engine>, queue: Queue) -> Self {
        let seen = engine.seats.last_steps().map(|step| (step, 0)).collect();
        Self {
            engine,
            queue,
            seen,
        }
    }

    /// Looks around until nobody needs a seat any more.
    pub(crate) fn run(mut self) {
        let engine = Arc::clone(&self.engine);
        engine.seats.set_foreman();
        let mut looks_without_change = 0;
        while !engine.seats.is_closed() {
            thread::park_timeout(LOOK_EVERY);
            match self.look_around() {
                true => looks_without_change = 0,
                false => looks_without_change += 1,
            }
            if looks_without_change >= LOOKS_UNTIL_ASLEEP {
                let seen: Vec<Step> = self.seen.iter().map(|(step, _)| *step).collect();
                engine.seats.foreman_sleeps(&seen);
                looks_without_change = 0;
            }
        }
    }

    /// Says whether there is anything to look at.
    fn look_around(&mut self) -> bool {
        let steps: Vec<Step> = self.engine.seats.last_steps().collect();
        let mut work = false;
        for (number, step) in steps.into_iter().enumerate() {
            let (before, looks) = &mut self.seen[number];
            if *before != step {
                (*before, *looks) = (step, 0);
                work = true;
                continue;
            }
            *looks += 1;
            let held_up = match step.state() {
                State::Calling => true,
                State::Serving => *looks >= LOOKS_UNTIL_HELD_UP,
                State::Offered => true,
                State::Free | State::Looking => false,
            };
            work |= matches!(
                step.state(),
                State::Calling | State::Serving | State::Offered
            );
            if held_up {
                self.replace(number, step);
            }
        }
        if !self.queue.is_empty() || self.engine.lot.rows().iter().any(Row::has_ready) {
            self.engine.lot.nudge_one();
        }
        work
    }

    /// Has another worker take the seat, or polls for it.
    fn replace(&self, number: usize, step: Step) {
        let engine = &self.engine;
        if step.state() != State::Offered && !engine.seats.offer(number, step) {
            return;
        }
        if !engine.seats.call_one() {
            engine.lot.rows()[number].poll_for_another();
        }
    }
}
