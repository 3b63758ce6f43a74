//! One round: the server is started, loaded and stopped, and every request is
//! followed to its end.

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

use super::Failure;
use super::args::Options;
use super::args::Stop;
use super::client::Client;
use super::client::Mode;
use super::client::Requests;
use super::complain;
use super::connection::Connection;
use super::connection::Pace;
use super::interrupt::Interrupt;
use super::left_behind;
use super::left_behind::LeftBehind;
use super::server::Exit;
use super::server::Server;
use super::stage::Scene;
use super::stage::Stage;
use super::system::Signal;
use super::tally::Attempt;
use super::tally::Expected;
use super::tally::Fate;
use super::tally::Point;
use super::target::Target;
use super::target::with_port;

/// How often a server that starts is asked whether it answers.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// How long a process that listens before the start has to go away.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// How often it is seen whether it has.
const LEAVE_EVERY: Duration = Duration::from_millis(50);

/// How many requests of the open loop may be under way at a time.
const OPEN_CLIENTS: usize = 128;

/// By so much of itself the time of the load is longer or shorter, so that the
/// stop does not fall in step with anything.
const LOAD_JITTER: f64 = 1.0 / 3.0;

/// A client needs little.
const STACK_BYTES: usize = 256 * 1024;

/// What came of a round.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) stop: Instant,
    pub(super) attempts: Vec<Attempt>,
    /// How the server ended, or why it has not.
    pub(super) end: Result<Exit, Failure>,
}

/// A round that is about to be played.
#[derive(Debug)]
pub(super) struct Round<'a> {
    pub(super) options: &'a Options,
    pub(super) target: Target,
    pub(super) mode: Mode,
    /// From 1, in each mode.
    pub(super) number: usize,
    pub(super) rng: Rng,
    pub(super) interrupt: &'a Interrupt,
    /// A line on stderr has to go around it.
    pub(super) progress: &'a ProgressBar,
}

/// What tells the server to stop, ready to be carried out.
#[derive(Debug)]
enum Order {
    Signal {
        signal: Signal,
        to_group: bool,
    },
    /// Its answer is followed like any other: a confirmation can be lost.
    Request(Requests),
}

/// The clients, while they run.
type Load<'scope> = Vec<ScopedJoinHandle<'scope, Vec<Attempt>>>;

/// Kills the server at the end of a scope, which a panic may be. Without a
/// server every client comes to its end, and the scope waits for the clients.
struct Kill<'a>(&'a Server);

impl Drop for Kill<'_> {
    fn drop(&mut self) {
        self.0.kill();
    }
}

