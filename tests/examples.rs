//! Every example does what its comment says, and stops as it should.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(unix)]

#[path = "support/built.rs"]
mod built;
#[path = "support/client.rs"]
#[allow(dead_code, reason = "the other test binaries use the rest")]
mod client;
#[path = "examples/crud.rs"]
mod crud;
#[path = "support/inherited.rs"]
#[allow(dead_code, reason = "the tests of the program use the rest")]
mod inherited;
#[path = "examples/jobs.rs"]
mod jobs;
#[path = "examples/layers.rs"]
mod layers;
#[path = "examples/nginx.rs"]
mod nginx;
#[path = "examples/running.rs"]
mod running;
#[path = "examples/takeover.rs"]
mod takeover;
/// Its tests run here: `cargo test` does not run those of examples.
#[path = "../examples/testing.rs"]
#[allow(dead_code, reason = "the program itself runs as a child process")]
mod testing;

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use client::Client;
use client::Loss;
use running::Running;
use rustix::process::Signal;
use tempfile::TempDir;
use tungstenite::Message;
use tungstenite::WebSocket;
use tungstenite::protocol::frame::coding::CloseCode;

/// No test waits for this; it turns a hang into a failure.
const TOO_LONG: Duration = Duration::from_secs(60);

/// Some bytes of a pattern that does not repeat soon, none of them outside of
/// ASCII.
fn ascii(count: usize) -> String {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b' ' + (state >> 24) as u8 % 95)
    };
    (0..count).map(|_| next()).collect()
}

