//! The outcome as JSON, for other programs.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::args::Options;
use super::outcome::Outcome;
use super::outcome::Record;
use super::outcome::Total;
use super::table;
use super::tally::Class;
use super::tally::Statuses;
use super::tally::Tally;

/// One object. Times are in milliseconds.
pub(super) fn to_json(options: &Options, outcome: &Outcome) -> Value {
    let totals = outcome.totals();
    let totals = totals
        .iter()
        .map(|of| (of.mode.name().to_owned(), total(of)));
    let sum = outcome.sum();
    json!({
        "url": options.url.to_string(),
        "seed": options.seed,
        "clients": options.clients,
        "stop": options.stop.name(),
        "expect": options.expect.to_string(),
        "rounds": outcome.rounds.iter().map(round).collect::<Vec<_>>(),
        "totals": totals.collect::<Map<_, _>>(),
        "examples": table::examples(options, outcome),
        "lost": sum[Class::Lost],
        "truncated": sum[Class::Truncated],
        "unexpected": sum.unexpected(),
        "error": outcome.failure.as_ref().map(ToString::to_string),
        "exit": outcome.exit_code(),
    })
}

fn round(record: &Record) -> Value {
    let mut round = classes(&record.sums.tally);
    round.insert("mode".to_owned(), json!(record.mode.name()));
    round.insert("round".to_owned(), json!(record.number));
    round.insert("statuses".to_owned(), statuses(&record.sums.statuses));
    let exit_code = record.exit.and_then(|exit| exit.code);
    let exit_signal = record.exit.and_then(|exit| exit.signal);
    let exit_ms = record.exit_after.map(table::millis);
    round.insert("stopped".to_owned(), json!(record.exit.is_some()));
    round.insert("exit_code".to_owned(), json!(exit_code));
    round.insert("exit_signal".to_owned(), json!(exit_signal));
    round.insert("exit_ms".to_owned(), json!(exit_ms));
    Value::Object(round)
}

fn total(total: &Total) -> Value {
    let mut sums = classes(&total.tally);
    let exits = total
        .exits
        .iter()
        .map(|(exit, count)| (exit.clone(), json!(count)));
    sums.insert("statuses".to_owned(), statuses(&total.statuses));
    sums.insert("did_not_stop".to_owned(), json!(total.unstopped));
    sums.insert("rounds".to_owned(), json!(total.rounds));
    sums.insert("lost_per_stop".to_owned(), json!(total.lost_per_stop()));
    sums.insert("exit_codes".to_owned(), Value::Object(exits.collect()));
    sums.insert(
        "exit_ms_median".to_owned(),
        json!(total.exit_median.map(table::millis)),
    );
    sums.insert(
        "exit_ms_max".to_owned(),
        json!(total.exit_max.map(table::millis)),
    );
    Value::Object(sums)
}

/// How often each, by its number.
fn statuses(statuses: &Statuses) -> Value {
    let statuses = statuses
        .iter()
        .map(|(status, count)| (status.to_string(), json!(count)));
    Value::Object(statuses.collect())
}

fn classes(tally: &Tally) -> Map<String, Value> {
    let classes = Class::ALL.iter();
    classes
        .map(|&class| (class.name().to_owned(), json!(tally[class])))
        .collect()
}
