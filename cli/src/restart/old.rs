//! The old process of a restart: starts the new one, and leaves the sockets to it.

use std::env;
use std::fmt;
use std::io;
use std::io::ErrorKind;
use std::process;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use farewell::Ownership;
use farewell::Phase;
use farewell::ShutdownHandle;
use farewell::Trigger;

use super::channel::Channel;
use super::channel::Message;
use super::channel::Passed;
use super::new::Predecessor;
use super::new_process::NewProcess;
use super::program::Program;
use crate::access_log;
use crate::args::Options;
use crate::failure::Failure;
use crate::inherited::Listening;
use crate::signals;
use crate::signals::Signal;
use crate::supervisor::Supervisor;

/// How long one wait for a message lasts. In between the process looks whether it was asked
/// to stop, and whether the new one has ended.
const INTERVAL: Duration = Duration::from_millis(20);

/// What a stop of the new process may take in addition to its bound: the listener for
/// operators, and the output.
const STOP_EXTRA: Duration = Duration::from_secs(2);

/// How long the new process may take after an event that ends it.
const END_GRACE: Duration = Duration::from_secs(1);

/// The restarts of this process, one at a time.
#[derive(Debug)]
pub(crate) struct Restarts {
    /// `None` if the system does not tell.
    program: Option<Program>,
    begun: Arc<OnceLock<Arc<Restart>>>,
    /// The thread that takes over from the process before.
    taking_over: Mutex<Option<JoinHandle<()>>>,
}

impl Restarts {
    /// From here on, SIGUSR2 does not end the process.
    pub(crate) fn accept_requests() -> Result<Self, Failure> {
        let restart = Arc::new(OnceLock::<Arc<Restart>>::new());
        let on_signal = Arc::clone(&restart);
        // A signal that comes while the program starts waits until it has started.
        signals::on_signal(Signal::User2, move || on_signal.wait().request())?;
        Ok(Self {
            program: Program::of_this_process(),
            begun: restart,
            taking_over: Mutex::default(),
        })
    }

    /// From here on, SIGUSR2 starts a restart. A process that was started by one takes over
    /// from its predecessor first.
    pub(crate) fn begin(
        &self,
        stop: ShutdownHandle,
        admin: Option<ShutdownHandle>,
        listening: Vec<Listening>,
        predecessor: Option<Predecessor>,
        supervisor: &Arc<Supervisor>,
        options: &Options,
    ) -> Result<(), Failure> {
        let config = options.config();
        let restart = Arc::new(Restart {
            program: self.program.clone(),
            stop: stop.clone(),
            admin,
            listening: listening.clone(),
            supervisor: Arc::clone(supervisor),
            stop_max: config.lame_duck + config.drain_timeout + 2 * config.linger + STOP_EXTRA,
            timeout: options.restart_timeout(),
            timeout_option: options.name("restart_timeout"),
            state: Mutex::new(match predecessor {
                Some(_) => State::TakingOver,
                None => State::Idle,
            }),
        });
        if let Some(predecessor) = predecessor {
            let (restart, supervisor) = (Arc::clone(&restart), Arc::clone(supervisor));
            let thread = predecessor.take_over(stop, listening, move || {
                // While this process started, the file may have been rotated.
                access_log::reopen();
                *restart.state() = State::Idle;
                supervisor.begin();
            })?;
            *self
                .taking_over
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(thread);
        } else {
            supervisor.begin();
        }
        // It is set once, here.
        let _ = self.begun.set(restart);
        Ok(())
    }

    /// Waits for the end of a restart that was given up because this process stops. If this
    /// process has just taken over, the process before has to hear of that: it would go on
    /// with sockets that refuse connections.
    pub(crate) fn end(&self) {
        let taking_over = self
            .taking_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if taking_over.is_some_and(|thread| thread.join().is_err()) {
            log::error!("the thread that takes over panicked");
        }
        let Some(restart) = self.begun.get() else {
            return;
        };
        let state = std::mem::replace(&mut *restart.state(), State::TakingOver);
        if let State::Restarting(thread) = state
            && thread.join().is_err()
        {
            log::error!("the thread of the restart panicked");
        }
    }
}

#[derive(Debug)]
struct Restart {
    /// `None` if the system does not tell.
    program: Option<Program>,
    stop: ShutdownHandle,
    /// Of the server for operators.
    admin: Option<ShutdownHandle>,
    listening: Vec<Listening>,
    supervisor: Arc<Supervisor>,
    /// The longest time that a new process may take to stop.
    stop_max: Duration,
    timeout: Duration,
    timeout_option: String,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// This process has not taken over from its predecessor.
    TakingOver,
    /// No restart has begun.
    Idle,
    /// The thread ends when the new process has taken over, or is given up.
    Restarting(JoinHandle<()>),
}

