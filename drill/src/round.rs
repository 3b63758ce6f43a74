//! One round: starts the server, loads it, stops it, and follows every request to
//! its end.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::thread::Scope;
use std::thread::ScopedJoinHandle;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;
use indicatif::ProgressBar;

use super::DrillError;
use super::args::DrillOptions;
use super::args::Stop;
use super::client::Client;
use super::client::Mode;
use super::client::Requests;
use super::connection::ClientConnection;
use super::connection::ReadSpeed;
use super::interrupt::Interrupt;
use super::left_behind;
use super::left_behind::LeftBehind;
use super::outcome::Attempt;
use super::outcome::AttemptStage;
use super::outcome::Expected;
use super::outcome::Outcome;
use super::print_error;
use super::server::Exit;
use super::server::Server;
use super::system::Signal;
use super::target::Target;
use super::target::with_port;
use super::watch::RoundState;
use super::watch::RoundWatch;

/// Time between two requests to a server that has not answered yet.
const READY_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How long a port may stay in use before the server is started. The process that
/// listens may be the server of the last round, which was killed and has not
/// ended yet.
const PORT_RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// Time between two connections to a port that is in use.
const PORT_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How long a server that has rejected the request to stop may still take to end.
const REJECTED_STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Most open-loop requests in progress at a time.
const OPEN_LOOP_CLIENTS_MAX: usize = 128;

/// The share by which the duration of the load varies from round to round, so that
/// the stop does not always come at the same point of a periodic event.
const LOAD_JITTER: f64 = 1.0 / 3.0;

/// Stack size of a client's thread.
const STACK_BYTES: usize = 256 * 1024;

/// The result of one round.
#[derive(Debug)]
pub(super) struct RoundResult {
    pub(super) stop: Instant,
    pub(super) attempts: Vec<Attempt>,
    /// How the server ended, or why it did not.
    pub(super) end: Result<Exit, DrillError>,
}

/// A round, before it runs.
#[derive(Debug)]
pub(super) struct Round<'a> {
    pub(super) options: &'a DrillOptions,
    pub(super) target: Target,
    pub(super) mode: Mode,
    /// Counts the rounds of this mode, from 1.
    pub(super) number: usize,
    pub(super) rng: Rng,
    pub(super) interrupt: &'a Interrupt,
    /// Suspended while a line is written to stderr.
    pub(super) progress: &'a ProgressBar,
}

/// What the drill does to stop the server.
#[derive(Debug)]
enum StopAction {
    Signal {
        signal: Signal,
        to_group: bool,
    },
    /// The response to this request counts like any other: it can be lost too.
    Request(Requests),
}

/// The threads of the clients.
type Load<'scope> = Vec<ScopedJoinHandle<'scope, Vec<Attempt>>>;

/// Kills the server when the scope of the clients ends, also by a panic. The
/// scope joins the clients, and they end only when the server has ended.
struct KillOnDrop<'a>(&'a Server);

impl Drop for KillOnDrop<'_> {
    fn drop(&mut self) {
        self.0.kill();
    }
}