fn names_in(folder: &TempDir) -> Vec<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn path(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

#[test]
fn hello_greets_and_stops() {
    let example = Running::start("hello", &[]);
    let mut client = example.connect();
    assert_eq!(
        client.get("/").body,
        format!("hello {}\n", client.address())
    );
    example.signal(Signal::INT);
    client.expect_eof();
    drop(client);
    assert_eq!(example.end().0, Some(0));
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let example = Running::start("hello", &[]);
    let code = Running::run("hello", &[&example.address.to_string()]);
    assert_eq!(code, Some(1));
    example.stop();
}

#[test]
fn router_takes_a_parameter_and_json_and_times_every_request() {
    let example = Running::start("router", &[]);
    let mut client = example.connect();
    let square = client.get("/squares/12");
    assert_eq!(square.body, "144\n");
    assert!(square.head.contains("\r\nserver-timing: total;dur="));
    let mut area = |rectangle: &str| {
        let length = rectangle.len();
        client.send(format!(
            "POST /api/area HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{rectangle}"
        ));
        let response = client.response();
        assert!(response.has("content-type: application/json"));
        (response.status, response.body)
    };
    let twelve = area(r#"{"width": 3, "height": 4}"#);
    assert_eq!(twelve, (200, "12".to_owned()));
    let large = area(r#"{"width": 4294967295, "height": 4294967295}"#);
    let error = r#"{"error":"area is over 1099511627776"}"#;
    assert_eq!(large, (422, error.to_owned()));
    let (status, error) = area("{");
    assert_eq!(status, 400);
    assert!(
        error.starts_with(r#"{"error":"request body is not valid JSON"#),
        "{error}"
    );
    for (path, status) in [("/squares/x", 400), ("/area", 404), ("/api/area", 405)] {
        let refused = client.get(path);
        assert_eq!(refused.status, status, "{path}");
        assert!(refused.head.contains("server-timing"), "{path}");
    }
    drop(client);
    example.stop();
}

#[test]
fn admin_is_stopped_by_a_client_with_the_token() {
    assert_eq!(Running::run("admin", &["", "127.0.0.1:0"]), Some(1));
    let example = Running::start("admin", &["open-sesame"]);
    let mut client = example.connect();
    assert_eq!(client.get("/admin/readyz").body, "ready\n");
    assert_eq!(client.get("/admin/shutdown").status, 401);
    assert_eq!(client.get("/shutdown").status, 404);
    client.send(
        "POST /admin/shutdown?wait HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: Bearer open-sesame\r\n\r\n",
    );
    let followed = client.response();
    assert!(followed.body.contains("stopped in "), "{followed:?}");
    drop(client);
    let (code, stdout) = example.end();
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.contains("\"all_answered\":true"), "{stdout}");
}

#[test]
fn upload_stores_what_is_streamed_to_it_and_leaves_no_half_of_a_file() {
    let folder = TempDir::new().unwrap();
    let example = Running::start("upload", &[path(folder.path())]);
    let content = ascii(3 * 1024 * 1024);

    let mut whole = example.connect();
    whole.send(
        "PUT /files/whole.txt HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    for chunk in content.as_bytes().chunks(10_000) {
        whole.send(format!("{:x}\r\n", chunk.len()));
        whole.send(chunk);
        whole.send("\r\n");
    }
    whole.send("0\r\n\r\n");
    assert_eq!(whole.response().status, 201);
    assert_eq!(
        fs::read_to_string(folder.path().join("whole.txt")).unwrap(),
        content
    );

    // Its handler reads when it asks for the body.
    let mut half = example.connect();
    half.send(expecting("PUT /files/half.txt", content.len()));
    assert!(half.head().starts_with("http/1.1 100 "));
    half.send(&content[..content.len() / 2]);
    drop(half);

    for name in ["..%2Fout", "%2Ftmp%2Fout", ".hidden", "%00", "a%2Fb"] {
        let mut outside = example.connect();
        outside.send(format!(
            "PUT /files/{name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"
        ));
        assert_eq!(outside.response().status, 400, "{name}");
    }
    drop(whole);
    example.stop();
    assert_eq!(names_in(&folder), ["whole.txt"]);
}

#[test]
fn upload_that_is_under_way_at_the_stop_is_stored() {
    let folder = TempDir::new().unwrap();
    let example = Running::start("upload", &[path(folder.path())]);
    let content = ascii(1024 * 1024);
    let mut client = example.connect();
    client.send(expecting("PUT /files/late.txt", content.len()));
    assert!(client.head().starts_with("http/1.1 100 "));
    client.send(&content[..1000]);
    example.signal(Signal::TERM);
    example.wait_refusing();
    client.send(&content[1000..]);
    let response = client.response();
    assert_eq!(response.status, 201);
    assert!(response.closes());
    drop(client);
    assert_eq!(example.end().0, Some(0));
    assert_eq!(
        fs::read_to_string(folder.path().join("late.txt")).unwrap(),
        content
    );
}

/// A form with these files for `path`, as a browser sends it.
fn form(path: &str, files: &[(&str, &str)]) -> String {
    let mut body = "--AaB03x\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhi".to_owned();
    for (name, content) in files {
        body += &format!(
            "\r\n--AaB03x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n{content}"
        );
    }
    body += "\r\n--AaB03x--\r\n";
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\
         Content-Type: multipart/form-data; boundary=AaB03x\r\n\r\n{body}"
    )
}

#[test]
fn form_upload_stores_the_files_of_a_form_and_no_half_of_a_file() {
    let folder = TempDir::new().unwrap();
    let example = Running::start("form_upload", &[path(folder.path())]);
    let content = ascii(3 * 1024 * 1024);
    let mut client = example.connect();
    let page = client.get("/");
    assert!(page.has("content-type: text/html; charset=utf-8"));
    assert!(page.body.contains("multipart/form-data"));

    client.send(form("/", &[("a.txt", &content), ("../b c.txt", "b")]));
    let stored = client.response();
    assert_eq!(stored.status, 201, "{stored:?}");
    assert_eq!(stored.body, "stored a.txt\nstored b c.txt\n");
    for (name, expected) in [("a.txt", &*content), ("b c.txt", "b")] {
        let found = fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(found == expected, "{name} has other bytes");
    }

    for (name, status) in [("a.txt", 409), ("", 400), (".hidden", 400), ("x/..", 400)] {
        let mut client = example.connect();
        client.send(form("/", &[(name, "x")]));
        assert_eq!(client.response().status, status, "{name}");
    }
    let mut half = example.connect();
    let request = form("/", &[("half.txt", &content)]);
    half.send(&request[..request.len() / 2]);
    drop((half, client));
    example.stop();
    let mut names = names_in(&folder);
    names.sort();
    assert_eq!(names, ["a.txt", "b c.txt"]);
}

#[test]
fn inbox_stores_whole_files_and_nothing_when_it_is_killed() {
    let folder = TempDir::new().unwrap();
    let mut example = Running::start("inbox", &[path(folder.path())]);
    let content = ascii(3 * 1024 * 1024);
    let mut client = example.connect();
    client.send(form("/", &[("a.txt", &content), ("b c.txt", "b")]));
    let stored = client.response();
    assert_eq!(stored.status, 201, "{stored:?}");
    assert_eq!(stored.body, "./a.txt\n./b%20c.txt\n");
    assert_eq!(client.get("/a.txt").body, content);

    // Both handlers are in the middle of a file: they have asked for the rest of it.
    let mut half = example.connect();
    half.send(expecting("PUT /half.txt", content.len()));
    assert!(half.head().starts_with("http/1.1 100 "));
    half.send(&content[..content.len() / 2]);
    let mut half_form = example.connect();
    let request = form("/", &[("first.txt", "1"), ("second.txt", &content)]);
    let request = request.replacen("\r\n", "\r\nExpect: 100-continue\r\n", 1);
    let (head, body) = request.split_at(request.find("--AaB03x").unwrap());
    half_form.send(head);
    assert!(half_form.head().starts_with("http/1.1 100 "));
    half_form.send(&body[..body.len() / 2]);
    assert!(example.runs());
    example.signal(Signal::KILL);
    assert_eq!(example.end_signal(), Some(9));
    let mut names = names_in(&folder);
    names.retain(|name| !name.starts_with(".farewell-"));
    names.sort();
    assert_eq!(names, ["a.txt", "b c.txt"]);

    // Where the file system has no files without names, the next process removes them.
    let example = Running::start("inbox", &[path(folder.path())]);
    assert_eq!(names_in(&folder).len(), 2, "{:?}", names_in(&folder));
    example.stop();
}

/// The head of a request whose handler is running once the server asks for its
/// body.
fn expecting(what: &str, length: usize) -> String {
    format!(
        "{what} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    )
}

#[test]
fn download_gives_the_files_of_its_folder_and_no_others() {
    let outside = TempDir::new().unwrap();
    let folder = outside.path().join("folder");
    fs::create_dir_all(folder.join("deep")).unwrap();
    let content = ascii(3 * 1024 * 1024);
    fs::write(folder.join("deep/file.txt"), &content).unwrap();
    fs::write(folder.join(".hidden"), "hidden").unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();

    let example = Running::start("download", &[path(&folder)]);
    let mut client = example.connect();
    let file = client.get("/deep/file.txt");
    assert!(file.has("content-type: text/plain; charset=utf-8"));
    assert!(file.body == content, "other bytes");
    client.send("HEAD /deep/file.txt HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(
        client
            .head_response()
            .has(&format!("content-length: {}", content.len()))
    );
    for path in [
        "/",
        "/nothing",
        "/deep",
        "/deep/file.txt/more",
        "/.hidden",
        "/../secret",
        "/..%2Fsecret",
        "/%2Fetc%2Fhostname",
        "/%00",
    ] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    client.send("DELETE /deep/file.txt HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.response().status, 405);

    // One that is under way at the stop arrives.
    client.request("/deep/file.txt");
    client.wait_readable();
    example.signal(Signal::TERM);
    example.wait_refusing();
    assert!(client.response().body == content, "other bytes");
    drop(client);
    assert_eq!(example.end().0, Some(0));
}

#[test]
fn sse_ticks_and_says_goodbye() {
    let example = Running::start("sse", &[]);
    let mut browser = example.connect();
    let page = browser.get("/");
    assert!(page.has("content-type: text/html; charset=utf-8"));
    assert!(page.body.contains(r#"new EventSource("/clock")"#));

    let mut listeners = [example.connect(), example.connect()];
    for listener in &mut listeners {
        listener.request("/clock");
        assert!(
            listener
                .head()
                .contains("\r\ncontent-type: text/event-stream\r\n")
        );
        let tick = String::from_utf8(listener.chunk().unwrap()).unwrap();
        assert!(
            tick.starts_with("data: ") && tick.ends_with(" GMT\n\n"),
            "{tick}"
        );
    }
    example.signal(Signal::TERM);
    for listener in &mut listeners {
        let mut rest = Vec::new();
        loop {
            let chunk = listener.chunk().expect("the stream is ended, not cut");
            if chunk.is_empty() {
                break;
            }
            rest.extend(chunk);
        }
        let rest = String::from_utf8(rest).unwrap();
        assert!(
            rest.ends_with("event: goodbye\ndata: The clock has stopped.\n\n"),
            "{rest}"
        );
        listener.expect_eof();
    }
    drop((listeners, browser));
    assert_eq!(example.end().0, Some(0));
}

/// A client of the protocol, by the crate that the example uses.
fn websocket(example: &Running) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(example.address).unwrap();
    stream.set_read_timeout(Some(TOO_LONG)).unwrap();
    let url = format!("ws://{}/", example.address);
    let (socket, response) = tungstenite::client(url, stream).unwrap();
    assert_eq!(response.status(), 101);
    socket
}

#[test]
fn websocket_echoes_and_says_that_it_goes_away() {
    let example = Running::start("websocket", &[]);
    let mut plain = example.connect();
    assert_eq!(plain.get("/").status, 400);
    drop(plain);

    let mut socket = websocket(&example);
    for message in [Message::text("hello"), Message::binary(vec![0; 100_000])] {
        socket.send(message.clone()).unwrap();
        assert!(socket.read().unwrap() == message);
    }
    socket.send(Message::Ping("?".into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong("?".into()));

    example.signal(Signal::TERM);
    let Message::Close(Some(frame)) = socket.read().unwrap() else {
        panic!("no close frame");
    };
    assert_eq!(frame.code, CloseCode::Away);
    let end = socket.read();
    assert!(
        matches!(end, Err(tungstenite::Error::ConnectionClosed)),
        "{end:?}"
    );
    assert_eq!(socket.get_mut().read(&mut [0]).unwrap(), 0);
    drop(socket);
    assert_eq!(example.end().0, Some(0));
}

#[test]
fn websocket_that_its_client_closes_is_closed() {
    let example = Running::start("websocket", &[]);
    let mut socket = websocket(&example);
    socket.close(None).unwrap();
    assert!(matches!(socket.read(), Ok(Message::Close(_))));
    assert!(matches!(
        socket.read(),
        Err(tungstenite::Error::ConnectionClosed)
    ));
    drop(socket);
    example.stop();
}

/// A client whose request has begun and is not complete: a stop that loses
/// requests loses this one.
fn with_half_a_request(example: &Running) -> Client {
    let mut client = example.connect();
    assert_eq!(client.get("/").body, "hello\n");
    client.send("GET / HTTP/1.1\r\n");
    client
}

const REST_OF_THE_REQUEST: &str = "Host: localhost\r\n\r\n";

#[test]
fn stop_1_exit_ends_before_it_confirms_and_loses_the_others() {
    let example = Running::start("stop_1_exit", &[]);
    let mut other = with_half_a_request(&example);
    let mut client = example.connect();
    client.request("/shutdown");
    assert_eq!(client.try_response(false), Err(Loss::Lost));
    assert_eq!(example.end().0, Some(0));
    assert_eq!(other.try_response(false), Err(Loss::Lost));
}

#[test]
fn stop_2_sleep_confirms_and_loses_the_others() {
    let example = Running::start("stop_2_sleep", &[]);
    let mut other = with_half_a_request(&example);
    let mut client = example.connect();
    let confirmation = client.get("/shutdown");
    assert_eq!(confirmation.status, 202);
    assert_eq!(confirmation.body, "shutting down\n");
    assert_eq!(example.end().0, Some(0));
    assert_eq!(other.try_response(false), Err(Loss::Lost));
}

#[test]
fn stop_3_take_over_confirms_and_loses_the_others() {
    let example = Running::start("stop_3_take_over", &[]);
    let mut other = with_half_a_request(&example);
    let mut client = example.connect();
    let confirmation = client.get("/shutdown");
    assert_eq!(confirmation.status, 202);
    assert_eq!(confirmation.body, "shutting down\n");
    drop(client);
    assert_eq!(example.end().0, Some(0));
    assert_eq!(other.try_response(false), Err(Loss::Lost));
}

#[test]
fn stop_3_take_over_gives_up_on_a_client_that_does_not_close() {
    let example = Running::start("stop_3_take_over", &[]);
    let mut client = example.connect();
    assert_eq!(client.get("/shutdown").body, "shutting down\n");
    assert_eq!(example.end().0, Some(1));
}

#[test]
fn stop_4_graceful_confirms_and_loses_nothing() {
    let example = Running::start("stop_4_graceful", &[]);
    let mut other = with_half_a_request(&example);
    let mut client = example.connect();
    let confirmation = client.get("/shutdown");
    assert_eq!(confirmation.status, 202);
    assert_eq!(confirmation.body, "shutting down\n");
    assert!(confirmation.closes());
    drop(client);
    example.wait_refusing();
    other.send(REST_OF_THE_REQUEST);
    let response = other.response();
    assert_eq!(response.body, "hello\n");
    assert!(response.closes());
    drop(other);

    let (code, stdout) = example.end();
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.contains(" by a request from 127.0.0.1:"), "{stdout}");
    assert!(stdout.contains("3 requests in all: 3 answered"), "{stdout}");
}

#[test]
fn graceful_answers_who_is_there_and_then_writes_what_it_knows() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("words");
    fs::write(&file, "10\n").unwrap();
    let example = Running::start("graceful", &[path(&file)]);
    let mut client = example.connect();
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n\r\nthree more words");
    assert_eq!(client.response().body, "13 words\n");

    client.send(expecting("POST /", 8));
    assert!(client.head().starts_with("http/1.1 100 "));
    example.signal(Signal::TERM);
    example.wait_refusing();
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "10\n",
        "it is written after the drain"
    );
    client.send("two more");
    let response = client.response();
    assert_eq!(response.body, "15 words\n");
    assert!(response.closes());
    drop(client);

    let (code, stdout) = example.end();
    assert_eq!(code, Some(0));
    assert_eq!(fs::read_to_string(&file).unwrap(), "15\n");
    assert!(
        stdout.contains(" by a signal: after the trigger 1 answered"),
        "{stdout}"
    );
    assert!(stdout.contains("2 requests in all: 2 answered"), "{stdout}");
}

#[test]
fn graceful_ends_although_a_handler_never_returns() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("words");
    let mut example = Running::start("graceful", &[path(&file)]);
    let mut idle = example.connect();
    // Both at once: where the one has been answered, the other is under way.
    let mut client = example.connect();
    client.send(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n\r\nthree more words\
         GET /stuck HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    assert_eq!(client.response().body, "3 words\n");
    example.signal(Signal::INT);
    // The last call is over, and with it what could be answered.
    idle.expect_eof();
    // The first few that follow are taken for the same one.
    while example.runs() {
        example.signal(Signal::INT);
        std::thread::yield_now();
    }
    client.expect_end();
    let (code, stdout) = example.end();
    assert_eq!(code, Some(1), "{stdout}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "3\n");
    assert!(
        stdout.contains(" by a signal, cut short by a second signal: "),
        "{stdout}"
    );
    assert!(stdout.contains("  GET /stuck for 127.0.0.1:"), "{stdout}");
    assert!(stdout.contains("threads left behind: 1"), "{stdout}");
}

#[test]
fn every_example_is_stopped_by_each_signal() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("words");
    let notes = crud::file_with(&folder, "{}");
    for name in names() {
        let arguments: &[&str] = match name.as_str() {
            "upload" | "download" | "files" | "inbox" | "jobs" => &[path(folder.path())],
            "graceful" => &[path(&file)],
            "crud" => &[path(&notes)],
            "admin" => &["open-sesame"],
            "client_addr" => &["forwarded", "127.0.0.1"],
            _ => &[],
        };
        for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
            let example = Running::start(&name, arguments);
            example.signal(signal);
            assert_eq!(example.end().0, Some(0), "{name}, {signal:?}");
        }
    }
}

/// The names of the examples.
fn names() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let name = |file: &Path| file.file_stem()?.to_str().map(str::to_owned);
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| name(&entry.unwrap().path()).unwrap())
        .collect()
}

