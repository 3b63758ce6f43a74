//! The numbers of a server while it runs: they add up to the report, and Prometheus can
//! read them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use farewell::Body;
use farewell::Handler;
use farewell::IntoResponse;
use farewell::Metrics;
use farewell::Phase;
use farewell::Request;
use farewell::RequestOutcome;
use farewell::Response;
use farewell::Router;
use farewell::Server;
use farewell::Totals;
use http::HeaderValue;
use http::StatusCode;

use crate::support::Client;
use crate::support::Gate;
use crate::support::NEVER;
use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;
use crate::support::gated;
use crate::support::get;
use crate::support::short_drain;

/// Answers in all the ways that a handler has.
fn answer(gate: &Gate, mut request: Request) -> Response {
    match request.uri().path() {
        "/slow" => {
            gate.pass("/slow");
            "slow".into_response()
        }
        "/panic" => panic!("the handler panics, as the test wants"),
        "/missing" => StatusCode::NOT_FOUND.into_response(),
        "/odd" => StatusCode::from_u16(799).unwrap().into_response(),
        "/broken" => {
            let pieces = [Ok("piece"), Err(io::Error::other("no more"))];
            Body::try_from_chunks(pieces).into_response()
        }
        "/upload" => {
            let mut body = Vec::new();
            match request.body_mut().read_to_end(&mut body) {
                Ok(count) => count.to_string().into_response(),
                Err(_) => StatusCode::BAD_REQUEST.into_response(),
            }
        }
        "/upgrade" => {
            let mut response = Response::new(Body::upgrade(|mut stream| {
                let _ = io::copy(&mut stream, &mut io::sink());
            }));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let protocol = HeaderValue::from_static("sink");
            response.headers_mut().insert("upgrade", protocol);
            response
        }
        _ => "hello".into_response(),
    }
}

/// Each way, on connections of its own.
fn load(server: &TestServer) {
    let mut kept = server.connect();
    for path in ["/", "/odd", "/missing", "/"] {
        kept.get(path);
    }
    let mut panicking = server.connect();
    assert_eq!(panicking.get("/panic").status, 500);
    let mut broken = server.connect();
    broken.request("/broken");
    broken.head();
    for refused in [
        "garbage\r\n\r\n",
        "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(refused);
        assert!(client.response().status >= 400);
    }
    let mut gone = server.connect();
    gone.send("GET /half HTTP/1.1\r\nHo");
    server.wait_in_progress(1);
    drop(gone);
    server.wait_in_progress(0);
}

/// The classes and the durations of all routes, the statuses and the methods have the
/// total of the outcomes.
#[track_caller]
fn assert_balance(totals: &Totals) {
    let ended = totals.requests.total();
    let classes: u64 = totals
        .routes
        .iter()
        .flat_map(|route| route.status_classes)
        .sum();
    assert_eq!(classes, ended, "{totals:?}");
    assert_eq!(totals.durations().count(), ended, "{totals:?}");
    assert_eq!(totals.methods.values().sum::<u64>(), ended, "{totals:?}");
    let unanswered: u64 = totals
        .routes
        .iter()
        .map(|route| route.status_classes[0])
        .sum();
    let answered: u64 = totals.statuses.values().sum();
    assert_eq!(answered + unanswered, ended, "{totals:?}");
}