impl Round<'_> {
    /// Plays it to its end. Whatever comes of it, no process and no thread is
    /// left.
    pub(super) fn play(mut self) -> Result<Played, Failure> {
        let stage = Arc::new(Stage::default());
        self.refuse_strangers()?;
        let server = self.interrupt.watch(|| self.start(&stage))?;
        let result = self
            .wait_until_it_answers(&server, &stage)
            .and_then(|address| {
                let requests = self.requests(address);
                let order = match &self.options.stop {
                    &Stop::Signal { signal, to_group } => Order::Signal { signal, to_group },
                    Stop::Request(path) => Order::Request(Requests::new(
                        address,
                        &self.target.authority,
                        path,
                        self.options.patience,
                        Expected::SUCCESS,
                    )),
                };
                thread::scope(|scope| {
                    let _kill = Kill(&server);
                    self.conduct(scope, &server, &stage, &requests, &order)
                })
            });
        self.interrupt.check()?;
        result
    }

    /// Loads the server, stops it, and collects what became of the requests.
    fn conduct<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        server: &Server,
        stage: &'scope Stage,
        requests: &'scope Requests,
        order: &'scope Order,
    ) -> Result<Played, Failure> {
        let mut load = self.start_load(scope, stage, requests)?;
        self.wait_for_the_stop(server, stage)?;

        let stop = stage.stop_now();
        match order {
            Order::Signal { signal, to_group } => server
                .signal(*signal, *to_group)
                .map_err(|error| Failure::error(format!("cannot signal the server: {error}")))?,
            Order::Request(requests) => {
                let client = Client::new(requests, stage, self.rng.fork());
                let ask = move || {
                    let attempts = client.one();
                    let refused = |attempt: &Attempt| matches!(attempt.fate, Fate::Unexpected(_));
                    if attempts.iter().any(refused) {
                        stage.change(|scene| scene.stop_refused = true);
                    }
                    attempts
                };
                load.push(spawn(scope, stage, ask)?);
            }
        }

        let stopped = |scene: &Scene| scene.exit.is_some();
        let decided = |scene: &Scene| stopped(scene) || scene.stop_refused;
        stage.wait(stop + self.options.stop_timeout, decided);
        // A server that says no is not waited for, only one that stops all the
        // same.
        stage.wait(
            Instant::now().min(stop + self.options.stop_timeout) + LEAVE_TIMEOUT,
            stopped,
        );
        let exit = stage.scene().exit;
        let left_behind = exit.map(|_| LeftBehind::find(server, requests.address()));
        if left_behind.as_ref().is_some_and(LeftBehind::is_nothing) {
            // Every connection has its end, so that the clients come to theirs.
            let no_client = |scene: &Scene| scene.clients == 0;
            stage.wait(Instant::now() + self.options.patience, no_client);
        }
        let running = server.running();
        let killed = Instant::now();
        server.kill();
        let mut attempts: Vec<Attempt> = load.into_iter().flat_map(joined).collect();
        stage.scene().check()?;
        let options = self.options;
        let end = match (exit, left_behind) {
            (Some(exit), Some(left)) if left.is_nothing() => Ok(exit),
            (exit, left) => {
                // What the drill has cut itself, the server has not lost.
                attempts.retain(|attempt| attempt.ended < killed);
                Err(match (exit, left) {
                    (Some(exit), Some(left)) => left.outlived_its_command(options, server, exit),
                    _ => left_behind::did_not_stop(options, server, &running, &attempts, stop),
                })
            }
        };
        Ok(Played {
            stop,
            attempts,
            end,
        })
    }

    /// A process that listens there already would be measured in place of the
    /// server.
    fn refuse_strangers(&self) -> Result<(), Failure> {
        for &address in &self.target.addresses {
            let deadline = Instant::now() + LEAVE_TIMEOUT;
            while Connection::open(address, LEAVE_TIMEOUT, Pace::Full).is_ok() {
                if Instant::now() > deadline {
                    return Err(Failure::error(format!(
                        "{address} is in use before the server is started: stop what listens \
                         there, or let the drill pick a port with {{port}}"
                    )));
                }
                // It may be of the last round, killed and not yet gone.
                thread::sleep(LEAVE_EVERY);
            }
        }
        Ok(())
    }

    fn start(&self, stage: &Arc<Stage>) -> Result<Server, Failure> {
        let port = self.target.port;
        let mut arguments = self.options.command.iter().map(|argument| {
            // What is no text has no placeholder.
            let text = argument.to_str();
            text.map_or(argument.clone(), |text| with_port(text, port).into())
        });
        let program = arguments.next().expect("clap wants one at least");
        let mut command = Command::new(&program);
        command.args(arguments).env("PORT", port.to_string());
        let by_group = self.options.stop.is_by_group();
        Server::start(command, by_group, self.options.show_output, stage).map_err(|error| {
            let program = program.to_string_lossy();
            Failure::error(format!("cannot start {program}: {error}"))
        })
    }

    /// Asks until an answer comes, and gives the address that it came from.
    fn wait_until_it_answers(&self, server: &Server, stage: &Stage) -> Result<SocketAddr, Failure> {
        let timeout = self.options.start_timeout;
        let deadline = Instant::now() + timeout;
        let mut state = "does not listen".to_owned();
        let mut advice = String::new();
        for address in self.target.addresses.iter().cycle() {
            if let Some(exit) = stage.scene().exit {
                return Err(left_behind::ended("before it answered", exit, server));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match self.requests(*address).ask(self.mode, left) {
                Ok(answer) if self.is_ready(answer.status) => return Ok(*address),
                Ok(answer) => {
                    let status = answer.status;
                    state = format!("answers with status {status} only");
                    advice = format!(
                        ": correct --url, add --expect {status}, or leave out --mode {}",
                        self.mode.name()
                    );
                }
                Err(loss) if loss.point != Point::Connecting => {
                    state = "listens, but does not answer".to_owned();
                }
                Err(_) => {}
            }
            stage.sleep(ASK_EVERY);
        }
        let timeout = humantime::format_duration(timeout);
        Err(Failure::error(format!(
            "the server {state} at {} after {timeout}{advice}",
            self.target.authority
        )))
    }

    /// Whether a server whose first answer has this status is up. Says so if the
    /// status is not the expected one.
    fn is_ready(&self, status: u16) -> bool {
        let expected = self.options.expect;
        if expected.includes(status) {
            return true;
        }
        if status < 500 && self.number == 1 {
            let method = self.mode.method();
            self.progress.suspend(|| {
                complain(&format!(
                    "{}: the first answer to {method} {} has status {status}, not {expected}: \
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

    /// Starts every client.
    fn start_load<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        stage: &'scope Stage,
        requests: &'scope Requests,
    ) -> Result<Load<'scope>, Failure> {
        let mode = self.mode;
        let mut load = Load::new();
        for _ in 0..self.options.clients {
            let client = Client::new(requests, stage, self.rng.fork());
            load.push(spawn(scope, stage, move || client.closed_loop(mode))?);
        }
        if let Some(rate) = self.options.open_rate {
            let clients = OPEN_CLIENTS.min(rate as usize);
            let rate = f64::from(rate) / clients as f64;
            for _ in 0..clients {
                let client = Client::new(requests, stage, self.rng.fork());
                load.push(spawn(scope, stage, move || client.open_loop(rate))?);
            }
        }
        Ok(load)
    }

    /// The load goes on for its time, and until a request is answered: a server
    /// that no client has reached shows nothing by stopping.
    fn wait_for_the_stop(&mut self, server: &Server, stage: &Stage) -> Result<(), Failure> {
        let range = self.options.load_for.mul_f64(2.0 * LOAD_JITTER);
        let load_for = load_min(self.options) + range.mul_f64(self.rng.f64());
        let stop = Instant::now() + load_for;
        let ended = |scene: &Scene| scene.exit.is_some() || scene.obstacle.is_some();
        let answered = |scene: &Scene| scene.answered || ended(scene);
        stage.wait(stop, ended);
        stage.wait(stop + self.options.start_timeout, answered);
        let scene = stage.scene();
        scene.check()?;
        match scene.exit {
            Some(exit) => Err(left_behind::ended(
                "by itself, before the stop",
                exit,
                server,
            )),
            None if !scene.answered => Err(Failure::error(
                "no request of the load was answered before the stop, or with errors only",
            )),
            None => Ok(()),
        }
    }
}

/// The shortest load that a round may have.
pub(super) fn load_min(options: &Options) -> Duration {
    options.load_for.mul_f64(1.0 - LOAD_JITTER)
}

/// Starts a client's thread, which the stage counts while it runs.
fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    stage: &'scope Stage,
    client: impl FnOnce() -> Vec<Attempt> + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, Vec<Attempt>>, Failure> {
    stage.change(|scene| scene.clients += 1);
    thread::Builder::new()
        .name("drill-client".to_owned())
        .stack_size(STACK_BYTES)
        .spawn_scoped(scope, move || {
            let attempts = client();
            stage.change(|scene| scene.clients -= 1);
            attempts
        })
        .map_err(|error| Failure::error(format!("cannot start a client's thread: {error}")))
}

fn joined(client: ScopedJoinHandle<'_, Vec<Attempt>>) -> Vec<Attempt> {
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
    fn a_panic_of_the_drill_ends_the_server_and_then_the_clients() {
        let stage = Arc::new(Stage::default());
        let mut sleep = Command::new("sleep");
        sleep.arg("600");
        let server = Server::start(sleep, false, false, &stage).unwrap();
        let too_late = Instant::now() + Duration::from_secs(60);
        let panicked = panic::catch_unwind(AssertUnwindSafe(|| {
            thread::scope(|scope| {
                let _kill = Kill(&server);
                scope.spawn(|| stage.wait(too_late, |scene| scene.exit.is_some()));
                panic!("on purpose");
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(stage.scene().exit.unwrap().signal, Some(9));
    }
}