impl Round<'_> {
    /// Runs the round. When it returns, also with an error, none of its processes
    /// and threads is left.
    pub(super) fn run(mut self) -> Result<RoundResult, DrillError> {
        let watch = Arc::new(RoundWatch::default());
        self.check_port_is_free()?;
        let server = self.interrupt.start_server(|| self.start(&watch))?;
        let result = self.wait_until_ready(&server, &watch).and_then(|address| {
            let requests = self.requests(address);
            let action = match &self.options.stop {
                &Stop::Signal { signal, to_group } => StopAction::Signal { signal, to_group },
                Stop::Request(path) => StopAction::Request(Requests::new(
                    address,
                    &self.target.authority,
                    path,
                    self.options.patience,
                    Expected::SUCCESS,
                )),
            };
            thread::scope(|scope| {
                let _kill = KillOnDrop(&server);
                self.load_and_stop(scope, &server, &watch, &requests, &action)
            })
        });
        self.interrupt.check()?;
        result
    }

    /// Loads the server, stops it, and collects the attempts of the clients.
    fn load_and_stop<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        server: &Server,
        watch: &'scope RoundWatch,
        requests: &'scope Requests,
        action: &'scope StopAction,
    ) -> Result<RoundResult, DrillError> {
        let mut load = self.start_load(scope, watch, requests)?;
        self.wait_until_stop(server, watch)?;

        let stop = watch.mark_stop();
        match action {
            StopAction::Signal { signal, to_group } => {
                server.signal(*signal, *to_group).map_err(|error| {
                    DrillError::failed(format!("cannot signal the server: {error}"))
                })?
            }
            StopAction::Request(requests) => {
                let client = Client::new(requests, watch, self.rng.fork());
                let request_stop = move || {
                    let attempts = client.single_request();
                    let rejected =
                        |attempt: &Attempt| matches!(attempt.outcome, Outcome::UnexpectedStatus(_));
                    if attempts.iter().any(rejected) {
                        watch.update(|state| state.stop_rejected = true);
                    }
                    attempts
                };
                load.push(spawn(scope, watch, request_stop)?);
            }
        }

        let stopped = |state: &RoundState| state.exit.is_some();
        let stopped_or_rejected = |state: &RoundState| stopped(state) || state.stop_rejected;
        watch.wait(stop + self.options.stop_timeout, stopped_or_rejected);
        // A server may stop although it has rejected the request. It gets a short
        // time for this, and not the whole stop timeout.
        watch.wait(
            Instant::now().min(stop + self.options.stop_timeout) + REJECTED_STOP_TIMEOUT,
            stopped,
        );
        let exit = watch.state().exit;
        let left_behind = exit.map(|_| LeftBehind::find(server, requests.address()));
        if left_behind.as_ref().is_some_and(LeftBehind::is_empty) {
            // The kernel has closed every connection of the server, so the clients
            // end soon.
            let no_clients = |state: &RoundState| state.clients_running == 0;
            watch.wait(Instant::now() + self.options.patience, no_clients);
        }
        let running = server.running();
        let killed = Instant::now();
        server.kill();
        let mut attempts: Vec<Attempt> = load.into_iter().flat_map(join).collect();
        watch.state().check()?;
        let options = self.options;
        let end = match (exit, left_behind) {
            (Some(exit), Some(left)) if left.is_empty() => Ok(exit),
            (exit, left) => {
                // Attempts that ended because the drill killed the server are not
                // losses of the server.
                attempts.retain(|attempt| attempt.ended < killed);
                Err(match (exit, left) {
                    (Some(exit), Some(left)) => left.outlived_its_command(options, server, exit),
                    _ => left_behind::did_not_stop(options, server, &running, &attempts, stop),
                })
            }
        };
        Ok(RoundResult {
            stop,
            attempts,
            end,
        })
    }

    /// Returns an error if a process listens at the address already: the drill
    /// would test it instead of the server.
    fn check_port_is_free(&self) -> Result<(), DrillError> {
        for &address in &self.target.addresses {
            let deadline = Instant::now() + PORT_RELEASE_TIMEOUT;
            while ClientConnection::open(address, PORT_RELEASE_TIMEOUT, ReadSpeed::Full).is_ok() {
                if Instant::now() > deadline {
                    return Err(DrillError::failed(format!(
                        "{address} is in use before the server is started: stop the process that \
                         listens there, or let the drill pick a port with {{port}}"
                    )));
                }
                thread::sleep(PORT_POLL_INTERVAL);
            }
        }
        Ok(())
    }

    fn start(&self, watch: &Arc<RoundWatch>) -> Result<Server, DrillError> {
        let port = self.target.port;
        let mut arguments = self.options.command.iter().map(|argument| {
            // An argument that is not UTF-8 is passed on as it is.
            let text = argument.to_str();
            text.map_or(argument.clone(), |text| with_port(text, port).into())
        });
        let program = arguments.next().expect("clap requires a command");
        let mut command = Command::new(&program);
        command.args(arguments).env("PORT", port.to_string());
        let by_group = self.options.stop.is_by_group();
        Server::start(command, by_group, self.options.show_output, watch).map_err(|error| {
            let program = program.to_string_lossy();
            DrillError::failed(format!("cannot start {program}: {error}"))
        })
    }

    /// Sends requests until the server answers, and returns the address that
    /// answered.
    fn wait_until_ready(
        &self,
        server: &Server,
        watch: &RoundWatch,
    ) -> Result<SocketAddr, DrillError> {
        let timeout = self.options.start_timeout;
        let deadline = Instant::now() + timeout;
        let mut problem = "does not listen".to_owned();
        let mut advice = String::new();
        for address in self.target.addresses.iter().cycle() {
            if let Some(exit) = watch.state().exit {
                return Err(left_behind::ended("before it answered", exit, server));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match self.requests(*address).request_once(self.mode, left) {
                Ok(response) if self.is_ready(response.status) => return Ok(*address),
                Ok(response) => {
                    let status = response.status;
                    problem = format!("answers with status {status} only");
                    advice = format!(
                        ": correct --url, add --expect {status}, or leave out --mode {}",
                        self.mode.name()
                    );
                }
                Err(loss) if loss.stage != AttemptStage::Connecting => {
                    problem = "listens, but does not answer".to_owned();
                }
                Err(_) => {}
            }
            watch.sleep(READY_POLL_INTERVAL);
        }
        let timeout = humantime::format_duration(timeout);
        Err(DrillError::failed(format!(
            "the server {problem} at {} after {timeout}{advice}",
            self.target.authority
        )))
    }

    /// Whether a server whose first response has this status is ready. Prints a
    /// warning in the first round if the status is unexpected.
    fn is_ready(&self, status: u16) -> bool {
        let expected = self.options.expect;
        if expected.includes(status) {
            return true;
        }
        if status < 500 && self.number == 1 {
            let method = self.mode.method();
            self.progress.suspend(|| {
                print_error(&format!(
                    "{}: the first response to {method} {} has status {status}, not {expected}: \
                     correct --url, or add --expect {status}",
                    self.mode.name(),
                    self.options.url.path()
                ));
            });
        }
        status < 500
    }

    fn requests(&self, address: SocketAddr) -> Requests {
        Requests::new(
            address,
            &self.target.authority,
            self.options.url.path(),
            self.options.patience,
            self.options.expect,
        )
    }

    /// Starts all clients.
    fn start_load<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        watch: &'scope RoundWatch,
        requests: &'scope Requests,
    ) -> Result<Load<'scope>, DrillError> {
        let mode = self.mode;
        let mut load = Load::new();
        for _ in 0..self.options.clients {
            let client = Client::new(requests, watch, self.rng.fork());
            load.push(spawn(scope, watch, move || client.closed_loop(mode))?);
        }
        if let Some(rate) = self.options.open_rate {
            let clients = OPEN_LOOP_CLIENTS_MAX.min(rate as usize);
            let rate = f64::from(rate) / clients as f64;
            for _ in 0..clients {
                let client = Client::new(requests, watch, self.rng.fork());
                load.push(spawn(scope, watch, move || client.open_loop(rate))?);
            }
        }
        Ok(load)
    }

    /// Waits until it is time to stop the server: when the duration of the load has
    /// passed and at least one request was answered. The stop of a server that
    /// no client has reached would prove nothing.
    fn wait_until_stop(&mut self, server: &Server, watch: &RoundWatch) -> Result<(), DrillError> {
        let range = self.options.load_for.mul_f64(2.0 * LOAD_JITTER);
        let load_for = load_min(self.options) + range.mul_f64(self.rng.f64());
        let stop = Instant::now() + load_for;
        let ended = |state: &RoundState| state.exit.is_some() || state.local_error.is_some();
        let answered = |state: &RoundState| state.answered || ended(state);
        watch.wait(stop, ended);
        watch.wait(stop + self.options.start_timeout, answered);
        let state = watch.state();
        state.check()?;
        match state.exit {
            Some(exit) => Err(left_behind::ended(
                "by itself, before the stop",
                exit,
                server,
            )),
            None if !state.answered => Err(DrillError::failed(
                "the server answered no request before the stop, or only with errors",
            )),
            None => Ok(()),
        }
    }
}

