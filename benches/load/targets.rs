//! What ours is to reach, and whether it does.

use crate::harness::numbers::short;
use crate::harness::numbers::table;
use crate::harness::peers::Kind;
use crate::scenario::BLOCK_IDEAL;
use crate::tables::Outcome;
use crate::tables::Row;

/// One line: the figure, what it is held against, and the bound of their ratio.
struct Target {
    what: String,
    ours: Option<f64>,
    against: Option<(String, f64)>,
    bound: Bound,
}

enum Bound {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
}

impl Bound {
    fn text(&self) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {bound:.2}"),
            Self::AtMost(bound) => format!("≤ {bound:.2}"),
            Self::Below(bound) => format!("< {bound:.2}"),
        }
    }

    fn holds(&self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(bound) => ratio >= *bound,
            Self::AtMost(bound) => ratio <= *bound,
            Self::Below(bound) => ratio < *bound,
        }
    }
}

/// Of the requests a second of the best peer: what a peer has to reach for its
/// latency to count.
const ENOUGH: f64 = 0.5;

/// The table of all targets.
pub(crate) fn markdown(outcomes: &[Outcome]) -> String {
    let rows: Vec<Vec<String>> = outcomes
        .iter()
        .flat_map(of_scenario)
        .map(|target| {
            let ratio = target.ours.zip(target.against.as_ref());
            let ratio = ratio.map(|(ours, (_, against))| ours / against);
            let verdict = match ratio {
                None => "not measured",
                Some(ratio) if target.bound.holds(ratio) => "ok",
                Some(_) => "**miss**",
            };
            let text = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), short);
            let against = target
                .against
                .map(|(name, value)| format!("{}, {name}", short(value)));
            vec![
                target.what,
                text(target.ours),
                against.unwrap_or_else(|| "–".to_owned()),
                text(ratio),
                target.bound.text(),
                verdict.to_owned(),
            ]
        })
        .collect();
    let heads = ["figure", "farewell", "against", "ratio", "target", ""];
    format!(
        "### Targets\n\n{}\nThe p99 is held against the peers that reach {ENOUGH} of the best one's requests/s.\n",
        table(&heads, &rows)
    )
}

fn of_scenario(outcome: &Outcome) -> Vec<Target> {
    let name = outcome.scenario.name;
    let ours = outcome.rows.iter().find(|row| row.peer.is_ours());
    let of_ours = |figure: fn(&Row) -> Option<f64>| ours.and_then(figure);
    let requests = || Target {
        what: format!("{name}: requests/s"),
        ours: of_ours(Row::requests),
        against: greatest(outcome, Row::requests),
        bound: Bound::AtLeast(1.0),
    };
    match name {
        "plain-2" => vec![requests(), latency(outcome, ours)],
        "plain-64" | "plain-512" => {
            vec![requests(), latency(outcome, ours), processor(outcome, ours)]
        }
        "close-64" => vec![requests()],
        "block" => vec![Target {
            what: format!("{name}: requests/s"),
            ours: of_ours(Row::requests),
            against: Some(("the ideal".to_owned(), BLOCK_IDEAL)),
            bound: Bound::AtLeast(0.95),
        }],
        "idle" => vec![
            Target {
                what: format!("{name}: requests/s"),
                ours: of_ours(Row::requests),
                against: of_ours(|row| row.idle(|idle| idle.without))
                    .map(|without| ("without the idle ones".to_owned(), without)),
                bound: Bound::AtLeast(0.95),
            },
            Target {
                what: format!("{name}: memory for each, KiB"),
                ours: of_ours(memory_of_idle),
                against: least(outcome, Some(&[Kind::Rust, Kind::Go]), memory_of_idle),
                bound: Bound::Below(1.0),
            },
        ],
        _ => Vec::new(),
    }
}

fn latency(outcome: &Outcome, ours: Option<&Row>) -> Target {
    let p99 = |row: &Row| row.median(|sample| Some(sample.p99? / 1e3));
    // Short queues are no merit of a server that answers a tenth of the requests.
    let enough = outcome.best_peer().map(|best| best * ENOUGH);
    let of_the_fast = |row: &Row| p99(row).filter(|_| row.requests() >= enough);
    Target {
        what: format!("{}: p99, ms", outcome.scenario.name),
        ours: ours.and_then(p99),
        against: least(outcome, None, of_the_fast),
        bound: Bound::AtMost(1.0),
    }
}

fn processor(outcome: &Outcome, ours: Option<&Row>) -> Target {
    let each = |row: &Row| row.median(|sample| sample.processor_per_request);
    Target {
        what: format!("{}: CPU µs/request", outcome.scenario.name),
        ours: ours.and_then(each),
        against: least(outcome, Some(&[Kind::Nginx]), each),
        bound: Bound::AtMost(1.0),
    }
}

/// Of a server that let the idle ones in; none where it closed them at once.
fn memory_of_idle(row: &Row) -> Option<f64> {
    let opened = row.idle(|idle| idle.opened as f64)?;
    (opened > 0.0)
        .then(|| row.idle(|idle| idle.memory))
        .flatten()
}

fn greatest(outcome: &Outcome, figure: impl Fn(&Row) -> Option<f64>) -> Option<(String, f64)> {
    figures(outcome, None, figure).max_by(|one, other| one.1.total_cmp(&other.1))
}

fn least(
    outcome: &Outcome,
    kinds: Option<&'static [Kind]>,
    figure: impl Fn(&Row) -> Option<f64>,
) -> Option<(String, f64)> {
    figures(outcome, kinds, figure).min_by(|one, other| one.1.total_cmp(&other.1))
}

/// Those of the peers, or of the peers of some kinds.
fn figures(
    outcome: &Outcome,
    kinds: Option<&'static [Kind]>,
    figure: impl Fn(&Row) -> Option<f64>,
) -> impl Iterator<Item = (String, f64)> {
    let peers = outcome.rows.iter().filter(move |row| {
        row.peer.competes() && kinds.is_none_or(|kinds| kinds.contains(&row.peer.kind))
    });
    peers.filter_map(move |row| Some((row.peer.name.to_owned(), figure(row)?)))
}