#[test]
fn the_totals_are_those_of_the_report() {
    let (gate, _bar) = Gate::new();
    let handler_gate = Arc::clone(&gate);
    let mut config = short_drain();
    config.workers = 4;
    let server = TestServer::start(config, move |request: Request| {
        answer(&handler_gate, request)
    });
    let metrics = server.stop.metrics();
    load(&server);
    let totals = metrics.totals();
    assert_balance(&totals);
    assert_eq!(totals.begun, 10);
    let statuses = [(200, 3), (404, 1), (500, 1), (799, 1)];
    for (status, count) in statuses {
        assert_eq!(totals.statuses.get(&status), Some(&count), "{totals:?}");
    }
    assert_eq!(totals.routes.len(), 1);
    assert_eq!(totals.routes[0].status_classes[7], 1);
    let methods = [("GET", 6), ("POST", 1), ("CONNECT", 1), ("other", 2)];
    assert_eq!(with_counts(&totals.methods), BTreeMap::from(methods));
    let reasons = [
        ("malformed", 1),
        ("body_too_large", 1),
        ("not_supported", 1),
    ];
    assert_eq!(with_counts(&totals.rejections), BTreeMap::from(reasons));
    assert_eq!(totals.handler_panics, 1);
    assert_eq!(totals.queued.count(), 6, "the calls of the handler");
    assert_eq!(totals.stop, None);

    // What is open at the abort: a handler that does not return, and an upgrade.
    let mut upgraded = server.connect();
    upgraded
        .send("GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: sink\r\n\r\n");
    upgraded.head();
    let mut slow = server.connect();
    slow.request("/slow");
    gate.wait_started();
    server.stop.abort();
    let report = server.join();
    let totals = metrics.totals();
    assert_balance(&totals);
    assert_eq!(totals.accepted, report.accepted);
    assert_eq!(totals.connections, report.connections);
    assert_eq!(totals.begun, report.begun);
    assert_eq!(totals.requests, report.requests);
    assert_eq!(
        totals.requests.to_string(),
        "5 answered, 1 handler panicked, 3 rejected, 1 client disconnected, 1 body failed, 1 cut"
    );
    assert_eq!(totals.statuses[&101], 1);
    assert_eq!(totals.queued.count(), 8);
    assert_eq!(metrics.phase(), Phase::Stopped);
    let stop = totals.stop.unwrap();
    assert_eq!(stop.draining_after, report.draining_after);
    assert_eq!(stop.aborted_after, report.aborted_after);
    assert_eq!(stop.time_left, None);
    assert!(stop.duration <= report.duration);
    assert_eq!(metrics.totals().stop, Some(stop), "it has ended");
    assert_eq!(metrics.counts().open, 0);
}

