//! One round: the server is started, loaded, stopped, and everyone is followed
//! to the end.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::thread::Scope;
use std::thread::ScopedJoinHandle;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;

use super::Failure;
use super::args::Options;
use super::args::Stop;
use super::client::Client;
use super::client::Mode;
use super::client::Requests;
use super::connection::Connection;
use super::connection::Pace;
use super::interrupt::Interrupt;
use super::server::Exit;
use super::server::Server;
use super::stage::Scene;
use super::stage::Stage;
use super::system::Signal;
use super::tally::Attempt;
use super::tally::Fate;
use super::tally::Point;
use super::target::Target;
use super::target::with_port;

/// How often a server that starts is asked whether it answers.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// How long somebody who listens already has to go away.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// How often it is seen whether they have.
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
    pub(super) exit: Exit,
    pub(super) attempts: Vec<Attempt>,
}

/// A round that is about to be played.
#[derive(Debug)]
pub(super) struct Round<'a> {
    pub(super) options: &'a Options,
    pub(super) target: Target,
    pub(super) mode: Mode,
    pub(super) rng: Rng,
    pub(super) interrupt: &'a Interrupt,
}

/// What tells the server to stop, ready to be carried out.
#[derive(Debug)]
enum Order {
    Signal(Signal),
    /// Its answer is followed like any other: a confirmation can be lost.
    Request(Requests),
}

/// The clients, while they run.
type Load<'scope> = Vec<ScopedJoinHandle<'scope, Vec<Attempt>>>;

impl Round<'_> {
    /// Plays it to its end. Whatever comes of it, no process and no thread is
    /// left.
    pub(super) fn play(mut self) -> Result<Played, Failure> {
        let stage = Arc::new(Stage::default());
        self.refuse_strangers()?;
        let server = self.interrupt.watch(|| self.start(&stage))?;
        let result = self.wait_until_it_answers(&stage).and_then(|address| {
            let requests = self.requests(address, self.options.url.path());
            let order = match &self.options.stop {
                Stop::Signal(signal) => Order::Signal(*signal),
                Stop::Request(path) => Order::Request(self.requests(address, path)),
            };
            thread::scope(|scope| {
                let result = self.conduct(scope, &server, &stage, &requests, &order);
                // Without a server, every client comes to its end.
                server.kill();
                result
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
        self.wait_for_the_stop(stage)?;

        let stop = stage.stop_now();
        match order {
            Order::Signal(signal) => server
                .signal(*signal)
                .map_err(|error| Failure::error(format!("cannot signal the server: {error}")))?,
            Order::Request(requests) => {
                let client = Client::new(requests, stage, self.rng.fork());
                load.push(spawn(scope, stage, || client.one())?);
            }
        }

        let stopped = |scene: &Scene| scene.exit.is_some();
        let in_time = stage.wait(stop + self.options.stop_timeout, stopped);
        if in_time {
            // Other processes of its group may still be answering.
            let everyone_left = |scene: &Scene| scene.clients == 0;
            stage.wait(Instant::now() + self.options.patience, everyone_left);
        }
        server.kill();
        let attempts: Vec<Attempt> = load.into_iter().flat_map(joined).collect();
        let scene = stage.scene();
        scene.check()?;
        match scene.exit {
            Some(exit) if in_time => Ok(Played {
                stop,
                exit,
                attempts,
            }),
            _ => Err(self.did_not_stop(&attempts, stop)),
        }
    }

    fn did_not_stop(&self, attempts: &[Attempt], stop: Instant) -> Failure {
        let timeout = humantime::format_duration(self.options.stop_timeout);
        let is_after = |attempt: &&Attempt| attempt.fate == Fate::Answered && attempt.ended > stop;
        let after = attempts.iter().filter(is_after).count();
        Failure::error(format!(
            "the server did not stop in {timeout}, and was killed; it answered {after} \
             requests in that time"
        ))
    }

    /// Whoever listens there already would be measured in place of the server.
    fn refuse_strangers(&self) -> Result<(), Failure> {
        for &address in &self.target.addresses {
            let deadline = Instant::now() + LEAVE_TIMEOUT;
            while Connection::open(address, LEAVE_TIMEOUT, Pace::Full).is_ok() {
                if Instant::now() > deadline {
                    return Err(Failure::error(format!(
                        "somebody listens on {address} before the server is started"
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
        Server::start(command, self.options.show_output, stage).map_err(|error| {
            let program = program.to_string_lossy();
            Failure::error(format!("cannot start {program}: {error}"))
        })
    }

    /// Asks until an answer comes, and gives the address that it came from.
    fn wait_until_it_answers(&self, stage: &Stage) -> Result<SocketAddr, Failure> {
        let timeout = self.options.start_timeout;
        let deadline = Instant::now() + timeout;
        let mut state = "does not listen";
        for address in self.target.addresses.iter().cycle() {
            if let Some(exit) = stage.scene().exit {
                return Err(Failure::error(format!(
                    "the server ended before it answered: {}",
                    exit.describe()
                )));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let requests = self.requests(*address, self.options.url.path());
            match requests.ask(left) {
                Ok(answer) if answer.status < 500 => return Ok(*address),
                Ok(_) => state = "answers with errors only",
                Err(loss) if loss.point != Point::Connecting => {
                    state = "listens, but answers nobody"
                }
                Err(_) => {}
            }
            stage.sleep(ASK_EVERY);
        }
        let timeout = humantime::format_duration(timeout);
        Err(Failure::error(format!(
            "the server {state} at {} after {timeout}",
            self.target.authority
        )))
    }

    fn requests(&self, address: SocketAddr, path: &str) -> Requests {
        Requests::new(address, &self.target.authority, path, self.options.patience)
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

    /// The load goes on for its time, and until somebody is answered: a server
    /// that nobody has reached shows nothing by stopping.
    fn wait_for_the_stop(&mut self, stage: &Stage) -> Result<(), Failure> {
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
            Some(exit) => Err(Failure::error(format!(
                "the server ended by itself, before the stop: {}",
                exit.describe()
            ))),
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