#[test]
fn a_program_that_hangs_after_its_server_is_ended_by_signals() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut example = Running::start("hangs", &[]);
        example.signal(signal);
        let report = example.line();
        assert!(
            report.contains(" by a signal: after the trigger 0 answered"),
            "{report}"
        );
        // For a second the program may be writing what it knows.
        while example.runs() {
            example.signal(signal);
            std::thread::yield_now();
        }
        assert_eq!(example.end_signal(), Some(signal.as_raw()));
    }
}

#[test]
fn graceful_starts_without_a_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("words");
    Running::start("graceful", &[path(&file)]).stop();
    assert_eq!(fs::read_to_string(&file).unwrap(), "0\n");
}

#[test]
fn every_example_is_short_and_documented_and_exercised() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let tests = ["", "/crud", "/jobs", "/layers", "/takeover"]
        .map(|file| read(&format!("tests/examples{file}.rs")));
    let tests = tests.concat();
    let table = read("docs/library.md");
    let readme = read("README.md");
    assert!(readme.contains("(docs/library.md#examples)"));
    let names = names();
    assert!(!names.is_empty());
    for name in names {
        let text = read(&format!("examples/{name}.rs"));
        match name.as_str() {
            "crud" => assert!(text.lines().count() <= 70, "{name} is long"),
            "jobs" | "router" => assert!(lines_of_code(&text) <= 70, "{name} is long"),
            _ => assert!(text.lines().count() < 60, "{name} is long"),
        }
        let usage = format!("cargo run --example {name} ");
        assert!(
            text.starts_with("//! ") && text.contains(&usage),
            "{name} says not how to run it"
        );
        assert!(
            tests.contains(&format!("Running::start(\"{name}\"")),
            "{name} is not exercised"
        );
        assert!(
            text.contains("    server.stop_on_signals()?;\n"),
            "{name} is not stopped by signals"
        );
        assert!(
            table.contains(&format!("`{name}`")),
            "docs/library.md does not name {name}"
        );
    }
}

/// Lines that are not blank, and neither comments, attributes nor imports.
fn lines_of_code(text: &str) -> usize {
    let is_code = |line: &&str| {
        let line = line.trim_start();
        let other = ["//", "#[", "#![", "use "];
        !line.is_empty() && !other.iter().any(|start| line.starts_with(start))
    };
    text.lines().filter(is_code).count()
}
