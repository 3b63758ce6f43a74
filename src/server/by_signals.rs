//! Stopping a server by signals.

use super::Server;
use crate::error::Error;
use crate::signals;
use crate::signals::Signals;
use crate::signals::StopSignals;

impl Server {
    /// Makes signals stop this server: Ctrl+C (SIGINT), SIGTERM and SIGHUP. Needs
    /// the feature `signals`.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), farewell::Error> {
    /// let server = farewell::Server::bind("127.0.0.1:8081", farewell::Config::default())?;
    /// server.stop_on_signals()?;
    /// println!("{}", server.serve(|_: farewell::Request| "hello\n")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// | signal | effect |
    /// |---|---|
    /// | the first | drains, as [`shutdown_by`](crate::ShutdownHandle::shutdown_by) with [`Trigger::Signal`](crate::Trigger::Signal). If another trigger, such as `/shutdown`, has begun the stop, it changes nothing |
    /// | one within 200 ms of the first | counts as the first |
    /// | the second | aborts, as [`abort_by`](crate::ShutdownHandle::abort_by) |
    /// | the next after every server has stopped | has no effect, and gives the program a second to write its last output |
    /// | one after that second | ends the process, as it would without this call |
    ///
    /// # Details
    ///
    /// **Two signals within 200 ms** are one, because supervisors such as `timeout`
    /// signal a process and then its group. A signal that arrives before
    /// [`serve`](Self::serve) is called stops the server as soon as it serves. As a
    /// signal after the stop ends the process, Ctrl+C still ends a program that hangs
    /// after `serve`.
    ///
    /// **Ignored signals.** A signal that the process ignores at this call stays
    /// ignored: SIGHUP under `nohup`, SIGINT in a background job of a script. The
    /// library can find out which signals are ignored only on Linux. On other systems
    /// each of the three stops the server.
    ///
    /// **Several servers** of a process may call this, each before it serves. Every
    /// signal goes to all of them, and each server counts its own signals: a server
    /// that is added after a signal drains at the next one. A second call for the same
    /// server changes nothing.
    ///
    /// **The process.** This call changes how the process handles these three signals
    /// until it ends. Two threads wait for them: `ctrl-c`, of the crate `ctrlc`, and
    /// `farewell-signal`. They run none of your code and log nothing, so nothing
    /// delays the second signal. An earlier handler for SIGINT is replaced. An earlier
    /// handler for one of the others is still called.
    ///
    /// **Not promised**: that two signals which arrive together are both seen; that
    /// a signal which all threads block (`pthread_sigmask`) is seen; anything about
    /// other signals (SIGQUIT ends the process). On systems other than Unix, it
    /// handles Ctrl+C and the other console events that `ctrlc` handles.
    ///
    /// # Errors
    ///
    /// The operating system refuses a thread or a pair of sockets; or the
    /// program has set a handler of its own with `ctrlc`, which takes only one.
    /// Every further call returns the same error.
    pub fn stop_on_signals(&self) -> Result<Signals, Error> {
        signals::stop(&self.life, StopSignals::All)
    }

    /// Makes Ctrl+C (SIGINT) and SIGTERM stop this server, as
    /// [`stop_on_signals`](Self::stop_on_signals) does, and leaves SIGHUP to the
    /// application: many services reopen their log or read their configuration again
    /// when they receive it. Needs the feature `signals`.
    ///
    /// Without a handler of the application, SIGHUP ends the process at once. Set it
    /// before this call, for example with [`signal-hook`](https://docs.rs/signal-hook).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), farewell::Error> {
    /// let server = farewell::Server::bind("127.0.0.1:8081", farewell::Config::default())?;
    /// server.stop_on_interrupt_and_terminate()?;
    /// println!("{}", server.serve(|_: farewell::Request| "hello\n")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The table and the details of `stop_on_signals` apply, without SIGHUP. The thread
    /// `farewell-signal` waits for both signals; the crate `ctrlc` is not used. Servers of
    /// one process may use different calls: a SIGHUP goes to the servers that it stops.
    /// A second call of either for the same server changes nothing.
    ///
    /// **Not promised**: that SIGHUP is left alone if another server of this process has
    /// called `stop_on_signals` before, and a crate of the program has turned on the
    /// feature `termination` of `ctrlc`.
    ///
    /// # Errors
    ///
    /// The operating system refuses a thread or a pair of sockets. Every further call
    /// returns the same error.
    pub fn stop_on_interrupt_and_terminate(&self) -> Result<Signals, Error> {
        signals::stop(&self.life, StopSignals::InterruptAndTerminate)
    }
}
