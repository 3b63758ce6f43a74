//! One server under one load, in a process of its own that ends after it.

use std::thread;
use std::time::Duration;

use crate::harness::Result;
use crate::harness::crowd::Crowd;
use crate::harness::machine;
use crate::harness::peers::Peer;
use crate::harness::peers::Running;
use crate::harness::process::Session;
use crate::harness::wrk::Errors;
use crate::harness::wrk::Figures;
use crate::scenario::Scenario;

const WARM_UP: Duration = Duration::from_millis(500);

/// How long a server may take to settle after the idle connections have come.
const SETTLE: Duration = Duration::from_millis(300);

/// What one measurement gives.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) requests_per_second: f64,
    /// User and system time of the server, in µs; none without a request.
    pub(crate) processor_per_request: Option<f64>,
    /// In µs; none without a request.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) p999: Option<f64>,
    /// The most that it ever had in memory, in KiB.
    pub(crate) peak: f64,
    pub(crate) errors: Errors,
    /// Connections that the server closed first, and the client.
    pub(crate) closed_first: (usize, usize),
    pub(crate) idle: Option<Idle>,
}

/// What the idle connections did and cost.
#[derive(Clone, Debug)]
pub(crate) struct Idle {
    pub(crate) opened: usize,
    /// Those that the server had not closed when the measurement was over.
    pub(crate) still_open: usize,
    pub(crate) failure: Option<String>,
    /// Requests a second of the same process before they came.
    pub(crate) without: f64,
    /// Resident memory of the server for each, in KiB.
    pub(crate) memory: f64,
    /// The kernel's for both ends of each, in KiB.
    pub(crate) sockets: f64,
}

/// # Errors
///
/// When the server does not start, or `wrk` fails.
pub(crate) fn measure(
    peer: &Peer,
    scenario: &Scenario,
    seconds: u64,
    session: Session,
) -> Result<Sample> {
    let server = peer.start(scenario.arguments(peer), session)?;
    scenario.load.warm_up(server.port, WARM_UP, session)?;
    if scenario.idle > 0 {
        return among_idle(&server, scenario, seconds, session);
    }
    loaded(&server, scenario, seconds, session)
}

fn loaded(server: &Running, scenario: &Scenario, seconds: u64, session: Session) -> Result<Sample> {
    let before = server.process.processor_time();
    let figures = scenario.load.run(server.port, seconds, session)?;
    let used = server.process.processor_time().saturating_sub(before);
    let if_any = |figure: f64| (figures.requests > 0.0).then_some(figure);
    Ok(Sample {
        requests_per_second: rate(&figures),
        processor_per_request: if_any(used.as_secs_f64() * 1e6 / figures.requests),
        p50: if_any(figures.p50),
        p99: if_any(figures.p99),
        p999: if_any(figures.p999),
        peak: server.process.memory("VmHWM"),
        errors: figures.errors,
        closed_first: match scenario.load.close {
            true => machine::closed_first(server.port),
            false => (0, 0),
        },
        idle: None,
    })
}

fn among_idle(
    server: &Running,
    scenario: &Scenario,
    seconds: u64,
    session: Session,
) -> Result<Sample> {
    let without = scenario.load.run(server.port, seconds, session)?;
    thread::sleep(SETTLE);
    let (memory, sockets) = (server.process.memory("VmRSS"), machine::socket_memory());
    let crowd = Crowd::open(server.port, scenario.idle);
    thread::sleep(SETTLE);
    let each = |more: f64| more / crowd.len().max(1) as f64;
    let memory = each(server.process.memory("VmRSS") - memory);
    let sockets = each(machine::socket_memory() - sockets);

    let mut sample = loaded(server, scenario, seconds, session)?;
    sample.errors += without.errors;
    sample.idle = Some(Idle {
        opened: crowd.len(),
        still_open: crowd.still_open(),
        failure: crowd.failure.as_ref().map(ToString::to_string),
        without: rate(&without),
        memory,
        sockets,
    });
    Ok(sample)
}

fn rate(figures: &Figures) -> f64 {
    figures.requests / figures.seconds
}
