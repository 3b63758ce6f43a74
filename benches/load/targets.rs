//! The targets of farewell, and whether it reaches them: ratios to other
//! servers, and figures compared with an ideal.

use crate::harness::numbers::table;
use crate::harness::peers::Kind;
use crate::measure::Sample;
use crate::plan::NO_HAND_OFF;
use crate::scenario::BLOCK_IDEAL;
use crate::scenario::FAIR_IDEAL;
use crate::scenario::MEASURE;
use crate::tables::Comparison;
use crate::tables::Outcome;
use crate::tables::Quartiles;
use crate::tables::Ratios;
use crate::tables::Row;

/// A figure of farewell, in most cases a ratio, and its bound.
struct Target {
    what: String,
    measured: Option<Quartiles>,
    bound: Bound,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn text(self) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {bound:.2}"),
            Self::AtMost(bound) => format!("≤ {bound:.2}"),
        }
    }

    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }

    /// Whether the first of two ratios is further from holding.
    fn is_worse(self, value: f64, than: f64) -> bool {
        match self {
            Self::AtLeast(_) => value < than,
            Self::AtMost(_) => value > than,
        }
    }
}

/// A figure of a pair.
type Figure = fn(&Ratios) -> Option<f64>;

/// A peer's latency counts if the peer answers at least this share of
/// farewell's requests a second: a server that answers a tenth of them has
/// short queues.
const ENOUGH: f64 = 0.5;

