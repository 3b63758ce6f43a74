//! The status page: its numbers as JSON, its events, and the page in a browser.

use std::fs;
use std::net::SocketAddr;

use rustix::process::Signal;
use serde_json::Value;

use crate::admin::admin_of;
use crate::browser::Browser;
use crate::client::Client;
use crate::program::Program;
use crate::program::command;

/// The most clients that may follow.
const VIEWERS_MAX: usize = 32;

const EVENTS: &str = "GET /status/events HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The program with a listener for operators, and its address.
fn start(options: &[&str]) -> (Program, SocketAddr) {
    let program = Program::start_logging(&[&["--admin", "127.0.0.1:0"], options].concat());
    let admin = admin_of(&program);
    (program, admin)
}

/// A request whose handler waits until the test lets it go on.
struct Held(Client);

/// More than the server reads before it calls the handler.
const SENT: usize = 70_000;
const LENGTH: usize = 100_000;

impl Held {
    fn begin(program: &Program) -> Self {
        let mut client = program.connect();
        client.send(format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n"
        ));
        client.send("x".repeat(SENT));
        program.wait_logged("POST /echo");
        Self(client)
    }

    fn release(mut self) {
        self.0.send("x".repeat(LENGTH - SENT));
        assert_eq!(self.0.response().status, 200);
    }
}

fn json_of(client: &mut Client) -> Value {
    client.send("GET /status HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n");
    let response = client.response();
    assert_eq!(response.status, 200, "{response:?}");
    assert!(response.has("content-type: application/json"));
    serde_json::from_str(&response.body).unwrap()
}

/// The events of a stream, each with its name.
struct EventStream {
    client: Client,
    text: String,
}

impl EventStream {
    fn open(address: SocketAddr) -> Self {
        let mut client = Client::connect(address);
        client.send(EVENTS);
        let head = client.head();
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        assert!(head.contains("cache-control: no-store"), "{head}");
        let text = String::new();
        Self { client, text }
    }

    /// The next event; `None` at the end of the stream.
    fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let of = |name: &str| {
                    let mut lines = event.lines();
                    lines.find_map(|line| Some(line.strip_prefix(name)?.to_owned()))
                };
                let name = of("event: ").unwrap_or_default();
                let data = serde_json::from_str(&of("data: ").unwrap()).unwrap();
                self.text = rest.to_owned();
                return Some((name, data));
            }
            let chunk = self.client.chunk().unwrap();
            if chunk.is_empty() {
                return None;
            }
            self.text += str::from_utf8(&chunk).unwrap();
        }
    }

    /// Waits for a snapshot for which this holds, and returns it.
    fn wait_for(&mut self, condition: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (name, snapshot) = self.next().expect("a further snapshot");
            assert_eq!(name, "");
            if condition(&snapshot) {
                return snapshot;
            }
        }
    }

    /// Reads to the end, and returns the report.
    fn report(&mut self) -> Value {
        let mut last = None;
        while let Some(event) = self.next() {
            last = Some(event);
        }
        let (name, report) = last.unwrap();
        assert_eq!(name, "report");
        report
    }
}

#[test]
fn json_tells_what_the_program_does() {
    let (program, admin) = start(&["--workers", "2", "--max-connections", "50"]);
    let mut slow = program.connect();
    slow.request("/slow?delay=60s");
    program.wait_logged("GET /slow");
    let mut operator = Client::connect(admin);
    let status = json_of(&mut operator);
    assert_eq!(status["phase"], "running");
    assert_eq!(status["address"], program.address.to_string());
    assert_eq!(status["process"], program.pid().as_raw_nonzero().get());
    assert_eq!(status["connections"]["in_progress"], 1);
    assert_eq!(status["connections_max"], 50);
    let workers = &status["workers"];
    assert_eq!(
        (&workers["workers"], &workers["busy"]),
        (&2.into(), &1.into())
    );
    let call = &workers["calls"][0];
    assert_eq!(call["request"]["target"], "/slow?delay=60s");
    assert_eq!(call["request"]["peer"], slow.address().to_string());
    assert_eq!(call["code"], "the handler");
    assert_eq!(status["totals"]["requests"]["begun"], 1);
    // Without a client that follows, there are no two readings.
    assert!(status["rates"].is_null() && status["latency"].is_null());
    assert!(status["stop"].is_null());
    assert_eq!(status["shutdown"], "open");
}

