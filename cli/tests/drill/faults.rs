//! Every fault is found and counted in its class. A server without faults has
//! none.

use serde_json::Value;

use crate::program::DrillOutput;
use crate::program::SERVER;
use crate::program::drill;
use crate::program::drill_faulty;

const MODES: [&str; 6] = [
    "new",
    "keep-alive",
    "pipelined",
    "post",
    "slow-reader",
    "idle",
];

/// Runs a drill with JSON output. Its rounds must add up to its totals.
fn drill_to_json(fault: &str, options: &str) -> (DrillOutput, Value) {
    let output = drill_faulty(fault, &format!("--json {options}"));
    let json = output.json();
    assert_eq!(json["error"], Value::Null, "{json}");
    assert_eq!(json["exit"], output.code.unwrap(), "{json}");
    assert_adds_up(&json);
    (output, json)
}

fn assert_adds_up(json: &Value) {
    let rounds = json["rounds"].as_array().unwrap();
    let count = |value: &Value| value.as_u64().unwrap();
    for (mode, total) in json["totals"].as_object().unwrap() {
        let of_mode = || rounds.iter().filter(|round| round["mode"] == mode.as_str());
        assert_eq!(count(&total["rounds"]), of_mode().count() as u64);
        for class in [
            "answered_before",
            "answered_after",
            "refused",
            "unprocessed",
            "answered_other",
            "answered_5xx",
            "lost",
            "truncated",
        ] {
            let sum: u64 = of_mode().map(|round| count(&round[class])).sum();
            assert_eq!(count(&total[class]), sum, "{class}: {json}");
        }
        assert!(count(&total["answered_before"]) > 0, "{json}");
        assert!(total["exit_ms_max"].as_f64() >= total["exit_ms_median"].as_f64());
    }
    for class in ["lost", "truncated"] {
        let sum: u64 = rounds.iter().map(|round| count(&round[class])).sum();
        assert_eq!(count(&json[class]), sum, "{json}");
    }
}

#[test]
fn a_server_without_faults_loses_nothing() {
    let options = format!(
        "--json --rounds 2 --open-rate 100 --mode {}",
        MODES.join(",")
    );
    let output = drill(&options, &SERVER);
    let json = output.json();
    assert_eq!(output.code, Some(0), "{json}");
    assert_eq!(json["exit"], 0);
    assert_eq!((&json["lost"], &json["truncated"]), (&0.into(), &0.into()));
    assert_eq!(json["totals"].as_object().unwrap().len(), MODES.len());
    for round in json["rounds"].as_array().unwrap() {
        assert_eq!(round["exit_code"], 0, "{round}");
        assert!(round["refused"].as_u64().unwrap() > 0, "{round}");
    }
    assert_adds_up(&json);

    let output = drill("--stop url:/shutdown?wait --rounds 2", &SERVER);
    assert_eq!(output.code, Some(0), "{}", output.stdout);
    assert!(output.stdout.contains("Nothing was lost in 4 stops."));
}

#[test]
fn the_drill_and_the_server_have_the_same_counts() {
    for mode in MODES {
        let server = [&SERVER[..], &["--report", "json"]].concat();
        let output = drill(&format!("--json --show-output --mode {mode}"), &server);
        let round = &output.json()["rounds"][0];
        let report = output.stderr.lines().find(|line| line.starts_with('{'));
        let report: Value = serde_json::from_str(report.unwrap()).unwrap();
        let count = |class: &str| round[class].as_u64().unwrap();
        // The drill itself sends one more request, to find out whether the
        // server is ready.
        assert_eq!(
            report["requests"]["ended"]["answered"].as_u64().unwrap(),
            count("answered_before") + count("answered_after") + 1,
            "{round}"
        );
    }
}

#[test]
fn an_exit_at_once_loses_requests_in_flight() {
    for mode in MODES {
        let (output, json) = drill_to_json("exits-at-once", &format!("--mode {mode}"));
        // An idle client may have no request in flight at that moment.
        if mode != "idle" {
            assert_eq!(output.code, Some(1), "{json}");
            assert!(json["lost"].as_u64().unwrap() > 0, "{json}");
        }
        assert_eq!(json["rounds"][0]["exit_code"], 7, "{json}");
        assert_eq!(json["totals"][mode]["exit_codes"]["7"], 1, "{json}");
    }
}

