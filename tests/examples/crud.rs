//! The example of an API with a store.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::mpsc::Sender;
use std::thread;

use rustix::process::Signal;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::client::Client;
use crate::client::Loss;
use crate::client::Response;
use crate::path;
use crate::running::Running;
use crate::running::TOKEN;

/// A file of the example with this content.
pub(crate) fn file_with(folder: &TempDir, content: &str) -> PathBuf {
    let file = folder.path().join("notes.json");
    fs::write(&file, content).unwrap();
    file
}

fn content_of(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

/// The bytes of a request with the token.
fn request(what: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{what} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn ask(client: &mut Client, what: &str, body: &str) -> Response {
    client.send(request(what, body));
    client.response()
}

fn json_of(response: &Response) -> Value {
    assert!(
        response.has("content-type: application/json"),
        "{response:?}"
    );
    serde_json::from_str(&response.body).unwrap()
}

#[test]
fn crud_creates_reads_lists_replaces_and_deletes_notes_and_saves_them() {
    let folder = TempDir::new().unwrap();
    let file = file_with(&folder, r#"{"7": {"text": "bread"}}"#);
    let example = Running::start("crud", &[path(&file)]);
    let mut client = example.connect();

    let created = ask(&mut client, "POST /notes", r#"{"text": "milk"}"#);
    assert_eq!(created.status, 201);
    assert!(created.has("location: /notes/8"), "{created:?}");
    assert_eq!(json_of(&created), json!({"text": "milk"}));
    assert_eq!(json_of(&client.get("/notes/8")), json!({"text": "milk"}));
    let both = json!({"7": {"text": "bread"}, "8": {"text": "milk"}});
    assert_eq!(json_of(&client.get("/notes")), both);

    let replaced = ask(&mut client, "PUT /notes/8", r#"{"text": "more milk"}"#);
    assert_eq!(replaced.status, 204);
    assert_eq!(ask(&mut client, "DELETE /notes/7", "").status, 204);
    let last = json!({"8": {"text": "more milk"}});
    assert_eq!(json_of(&client.get("/notes")), last);

    // It is saved when the server has stopped, and is there after a restart.
    assert_ne!(content_of(&file), last);
    drop(client);
    example.stop();
    assert_eq!(content_of(&file), last);
    let example = Running::start("crud", &[path(&file)]);
    assert_eq!(json_of(&example.connect().get("/notes")), last);
    example.stop();
}

/// Sends a request on a connection of its own, and expects an error in JSON.
fn expect_error(example: &Running, request: impl AsRef<[u8]>, status: u16) -> Response {
    let mut client = example.connect();
    client.send(&request);
    let response = client.response();
    let shown = String::from_utf8_lossy(&request.as_ref()[..request.as_ref().len().min(90)]);
    assert_eq!(response.status, status, "{shown}: {response:?}");
    let error = json_of(&response);
    let message = error["error"].as_str().unwrap();
    assert!(!message.is_empty() && !message.contains('\n'), "{error}");
    assert_eq!(error, json!({ "error": message }), "{shown}");
    response
}

#[test]
fn crud_answers_every_error_in_json() {
    let folder = TempDir::new().unwrap();
    let file = file_with(&folder, r#"{"1": {"text": "bread"}}"#);
    let example = Running::start("crud", &[path(&file)]);
    let note = r#"{"text": "x"}"#;

    for (what, body, status) in [
        ("POST /notes", r#"{"text": "#, 400),
        ("POST /notes", "", 400),
        ("POST /notes", r#"{"text": 1}"#, 422),
        ("POST /notes", "{}", 422),
        ("PUT /notes/1", "[]", 422),
        ("PUT /notes/x", note, 400),
        ("PUT /notes/2", note, 404),
        ("DELETE /notes/2", "", 404),
        ("DELETE /notes/-1", "", 400),
        ("GET /notes/2", "", 404),
        ("GET /notes/x", "", 400),
        ("GET /notes/%FF", "", 400),
        ("GET /nothing", "", 404),
        ("GET /notes/", "", 404),
    ] {
        expect_error(&example, request(what, body), status);
    }
    for (what, allow) in [
        ("PATCH /notes", "allow: get, head, options, post"),
        ("PATCH /notes/1", "allow: delete, get, head, options, put"),
    ] {
        let refused = expect_error(&example, request(what, ""), 405);
        let mut found: Vec<&str> = refused.head.lines().collect();
        found.retain(|line| line.starts_with("allow: "));
        let mut methods: Vec<&str> = found[0]["allow: ".len()..].split(", ").collect();
        methods.sort_unstable();
        assert_eq!(format!("allow: {}", methods.join(", ")), allow);
    }

    let twice = "Authorization: Bearer open-sesame\r\nAuthorization: Bearer open-sesame\r\n";
    for (token, status, challenge) in [
        ("", 401, "bearer"),
        (
            "Authorization: Bearer wrong\r\n",
            401,
            "bearer error=\"invalid_token\"",
        ),
        ("Authorization: Basic YTpi\r\n", 401, "bearer"),
        (twice, 400, "bearer error=\"invalid_request\""),
    ] {
        for what in ["POST /notes", "PUT /notes/1", "DELETE /notes/1"] {
            let request = format!("{what} HTTP/1.1\r\nHost: a\r\n{token}Content-Length: 0\r\n\r\n");
            let refused = expect_error(&example, request, status);
            let line = format!("www-authenticate: {challenge}");
            assert!(refused.has(&line), "{refused:?}");
        }
    }

    let text = request("POST /notes", note).replace("application/json", "text/plain");
    expect_error(&example, text, 415);
    // The limit is 2 MiB: a body of that size is read, one more byte is refused before it
    // is sent.
    const LIMIT: usize = 2 << 20;
    let largest = format!("{{\"text\": \"{}\"}}", "x".repeat(LIMIT - 12));
    assert_eq!(largest.len(), LIMIT);
    assert_eq!(
        ask(&mut example.connect(), "PUT /notes/1", &largest).status,
        204
    );
    let head = "PUT /notes/1 HTTP/1.1\r\nHost: a\r\n";
    expect_error(
        &example,
        format!("{head}Content-Length: {}\r\n\r\n", LIMIT + 1),
        413,
    );
    let chunk = "x".repeat(LIMIT + 1);
    let chunked = request("PUT /notes/1", "").replace(
        "Content-Length: 0\r\n\r\n",
        &format!("Transfer-Encoding: chunked\r\n\r\n200001\r\n{chunk}\r\n"),
    );
    expect_error(&example, chunked, 413);

    // What is no request at all, or none that the server takes.
    for (bytes, status) in [
        ("nonsense\r\n\r\n".to_owned(), 400),
        ("GET /notes HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /notes HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), 505),
        (
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000)),
            414,
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n",
                "x".repeat(20_000)
            ),
            431,
        ),
        (
            format!("{head}Transfer-Encoding: gzip, chunked\r\n\r\n"),
            501,
        ),
        (
            format!("{head}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
            400,
        ),
    ] {
        expect_error(&example, bytes, status);
    }
    example.stop();
}

#[test]
fn crud_answers_a_panic_in_json_and_keeps_its_notes() {
    let folder = TempDir::new().unwrap();
    let last = u64::MAX.to_string();
    let notes = json!({ last: {"text": "bread"} });
    let file = file_with(&folder, &notes.to_string());
    let example = Running::start("crud", &[path(&file)]);
    let refused = expect_error(&example, request("POST /notes", r#"{"text": "x"}"#), 500);
    assert!(refused.closes());
    // The handler held the lock.
    expect_error(&example, request("GET /notes", ""), 500);
    example.stop();
    assert_eq!(content_of(&file), notes);
}

/// Sends one request. Returns `None` if the server has closed the connection before
/// the request arrived.
fn confirmed(client: &mut Client, what: &str, body: &str, status: u16) -> Option<Response> {
    client.try_send(request(what, body)).ok()?;
    let response = match client.try_response(false) {
        Err(Loss::Lost) => return None,
        response => response.unwrap(),
    };
    assert_eq!(response.status, status, "{response:?}");
    Some(response)
}

/// Creates, replaces and deletes notes of its own until the server refuses connections.
/// Returns those that are confirmed to be there.
fn change_notes(example: &Running, name: usize, news: Sender<()>) -> BTreeMap<String, Value> {
    let mut mine = BTreeMap::new();
    let mut count = 0;
    while let Ok(mut client) = Client::try_connect(example.address) {
        loop {
            count += 1;
            let note = json!({"text": format!("{count} of {name}")});
            let last = mine
                .last_key_value()
                .map(|(id, _): (&String, _)| id.clone());
            let response = match last {
                Some(id) if count % 3 == 1 => {
                    let what = format!("PUT /notes/{id}");
                    let response = confirmed(&mut client, &what, &note.to_string(), 204);
                    response.inspect(|_| drop(mine.insert(id, note)))
                }
                Some(id) if count % 5 == 1 => {
                    let response = confirmed(&mut client, &format!("DELETE /notes/{id}"), "", 204);
                    response.inspect(|_| drop(mine.remove(&id)))
                }
                _ => confirmed(&mut client, "POST /notes", &note.to_string(), 201).inspect(
                    |response| {
                        let mut lines = response.head.lines();
                        let id = lines.find_map(|line| line.strip_prefix("location: /notes/"));
                        mine.insert(id.unwrap().to_owned(), note);
                    },
                ),
            };
            let _ = news.send(());
            if response.is_none_or(|response| response.closes()) {
                break;
            }
        }
    }
    mine
}

#[test]
fn crud_that_is_stopped_under_load_saves_exactly_what_it_has_confirmed() {
    let folder = TempDir::new().unwrap();
    let file = file_with(&folder, "{}");
    let example = Running::start("crud", &[path(&file)]);
    let (news, told) = mpsc::channel();
    let confirmed: BTreeMap<String, Value> = thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|name| {
                let (example, news) = (&example, news.clone());
                scope.spawn(move || change_notes(example, name, news))
            })
            .collect();
        for _ in 0..300 {
            told.recv().unwrap();
        }
        example.signal(Signal::TERM);
        let confirmed = clients.into_iter().map(|client| client.join().unwrap());
        confirmed.flatten().collect()
    });
    let (code, stdout) = example.end();
    assert_eq!(code, Some(0), "{stdout}");
    assert!(confirmed.len() > 50, "{} notes", confirmed.len());
    assert_eq!(content_of(&file), json!(confirmed), "{stdout}");
}
