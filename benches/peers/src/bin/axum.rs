//! axum. Blocking work goes to `spawn_blocking`, and so does computation,
//! behind a semaphore. The stop is `with_graceful_shutdown`.

use std::io;

use axum::Router;
use axum::body::Bytes;
use axum::extract::RawQuery;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use farewell_peers::on_tokio::{compute, nap, runtime};
use farewell_peers::{Arguments, BLOCK, HELLO, KIB_64, MIB_10, duration_in};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> io::Result<()> {
    let arguments = Arguments::of_process();
    runtime(&arguments)?.block_on(serve(&arguments))
}

async fn serve(arguments: &Arguments) -> io::Result<()> {
    let service = Router::new()
        .route("/", get(async || text(HELLO)))
        .route("/echo", post(async |body: Bytes| body))
        .route("/64k", get(async || text(*KIB_64)))
        .route("/10m", get(async || text(*MIB_10)))
        .route("/block", get(block))
        .route("/nap", get(nap_for))
        .route("/first/{name}", get(nap_for))
        .route("/spin", get(spin_for));

    let listener = TcpListener::bind(arguments.address()).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    axum::serve(listener, service)
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await
}

fn text(body: &'static str) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/plain")],
        Bytes::from_static(body.as_bytes()),
    )
}

async fn block() -> impl IntoResponse {
    nap(BLOCK).await;
    text(HELLO)
}

async fn nap_for(RawQuery(query): RawQuery) -> impl IntoResponse {
    nap(duration_in(query.as_deref())).await;
    text(HELLO)
}

async fn spin_for(RawQuery(query): RawQuery) -> impl IntoResponse {
    compute(duration_in(query.as_deref())).await;
    text(HELLO)
}
