//! Measures one server under one load.

use std::thread;
use std::time::Duration;

use crate::client::Client;
use crate::client::ClientFigures;
use crate::harness::Result;
use crate::harness::idle_connections::IdleConnections;
use crate::harness::machine;
use crate::harness::peers::RunningServer;
use crate::harness::process::Session;
use crate::harness::wrk::Errors;
use crate::harness::wrk::Load;
use crate::plan::Server;
use crate::plan::ServerState;
use crate::plan::Work;

const WARM_UP: Duration = Duration::from_millis(500);

/// How long a server gets to reach its state.
const SETTLE: Duration = Duration::from_millis(300);

/// A slow request that is sent while quick requests are measured.
const SLOW: &str = "/nap?us=3000";

/// How many slow requests the scenario `first-slow` sends.
const SLOW_CALLS: u64 = 20;

/// The figures of one measurement.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) requests_per_second: f64,
    /// User and system time of the server, in µs. `None` without a request.
    pub(crate) processor_per_request: Option<f64>,
    /// Voluntary context switches of the server's threads. `None` without a
    /// request.
    pub(crate) wakeups_per_request: Option<f64>,
    /// In µs. `None` without a request.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) p999: Option<f64>,
    /// Peak memory of the server, in KiB.
    pub(crate) peak: f64,
    pub(crate) errors: Errors,
    /// How many connections the server closed first, and how many the client.
    pub(crate) closed_first: (usize, usize),
    /// Further figures of the bench's own client.
    pub(crate) client: ClientFigures,
}

/// The figures of the idle connections.
#[derive(Clone, Debug)]
pub(crate) struct IdleFigures {
    pub(crate) opened: usize,
    /// Connections that were still open after the measurements.
    pub(crate) still_open: usize,
    pub(crate) failure: Option<String>,
    /// Resident memory of the server per connection, in KiB.
    pub(crate) memory: f64,
    /// Memory of the kernel's sockets per connection, both ends, in KiB.
    pub(crate) sockets: f64,
}

/// A running server in the state that it is measured in.
#[derive(Debug)]
pub(crate) struct PreparedServer {
    running: RunningServer,
    connections: Option<(IdleConnections, IdleFigures)>,
    session: Session,
}

impl PreparedServer {
    /// Starts the server, warms it up, and brings it into its state.
    ///
    /// # Errors
    ///
    /// If the server does not start or does not reach the state.
    pub(crate) fn start(server: &Server, warm_up: &Work, session: Session) -> Result<Self> {
        let mut ready = Self {
            running: server.peer.start(&server.arguments, session)?,
            connections: None,
            session,
        };
        if let Work::Wrk(load) | Work::Mixed { quick: load, .. } = warm_up {
            load.warm_up(ready.running.port, WARM_UP, session)?;
        }
        match server.state {
            ServerState::Normal => {}
            ServerState::Idle(count) => ready.connections = Some(ready.open_idle(count)),
            ServerState::LameDuck => {
                ready.running.process.signal("TERM")?;
                thread::sleep(SETTLE);
                if !ready.running.answers() {
                    return Err("the server does not answer after the signal".into());
                }
            }
        }
        Ok(ready)
    }

    fn open_idle(&self, count: usize) -> (IdleConnections, IdleFigures) {
        thread::sleep(SETTLE);
        let memory = || self.running.process.memory("VmRSS");
        let (before, sockets) = (memory(), machine::socket_memory());
        let connections = IdleConnections::open(self.running.port, count);
        thread::sleep(SETTLE);
        let each = |more: f64| more / connections.len().max(1) as f64;
        let idle = IdleFigures {
            opened: connections.len(),
            still_open: 0,
            failure: connections.failure.as_ref().map(ToString::to_string),
            memory: each(memory() - before),
            sockets: each(machine::socket_memory() - sockets),
        };
        (connections, idle)
    }

