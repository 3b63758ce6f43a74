//! One server under one load, once.

use std::thread;
use std::time::Duration;

use crate::client::Client;
use crate::client::Figures;
use crate::harness::Result;
use crate::harness::crowd::Crowd;
use crate::harness::machine;
use crate::harness::peers::Running;
use crate::harness::process::Session;
use crate::harness::wrk::Errors;
use crate::harness::wrk::Load;
use crate::plan::Server;
use crate::plan::State;
use crate::plan::Work;

const WARM_UP: Duration = Duration::from_millis(500);

/// How long a server may take to settle in its state.
const SETTLE: Duration = Duration::from_millis(300);

/// A slow request beside the quick ones.
const SLOW: &str = "/nap?us=3000";

/// How often a slow request comes amid quick ones.
const SLOW_CALLS: u64 = 20;

/// What one measurement gives.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) requests_per_second: f64,
    /// User and system time of the server, in µs; none without a request.
    pub(crate) processor_per_request: Option<f64>,
    /// How often a thread of the server has waited for something and was woken.
    pub(crate) wakeups_per_request: Option<f64>,
    /// In µs; none without a request.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) p999: Option<f64>,
    /// The most that it ever had in memory, in KiB.
    pub(crate) peak: f64,
    pub(crate) errors: Errors,
    /// Connections that the server closed first, and the client.
    pub(crate) closed_first: (usize, usize),
    /// What the bench's own client says beyond that.
    pub(crate) client: Figures,
}

/// What the idle connections did and cost.
#[derive(Clone, Debug)]
pub(crate) struct Idle {
    pub(crate) opened: usize,
    /// Those that the server had not closed when the measurements were over.
    pub(crate) still_open: usize,
    pub(crate) failure: Option<String>,
    /// Resident memory of the server for each, in KiB.
    pub(crate) memory: f64,
    /// The kernel's for both ends of each, in KiB.
    pub(crate) sockets: f64,
}

/// A server that runs, in the state that it is to be measured in.
#[derive(Debug)]
pub(crate) struct Ready {
    running: Running,
    crowd: Option<(Crowd, Idle)>,
    session: Session,
}

impl Ready {
    /// Starts a server, warms it up, and brings it into its state.
    ///
    /// # Errors
    ///
    /// When it does not start, or does not get into the state.
    pub(crate) fn start(server: &Server, warm_up: &Work, session: Session) -> Result<Self> {
        let mut ready = Self {
            running: server.peer.start(&server.arguments, session)?,
            crowd: None,
            session,
        };
        if let Work::Wrk(load) | Work::Mixed { quick: load, .. } = warm_up {
            load.warm_up(ready.running.port, WARM_UP, session)?;
        }
        match server.state {
            State::Normal => {}
            State::Idle(count) => ready.crowd = Some(ready.open_idle(count)),
            State::LameDuck => {
                ready.running.process.signal("TERM")?;
                thread::sleep(SETTLE);
                if !ready.running.answers() {
                    return Err("it does not answer after the signal".into());
                }
            }
        }
        Ok(ready)
    }

    fn open_idle(&self, count: usize) -> (Crowd, Idle) {
        thread::sleep(SETTLE);
        let memory = || self.running.process.memory("VmRSS");
        let (before, sockets) = (memory(), machine::socket_memory());
        let crowd = Crowd::open(self.running.port, count);
        thread::sleep(SETTLE);
        let each = |more: f64| more / crowd.len().max(1) as f64;
        let idle = Idle {
            opened: crowd.len(),
            still_open: 0,
            failure: crowd.failure.as_ref().map(ToString::to_string),
            memory: each(memory() - before),
            sockets: each(machine::socket_memory() - sockets),
        };
        (crowd, idle)
    }

    /// What the idle connections did, if there are some.
    pub(crate) fn idle(&self) -> Option<Idle> {
        let (crowd, idle) = self.crowd.as_ref()?;
        Some(Idle {
            still_open: crowd.still_open(),
            ..idle.clone()
        })
    }

    /// Measures it for so many seconds.
    ///
    /// # Errors
    ///
    /// When the load generator fails, or most answers are not what was asked for.
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
                // A call with what belongs to it takes less than a second.
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
            return Err("most of its answers are not 200".into());
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
            client: Figures::new(),
        })
    }

    /// The quick requests are measured; the slow ones begin before them and end
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

    /// The bench's own client alone.
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
        let requests = figure("requests").ok_or("the client gave no figures")?;
        Ok(Sample {
            requests_per_second: requests / figure("seconds").unwrap_or(1.0),
            // The client's own warm-up would be in it.
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
