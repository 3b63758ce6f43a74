//! Prometheus and its tools (Debian's package `prometheus`), which read the numbers as users'
//! Prometheus does.

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

use serde_json::Value;
use tempfile::TempDir;

use super::client::Client;

/// How often to ask Prometheus for a value that it does not have yet.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// Turns a hang into a failure. No test that passes waits so long.
const TOO_LONG: Duration = Duration::from_secs(60);

/// The files for users.
fn contrib() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let contrib = |root: &Path| root.join("contrib/prometheus");
    // The package of the program is a folder of the repository.
    match contrib(package) {
        found if found.exists() => found,
        _ => contrib(package.parent().unwrap()),
    }
}

/// Runs `promtool` with this input. It has to find nothing wrong. Returns `false` if it is
/// not installed.
#[track_caller]
pub(crate) fn promtool(arguments: &[&str], input: &str) -> bool {
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

/// Prometheus with the configuration for users, which scrapes this server ten times a
/// second. The drop ends it.
pub(crate) struct Prometheus {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    /// `None` if it is not installed, which is said.
    pub(crate) fn start(target: SocketAddr) -> Option<Self> {
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

    pub(crate) fn api(&self, path: &str) -> Value {
        let response = Client::connect(self.address).get(&format!("/api/v1/{path}"));
        // It answers 503 until it is ready.
        match response.status {
            200 => serde_json::from_str::<Value>(&response.body).unwrap()["data"].take(),
            _ => Value::Null,
        }
    }

    /// Runs a query of PromQL.
    pub(crate) fn query(&self, query: &str) -> Value {
        let encoded = query.bytes().map(|byte| format!("%{byte:02x}"));
        self.api(&format!("query?query={}", encoded.collect::<String>()))
    }

    /// The value of a query that gives one series, once it gives one that `is_wanted`.
    pub(crate) fn wait_for(&self, query: &str, is_wanted: impl Fn(f64) -> bool) -> f64 {
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
