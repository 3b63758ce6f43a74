//! A JSON API of notes: open to read, with a token to change, saved to a file at the end.
//! Every error that a client can get is JSON too, also those of the server itself.
//!
//! ```sh
//! export TOKEN=open-sesame; echo '{}' > notes.json
//! cargo run --example crud --features form,json notes.json [ADDRESS]
//! curl -H "Authorization: Bearer $TOKEN" --json '{"text": "milk"}' http://127.0.0.1:8080/notes
//! curl 'http://127.0.0.1:8080/notes?contains=milk'
//! ```

use std::sync::{Mutex, PoisonError};
use std::{collections::BTreeMap, env, error::Error, fs};

use farewell::{BodyLimits, Config, Handler, IntoResponse, Json, NoContent, Rejection, Request};
use farewell::{Response, Router, Server, State, StatusCode, header};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

type Notes = Mutex<BTreeMap<u64, Note>>;

#[derive(Clone, Deserialize, Serialize)]
struct Note {
    text: String,
}

#[derive(Deserialize)]
struct Filter {
    contains: Option<String>,
}

fn list(notes: &Notes, request: Request) -> Result<impl IntoResponse, Rejection> {
    let text = request.query::<Filter>()?.contains.unwrap_or_default();
    let mut found = notes.lock()?.clone();
    found.retain(|_, note| note.text.contains(&text));
    Ok(Json(found))
}

fn create(notes: &Notes, mut request: Request) -> Result<impl IntoResponse, Rejection> {
    let note: Note = request.json()?;
    let mut notes = notes.lock()?;
    let last = notes.last_key_value().map_or(0, |(id, _)| *id);
    let id = last.checked_add(1).expect("ids are left");
    notes.insert(id, note.clone());
    let location = [(header::LOCATION, format!("/notes/{id}"))];
    Ok((StatusCode::CREATED, location, Json(note)))
}

fn read(notes: &Notes, request: Request) -> Result<Option<Json<Note>>, Rejection> {
    let id: u64 = request.param_as("id")?;
    Ok(notes.lock()?.get(&id).cloned().map(Json)) // `None` is a 404
}

fn replace(notes: &Notes, mut request: Request) -> Result<Option<NoContent>, Rejection> {
    let id: u64 = request.param_as("id")?;
    let new: Note = request.json()?;
    let replaced = notes.lock()?.get_mut(&id).map(|note| *note = new);
    Ok(replaced.map(|()| NoContent))
}

fn delete(notes: &Notes, request: Request) -> Result<Option<NoContent>, Rejection> {
    let id: u64 = request.param_as("id")?;
    Ok(notes.lock()?.remove(&id).map(|_| NoContent))
}

fn auth(expected: &String, request: Request, next: &dyn Handler) -> Response {
    let given = request.headers().get(header::AUTHORIZATION);
    if given.is_some_and(|given| given.as_bytes().ct_eq(expected.as_bytes()).into()) {
        return next.handle(request);
    }
    let refusal = Rejection::new(StatusCode::UNAUTHORIZED, "missing or wrong token");
    ([(header::WWW_AUTHENTICATE, "Bearer")], refusal).into_response()
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = env::args().nth(1).ok_or("missing FILE")?;
    let address = env::args().nth(2).unwrap_or("127.0.0.1:8080".to_owned());
    let token = env::var("TOKEN").map_err(|_| "TOKEN is not set")?;
    let notes: State<Notes> = State::new(serde_json::from_slice(&fs::read(&file)?)?);
    let changes = Router::new()
        .post("/notes", notes.handler(create))
        .put("/notes/{id}", notes.handler(replace))
        .delete("/notes/{id}", notes.handler(delete))
        .layer(State::new(format!("Bearer {token}")).layer(auth));
    let routes = Router::new()
        .get("/notes", notes.handler(list))
        .get("/notes/{id}", notes.handler(read))
        .merge(changes)
        .body_limits(BodyLimits::new().bytes_max(64 << 10));
    let server = Server::bind(address, Config::default())?
        .render_rejections(|error| serde_json::json!({ "error": error.message() }));
    server.stop_on_signals()?;
    println!("listening on http://{}", server.local_addr());
    let report = server.serve(routes.build()?);
    let notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    fs::write(format!("{file}.new"), serde_json::to_vec(&*notes)?)?;
    fs::rename(format!("{file}.new"), file)?; // in one step: the old notes or all new ones
    println!("{}", report?);
    Ok(())
}