#[test]
fn the_table_shows_what_was_lost() {
    let output = drill_faulty("exits-at-once", "--mode new --seed 7");
    assert_eq!(output.code, Some(1));
    let text = output.stdout;
    assert!(text.contains("16 clients on http://127.0.0.1:{port}/, stopped by TERM, seed 7"));
    let cell = |label: &str| {
        let row = text.lines().find_map(|line| line.strip_prefix(label));
        row.unwrap_or_else(|| panic!("{text}")).trim().to_owned()
    };
    assert_eq!(cell("rounds "), "1", "{text}");
    assert_eq!(cell("exit 7 "), "1", "{text}");
    assert_ne!(cell("lost "), "0", "{text}");
    assert_ne!(cell("status 200 "), "0", "{text}");
    assert!(text.contains("  lost in round 1 of new, +"), "{text}");
    assert!(
        text.contains(" were lost and 0 responses truncated."),
        "{text}"
    );
}

#[test]
fn connections_left_in_the_backlog_are_lost() {
    let (output, json) = drill_to_json("leaves-backlog", "--mode new");
    assert_eq!(output.code, Some(1), "{json}");
    assert!(json["lost"].as_u64().unwrap() > 5, "{json}");
    assert_eq!(json["truncated"], 0, "{json}");
    let examples = json["examples"].to_string();
    assert!(
        examples.contains("reset after the request was sent"),
        "{json}"
    );
}

#[test]
fn a_request_without_a_response_is_lost() {
    for mode in ["keep-alive", "idle"] {
        let (_, json) = drill_to_json("closes-unanswered", &format!("--mode {mode}"));
        assert!(json["lost"].as_u64().unwrap() > 10, "{json}");
        let examples = json["examples"].to_string();
        assert!(examples.contains("closed before a response"), "{json}");
    }
}

#[test]
fn dropped_pipelined_requests_are_lost() {
    let (_, json) = drill_to_json("closes-unanswered", "--mode pipelined");
    assert!(json["lost"].as_u64().unwrap() > 10, "{json}");
    assert_eq!(json["rounds"][0]["unprocessed"], 0, "{json}");
}

#[test]
fn a_close_with_unread_input_is_a_loss_by_reset() {
    for mode in ["new", "post"] {
        let (_, json) = drill_to_json("resets", &format!("--mode {mode}"));
        assert!(json["lost"].as_u64().unwrap() > 10, "{json}");
        assert!(json["examples"].to_string().contains("reset"), "{json}");
    }
}

#[test]
fn a_body_without_its_end_is_truncated() {
    for fault in ["truncates-length", "truncates-chunks"] {
        let (output, json) = drill_to_json(fault, "--mode slow-reader,keep-alive");
        assert_eq!(output.code, Some(1), "{json}");
        assert!(json["truncated"].as_u64().unwrap() > 10, "{json}");
        let examples = json["examples"].to_string();
        assert!(
            examples.contains("closed in the middle of the response"),
            "{json}"
        );
    }
}

#[test]
fn a_503_is_a_response() {
    let (_, json) = drill_to_json("answers-503", "--mode pipelined");
    let round = &json["rounds"][0];
    assert!(round["answered_5xx"].as_u64().unwrap() > 10, "{json}");
    assert!(
        round["unprocessed"].as_u64() > round["answered_5xx"].as_u64(),
        "{json}"
    );
    assert_eq!(json["truncated"], 0, "{json}");
}

#[test]
fn a_request_to_stop_without_a_response_is_lost() {
    let (output, json) =
        drill_to_json("answers-503", "--stop url:/shutdown --mode new --clients 1");
    assert_eq!(output.code, Some(1), "{json}");
    assert_eq!(json["stop"], "url:/shutdown");
    assert!(json["lost"].as_u64().unwrap() > 0, "{json}");
}