/// The entries that are not 0.
fn with_counts(counts: &BTreeMap<&'static str, u64>) -> BTreeMap<&'static str, u64> {
    let counts = counts.iter().filter(|&(_, &count)| count > 0);
    counts.map(|(&name, &count)| (name, count)).collect()
}

#[test]
fn each_rejection_has_its_reason() {
    let mut config = short_drain();
    config.head_timeout = Duration::from_millis(50);
    config.body_timeout = Duration::from_millis(50);
    config.connections_per_peer = Some(20);
    config.drain_timeout = TOO_LONG;
    let server = TestServer::hello(config);
    let metrics = server.stop.metrics();
    let long = "x".repeat(9_000);
    let rejected = [
        ("malformed", 400, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        ("head_timeout", 408, "GET / HTTP/1.1\r\nHo".to_owned()),
        (
            "body_timeout",
            408,
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe".to_owned(),
        ),
        (
            "body_too_large",
            413,
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n".to_owned(),
        ),
        ("target_too_long", 414, get(&format!("/{long}"))),
        (
            "expectation",
            417,
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 5\r\n\r\n".to_owned(),
        ),
        (
            "misdirected",
            421,
            "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        ),
        (
            "head_too_large",
            431,
            format!("GET / HTTP/1.1\r\nHost: a\r\na: {long}{long}\r\n\r\n"),
        ),
        (
            "not_supported",
            501,
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".to_owned(),
        ),
        (
            "version",
            505,
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(),
        ),
    ];
    for (reason, status, request) in rejected {
        let before = metrics.totals().rejections;
        let mut client = server.connect();
        client.send(request);
        assert_eq!(client.response().status, status, "{reason}");
        let mut expected = before;
        *expected.get_mut(reason).unwrap() += 1;
        assert_eq!(metrics.totals().rejections, expected, "{reason}");
    }
    server.wait_open(0);
    let mut many: Vec<_> = (0..=20).map(|_| server.connect()).collect();
    server.wait_open(21);
    many[20].send(get("/"));
    assert_eq!(many[20].response().status, 429);
    assert_eq!(metrics.totals().rejections["too_many_connections"], 1);
}

#[test]
fn a_request_that_an_abort_answers_with_503_is_rejected_because_of_the_stop() {
    let (gate, _bar) = Gate::new();
    let server = TestServer::start(short_drain(), gated(&gate));
    let metrics = server.stop.metrics();
    let mut clients: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for client in &mut clients[..2] {
        client.request("/slow");
        gate.wait_started();
    }
    clients[2].request("/");
    server.wait_waiting(1);
    server.stop.abort();
    assert_eq!(clients[2].response().status, 503);
    assert_eq!(metrics.totals().rejections["stopping"], 1);
}

#[test]
fn a_request_that_waits_for_a_worker_counts_its_wait() {
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config(), gated(&gate));
    let metrics = server.stop.metrics();
    let mut clients: Vec<_> = (0..5).map(|_| server.connect()).collect();
    for client in &mut clients[..4] {
        client.request("/slow");
        gate.wait_started();
    }
    assert_eq!(metrics.totals().queued.count(), 4);
    clients[4].request("/");
    server.wait_waiting(1);
    let waited = Instant::now();
    assert_eq!(metrics.totals().queued.count(), 4);
    let least = waited.elapsed();
    drop(bar);
    for client in &mut clients {
        client.response();
    }
    let queued = metrics.totals().queued;
    assert_eq!(queued.count(), 5);
    assert!(queued.sum() >= least, "{queued:?}");
}

/// All that the server sends until it closes the connection.
fn until_end(mut client: TcpStream) -> Vec<u8> {
    client.set_read_timeout(Some(TOO_LONG)).unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    received
}

#[test]
fn bytes_are_those_on_the_wire() {
    let (gate, _bar) = Gate::new();
    let server = TestServer::start(config(), move |request: Request| answer(&gate, request));
    let metrics = server.stop.metrics();
    let large = 300_000;
    let large_head = format!("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {large}\r\n\r\n");
    let requests = [
        get("/"),
        "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
        // Read by the handler.
        large_head + &"x".repeat(large),
        // With the framing of chunks and trailers, discarded.
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\na: b\r\n\r\n"
            .to_owned(),
        "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
    ];
    let mut client = TcpStream::connect(server.address()).unwrap();
    for request in &requests {
        client.write_all(request.as_bytes()).unwrap();
    }
    let received = until_end(client);
    server.wait_open(0);
    let totals = metrics.totals();
    let sent: usize = requests.iter().map(String::len).sum();
    assert_eq!(totals.requests.to_string(), "5 answered");
    assert_eq!(totals.received_bytes, sent as u64);
    assert_eq!(totals.sent_bytes, received.len() as u64);
}

#[test]
fn a_refused_head_and_an_interim_response_count_too() {
    let (gate, _bar) = Gate::new();
    let server = TestServer::start(config(), move |request: Request| answer(&gate, request));
    let metrics = server.stop.metrics();
    let mut refused = TcpStream::connect(server.address()).unwrap();
    refused.write_all(b"garbage\r\n\r\n").unwrap();
    let refusal = until_end(refused);
    server.wait_open(0);
    let totals = metrics.totals();
    assert_eq!(totals.received_bytes, 11);
    assert_eq!(totals.sent_bytes, refusal.len() as u64);

    let head = "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\
        Expect: 100-continue\r\nConnection: close\r\n\r\n";
    let mut expecting = TcpStream::connect(server.address()).unwrap();
    expecting.write_all(head.as_bytes()).unwrap();
    let mut interim = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    expecting.read_exact(&mut interim).unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100 "));
    expecting.write_all(b"ab").unwrap();
    let rest = until_end(expecting);
    server.wait_open(0);
    let after = metrics.totals();
    let received = after.received_bytes - totals.received_bytes;
    assert_eq!(received, head.len() as u64 + 2);
    let sent = after.sent_bytes - totals.sent_bytes;
    assert_eq!(sent, (interim.len() + rest.len()) as u64);
}

#[test]
fn a_head_that_breaks_off_counts_as_far_as_it_arrived() {
    let server = TestServer::hello(config());
    let metrics = server.stop.metrics();
    let mut client = TcpStream::connect(server.address()).unwrap();
    let whole = get("/");
    client.write_all(whole.as_bytes()).unwrap();
    // In two pieces, the first of which the server has read before the second is sent.
    client.write_all(b"GET / HT").unwrap();
    let has_begun = |_| metrics.totals().begun == 2;
    assert!(server.stop.wait_for_counts(TOO_LONG, has_begun));
    client.write_all(b"TP/1.1\r\nHos").unwrap();
    drop(client);
    server.wait_open(0);
    let totals = metrics.totals();
    let outcomes = totals.requests.to_string();
    assert_eq!(outcomes, "1 answered, 1 client disconnected");
    assert_eq!(totals.received_bytes, whole.len() as u64 + 19);
    server.stop.shutdown();
    server.join();
}

#[test]
fn a_duration_begins_with_the_request_and_ends_with_its_answer() {
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config(), gated(&gate));
    let metrics = server.stop.metrics();
    let before = Instant::now();
    let mut client = server.connect();
    client.request("/slow");
    gate.wait_started();
    let started = Instant::now();
    assert_eq!(metrics.counts().in_progress, 1);
    assert_eq!(metrics.totals().begun, 1);
    assert_eq!(metrics.totals().durations().count(), 0);
    let held = started.elapsed();
    drop(bar);
    client.response();
    server.wait_in_progress(0);
    let durations = metrics.totals().durations();
    assert_eq!(durations.count(), 1);
    assert!(durations.sum() >= held, "{durations:?}");
    assert!(durations.sum() <= before.elapsed(), "{durations:?}");
    let (bound, _) = durations.buckets().find(|&(_, count)| count == 1).unwrap();
    assert!(durations.sum() <= bound);
}

/// A server with routes, one of which has the numbers.
fn scraped(config: farewell::Config, slow: impl Handler) -> (TestServer, Metrics) {
    let server = Server::bind("127.0.0.1:0", config).unwrap();
    let metrics = server.metrics();
    let routes = Router::new()
        .get("/metrics", metrics.handler())
        .get("/slow", slow)
        .get("/users/{id}", |_: Request| "user")
        .build()
        .unwrap();
    (TestServer::spawn(server, routes), metrics)
}

fn scrape(client: &mut Client) -> Exposition {
    let response = client.get("/metrics");
    assert_eq!(response.status, 200);
    let content_type = "content-type: text/plain; version=0.0.4; charset=utf-8";
    assert!(response.has(content_type), "{response:?}");
    Exposition::parse(&response.body)
}

/// The text, parsed strictly: by the name of each family, its type and its samples.
struct Exposition(BTreeMap<String, (String, Vec<Sample>)>);

#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Exposition {
    fn parse(text: &str) -> Self {
        let mut families = BTreeMap::new();
        let mut series = BTreeSet::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let (name, help) = line
                .strip_prefix("# HELP ")
                .unwrap()
                .split_once(' ')
                .unwrap();
            assert!(!help.is_empty());
            let kind = lines.next().unwrap();
            let kind = kind.strip_prefix(&format!("# TYPE {name} ")).unwrap();
            let mut samples = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                let sample = Sample::parse(line);
                assert!(
                    series.insert(line.rsplit_once(' ').unwrap().0.to_owned()),
                    "{line}"
                );
                samples.push(sample);
            }
            match kind {
                "counter" => assert!(name.ends_with("_total"), "{name}"),
                "gauge" => assert!(!name.ends_with("_total"), "{name}"),
                "histogram" => assert_histogram(name, &samples),
                _ => panic!("{kind}"),
            }
            if kind != "histogram" {
                assert!(samples.iter().all(|sample| sample.name == name), "{name}");
            }
            let before = families.insert(name.to_owned(), (kind.to_owned(), samples));
            assert!(before.is_none(), "{name} is there twice");
        }
        Self(families)
    }

    /// The value of the sample with these labels.
    #[track_caller]
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels = labels
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let found = self.0[name].1.iter().find(|sample| sample.labels == labels);
        found.unwrap_or_else(|| panic!("{name} {labels:?}")).value
    }

    fn sum(&self, name: &str) -> f64 {
        self.0[name].1.iter().map(|sample| sample.value).sum()
    }

    fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.0.values().flat_map(|(_, samples)| samples)
    }
}

