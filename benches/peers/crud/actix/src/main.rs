//! The notes of `examples/crud.rs` in actix-web. One middleware makes JSON of every refusal.
//! Panics need a middleware too, because actix-web closes the connection after one.
//!
//! ```sh
//! echo '{}' > notes.json
//! TOKEN=open-sesame cargo run -p crud-actix notes.json [ADDRESS]
//! ```

use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::{collections::BTreeMap, env, error::Error as StdError, fs};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::{ErrorBadRequest, ErrorNotFound, InternalError, JsonPayloadError};
use actix_web::http::header::{AUTHORIZATION, Allow, CONTENT_TYPE, HeaderValue};
use actix_web::http::header::{LOCATION, WWW_AUTHENTICATE};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::{ErrorHandlerResponse, ErrorHandlers, Next, from_fn};
use actix_web::rt::signal::unix::{SignalKind, signal};
use actix_web::web::{Data, Json, JsonConfig, Path, PathConfig};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, ResponseError, Result, web};
use futures_util::future::{FutureExt, select};
use serde::{Deserialize, Serialize};
use serde_json::json;
use subtle::ConstantTimeEq;

#[derive(Clone, Deserialize, Serialize)]
struct Note {
    text: String,
}

type Notes = Mutex<BTreeMap<u64, Note>>;

/// The methods of `/notes`, and of `/notes/{id}`.
const ALL: [Method; 2] = [Method::GET, Method::POST];
const EACH: [Method; 3] = [Method::GET, Method::PUT, Method::DELETE];

fn no_such_note() -> Error {
    ErrorNotFound("there is no such note")
}

async fn list(notes: Data<Notes>) -> HttpResponse {
    HttpResponse::Ok().json(&*notes.lock().unwrap())
}

async fn create(notes: Data<Notes>, note: Json<Note>) -> HttpResponse {
    let mut notes = notes.lock().unwrap();
    let last = notes.last_key_value().map_or(0, |(id, _)| *id);
    let id = last.checked_add(1).expect("ids are left");
    notes.insert(id, note.clone());
    let location = (LOCATION, format!("/notes/{id}"));
    HttpResponse::Created().insert_header(location).json(note)
}

async fn read(notes: Data<Notes>, id: Path<u64>) -> Result<Json<Note>> {
    let note = notes.lock().unwrap().get(&id).cloned();
    note.map(Json).ok_or_else(no_such_note)
}

async fn replace(notes: Data<Notes>, id: Path<u64>, new: Json<Note>) -> Result<HttpResponse> {
    let mut notes = notes.lock().unwrap();
    *notes.get_mut(&id).ok_or_else(no_such_note)? = new.into_inner();
    Ok(HttpResponse::NoContent().finish())
}

async fn delete(notes: Data<Notes>, id: Path<u64>) -> Result<HttpResponse> {
    let note = notes.lock().unwrap().remove(&id);
    note.ok_or_else(no_such_note)?;
    Ok(HttpResponse::NoContent().finish())
}

/// Refuses other methods, and says which there are.
async fn allow(methods: &[Method]) -> HttpResponse {
    HttpResponse::MethodNotAllowed()
        .insert_header(Allow(methods.to_vec()))
        .finish()
}

/// Refuses changes without the token.
async fn guard(
    expected: Data<String>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>> {
    let given = request.headers().get(AUTHORIZATION);
    let is_right = |given: &HeaderValue| given.as_bytes().ct_eq(expected.as_bytes()).into();
    if request.method().is_safe() || given.is_some_and(is_right) {
        return next.call(request).await;
    }
    let refusal = HttpResponse::Unauthorized()
        .insert_header((WWW_AUTHENTICATE, "Bearer"))
        .json(json!({ "error": "missing or wrong token" }));
    Err(InternalError::from_response("no token", refusal).into())
}

async fn catch_panic(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>> {
    let response = AssertUnwindSafe(next.call(request)).catch_unwind().await;
    response.unwrap_or_else(|_| {
        let error = json!({ "error": "the handler has panicked" });
        let response = HttpResponse::InternalServerError().json(error);
        Err(InternalError::from_response("panic", response).into())
    })
}

/// Replaces the text of an error by JSON that has it.
fn error_as_json<B>(mut response: ServiceResponse<B>) -> Result<ErrorHandlerResponse<B>> {
    let status = response.status().to_string();
    let error = response.response().error();
    let text = error.map_or(status, ToString::to_string);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    let response = response.map_body(|_, _| BoxBody::new(json!({ "error": text }).to_string()));
    let response = response.map_into_right_body();
    Ok(ErrorHandlerResponse::Response(response))
}

/// actix-web has a 400 for each of these.
fn refuse_json(error: JsonPayloadError, _: &HttpRequest) -> Error {
    let status = match &error {
        JsonPayloadError::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        JsonPayloadError::Deserialize(cause) if cause.is_data() => StatusCode::UNPROCESSABLE_ENTITY,
        other => other.status_code(),
    };
    InternalError::new(error, status).into()
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let file = env::args().nth(1).ok_or("missing FILE")?;
    let address = env::args().nth(2).unwrap_or("127.0.0.1:8080".to_owned());
    let token = Data::new(format!("Bearer {}", env::var("TOKEN")?));
    let notes: Data<Notes> = Data::new(serde_json::from_slice(&fs::read(&file)?)?);
    let shared = notes.clone();
    // By itself it takes Ctrl+C as the order to cut all requests.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        select(Box::pin(terminate.recv()), Box::pin(interrupt.recv())).await;
    };
    let server = HttpServer::new(move || {
        let all = web::resource("/notes")
            .get(list)
            .post(create)
            .default_service(web::to(|| allow(&ALL)));
        let each = web::resource("/notes/{id}")
            .get(read)
            .put(replace)
            .delete(delete)
            .default_service(web::to(|| allow(&EACH)));
        App::new()
            .app_data(shared.clone())
            .app_data(token.clone())
            .app_data(JsonConfig::default().error_handler(refuse_json))
            .app_data(PathConfig::default().error_handler(|error, _| ErrorBadRequest(error)))
            .service(all)
            .service(each)
            .wrap(ErrorHandlers::new().default_handler(error_as_json))
            .wrap(from_fn(guard))
            .wrap(from_fn(catch_panic))
    });
    let server = server.shutdown_signal(stop).shutdown_timeout(5);
    let server = server.bind(address)?;
    println!("listening on http://{}", server.addrs()[0]);
    server.run().await?;
    let notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    fs::write(format!("{file}.new"), serde_json::to_vec(&*notes)?)?;
    fs::rename(format!("{file}.new"), file)?;
    Ok(())
}