    /// The figures of the idle connections, if there are any.
    pub(crate) fn idle(&self) -> Option<IdleFigures> {
        let (connections, idle) = self.connections.as_ref()?;
        Some(IdleFigures {
            still_open: connections.still_open(),
            ..idle.clone()
        })
    }

    /// Measures the server for this many seconds.
    ///
    /// # Errors
    ///
    /// If the load generator fails, or most responses do not have status 200.
    pub(crate) fn measure(&self, work: &Work, seconds: u64) -> Result<Sample> {
        match work {
            Work::Wrk(load) => self.wrk(load, seconds),
            Work::Mixed {
                quick,
                slow_per_second,
            } => self.mixed(quick, *slow_per_second, seconds),
            Work::Counted(load) => {
                let connections = load.connections.to_string();
                self.alone(
                    &[
                        "counted",
                        "PORT",
                        load.path,
                        &connections,
                        &seconds.to_string(),
                    ],
                    seconds,
                )
            }
            Work::FirstSlow { known } => {
                let kind = match known {
                    true => "known",
                    false => "new",
                };
                let calls = SLOW_CALLS.to_string();
                // One slow request with its pauses takes less than a second.
                self.alone(&["first-slow", "PORT", kind, &calls], SLOW_CALLS)
            }
        }
    }

    fn wrk(&self, load: &Load, seconds: u64) -> Result<Sample> {
        let process = &self.running.process;
        let (time, waits) = (process.processor_time(), process.waits());
        let figures = load.run(self.running.port, seconds, self.session)?;
        let used = process.processor_time().saturating_sub(time);
        let wakeups = process.waits().since(&waits);
        if figures.errors.status as f64 > figures.requests / 2.0 {
            return Err("most responses do not have status 200".into());
        }
        let if_any = |figure: f64| (figures.requests > 0.0).then_some(figure);
        Ok(Sample {
            requests_per_second: figures.requests / figures.seconds,
            processor_per_request: if_any(used.as_secs_f64() * 1e6 / figures.requests),
            wakeups_per_request: if_any(wakeups / figures.requests),
            p50: if_any(figures.p50),
            p99: if_any(figures.p99),
            p999: if_any(figures.p999),
            peak: process.memory("VmHWM"),
            errors: figures.errors,
            closed_first: match load.close {
                true => machine::closed_first(self.running.port),
                false => (0, 0),
            },
            client: ClientFigures::new(),
        })
    }

    /// Measures the quick requests. The slow ones begin before them and end
    /// after them.
    fn mixed(&self, quick: &Load, slow_per_second: u64, seconds: u64) -> Result<Sample> {
        let words = [
            "paced",
            &self.running.port.to_string(),
            SLOW,
            &slow_per_second.to_string(),
            &(seconds + 1).to_string(),
        ];
        let words = words.map(str::to_owned);
        let slow = Client::start(&words, seconds + 1, self.session)?;
        thread::sleep(SETTLE);
        let sample = self.wrk(quick, seconds)?;
        Ok(Sample {
            client: slow.figures()?,
            ..sample
        })
    }

    /// Measures with the bench's own client.
    fn alone(&self, words: &[&str], seconds: u64) -> Result<Sample> {
        let process = &self.running.process;
        let port = self.running.port.to_string();
        let words: Vec<String> = words
            .iter()
            .map(|&word| match word {
                "PORT" => port.clone(),
                word => word.to_owned(),
            })
            .collect();
        let client = Client::start(&words, seconds, self.session)?.figures()?;
        let figure = |name: &str| client.get(name).copied();
        let requests = figure("requests").ok_or("the client printed no figures")?;
        Ok(Sample {
            requests_per_second: requests / figure("seconds").unwrap_or(1.0),
            // These would include the warm-up of the client.
            processor_per_request: None,
            wakeups_per_request: None,
            p50: figure("p50"),
            p99: figure("p99"),
            p999: figure("p999"),
            peak: process.memory("VmHWM"),
            errors: Errors::default(),
            closed_first: (0, 0),
            client,
        })
    }
}