impl Sample {
    fn parse(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, mut rest) = match series.split_once('{') {
            Some((name, rest)) => (name, rest.strip_suffix('}').unwrap()),
            None => (series, ""),
        };
        let mut labels = BTreeMap::new();
        while !rest.is_empty() {
            let (key, after) = rest.split_once("=\"").unwrap();
            let end = end_of_value(after);
            let before = labels.insert(key.to_owned(), after[..end].to_owned());
            assert!(before.is_none(), "{line}");
            rest = &after[end + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        Self {
            name: name.to_owned(),
            labels,
            value: value.parse().unwrap(),
        }
    }
}

/// Where the quotation mark is that ends the value of a label.
fn end_of_value(text: &str) -> usize {
    let mut is_escaped = false;
    for (index, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return index,
            _ => {}
        }
    }
    panic!("a value without an end: {text}");
}

/// The buckets of each series grow, and the last has all.
fn assert_histogram(name: &str, samples: &[Sample]) {
    let mut by_route: BTreeMap<String, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        let route = sample.labels.get("route").cloned();
        let route = route.unwrap_or_default();
        by_route.entry(route).or_default().push(sample);
    }
    for samples in by_route.values() {
        let of = |suffix: &str| {
            let name = format!("{name}_{suffix}");
            samples.iter().filter(move |sample| sample.name == name)
        };
        let bounds: Vec<f64> = of("bucket")
            .map(|sample| sample.labels["le"].parse().unwrap())
            .collect();
        assert!(bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
        assert_eq!(bounds.last(), Some(&f64::INFINITY));
        let counts: Vec<f64> = of("bucket").map(|sample| sample.value).collect();
        assert!(counts.is_sorted(), "{counts:?}");
        let count: Vec<f64> = of("count").map(|sample| sample.value).collect();
        assert_eq!(count, [*counts.last().unwrap()]);
        assert_eq!(of("sum").count(), 1);
        assert_eq!(samples.len(), bounds.len() + 2);
    }
}