#[test]
fn the_events_go_on_to_the_report() {
    let timeouts = ["--drain-timeout", "60s", "--body-timeout", "60s"];
    let (with_admin, admin) = start(&timeouts);
    let without_admin = Program::start_logging(&timeouts);
    let main = without_admin.address;
    for (program, address) in [(with_admin, admin), (without_admin, main)] {
        let mut events = EventStream::open(address);
        let (name, first) = events.next().unwrap();
        assert_eq!((name.as_str(), &first["phase"]), ("", &"running".into()));
        let mut client = program.connect();
        assert_eq!(client.get("/a").status, 200);
        let with_rates = events.wait_for(|it| it["latency"]["requests"].as_u64() > Some(0));
        assert!(with_rates["latency"]["p50"]["at_most_seconds"].is_number());
        assert!(with_rates["rates"]["requests_per_second"].as_f64() > Some(0.0));
        let held = Held::begin(&program);
        program.signal(Signal::TERM);
        let draining = events.wait_for(|it| it["phase"] == "draining");
        let left = draining["stop"]["seconds_left"].as_f64().unwrap();
        assert!(
            left > 0.0
                && left
                    <= draining["limits"]["drain_timeout_seconds"]
                        .as_f64()
                        .unwrap()
        );
        held.release();
        drop(client);
        let report = events.report();
        assert_eq!(report["all_answered"], true, "{report}");
        assert!(
            report["summary"]
                .as_str()
                .unwrap()
                .starts_with("stopped in ")
        );
        let answered = report["report"]["requests"]["ended"]["answered"]
            .as_u64()
            .unwrap();
        assert_eq!(answered, 2);
        drop(events);
        let ended = program.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.assert_balanced();
    }
}

#[test]
fn a_further_client_waits_for_one_to_leave() {
    let (program, admin) = start(&[]);
    let mut viewers: Vec<_> = (0..VIEWERS_MAX).map(|_| EventStream::open(admin)).collect();
    for viewer in &mut viewers {
        viewer.next().unwrap();
    }
    let mut further = Client::connect(admin);
    further.send(EVENTS);
    let refused = further.response();
    assert_eq!(refused.status, 503);
    assert!(refused.has("retry-after: 5"), "{refused:?}");
    assert!(refused.body.contains("at most 32"), "{refused:?}");
    assert_eq!(further.get("/healthz").status, 200);
    drop(viewers.pop());
    loop {
        let mut further = Client::connect(admin);
        further.send(EVENTS);
        if further.head().contains("text/event-stream") {
            break;
        }
    }
    program.signal(Signal::TERM);
    for viewer in &mut viewers {
        assert_eq!(viewer.report()["all_answered"], true);
    }
    drop(viewers);
    assert_eq!(program.end().code, Some(0));
}

#[test]
#[cfg(target_os = "linux")]
fn the_thread_for_the_events_lives_while_a_client_follows() {
    let (program, admin) = start(&[]);
    let tasks = format!("/proc/{}/task", program.pid().as_raw_nonzero());
    let ticks = || {
        let names = fs::read_dir(&tasks).unwrap();
        let names =
            names.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name == "farewell-status\n").count()
    };
    for _ in 0..2 {
        assert_eq!(ticks(), 0);
        let mut viewers = [EventStream::open(admin), EventStream::open(admin)];
        for viewer in &mut viewers {
            viewer.next().unwrap();
            viewer.next().unwrap();
        }
        assert_eq!(ticks(), 1);
        drop(viewers);
        while ticks() > 0 {
            std::thread::yield_now();
        }
    }
}

#[test]
fn the_page_is_for_operators() {
    let program = Program::start(&[]);
    let mut client = program.connect();
    for path in ["/status", "/status/events"] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n"));
        let refused = client.response();
        assert_eq!(refused.status, 403, "{path}");
    }
    let page = client_page(&mut client);
    assert_eq!(page.status, 200);
    assert!(page.has("content-type: text/html; charset=utf-8"));
    assert!(page.has("cache-control: no-store"));
    let policy = page.field("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"));

    // A browser cannot send a token when it opens a page, which has no number in it.
    let mut command = command(&[]);
    command.env("FAREWELL_SHUTDOWN_TOKEN", "open-sesame");
    let program = Program::spawn(command);
    let mut client = program.connect();
    assert_eq!(client_page(&mut client), page);
    assert_eq!(client.get("/status/events").status, 401);
    client.send("GET /status HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n");
    assert_eq!(client.response().status, 401);
}

fn client_page(client: &mut Client) -> crate::client::Response {
    client.send("GET /status HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n");
    let mut page = client.response();
    let head: Vec<_> = page
        .head
        .lines()
        .filter(|line| !line.starts_with("date:"))
        .collect();
    page.head = head.join("\n");
    page
}

const TEXT: &str = "document.body.innerText";

