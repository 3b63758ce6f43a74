//! The example of a service with a thread of its own.

use std::fs;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::thread;

use rustix::process::Signal;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::client::Client;
use crate::client::Response;
use crate::form;
use crate::layers::decompressed;
use crate::path;
use crate::running::Running;

/// How many files the queue of the example holds.
const QUEUE: usize = 8;

fn submit(client: &mut Client, content: &str) -> Response {
    client.send(form("/jobs", &[("a.txt", content)]));
    client.response()
}

fn state(client: &mut Client, id: usize) -> Value {
    let response = client.get(&format!("/jobs/{id}"));
    assert_eq!(response.status, 200, "{response:?}");
    serde_json::from_str(&response.body).unwrap()
}

fn wait_for_state(client: &mut Client, id: usize, expected: &str) {
    loop {
        let state = state(client, id);
        if state == json!({ "state": expected }) {
            return;
        }
        assert!(state != json!({"state": "failed"}), "job {id}");
        thread::yield_now();
    }
}

fn result(folder: &TempDir, id: usize) -> String {
    decompressed(&fs::read(folder.path().join(format!("{id}.gz"))).unwrap())
}

fn expect_error(response: &Response, status: u16, message: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert!(response.has("content-type: application/json"));
    let body: Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(body, json!({ "error": message }));
}

#[test]
fn jobs_compresses_what_is_uploaded_and_shows_its_numbers() {
    let folder = TempDir::new().unwrap();
    let example = Running::start("jobs", &[path(folder.path())]);
    let mut client = example.connect();
    let content = "milk and bread\n".repeat(100_000);
    for (id, content) in [(0, &*content), (1, "x")] {
        let accepted = submit(&mut client, content);
        assert_eq!(accepted.status, 202, "{accepted:?}");
        assert!(accepted.has(&format!("location: /jobs/{id}")));
        wait_for_state(&mut client, id, "done");
        assert!(result(&folder, id) == content, "job {id} has other bytes");
    }

    expect_error(&client.get("/jobs/2"), 404, "not found");
    assert_eq!(client.get("/jobs/x").status, 400);
    client.send(form("/jobs", &[]).replace("multipart/form-data", "multipart/mixed"));
    let unsupported = client.response();
    let message = "expected Content-Type: multipart/form-data, with a boundary";
    expect_error(&unsupported, 415, message);
    for files in [&[][..], &[("a.txt", "")]] {
        client.send(form("/jobs", files));
        expect_error(
            &client.response(),
            422,
            "the form has no file, or an empty one",
        );
    }
    let mut large = example.connect();
    large.send("POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741825\r\n\r\n");
    expect_error(&large.response(), 413, "request body is too large");

    let metrics = client.get("/metrics").body;
    for route in ["/jobs", "/jobs/{id}"] {
        assert!(metrics.contains(&format!("route=\"{route}\"")), "{metrics}");
    }
    assert_eq!(client.get("/healthz").body, "ok\n");
    assert_eq!(client.get("/readyz").body, "ready\n");
    let followed = client.get("/shutdown?wait");
    assert!(followed.body.contains("stopped in "), "{followed:?}");
    drop((client, large));
    let (code, stdout) = example.end();
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.contains(" by a request from 127.0.0.1:"), "{stdout}");
}

/// Makes a pipe of the file that the result of a job is written to: so the job waits
/// until the test reads it.
fn hold(file: &Path) {
    assert!(Command::new("mkfifo").arg(file).status().unwrap().success());
}

#[test]
fn jobs_refuses_what_its_queue_cannot_hold_and_finishes_the_rest_before_it_ends() {
    let folder = TempDir::new().unwrap();
    let held = folder.path().join("0.gz");
    hold(&held);
    let mut example = Running::start("jobs", &[path(folder.path())]);
    let mut client = example.connect();
    assert_eq!(submit(&mut client, "the first").status, 202);
    wait_for_state(&mut client, 0, "running");
    for id in 1..=QUEUE {
        assert_eq!(submit(&mut client, &id.to_string()).status, 202);
        assert_eq!(state(&mut client, id), json!({"state": "queued"}));
    }
    let refused = submit(&mut client, "one too many");
    expect_error(&refused, 503, "the queue is full");
    assert!(refused.has("retry-after: 10"), "{refused:?}");

    // During the stop it is alive, but not ready.
    let mut probes = ["/healthz", "/readyz"].map(|path| {
        let mut probe = example.connect();
        probe.send(format!("GET {path} HTTP/1.1\r\n"));
        probe
    });
    assert_eq!(client.get("/healthz").status, 200);
    example.signal(Signal::TERM);
    example.wait_refusing();
    let statuses = probes.each_mut().map(|probe| {
        probe.send("Host: localhost\r\n\r\n");
        probe.response().status
    });
    assert_eq!(statuses, [200, 503]);
    drop((client, probes));

    assert!(example.runs(), "the first job is held");
    let mut first = Vec::new();
    File::open(&held).unwrap().read_to_end(&mut first).unwrap();
    assert_eq!(decompressed(&first), "the first");
    let (code, stdout) = example.end();
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.contains(" by a signal: "), "{stdout}");
    for id in 1..=QUEUE {
        assert_eq!(result(&folder, id), id.to_string());
    }
}

#[test]
fn jobs_says_which_job_has_failed_and_goes_on() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("0.gz")).unwrap();
    let example = Running::start("jobs", &[path(folder.path())]);
    let mut client = example.connect();
    assert_eq!(submit(&mut client, "lost").status, 202);
    assert_eq!(submit(&mut client, "kept").status, 202);
    wait_for_state(&mut client, 1, "done");
    assert_eq!(state(&mut client, 0), json!({"state": "failed"}));
    assert_eq!(result(&folder, 1), "kept");
    drop(client);
    example.stop();
}
