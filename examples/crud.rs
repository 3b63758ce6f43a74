//! A JSON API of notes: open to read, a token for changes, JSON for all errors, saved at the end.
//!
//! ```sh
//! echo '{}' > notes.json; TOKEN=secret cargo run --example crud -F auth,json notes.json [ADDRESS]
//! curl -H 'Authorization: Bearer secret' --json '{"text": "milk"}' http://127.0.0.1:8080/notes
//! ```

use farewell::{Config, Created, Json, NoContent, Rejection, Request, Router, Server, State};
use std::{collections::BTreeMap, env, error::Error, fs, sync::Mutex, sync::PoisonError};

type Notes = Mutex<BTreeMap<u64, Note>>;

#[derive(Clone, serde::Deserialize, serde::Serialize)]
struct Note {
    text: String,
}

fn list(notes: &Notes, _: Request) -> Result<Json<BTreeMap<u64, Note>>, Rejection> {
    Ok(Json(notes.lock()?.clone()))
}

fn create(notes: &Notes, mut request: Request) -> Result<Created<Json<Note>>, Rejection> {
    let note: Note = request.json()?;
    let mut notes = notes.lock()?;
    let last = notes.last_key_value().map_or(0, |(id, _)| *id);
    let id = last.checked_add(1).expect("ids are left");
    notes.insert(id, note.clone());
    Ok(Created(format!("/notes/{id}"), Json(note)))
}

fn read(notes: &Notes, request: Request) -> Result<Option<Json<Note>>, Rejection> {
    let id: u64 = request.param_as("id")?;
    Ok(notes.lock()?.get(&id).cloned().map(Json)) // `None` is a 404
}

fn replace(notes: &Notes, mut request: Request) -> Result<Option<NoContent>, Rejection> {
    let (id, new): (u64, Note) = (request.param_as("id")?, request.json()?);
    let replaced = notes.lock()?.get_mut(&id).map(|note| *note = new);
    Ok(replaced.map(|()| NoContent))
}

fn delete(notes: &Notes, request: Request) -> Result<Option<NoContent>, Rejection> {
    let id: u64 = request.param_as("id")?;
    Ok(notes.lock()?.remove(&id).map(|_| NoContent))
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = env::args().nth(1).ok_or("missing FILE")?;
    let address = env::args().nth(2).unwrap_or("127.0.0.1:8080".to_owned());
    let notes: State<Notes> = State::new(serde_json::from_slice(&fs::read(&file)?)?);
    let changes = Router::new()
        .post("/notes", notes.handler(create))
        .put("/notes/{id}", notes.handler(replace))
        .delete("/notes/{id}", notes.handler(delete))
        .layer(farewell::bearer_auth(&env::var("TOKEN")?)?);
    let routes = Router::new()
        .get("/notes", notes.handler(list))
        .get("/notes/{id}", notes.handler(read))
        .merge(changes);
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