#[test]
fn a_scrape_is_valid_and_has_what_happened() {
    let (server, metrics) = scraped(config(), |_: Request| "slow");
    let mut client = server.connect();
    client.get("/users/1");
    client.get("/users/2");
    client.get("/nowhere");
    let scraped = scrape(&mut client);
    assert_eq!(scraped.value("farewell_requests_begun_total", &[]), 4.0);
    let answered = [("outcome", "answered")];
    assert_eq!(
        scraped.value("farewell_requests_ended_total", &answered),
        3.0
    );
    assert_eq!(scraped.sum("farewell_requests_total"), 3.0);
    assert_eq!(
        scraped.value("farewell_responses_total", &[("status", "404")]),
        1.0
    );
    let in_progress = [("state", "in_progress")];
    assert_eq!(scraped.value("farewell_connections", &in_progress), 1.0);
    assert_eq!(scraped.sum("farewell_connections"), 1.0);
    assert_eq!(
        scraped.value("farewell_phase", &[("phase", "running")]),
        1.0
    );
    assert_eq!(scraped.sum("farewell_phase"), 1.0);
    let (_, durations) = &scraped.0["farewell_request_duration_seconds"];
    let count: f64 = durations
        .iter()
        .filter(|sample| sample.name.ends_with("_count"))
        .map(|sample| sample.value)
        .sum();
    assert_eq!(count, 3.0);
    let gets = [("method", "GET")];
    assert_eq!(
        scraped.value("farewell_requests_by_method_total", &gets),
        3.0
    );
    assert_eq!(scraped.sum("farewell_rejections_total"), 0.0);
    let busy = [("state", "busy")];
    assert_eq!(scraped.value("farewell_workers", &busy), 1.0);
    assert_eq!(scraped.sum("farewell_workers"), 4.0);
    assert_eq!(scraped.value("farewell_queue_length", &[]), 0.0);
    let start = scraped.value("farewell_start_time_seconds", &[]);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    assert!(start > 1.7e9 && start <= now.unwrap().as_secs_f64());
    assert!(!scraped.0.contains_key("farewell_stop_seconds_left"));
    let bytes = scraped.value("farewell_response_bytes_total", &[]);
    assert!(bytes > 0.0 && bytes <= metrics.totals().sent_bytes as f64);
}

