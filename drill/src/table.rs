//! The result as text, for people.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use super::args::DrillOptions;
use super::outcome::Class;
use super::outcome::RoundCounts;
use super::outcome::Statuses;
use super::result::DrillResult;
use super::result::ModeTotal;

/// Larger counts are printed in millions, so that six modes fit into 80
/// columns.
const COUNT_MAX: u64 = 9_999_999;

/// The table, the first lost and truncated requests, and the verdict.
pub(super) fn text(options: &DrillOptions, result: &DrillResult) -> String {
    let mut text = format!(
        "{} on {}, stopped by {}, seed {}\n",
        counted(options.clients as u64, "client"),
        options.url,
        options.stop.name(),
        options.seed
    );
    if result.rounds.is_empty() {
        return text;
    }
    text += "\n";
    text += &table(&result.totals());
    text += "\n";
    for example in examples(options, result) {
        text += &format!("  {example}\n");
    }
    if result.error.is_none() {
        text += &verdict(options, result);
    }
    text
}

/// The first lost and truncated requests, one line each.
pub(super) fn examples(options: &DrillOptions, result: &DrillResult) -> Vec<String> {
    let all = result.rounds.iter().flat_map(|record| {
        record.counts.examples.iter().map(move |example| {
            format!(
                "{} in round {} of {}, {:+.1} ms from the stop: {}",
                example.class.name(),
                record.number,
                record.mode.name(),
                example.millis,
                example.loss.explain(options.patience)
            )
        })
    });
    all.take(RoundCounts::EXAMPLES_MAX).collect()
}

/// Milliseconds with one decimal.
pub(super) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}

fn verdict(options: &DrillOptions, result: &DrillResult) -> String {
    let sum = result.sum();
    let stops = counted(result.rounds.len() as u64, "stop");
    let mut verdict = match (sum[Class::Lost], sum[Class::Truncated]) {
        (0, 0) => format!("Nothing was lost in {stops}"),
        (lost, truncated) => format!(
            "In {stops}, {} {} lost and {} truncated",
            counted(lost, "request"),
            if lost == 1 { "was" } else { "were" },
            counted(truncated, "response")
        ),
    };
    if sum.unexpected() > 0 {
        let but = if sum.lost_or_truncated() == 0 {
            ", but"
        } else {
            ";"
        };
        verdict += &format!(
            "{but} {} had a status other than {}: {}",
            counted(sum.unexpected(), "response"),
            options.expect,
            unexpected(result)
        );
    }
    verdict += ".\n";
    for total in result.totals() {
        if total.by_class.answered() == 0
            && let Some(status) = most_frequent(&total.statuses)
        {
            verdict += &format!(
                "{}: no response to {} {} had status {}: correct --url, or add --expect {status}\n",
                total.mode.name(),
                total.mode.method(),
                options.url.path(),
                options.expect
            );
        }
    }
    verdict
}

/// As in `12 of 404, 3 of 503`.
fn unexpected(result: &DrillResult) -> String {
    let mut counts = Statuses::new();
    for record in &result.rounds {
        for (&status, count) in &record.counts.unexpected {
            *counts.entry(status).or_default() += count;
        }
    }
    let parts = counts
        .iter()
        .map(|(status, count)| format!("{count} of {status}"));
    parts.collect::<Vec<_>>().join(", ")
}

fn most_frequent(statuses: &Statuses) -> Option<u16> {
    let most = statuses.iter().max_by_key(|(_, count)| **count);
    most.map(|(&status, _)| status)
}

/// The table, with one column for each mode.
fn table(totals: &[ModeTotal]) -> String {
    let mut rows = vec![row("", totals, |total| total.mode.name().to_owned())];
    rows.push(row("rounds", totals, |total| total.rounds.to_string()));
    for class in Class::ALL {
        let label = class.name().replace('_', " ");
        rows.push(row(&label, totals, |total| count(total.by_class[class])));
    }
    rows.push(row("lost per stop", totals, |total| {
        decimal(total.lost_per_stop())
    }));
    for status in each(totals, |total| total.statuses.keys().copied().collect()) {
        rows.push(row(&format!("status {status}"), totals, |total| {
            count(total.statuses.get(&status).copied().unwrap_or_default())
        }));
    }
    for exit in each(totals, |total| {
        total.exits.iter().map(|(exit, _)| exit.clone()).collect()
    }) {
        rows.push(row(&format!("exit {exit}"), totals, |total| {
            let same = total.exits.iter().find(|(known, _)| *known == exit);
            same.map_or(0, |(_, count)| *count).to_string()
        }));
    }
    if totals.iter().any(|total| total.did_not_stop > 0) {
        rows.push(row("did not stop", totals, |total| {
            total.did_not_stop.to_string()
        }));
    }
    rows.push(row("exit ms median", totals, |total| {
        time(total.exit_median)
    }));
    rows.push(row("exit ms max", totals, |total| time(total.exit_max)));
    aligned(&rows)
}

fn row(label: &str, totals: &[ModeTotal], cell: impl Fn(&ModeTotal) -> String) -> Vec<String> {
    let mut row = vec![label.to_owned()];
    row.extend(totals.iter().map(cell));
    row
}

/// The values that the modes have, each once and in order.
fn each<T: Ord>(totals: &[ModeTotal], of: impl Fn(&ModeTotal) -> Vec<T>) -> BTreeSet<T> {
    totals.iter().flat_map(of).collect()
}

fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].len());
        cells.max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = format!("{:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            let written = write!(line, "  {cell:>width$}");
            written.expect("writing to a String does not fail");
        }
        text += &line;
        text += "\n";
    }
    text
}

fn count(count: u64) -> String {
    match count {
        0..=COUNT_MAX => count.to_string(),
        _ => format!("{:.1}M", count as f64 / 1e6),
    }
}

fn time(time: Option<Duration>) -> String {
    time.map_or("-".to_owned(), |time| decimal(millis(time)))
}

/// One decimal for numbers below 10 000.
fn decimal(number: f64) -> String {
    match number < 10_000.0 {
        true => format!("{number:.1}"),
        false => format!("{number:.0}"),
    }
}

/// As in `1 stop` and `2 stops`.
pub(super) fn counted(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use crate::client::Mode;
    use crate::outcome::ClassCounts;

    use super::*;

    #[test]
    fn six_modes_with_large_counts_fit_into_80_columns() {
        for large in [0, 9_999_999, 10_000_000, 9_999_949_999] {
            let mut by_class = ClassCounts::default();
            Class::ALL.iter().for_each(|&class| by_class[class] = large);
            let total = |&mode: &Mode| ModeTotal {
                mode,
                rounds: 10_000,
                by_class,
                statuses: Statuses::from([(200, large), (503, large)]),
                exits: vec![("0".to_owned(), 9_999), ("signal 15".to_owned(), 1)],
                did_not_stop: 1,
                exit_median: Some(Duration::from_secs(599)),
                exit_max: None,
            };
            let totals: Vec<ModeTotal> = Mode::value_variants().iter().map(total).collect();
            let table = table(&totals);
            for line in table.lines() {
                assert!(line.len() <= 80, "{table}");
            }
            for label in ["status 503 ", "exit signal 15 ", "did not stop "] {
                assert!(table.contains(label), "{table}");
            }
        }
    }
}
