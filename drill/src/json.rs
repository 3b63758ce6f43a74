//! The result as JSON, for other programs.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::args::DrillOptions;
use super::outcome::Class;
use super::outcome::ClassCounts;
use super::outcome::Statuses;
use super::result::DrillResult;
use super::result::ModeTotal;
use super::result::RoundRecord;
use super::table;

/// One object. Times are in milliseconds.
pub(super) fn to_json(options: &DrillOptions, result: &DrillResult) -> Value {
    let totals = result.totals();
    let totals = totals
        .iter()
        .map(|of| (of.mode.name().to_owned(), total(of)));
    let sum = result.sum();
    json!({
        "url": options.url.to_string(),
        "seed": options.seed,
        "clients": options.clients,
        "stop": options.stop.name(),
        "expect": options.expect.to_string(),
        "rounds": result.rounds.iter().map(round).collect::<Vec<_>>(),
        "totals": totals.collect::<Map<_, _>>(),
        "examples": table::examples(options, result),
        "lost": sum[Class::Lost],
        "truncated": sum[Class::Truncated],
        "unexpected": sum.unexpected(),
        "error": result.error.as_ref().map(ToString::to_string),
        "exit": result.exit_code(),
    })
}

fn round(record: &RoundRecord) -> Value {
    let mut round = classes(&record.counts.by_class);
    round.insert("mode".to_owned(), json!(record.mode.name()));
    round.insert("round".to_owned(), json!(record.number));
    round.insert("statuses".to_owned(), statuses(&record.counts.statuses));
    let exit_code = record.exit.and_then(|exit| exit.code);
    let exit_signal = record.exit.and_then(|exit| exit.signal);
    let exit_ms = record.exit_after.map(table::millis);
    round.insert("stopped".to_owned(), json!(record.exit.is_some()));
    round.insert("exit_code".to_owned(), json!(exit_code));
    round.insert("exit_signal".to_owned(), json!(exit_signal));
    round.insert("exit_ms".to_owned(), json!(exit_ms));
    Value::Object(round)
}

fn total(total: &ModeTotal) -> Value {
    let mut counts = classes(&total.by_class);
    let exits = total
        .exits
        .iter()
        .map(|(exit, count)| (exit.clone(), json!(count)));
    counts.insert("statuses".to_owned(), statuses(&total.statuses));
    counts.insert("did_not_stop".to_owned(), json!(total.did_not_stop));
    counts.insert("rounds".to_owned(), json!(total.rounds));
    counts.insert("lost_per_stop".to_owned(), json!(total.lost_per_stop()));
    counts.insert("exit_codes".to_owned(), Value::Object(exits.collect()));
    counts.insert(
        "exit_ms_median".to_owned(),
        json!(total.exit_median.map(table::millis)),
    );
    counts.insert(
        "exit_ms_max".to_owned(),
        json!(total.exit_max.map(table::millis)),
    );
    Value::Object(counts)
}

/// Counts by status.
fn statuses(statuses: &Statuses) -> Value {
    let statuses = statuses
        .iter()
        .map(|(status, count)| (status.to_string(), json!(count)));
    Value::Object(statuses.collect())
}

fn classes(by_class: &ClassCounts) -> Map<String, Value> {
    let classes = Class::ALL.iter();
    classes
        .map(|&class| (class.name().to_owned(), json!(by_class[class])))
        .collect()
}
