//! The notes of `examples/crud.rs` in axum. Extractors and handlers refuse with a status and
//! a text; one layer makes JSON of every refusal.
//!
//! ```sh
//! echo '{}' > notes.json
//! TOKEN=open-sesame cargo run -p crud-axum notes.json [ADDRESS]
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::{collections::BTreeMap, env, error::Error, fs, time::Duration};

use axum::body::to_bytes;
use axum::extract::{Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::{sync::oneshot, time::sleep};
use tower_http::catch_panic::CatchPanicLayer;

#[derive(Clone, Deserialize, Serialize)]
struct Note {
    text: String,
}

type Notes = Arc<Mutex<BTreeMap<u64, Note>>>;

const NO_SUCH_NOTE: (StatusCode, &str) = (StatusCode::NOT_FOUND, "there is no such note");

async fn list(State(notes): State<Notes>) -> impl IntoResponse {
    Json(notes.lock().unwrap().clone())
}

async fn create(State(notes): State<Notes>, Json(note): Json<Note>) -> impl IntoResponse {
    let mut notes = notes.lock().unwrap();
    let last = notes.last_key_value().map_or(0, |(id, _)| *id);
    let id = last.checked_add(1).expect("ids are left");
    notes.insert(id, note.clone());
    let location = [(LOCATION, format!("/notes/{id}"))];
    (StatusCode::CREATED, location, Json(note))
}

async fn read(State(notes): State<Notes>, Path(id): Path<u64>) -> impl IntoResponse {
    let note = notes.lock().unwrap().get(&id).cloned();
    note.map(Json).ok_or(NO_SUCH_NOTE)
}

async fn replace(
    State(notes): State<Notes>,
    Path(id): Path<u64>,
    Json(new): Json<Note>,
) -> impl IntoResponse {
    let note = notes.lock().unwrap().get_mut(&id).map(|note| *note = new);
    note.map(|()| StatusCode::NO_CONTENT).ok_or(NO_SUCH_NOTE)
}

async fn delete(State(notes): State<Notes>, Path(id): Path<u64>) -> impl IntoResponse {
    let note = notes.lock().unwrap().remove(&id);
    note.map(|_| StatusCode::NO_CONTENT).ok_or(NO_SUCH_NOTE)
}

/// Refuses changes without the token.
async fn guard(State(expected): State<Arc<str>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(AUTHORIZATION);
    let is_right = |given: &HeaderValue| given.as_bytes().ct_eq(expected.as_bytes()).into();
    if request.method().is_safe() || given.is_some_and(is_right) {
        return next.run(request).await;
    }
    let (status, challenge) = (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")]);
    (status, challenge, "missing or wrong token").into_response()
}

/// Replaces the text of an error by JSON that has it.
async fn error_as_json(response: Response) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let text = to_bytes(body, 4096).await.unwrap_or_default();
    let text = match String::from_utf8_lossy(&text) {
        empty if empty.is_empty() => status.to_string(),
        text => text.into_owned(),
    };
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.remove(CONTENT_TYPE);
    (parts, Json(serde_json::json!({ "error": text }))).into_response()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = env::args().nth(1).ok_or("missing FILE")?;
    let address = env::args().nth(2).unwrap_or("127.0.0.1:8080".to_owned());
    let token: Arc<str> = format!("Bearer {}", env::var("TOKEN")?).into();
    let notes: Notes = Arc::new(serde_json::from_slice(&fs::read(&file)?)?);
    let routes = Router::new()
        .route("/notes", get(list).post(create))
        .route("/notes/{id}", get(read).put(replace).delete(delete))
        .with_state(notes.clone())
        .layer(from_fn_with_state(token, guard))
        .layer(CatchPanicLayer::new())
        .layer(map_response(error_as_json));

    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopping) = oneshot::channel();
    let server = axum::serve(listener, routes).with_graceful_shutdown(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let _ = stop.send(()); // an error means that the server has failed
    });
    let deadline = async {
        let _ = stopping.await;
        sleep(Duration::from_secs(5)).await;
    };
    tokio::select! {
        result = server => result?,
        () = deadline => eprintln!("the deadline cut a request"),
    }
    let notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    fs::write(format!("{file}.new"), serde_json::to_vec(&*notes)?)?;
    fs::rename(format!("{file}.new"), file)?;
    Ok(())
}