#[test]
fn in_a_browser_the_page_follows_a_stop_to_the_report() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let (program, admin) = start(&["--drain-timeout", "60s", "--body-timeout", "60s"]);
    let mut refused = program.connect();
    refused.send("no HTTP\r\n\r\n");
    assert_eq!(refused.response().status, 400);
    let held = Held::begin(&program);
    browser.resize(1060, "light");
    browser.open(&format!("http://{admin}/status"));
    browser.wait_for("document.querySelector('#calls').innerText.includes('POST /echo')");
    assert_eq!(
        browser.evaluate("document.querySelector('#phase').innerText"),
        "running"
    );
    assert_eq!(
        browser.evaluate("document.title"),
        format!("running · {}", program.address)
    );

    // The layout of a narrow screen leaves the table one.
    for (width, columns) in [(320, 4), (1060, 5)] {
        browser.resize(width, "light");
        assert_eq!(browser.count("columnheader"), columns, "{width}");
        assert_eq!(browser.count("cell"), columns, "{width}");
    }

    // By the keyboard: the stop asks first.
    let focus_stop = "document.activeElement.id == 'stop'";
    while browser.evaluate(focus_stop) == false {
        browser.press("Tab");
    }
    browser.press("Enter");
    browser.wait_for("document.querySelector('#dialog').open");
    browser.press("Escape");
    browser.wait_for("!document.querySelector('#dialog').open");
    assert_eq!(
        browser.evaluate("document.querySelector('#phase').innerText"),
        "running"
    );
    browser.press("Enter");
    browser.wait_for("document.querySelector('#dialog').open");
    let question = browser.evaluate("document.querySelector('#dialog').innerText");
    assert!(
        question.as_str().unwrap().contains("1 request in progress"),
        "{question}"
    );
    browser.press("Tab");
    browser.press("Enter");
    browser.wait_for("document.querySelector('#phase').innerText == 'draining'");
    browser.wait_for(
        "document.querySelector('#stopping-text').innerText.includes('1 request in progress')",
    );
    assert_eq!(
        browser.evaluate("document.querySelector('#stop').innerText"),
        "Cut now…"
    );
    held.release();

    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // The page has the report, and keeps it.
    browser.wait_for("!document.querySelector('#report').hidden");
    let text = browser.evaluate(TEXT);
    let text = text.as_str().unwrap();
    assert!(
        text.contains("Stopped. Every request was answered."),
        "{text}"
    );
    let rows = "Array.from(document.querySelector('#report-requests tbody').rows, row => row.innerText.replaceAll('\\t', ' ')).join()";
    assert_eq!(
        browser.evaluate(rows),
        "answered 1 1,rejected 1 0,total 2 1"
    );
    assert!(text.contains("Stopped in "), "{text}");
    let status = "document.querySelector('[role=status]').innerText";
    assert_eq!(
        browser.evaluate(status),
        "Stopped. Every request was answered."
    );
    assert_eq!(browser.console(), Vec::<&Value>::new());
}

#[test]
fn in_a_browser_the_page_asks_for_the_token_and_fits_a_phone() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let mut command = command(&["--workers", "3"]);
    command.env("FAREWELL_SHUTDOWN_TOKEN", "open-sesame");
    let program = Program::spawn(command);
    browser.resize(320, "dark");
    browser.open(&format!("http://{}/status", program.address));
    browser.wait_for("document.activeElement.id == 'login-token'");
    browser.type_text("wrong");
    browser.press("Enter");
    browser.wait_for("document.querySelector('#login-error').innerText == 'wrong token'");
    assert_eq!(
        browser.evaluate("document.querySelector('#main').hidden"),
        true
    );
    browser.type_text("open-sesame");
    browser.press("Enter");
    browser.wait_for("!document.querySelector('#main').hidden");
    browser.wait_for("document.querySelector('#busy-of').innerText == 'of 3'");
    for (width, scheme) in [(320, "dark"), (390, "light"), (1400, "dark")] {
        browser.resize(width, scheme);
        let scrolls = "document.documentElement.scrollWidth > innerWidth";
        assert_eq!(browser.evaluate(scrolls), false, "{width}");
        let background = browser.evaluate("getComputedStyle(document.body).backgroundColor");
        assert_eq!(background == "rgb(255, 255, 255)", scheme == "light");
    }
    for (role, count) in [("main", 1), ("status", 1), ("button", 2)] {
        assert_eq!(browser.count(role), count, "{role}");
    }
    // The token is the page's alone, and stops the program too.
    assert_eq!(
        browser.evaluate("document.cookie + localStorage.length + sessionStorage.length"),
        "00"
    );
    browser.evaluate("document.querySelector('#stop').click()");
    assert_eq!(
        browser.evaluate("document.querySelector('#dialog-field').hidden"),
        true
    );
    browser.evaluate("document.querySelector('#go').click()");
    browser.wait_for("!document.querySelector('#report').hidden");
    // The browser has refused nothing of the page; it names the 401 of the wrong token.
    let console: Vec<_> = browser
        .console()
        .into_iter()
        .map(Value::to_string)
        .collect();
    assert!(
        console.iter().all(|line| line.contains("401")),
        "{console:?}"
    );
    assert_eq!(program.end().code, Some(0));
}