#[test]
fn a_scrape_in_a_drain_tells_the_phase() {
    let (gate, bar) = Gate::new();
    let mut config = config();
    config.last_call = NEVER;
    let (server, _) = scraped(config, gated(&gate));
    let mut slow = server.connect();
    slow.request("/slow");
    gate.wait_started();
    let mut client = server.connect();
    client.get("/users/1");
    server.stop.shutdown();
    server.stop.wait_for(Phase::Draining);
    let scraped = scrape(&mut client);
    assert_eq!(
        scraped.value("farewell_phase", &[("phase", "draining")]),
        1.0
    );
    assert_eq!(
        scraped.value("farewell_phase", &[("phase", "running")]),
        0.0
    );
    let in_progress = [("state", "in_progress")];
    assert_eq!(scraped.value("farewell_connections", &in_progress), 2.0);
    let left = scraped.value("farewell_stop_seconds_left", &[]);
    assert!(left > 0.0 && left <= TOO_LONG.as_secs_f64());
    let drain = scraped.value("farewell_drain_seconds", &[("stage", "draining")]);
    assert_eq!(scraped.sum("farewell_drain_seconds"), drain);
    client.expect_eof();
    drop((client, bar));
    slow.response();
    slow.expect_eof();
    drop(slow);
    let report = server.join();
    assert_eq!(report.requests.count(RequestOutcome::Answered), 3);
}

#[test]
fn the_docs_name_every_metric() {
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let metrics = server.metrics();
    server.shutdown_handle().shutdown();
    let text = metrics.encode();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names: BTreeSet<&str> = types.map(|line| line.split(' ').next().unwrap()).collect();
    assert!(names.contains("farewell_stop_seconds_left"), "{names:?}");
    let page = include_str!("../../docs/observing.md");
    let of_encode = include_str!("../../src/metrics/exposition.rs");
    for (text, row) in [(page, "| `"), (of_encode, "    /// | `")] {
        let rows = text.lines().filter_map(|line| line.strip_prefix(row));
        let cells = rows.map(|rest| rest.split('`').next().unwrap());
        let named: BTreeSet<&str> = cells.filter(|cell| cell.starts_with("farewell_")).collect();
        assert_eq!(named, names);
    }
}

#[test]
fn no_text_of_a_client_becomes_a_label() {
    let (server, _) = scraped(config(), |_: Request| "slow");
    let hostile = |server: &TestServer, number: usize| {
        for request in [
            format!("EVIL{number} /users/1 HTTP/1.1\r\nHost: evil\r\n\r\n"),
            format!("GET /evil{number}\"}}%0a HTTP/1.1\r\nHost: evil\r\n\r\n"),
            format!("GET /users/evil{number} HTTP/1.1\r\nHost: evil{number}\r\nevil: 1\r\n\r\n"),
            format!("evil{number}\r\n\r\n"),
        ] {
            let mut client = server.connect();
            client.send(request);
            client.response();
        }
    };
    hostile(&server, 0);
    server.wait_in_progress(0);
    let first = scrape(&mut server.connect());
    for number in 1..20 {
        hostile(&server, number);
    }
    server.wait_in_progress(0);
    let last = scrape(&mut server.connect());
    assert_eq!(first.samples().count(), last.samples().count());
    for sample in last.samples() {
        let text = format!("{sample:?}").to_lowercase();
        assert!(!text.contains("evil"), "{text}");
    }
}

#[test]
fn numbers_are_read_while_requests_end() {
    let (server, metrics) = scraped(config(), |_: Request| "slow");
    let address = server.address();
    let clients: Vec<_> = (0..2)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                for _ in 0..500 {
                    client.get("/users/1");
                }
            })
        })
        .collect();
    let mut before = 0;
    while clients.iter().any(|client| !client.is_finished()) {
        let totals = metrics.totals();
        let ended = totals.requests.total();
        assert!(ended >= before, "a total never becomes less");
        before = ended;
        Exposition::parse(&metrics.encode());
    }
    for client in clients {
        client.join().unwrap();
    }
    server.wait_in_progress(0);
    let totals = metrics.totals();
    assert_balance(&totals);
    assert_eq!(totals.statuses, BTreeMap::from([(200, 1000)]));
    assert!(totals.durations().sum() < Duration::from_secs(3600));
}
