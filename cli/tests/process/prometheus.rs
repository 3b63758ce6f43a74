//! Prometheus scrapes the program, and its tools check `contrib/prometheus`. Skipped where
//! they are not installed.

use crate::admin::admin_of;
use crate::client::Client;
use crate::program::Program;
use crate::prometheus_tools::Prometheus;
use crate::prometheus_tools::promtool;

#[test]
fn the_configuration_for_prometheus_is_valid_and_its_alerts_fire_as_they_should() {
    for arguments in [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "farewell.rules.yml"],
        ["test", "rules", "farewell.rules.test.yml"],
    ] {
        if !promtool(&arguments, "") {
            return;
        }
    }
}

#[test]
fn prometheus_scrapes_every_family_with_its_type() {
    let program = Program::start(&["--admin", "127.0.0.1:0"]);
    let admin = admin_of(&program);
    let Some(prometheus) = Prometheus::start(admin) else {
        return;
    };
    let mut client = program.connect();
    client.get("/a");
    client.get("/b");
    prometheus.wait_for("up", |up| up == 1.0);
    let answered = "farewell_requests_ended_total{outcome=\"answered\"}";
    prometheus.wait_for(answered, |count| count == 2.0);
    prometheus.wait_for("farewell_queue_duration_seconds_count", |count| {
        count == 2.0
    });
    let workers = "sum(farewell_workers)";
    prometheus.wait_for(workers, |count| count >= 16.0);

    let target = &prometheus.api("targets")["activeTargets"][0];
    assert_eq!(target["health"], "up", "{target}");
    assert_eq!(target["lastError"], "", "{target}");
    let metadata = prometheus.api("metadata");
    let text = Client::connect(admin).get("/metrics").body;
    let mut families = 0;
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        let (name, kind) = line["# TYPE ".len()..].split_once(' ').unwrap();
        assert_eq!(metadata[name][0]["type"], kind, "{name}");
        families += 1;
    }
    assert!(families > 20, "{families}");

    let page = include_str!("../../../docs/observing.md");
    let (_, questions) = page.split_once("| | PromQL |").unwrap();
    let rows = questions.lines().skip(2);
    let mut asked = 0;
    for row in rows.take_while(|row| row.starts_with('|')) {
        let query = row.split('`').nth(1).unwrap();
        assert!(prometheus.query(query)["result"].is_array(), "{query}");
        asked += 1;
    }
    assert!(asked > 5, "{asked}");

    // The alerts have names of metrics that are there.
    let rules = prometheus.api("rules");
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    assert!(!rules.is_empty());
    for rule in rules {
        assert_eq!(rule["lastError"].as_str().unwrap_or(""), "", "{rule}");
        let query = rule["query"].as_str().unwrap();
        let words =
            query.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        for name in words.filter(|word| word.starts_with("farewell_")) {
            let family = name.trim_end_matches("_bucket");
            assert!(metadata[family][0]["type"].is_string(), "{name} in {query}");
        }
    }
}