/// Why there is no new process.
#[derive(Debug)]
enum Failed {
    /// This process was asked to stop.
    Stopping,
    Because(String),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopping => f.write_str("the restart is given up, because the program stops"),
            Self::Because(why) => {
                write!(f, "the restart has failed, and this process goes on: {why}")
            }
        }
    }
}

impl Restart {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.stop.phase() >= Phase::LameDuck
    }

    /// Starts a restart on a thread of its own, so that a further signal is answered.
    fn request(self: &Arc<Self>) {
        let mut state = self.state();
        let refused = match &*state {
            _ if self.is_stopping() => Some("the program stops"),
            State::TakingOver => Some("a restart is in progress"),
            State::Restarting(thread) if !thread.is_finished() => Some("a restart is in progress"),
            _ => cannot_be_replaced(),
        };
        if let Some(why) = refused {
            log::warn!("SIGUSR2 is ignored: {why}");
            return;
        }
        let restart = Arc::clone(self);
        let thread = thread::Builder::new()
            .name("farewell-restart".to_owned())
            .spawn(move || restart.run());
        match thread {
            Ok(thread) => *state = State::Restarting(thread),
            Err(error) => log::error!("cannot restart: no thread can be started: {error}"),
        }
    }

    fn run(&self) {
        match self.replace() {
            Ok(id) => {
                log::info!("restart: process {id} has taken over, this process drains");
            }
            Err(failed @ Failed::Stopping) => log::info!("{failed}"),
            Err(failed) => {
                // Before the line: from it on, SIGUSR2 starts the next restart.
                *self.state() = State::Idle;
                log::error!("{failed}");
            }
        }
    }

    /// Starts the new process, and leaves the sockets to it. Returns its ID.
    fn replace(&self) -> Result<u32, Failed> {
        let because =
            |what: &str, error: &dyn fmt::Display| Failed::Because(format!("{what}: {error}"));
        let Some(program) = &self.program else {
            return Err(Failed::Because(
                "the system does not tell the path of the program".to_owned(),
            ));
        };
        let path = program.path.display();
        let sockets = self.sockets()?;
        let (mut channel, theirs) =
            Channel::pair().map_err(|error| because("cannot create sockets", &error))?;
        channel
            .send_sockets(&sockets)
            .map_err(|error| because("cannot pass the sockets on", &error))?;
        // The kernel has them now, until the new process takes them.
        drop(sockets);
        let mut new = NewProcess::start(program, theirs)
            .map_err(|error| because(&format!("cannot start {path}"), &error))?;
        let id = new.id();
        log::info!("restart: {path} starts as process {id}");
        let handed_over = self.hand_over(&mut channel, &mut new).and_then(|()| {
            // Before the drop of the channel: after that the new process tells the
            // supervisor, which listens to the process that it knows.
            self.supervisor.replaced_by(id);
            // Another trigger may have stopped this process a moment before. It is meant for
            // the new one too.
            match self.stop.shutdown_by(Trigger::Restart) {
                true => Ok(()),
                false => Err(Failed::Stopping),
            }
        });
        let Err(failed) = handed_over else {
            // Requests of operators are for the new process from now on. This one would answer
            // some of them, as long as it drains.
            if let Some(admin) = &self.admin {
                admin.shutdown_by(Trigger::Restart);
            }
            new.release();
            return Ok(id);
        };
        // A process that is ready accepts connections. It may have said so just now.
        let is_ready = new.is_ready || matches!(channel.receive(INTERVAL), Ok(Some(_)));
        drop(channel);
        match (&failed, is_ready) {
            (Failed::Stopping, _) | (_, true) => self.stop_new(new, is_ready),
            (Failed::Because(_), false) => drop(new),
        }
        Err(failed)
    }

    /// A second handle of each socket, for the new process.
    fn sockets(&self) -> Result<Vec<Passed>, Failed> {
        let passed = |Listening { role, listener }: &Listening| {
            let socket = listener
                .duplicate()
                .map_err(|error| match self.is_stopping() {
                    true => Failed::Stopping,
                    false => Failed::Because(error.to_string()),
                })?;
            Ok(Passed {
                role: *role,
                ownership: listener.ownership().unwrap_or(Ownership::Shared),
                socket,
            })
        };
        self.listening.iter().map(passed).collect()
    }

    /// Waits until the new process has taken over.
    fn hand_over(&self, channel: &mut Channel, new: &mut NewProcess) -> Result<(), Failed> {
        self.expect(Message::Ready, channel, new)?;
        new.is_ready = true;
        channel
            .send(Message::TakeOver)
            .map_err(|error| self.lost(new, &error))?;
        self.expect(Message::Taken, channel, new)?;
        // From *taken* on, both own the sockets, so a stop of either loses nothing.
        for Listening { listener, .. } in &self.listening {
            match listener.set_ownership(Ownership::Shared) {
                Ok(true) => {}
                // The stop of this process has made the kernel refuse connections.
                Ok(false) => return Err(Failed::Stopping),
                // It fails for `Ownership::Sole` alone.
                Err(error) => return Err(Failed::Because(error.to_string())),
            }
        }
        Ok(())
    }

    fn expect(
        &self,
        expected: Message,
        channel: &mut Channel,
        new: &mut NewProcess,
    ) -> Result<(), Failed> {
        let deadline = Instant::now() + self.timeout;
        loop {
            if self.is_stopping() {
                return Err(Failed::Stopping);
            }
            match channel.receive(INTERVAL) {
                Ok(Some(message)) if message == expected => return Ok(()),
                Ok(Some(message)) => {
                    let error = format!("it says '{message}' instead of '{expected}'");
                    let error = io::Error::new(ErrorKind::InvalidData, error);
                    return Err(self.lost(new, &error));
                }
                Ok(None) => {}
                Err(error) => return Err(self.lost(new, &error)),
            }
            // A process that it has started may still have its end of the channel.
            if let Some(status) = new.ended() {
                return Err(ended(new, status));
            }
            if Instant::now() >= deadline {
                let (id, option) = (new.id(), &self.timeout_option);
                let timeout = humantime::format_duration(self.timeout);
                return Err(Failed::Because(match new.is_ready {
                    false => format!(
                        "process {id} was not ready within {timeout} ({option}), and is killed"
                    ),
                    true => format!(
                        "process {id} did not take over within {timeout} ({option}), and is stopped"
                    ),
                }));
            }
        }
    }

    /// The channel has failed: the new process has ended, gives up, or is another program.
    fn lost(&self, new: &mut NewProcess, error: &io::Error) -> Failed {
        // The kernel closes the channel a moment before the process has ended. A process that
        // was asked to stop closes it first, and then answers the requests that it has.
        let until = Instant::now()
            + if new.is_ready {
                self.stop_max
            } else {
                END_GRACE
            };
        while error.kind() != ErrorKind::InvalidData && Instant::now() < until {
            if let Some(status) = new.ended() {
                return ended(new, status);
            }
            thread::sleep(INTERVAL);
        }
        let id = new.id();
        Failed::Because(match error.kind() {
            ErrorKind::UnexpectedEof => format!(
                "process {id} has closed its standard input (is it this program?), and is killed"
            ),
            _ => format!("process {id} does not take over, and is killed: {error}"),
        })
    }

    /// Stops the new process. If it is ready it may have requests, and it has as long as a
    /// stop may take. If it is not, it has none, and ends with this process, which stops.
    fn stop_new(&self, new: NewProcess, is_ready: bool) {
        let asked = Instant::now();
        let mut stopped = None;
        new.stop(|| {
            if self.stop.phase() == Phase::Stopped {
                stopped.get_or_insert_with(Instant::now);
            }
            match is_ready {
                true => asked.elapsed() >= self.stop_max,
                false => stopped.is_some_and(|at| at.elapsed() >= END_GRACE),
            }
        });
    }
}

fn ended(new: &NewProcess, status: process::ExitStatus) -> Failed {
    let id = new.id();
    Failed::Because(format!("process {id} ended before it was ready: {status}"))
}

/// Why another process cannot go on for this one, if that is known.
fn cannot_be_replaced() -> Option<&'static str> {
    if process::id() == 1 {
        return Some("with process 1 the container ends: start a new container instead");
    }
    // systemd sets it for the main process of a unit.
    let is_of_systemd =
        env::var("SYSTEMD_EXEC_PID").is_ok_and(|id| id == process::id().to_string());
    (is_of_systemd && env::var_os("NOTIFY_SOCKET").is_none())
        .then_some("systemd would take the end of this process for the end of the service: set Type=notify in the unit")
}
