//! The outcome as text, for people.

use std::fmt::Write;
use std::time::Duration;

use super::args::Options;
use super::outcome::Outcome;
use super::outcome::Total;
use super::tally::Class;
use super::tally::Sums;

/// The table, the verdict, and the first examples of what was lost.
pub(super) fn text(options: &Options, outcome: &Outcome) -> String {
    let mut text = format!(
        "{} on {}, stopped by {}, seed {}\n",
        counted(options.clients as u64, "client"),
        options.url,
        options.stop.name(),
        options.seed
    );
    if outcome.rounds.is_empty() {
        return text;
    }
    text += "\n";
    text += &table(&outcome.totals());
    text += "\n";
    for example in examples(options, outcome) {
        text += &format!("  {example}\n");
    }
    if outcome.failure.is_none() {
        text += &verdict(outcome);
    }
    text
}

/// The first examples of what was lost, one line each.
pub(super) fn examples(options: &Options, outcome: &Outcome) -> Vec<String> {
    let all = outcome.rounds.iter().flat_map(|record| {
        record.sums.examples.iter().map(move |example| {
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
    all.take(Sums::EXAMPLES_MAX).collect()
}

/// Milliseconds, to a tenth.
pub(super) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}

fn verdict(outcome: &Outcome) -> String {
    let sum = outcome.sum();
    let stops = counted(outcome.rounds.len() as u64, "stop");
    match (sum[Class::Lost], sum[Class::Truncated]) {
        (0, 0) => format!("Nothing was lost in {stops}.\n"),
        (lost, truncated) => format!(
            "In {stops}, {} {} lost and {} truncated.\n",
            counted(lost, "request"),
            if lost == 1 { "was" } else { "were" },
            counted(truncated, "answer")
        ),
    }
}

fn table(totals: &[Total]) -> String {
    let mut rows = headings();
    rows.extend(totals.iter().map(row));
    let width = |column: usize| {
        let cells = rows.iter().map(|row: &Vec<String>| row[column].len());
        cells.max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = format!("{:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            let written = write!(line, "  {cell:>width$}");
            written.expect("a string takes what is written");
        }
        text += &line;
        text += "\n";
    }
    text
}

/// Two lines, for what has a heading in common.
fn headings() -> Vec<Vec<String>> {
    let headings = [
        ("", "mode"),
        ("", "rounds"),
        ("answered", "before"),
        ("answered", "after"),
        ("", "refused"),
        ("", "unprocessed"),
        ("", "5xx"),
        ("", "lost"),
        ("", "truncated"),
        ("lost", "per stop"),
        ("exit", "code"),
        ("exit ms", "median"),
        ("exit ms", "longest"),
    ];
    let line = |of: fn(&(&str, &str)) -> String| headings.iter().map(of).collect();
    vec![
        line(|heading| heading.0.to_owned()),
        line(|heading| heading.1.to_owned()),
    ]
}

fn row(total: &Total) -> Vec<String> {
    let mut row = vec![total.mode.name().to_owned(), total.rounds.to_string()];
    row.extend(Class::ALL.map(|class| total.tally[class].to_string()));
    let exits = total
        .exits
        .iter()
        .map(|(exit, count)| match total.exits.len() {
            1 => exit.clone(),
            _ => format!("{exit} x{count}"),
        });
    row.push(format!("{:.1}", total.lost_per_stop()));
    row.push(exits.collect::<Vec<_>>().join(", "));
    row.push(format!("{:.1}", millis(total.exit_median)));
    row.push(format!("{:.1}", millis(total.exit_max)));
    row
}

/// `1 stop`, `2 stops`.
fn counted(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}
