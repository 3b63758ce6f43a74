//! Prometheus itself reads the numbers, and its tools check `contrib/prometheus`. Each
//! test is skipped where they are not installed (Debian's package `prometheus`).

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use farewell::Request;
use farewell::Router;
use farewell::Server;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::Client;
use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;

/// How often to ask Prometheus for a value that it does not have yet.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// The files for users.
fn contrib() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/prometheus")
}

/// Runs `promtool` with this input. It has to find nothing wrong. Returns `false` if it is
/// not installed.
#[track_caller]
fn promtool(arguments: &[&str], input: &str) -> bool {
    let started = Command::new("promtool")
        .args(arguments)
        .current_dir(contrib())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut process) = started else {
        println!("skipped: promtool is not installed (apt-get install prometheus)");
        return false;
    };
    let mut stdin = process.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = process.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    assert_eq!(errors, "", "{arguments:?}");
    true
}

/// A server with routes, one of which has the numbers.
fn with_metrics() -> TestServer {
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let routes = Router::new()
        .get("/metrics", server.metrics().handler())
        .get("/users/{id}", |_: Request| "user")
        .get("/panic", |_: Request| -> &'static str {
            panic!("for the test")
        })
        .build()
        .unwrap();
    TestServer::spawn(server, routes)
}

#[test]
fn promtool_finds_nothing_wrong_with_the_numbers() {
    let server = with_metrics();
    let mut client = server.connect();
    client.get("/users/1");
    client.get("/nowhere");
    let before = client.get("/metrics").body;
    if !promtool(&["check", "metrics"], &before) {
        return;
    }
    server.stop.shutdown();
    let in_a_stop = server.stop.metrics().encode();
    assert!(in_a_stop.contains("farewell_stop_seconds_left "));
    promtool(&["check", "metrics"], &in_a_stop);
}

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

/// Prometheus with the configuration for users, which scrapes this server ten times a
/// second. The drop ends it.
struct Prometheus {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    /// `None` if it is not installed, which is said.
    fn start(target: SocketAddr) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut configuration = fs::read_to_string(contrib().join("prometheus.yml")).unwrap();
        for (of_users, of_test) in [
            ("127.0.0.1:8081", target.to_string()),
            ("scrape_interval: 15s", "scrape_interval: 100ms".to_owned()),
            (
                "evaluation_interval: 15s",
                "evaluation_interval: 100ms".to_owned(),
            ),
        ] {
            assert!(configuration.contains(of_users), "{of_users}");
            configuration = configuration.replace(of_users, &of_test);
        }
        fs::write(folder.path().join("prometheus.yml"), configuration).unwrap();
        let rules = "farewell.rules.yml";
        fs::copy(contrib().join(rules), folder.path().join(rules)).unwrap();
        let started = Command::new("prometheus")
            .args([
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                "--web.listen-address=127.0.0.1:0",
            ])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut process) = started else {
            println!("skipped: prometheus is not installed (apt-get install prometheus)");
            return None;
        };
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, address) = line.split_once("msg=\"Listening on\" address=")?;
            Some(address.to_owned())
        });
        // Its further lines are read, so that it never waits for this test.
        thread::spawn(move || lines.for_each(drop));
        let address = address.expect("Prometheus says where it listens");
        Some(Self {
            process,
            address: address.parse().unwrap(),
            _folder: folder,
        })
    }

    fn api(&self, path: &str) -> Value {
        let response = Client::connect(self.address).get(&format!("/api/v1/{path}"));
        // It answers 503 until it is ready.
        match response.status {
            200 => serde_json::from_str::<Value>(&response.body).unwrap()["data"].take(),
            _ => Value::Null,
        }
    }

    /// Runs a query of PromQL.
    fn query(&self, query: &str) -> Value {
        let encoded = query.bytes().map(|byte| format!("%{byte:02x}"));
        self.api(&format!("query?query={}", encoded.collect::<String>()))
    }

    /// The value of a query that gives one series, once it gives one that `is_wanted`.
    fn wait_for(&self, query: &str, is_wanted: impl Fn(f64) -> bool) -> f64 {
        let end = Instant::now() + TOO_LONG;
        loop {
            let data = self.query(query);
            let value = data["result"][0]["value"][1].as_str();
            let value = value.map(|text| text.parse::<f64>().unwrap());
            if let Some(value) = value.filter(|&value| is_wanted(value)) {
                return value;
            }
            assert!(Instant::now() < end, "{query}: {data}");
            thread::sleep(ASK_EVERY);
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn prometheus_scrapes_every_family_with_its_type() {
    let server = with_metrics();
    let Some(prometheus) = Prometheus::start(server.address()) else {
        return;
    };
    let mut client = server.connect();
    client.get("/users/1");
    client.get("/users/2");
    assert_eq!(server.connect().get("/panic").status, 500);
    prometheus.wait_for("up", |up| up == 1.0);
    let route = "farewell_requests_total{route=\"/users/{id}\",status=\"2xx\"}";
    prometheus.wait_for(route, |count| count == 2.0);
    prometheus.wait_for("farewell_handler_panics_total", |count| count == 1.0);
    prometheus.wait_for("farewell_queue_duration_seconds_count", |count| {
        count >= 4.0
    });
    prometheus.wait_for("farewell_workers{state=\"idle\"}", |count| count == 3.0);

    let target = &prometheus.api("targets")["activeTargets"][0];
    assert_eq!(target["health"], "up", "{target}");
    assert_eq!(target["lastError"], "", "{target}");
    let metadata = prometheus.api("metadata");
    let text = server.stop.metrics().encode();
    let mut families = 0;
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        let (name, kind) = line["# TYPE ".len()..].split_once(' ').unwrap();
        assert_eq!(metadata[name][0]["type"], kind, "{name}");
        families += 1;
    }
    assert!(families > 20, "{families}");

    let page = include_str!("../../docs/observing.md");
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
