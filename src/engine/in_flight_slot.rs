//! A thread's slot: what other threads may take from a thread that runs code of the
//! application.
//!
//! Such code may block for ever. So the thread first puts into its slot the connection
//! that needs the outcome, and the job. An abort takes the connection. The
//! [monitor](super::monitor) takes the job if the call is long. When the code returns,
//! the thread takes back what is left.
//!
//! **The handshake with the monitor.** Calls with a job are numbered. The monitor
//! sees the same number twice, and then takes the job. It compares the number once
//! more under the lock, so that it takes the job of this call and not of the next one.
//!
//! **The handshake with an abort.** An abort first sets the phase, and then looks into
//! the slots. `begin` reads the phase under the lock. So the abort finds the connection
//! in the slot, or `begin` sees the abort.

use crate::sync::Mutex;
use crate::sync::MutexGuard;
use crate::sync::PoisonError;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::SeqCst;

/// `C`: a connection; `J`: a job; `N`: a note on the call, for the report.
#[derive(Debug)]
pub(crate) struct InFlightSlot<C, J, N> {
    contents: Mutex<Contents<C, J, N>>,
    /// Odd while a job is in the slot. Changed under the lock only.
    call: AtomicU64,
}

#[derive(Debug)]
struct Contents<C, J, N> {
    connection: Option<C>,
    job: Option<J>,
    /// `None` while no code of the application runs.
    note: Option<N>,
}

impl<C, J, N> InFlightSlot<C, J, N> {
    pub(crate) fn new() -> Self {
        Self {
            contents: Mutex::new(Contents {
                connection: None,
                job: None,
                note: None,
            }),
            call: AtomicU64::new(0),
        }
    }

    /// Begins a call of code of the application for `connection`.
    ///
    /// # Errors
    ///
    /// `refused`, which is called under the lock, returns true. The connection and the
    /// job are handed back.
    pub(crate) fn begin(
        &self,
        note: N,
        connection: C,
        job: Option<J>,
        refused: impl FnOnce() -> bool,
    ) -> Result<(), (C, Option<J>)> {
        let mut contents = self.lock();
        if refused() {
            return Err((connection, job));
        }
        self.enter(&mut contents, note, Some(connection), job);
        Ok(())
    }

    /// Begins a call of code of the application that no connection waits for.
    pub(crate) fn begin_alone(&self, note: N, job: Option<J>) {
        self.enter(&mut self.lock(), note, None, job);
    }

    /// The code has returned: returns the connection that needs the outcome, and the
    /// job. If an abort has taken the connection, it returns `None`, and the call is
    /// not over.
    pub(crate) fn end(&self) -> Option<(C, Option<J>)> {
        let mut contents = self.lock();
        let connection = contents.connection.take()?;
        contents.note = None;
        Some((connection, self.take_job_of(&mut contents)))
    }

    /// Ends a call that no connection waits for. Returns the job.
    pub(crate) fn finish(&self) -> Option<J> {
        let mut contents = self.lock();
        contents.note = None;
        self.take_job_of(&mut contents)
    }

    /// The number of the call in progress, if it has a job.
    pub(crate) fn call(&self) -> Option<u64> {
        let call = self.call.load(SeqCst);
        (call % 2 == 1).then_some(call)
    }

    /// Takes the job, if the call in progress has this number.
    pub(crate) fn take_job(&self, call: u64) -> Option<J> {
        let mut contents = self.lock();
        if self.call() != Some(call) {
            return None;
        }
        self.take_job_of(&mut contents)
    }

    /// Takes the job, whatever the number of the call.
    pub(crate) fn take_any_job(&self) -> Option<J> {
        self.take_job_of(&mut self.lock())
    }

    /// Takes the connection, if it is `wanted`. `tell` adds to the note what the
    /// report needs of the connection.
    pub(crate) fn take_connection(
        &self,
        wanted: impl FnOnce(&C) -> bool,
        tell: impl FnOnce(&C, &mut N),
    ) -> Option<C> {
        let mut contents = self.lock();
        let connection = contents
            .connection
            .take_if(|connection| wanted(connection))?;
        if let Some(note) = &mut contents.note {
            tell(&connection, note);
        }
        Some(connection)
    }

    /// The connection, while code of the application runs for it.
    pub(crate) fn with_connection<T>(&self, f: impl FnOnce(Option<&mut C>) -> T) -> T {
        f(self.lock().connection.as_mut())
    }

    /// The note on the call in progress.
    pub(crate) fn with_note<T>(&self, f: impl FnOnce(Option<&N>) -> T) -> T {
        f(self.lock().note.as_ref())
    }

    /// The note on the call in progress, and the connection that waits for its outcome.
    /// `None` while no code of the application runs.
    pub(crate) fn with_call<T>(&self, f: impl FnOnce(&N, Option<&C>) -> T) -> Option<T> {
        let contents = self.lock();
        let note = contents.note.as_ref()?;
        Some(f(note, contents.connection.as_ref()))
    }