/// The table of all targets.
pub(crate) fn markdown(outcomes: &[Outcome]) -> String {
    let rows: Vec<Vec<String>> = outcomes
        .iter()
        .flat_map(of_scenario)
        .map(|target| {
            let verdict = match &target.measured {
                None => "not measured",
                Some(middle) if target.bound.holds(middle.median) => "ok",
                Some(_) => "**miss**",
            };
            let measured = target.measured.map(|middle| middle.text());
            vec![
                target.what,
                measured.unwrap_or_else(|| "–".to_owned()),
                target.bound.text(),
                verdict.to_owned(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let heads = ["figure", "median (quartiles)", "target", ""];
    format!(
        "### Targets\n\nEach ratio is farewell's figure divided by the other server's; the median of the pairs.\n\n\
        {}\nThe best peer for p99 is one that reaches at least {ENOUGH} of farewell's requests/s.\n",
        table(&heads, &rows)
    )
}

fn of_scenario(outcome: &Outcome) -> Vec<Target> {
    match outcome.scenario.name {
        "plain-2" | "plain-64" | "plain-512" => plain(outcome),
        "paused-2" | "paused-64" | "paused-512" => paused(outcome),
        "close-64" | "post-1k" | "64k" | "10m" => best_peer(outcome),
        "fair" => outcome
            .rows
            .iter()
            .flat_map(|row| fair(outcome, row))
            .collect(),
        "mixed-200" => vec![
            own(outcome, "requests/s", requests, Bound::AtLeast(0.95)),
            wakeups(outcome),
        ],
        "mixed-2000" => vec![own(outcome, "requests/s", requests, Bound::AtLeast(0.8))],
        "cpu" => vec![of_comparison(
            outcome,
            outcome
                .comparisons
                .iter()
                .find(|comparison| comparison.other == NO_HAND_OFF),
            "p99 ÷ without a hand-off",
            p99,
            Bound::AtMost(1.1),
        )],
        "block" => vec![of_row(
            outcome,
            "requests/s ÷ the ideal",
            |row| middle(row, |sample| Some(sample.requests_per_second / BLOCK_IDEAL)),
            Bound::AtLeast(0.93),
        )],
        "first-slow" => outcome
            .rows
            .iter()
            .flat_map(|row| first_slow(outcome, row))
            .collect(),
        "idle" => vec![
            own(outcome, "requests/s", requests, Bound::AtLeast(0.97)),
            memory_of_idle(outcome),
        ],
        "full" | "full-close" | "lame-duck" => {
            vec![own(outcome, "CPU/request", processor, Bound::AtMost(1.05))]
        }
        _ => Vec::new(),
    }
}

fn requests(ratios: &Ratios) -> Option<f64> {
    ratios.requests
}

fn processor(ratios: &Ratios) -> Option<f64> {
    ratios.processor
}

fn p99(ratios: &Ratios) -> Option<f64> {
    ratios.p99
}

fn middle(row: &Row, figure: impl Fn(&Sample) -> Option<f64>) -> Option<Quartiles> {
    Quartiles::of(row.samples.iter().filter_map(figure))
}

fn plain(outcome: &Outcome) -> Vec<Target> {
    let bound = |compared: &Comparison| match (compared.peer.name, compared.peer.kind) {
        (_, Kind::Limit) => Some(Bound::AtLeast(0.9)),
        ("may_minihttp", _) => Some(Bound::AtLeast(0.95)),
        (name, _) => MEASURE.contains(&name).then_some(Bound::AtLeast(1.0)),
    };
    let target = |compared: &Comparison| {
        let what = format!("requests/s ÷ {}", compared.other);
        let bound = bound(compared)?;
        Some(of_comparison(
            outcome,
            Some(compared),
            &what,
            requests,
            bound,
        ))
    };
    outcome.comparisons.iter().filter_map(target).collect()
}

/// Every server gets the same number of requests, so the latencies can be
/// compared.
fn paused(outcome: &Outcome) -> Vec<Target> {
    let peers = outcome.comparisons.iter();
    let peers = peers.filter(|compared| compared.peer.competes());
    let target = |compared: &Comparison| {
        let what = format!("p99 ÷ {}", compared.other);
        of_comparison(outcome, Some(compared), &what, p99, Bound::AtMost(1.0))
    };
    peers.map(target).collect()
}

/// For each figure, the best of the servers in `MEASURE`.
fn best_peer(outcome: &Outcome) -> Vec<Target> {
    let figures: [(&str, Figure, Bound); 3] = [
        ("requests/s", requests, Bound::AtLeast(1.0)),
        ("CPU/request", processor, Bound::AtMost(1.0)),
        ("p99", p99, Bound::AtMost(1.0)),
    ];
    let enough = |compared: &&Comparison| {
        let ratio = compared.middle(requests);
        ratio.is_some_and(|ratio| ratio.median <= 1.0 / ENOUGH)
    };
    let best = |(name, figure, bound): (&str, Figure, Bound)| {
        let peers = outcome.comparisons.iter();
        let peers = peers.filter(|compared| MEASURE.contains(&compared.peer.name));
        let best = peers
            .filter(|compared| name != "p99" || enough(compared))
            .filter_map(|compared| Some((compared, compared.middle(figure)?.median)))
            .reduce(|worst, next| match bound.is_worse(next.1, worst.1) {
                true => next,
                false => worst,
            })
            .map(|(compared, _)| compared);
        let other = best.map_or("the best peer", |compared| compared.other.as_str());
        let what = format!("{name} ÷ {other}, the best");
        of_comparison(outcome, best, &what, figure, bound)
    };
    figures.map(best).into()
}

fn fair(outcome: &Outcome, row: &Row) -> Vec<Target> {
    if !row.peer.is_this_commit() {
        return Vec::new();
    }
    let what = |figure: &str| format!("{}: {}: {figure}", outcome.scenario.name, row.label);
    let fairness =
        |sample: &Sample| Some(sample.client.get("fewest")? / sample.client.get("most")?);
    vec![
        Target {
            what: what("fewest ÷ most answers of a connection"),
            measured: middle(row, fairness),
            bound: Bound::AtLeast(0.9),
        },
        Target {
            what: what("worst latency ÷ the ideal of 80 ms"),
            measured: middle(row, |sample| {
                Some(sample.client.get("worst")? / 1e3 / FAIR_IDEAL)
            }),
            bound: Bound::AtMost(1.5),
        },
    ]
}

fn first_slow(outcome: &Outcome, row: &Row) -> Option<Target> {
    row.peer.is_this_commit().then(|| Target {
        what: format!("{}: {}: longest wait, ms", outcome.scenario.name, row.label),
        measured: middle(row, |sample| Some(sample.client.get("with")? / 1e3)),
        bound: Bound::AtMost(3.0),
    })
}

fn wakeups(outcome: &Outcome) -> Target {
    of_row(
        outcome,
        "wake-ups a quick request",
        |row| middle(row, |sample| sample.wakeups_per_request),
        Bound::AtMost(0.3),
    )
}

/// Divided by the smallest value of the Rust servers and Go. Servers that did
/// not accept the idle connections are left out.
fn memory_of_idle(outcome: &Outcome) -> Target {
    let memory = |row: &Row| {
        let idle = row.idle.as_ref()?;
        (idle.opened > 0).then_some(idle.memory)
    };
    let others = outcome
        .rows
        .iter()
        .filter(|row| row.peer.competes() && matches!(row.peer.kind, Kind::Rust | Kind::Go));
    let least = others.filter_map(memory).min_by(f64::total_cmp);
    of_row(
        outcome,
        "memory for each ÷ the least of the Rust servers and Go",
        |row| Quartiles::of([memory(row)? / least?]),
        Bound::AtMost(1.0),
    )
}

/// farewell in a state, divided by farewell in the normal state.
fn own(outcome: &Outcome, figure: &str, of: Figure, bound: Bound) -> Target {
    let farewell = outcome
        .comparisons
        .iter()
        .find(|comparison| comparison.peer.is_this_commit());
    let other = farewell.map_or("the normal state", |farewell| &farewell.other);
    of_comparison(outcome, farewell, &format!("{figure} ÷ {other}"), of, bound)
}

fn of_comparison(
    outcome: &Outcome,
    compared: Option<&Comparison>,
    what: &str,
    figure: Figure,
    bound: Bound,
) -> Target {
    Target {
        what: format!("{}: {what}", outcome.scenario.name),
        measured: compared.and_then(|compared| compared.middle(figure)),
        bound,
    }
}

/// A figure of the row whose label is "farewell".
fn of_row(
    outcome: &Outcome,
    what: &str,
    figure: impl Fn(&Row) -> Option<Quartiles>,
    bound: Bound,
) -> Target {
    let farewell = outcome.rows.iter().find(|row| row.label == "farewell");
    Target {
        what: format!("{}: {what}", outcome.scenario.name),
        measured: farewell.and_then(figure),
        bound,
    }
}