/// The shortest duration of the load in a round.
pub(super) fn load_min(options: &DrillOptions) -> Duration {
    options.load_for.mul_f64(1.0 - LOAD_JITTER)
}

/// Starts the thread of a client, and counts it while it runs.
fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    watch: &'scope RoundWatch,
    client: impl FnOnce() -> Vec<Attempt> + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, Vec<Attempt>>, DrillError> {
    watch.update(|state| state.clients_running += 1);
    thread::Builder::new()
        .name("drill-client".to_owned())
        .stack_size(STACK_BYTES)
        .spawn_scoped(scope, move || {
            let attempts = client();
            watch.update(|state| state.clients_running -= 1);
            attempts
        })
        .map_err(|error| DrillError::failed(format!("cannot start a client's thread: {error}")))
}

/// Returns the client's attempts. A panic of the client continues here.
fn join(client: ScopedJoinHandle<'_, Vec<Attempt>>) -> Vec<Attempt> {
    client
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(all(test, unix))]
mod tests {
    use std::panic;
    use std::panic::AssertUnwindSafe;

    use super::*;

    #[test]
    fn a_panic_kills_the_server_and_ends_the_clients() {
        let watch = Arc::new(RoundWatch::default());
        let mut sleep = Command::new("sleep");
        sleep.arg("600");
        let server = Server::start(sleep, false, false, &watch).unwrap();
        let too_late = Instant::now() + Duration::from_secs(60);
        let panicked = panic::catch_unwind(AssertUnwindSafe(|| {
            thread::scope(|scope| {
                let _kill = KillOnDrop(&server);
                scope.spawn(|| watch.wait(too_late, |state| state.exit.is_some()));
                panic!("on purpose");
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(watch.state().exit.unwrap().signal, Some(9));
    }
}