    fn enter(
        &self,
        contents: &mut Contents<C, J, N>,
        note: N,
        connection: Option<C>,
        job: Option<J>,
    ) {
        let has_job = job.is_some();
        *contents = Contents {
            connection,
            job,
            note: Some(note),
        };
        if has_job {
            self.count();
        }
    }

    fn take_job_of(&self, contents: &mut Contents<C, J, N>) -> Option<J> {
        let job = contents.job.take()?;
        self.count();
        Some(job)
    }

    /// A job entered or left the slot. The caller holds the lock, so no other thread
    /// changes the number.
    fn count(&self) {
        let call = self.call.load(SeqCst);
        self.call.store(call.wrapping_add(1), SeqCst);
    }

    /// Ignores poison: a panic leaves the state valid.
    fn lock(&self) -> MutexGuard<'_, Contents<C, J, N>> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestSlot = InFlightSlot<&'static str, u32, &'static str>;

    fn begin(slot: &TestSlot, connection: Option<&'static str>, job: Option<u32>) {
        match connection {
            Some(connection) => slot.begin("note", connection, job, || false).unwrap(),
            None => slot.begin_alone("note", job),
        }
    }

    #[test]
    fn the_end_of_a_call_returns_its_connection_and_job() {
        let slot = TestSlot::new();
        begin(&slot, Some("connection"), Some(1));
        assert!(slot.call().is_some());
        assert_eq!(slot.with_note(|note| note.copied()), Some("note"));
        let seen = slot.with_connection(|connection| connection.copied());
        assert_eq!(seen, Some("connection"));
        let call = slot.with_call(|note, connection| (*note, connection.copied()));
        assert_eq!(call, Some(("note", Some("connection"))));
        assert_eq!(slot.end(), Some(("connection", Some(1))));
        assert_eq!(slot.call(), None);
        assert_eq!(slot.with_note(|note| note.copied()), None);
        assert_eq!(slot.with_call(|_, _| ()), None);
    }

    #[test]
    fn a_call_without_a_job_has_no_number() {
        let slot = TestSlot::new();
        begin(&slot, Some("connection"), None);
        assert_eq!(slot.call(), None);
        assert_eq!(slot.end(), Some(("connection", None)));
    }

    #[test]
    fn a_job_is_taken_only_from_the_call_with_the_given_number() {
        let slot = TestSlot::new();
        begin(&slot, Some("first"), Some(1));
        let first = slot.call().unwrap();
        assert_eq!(slot.end(), Some(("first", Some(1))));
        assert_eq!(slot.take_job(first), None, "the call is over");

        begin(&slot, Some("second"), Some(2));
        let second = slot.call().unwrap();
        assert_eq!(slot.take_job(first), None, "it is another call");
        assert_eq!(slot.take_job(second), Some(2));
        assert_eq!(slot.call(), None);
        assert_eq!(slot.take_job(second), None, "it is taken once");
        assert_eq!(slot.end(), Some(("second", None)));
    }

    #[test]
    fn a_call_whose_connection_was_taken_goes_on_until_it_is_finished() {
        let slot = TestSlot::new();
        begin(&slot, Some("connection"), Some(1));
        let tell = |_: &&str, note: &mut &str| *note = "told";
        assert_eq!(slot.take_connection(|_| false, tell), None, "not wanted");
        assert_eq!(slot.with_note(|note| note.copied()), Some("note"));
        assert_eq!(slot.take_connection(|_| true, tell), Some("connection"));
        assert_eq!(slot.take_connection(|_| true, tell), None);
        assert!(slot.with_connection(|connection| connection.is_none()));
        assert_eq!(slot.end(), None);
        assert_eq!(slot.with_note(|note| note.copied()), Some("told"));
        let call = slot.with_call(|note, connection| (*note, connection.copied()));
        assert_eq!(call, Some(("told", None)));
        assert_eq!(slot.finish(), Some(1));
        assert_eq!(slot.with_note(|note| note.copied()), None);
        assert_eq!(slot.call(), None);
    }

    #[test]
    fn a_call_that_is_refused_hands_back_both_and_leaves_the_slot_empty() {
        let slot = TestSlot::new();
        let refused = slot.begin("note", "connection", Some(1), || true);
        assert_eq!(refused, Err(("connection", Some(1))));
        assert_eq!(slot.call(), None);
        assert!(slot.with_note(|note| note.is_none()));
        assert_eq!(slot.take_connection(|_| true, |_, _| ()), None);
        assert_eq!(slot.take_any_job(), None);
    }

    #[test]
    fn after_a_panic_the_job_is_taken_whatever_call_it_is_in() {
        let slot = TestSlot::new();
        begin(&slot, None, Some(1));
        let panics = || slot.with_note(|_| panic!("on purpose"));
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics));
        assert!(caught.is_err());
        assert_eq!(slot.take_any_job(), Some(1));
        assert_eq!(slot.call(), None);
        assert_eq!(slot.take_any_job(), None);
    }
}
