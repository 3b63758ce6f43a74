//! The notes of `examples/crud.rs` in rouille. The program itself limits bodies, tells a 405
//! from a 404, and keeps the deadline of a stop.
//!
//! ```sh
//! echo '{}' > notes.json
//! TOKEN=open-sesame cargo run -p crud-rouille notes.json [ADDRESS]
//! ```

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};
use std::{collections::BTreeMap, env, error::Error, fs, thread};

use rouille::{Request, Response, Server, router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use subtle::ConstantTimeEq;

#[derive(Clone, Deserialize, Serialize)]
struct Note {
    text: String,
}

type Notes = Mutex<BTreeMap<u64, Note>>;

/// The longest body, in bytes.
const LIMIT: usize = 2 << 20;

fn refusal(status: u16, message: &str) -> Response {
    Response::json(&json!({ "error": message })).with_status_code(status)
}

fn no_such_note() -> Response {
    refusal(404, "there is no such note")
}

fn id_of(text: &str) -> Result<u64, Response> {
    text.parse()
        .map_err(|error| refusal(400, &format!("the id: {error}")))
}

/// The note in the body. `rouille::input::json_input` has no limit.
fn note_of(request: &Request) -> Result<Note, Response> {
    let kind = request.header("Content-Type").unwrap_or_default();
    if !kind.starts_with("application/json") {
        return Err(refusal(415, "the body is not application/json"));
    }
    let mut json = Vec::new();
    let body = request.data().expect("only this function reads the body");
    body.take(LIMIT as u64 + 1)
        .read_to_end(&mut json)
        .map_err(|error| refusal(400, &error.to_string()))?;
    if json.len() > LIMIT {
        return Err(refusal(413, "the body is longer than 2 MiB"));
    }
    serde_json::from_slice(&json).map_err(|error| {
        let status = if error.is_data() { 422 } else { 400 };
        refusal(status, &error.to_string())
    })
}

fn list(notes: &Notes) -> Response {
    Response::json(&*notes.lock().unwrap())
}

fn create(notes: &Notes, request: &Request) -> Result<Response, Response> {
    let note = note_of(request)?;
    let mut notes = notes.lock().unwrap();
    let last = notes.last_key_value().map_or(0, |(id, _)| *id);
    let id = last.checked_add(1).expect("ids are left");
    notes.insert(id, note.clone());
    let created = Response::json(&note).with_status_code(201);
    Ok(created.with_additional_header("Location", format!("/notes/{id}")))
}

fn read(notes: &Notes, id: &str) -> Result<Response, Response> {
    let note = notes.lock().unwrap().get(&id_of(id)?).map(Response::json);
    note.ok_or_else(no_such_note)
}

fn replace(notes: &Notes, id: &str, request: &Request) -> Result<Response, Response> {
    let (id, new) = (id_of(id)?, note_of(request)?);
    let mut notes = notes.lock().unwrap();
    *notes.get_mut(&id).ok_or_else(no_such_note)? = new;
    Ok(Response::empty_204())
}

fn delete(notes: &Notes, id: &str) -> Result<Response, Response> {
    let note = notes.lock().unwrap().remove(&id_of(id)?);
    note.map(|_| Response::empty_204()).ok_or_else(no_such_note)
}

fn respond(notes: &Notes, token: &str, request: &Request) -> Result<Response, Response> {
    let given = request.header("Authorization").unwrap_or_default();
    let is_right: bool = given.as_bytes().ct_eq(token.as_bytes()).into();
    if !matches!(request.method(), "GET" | "HEAD") && !is_right {
        let refusal = refusal(401, "missing or wrong token");
        return Err(refusal.with_additional_header("WWW-Authenticate", "Bearer"));
    }
    router!(request,
        (GET) (/notes) => { Ok(list(notes)) },
        (POST) (/notes) => { create(notes, request) },
        (GET) (/notes/{id: String}) => { read(notes, &id) },
        (PUT) (/notes/{id: String}) => { replace(notes, &id, request) },
        (DELETE) (/notes/{id: String}) => { delete(notes, &id) },
        _ => Err(no_route(request))
    )
}

/// A 405 if there is a route for another method.
fn no_route(request: &Request) -> Response {
    let path = request.url();
    let allow = match path.strip_prefix("/notes") {
        Some("") => "GET, POST",
        Some(id) if id.rfind('/') == Some(0) => "GET, PUT, DELETE",
        _ => return refusal(404, "there is no such path"),
    };
    refusal(405, "there is no such method here").with_additional_header("Allow", allow)
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let file = env::args().nth(1).ok_or("missing FILE")?;
    let address = env::args().nth(2).unwrap_or("127.0.0.1:8080".to_owned());
    let token = format!("Bearer {}", env::var("TOKEN")?);
    let notes: Arc<Notes> = Arc::new(serde_json::from_slice(&fs::read(&file)?)?);
    let shared = Arc::clone(&notes);
    // rouille's own response to a panic is a page of HTML.
    let server = Server::new(address, move |request| {
        let response = catch_unwind(AssertUnwindSafe(|| respond(&shared, &token, request)));
        let panicked = |_| Err(refusal(500, "the handler has panicked"));
        let answer = response.unwrap_or_else(panicked);
        answer.unwrap_or_else(|refusal| refusal)
    })?;
    println!("listening on http://{}", server.server_addr());

    let (signalled, signal) = mpsc::channel();
    ctrlc::set_handler(move || {
        let _ = signalled.send(()); // an error means that the program ends already
    })?;
    let (serving, stop) = server.stoppable();
    signal.recv()?;
    stop.send(())?;
    // The server stops once no request has come for a second: there may be no such second.
    let deadline = Instant::now() + Duration::from_secs(5);
    while !serving.is_finished() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    let notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    fs::write(format!("{file}.new"), serde_json::to_vec(&*notes)?)?;
    fs::rename(format!("{file}.new"), file)?;
    Ok(())
}
