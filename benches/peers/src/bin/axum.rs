//! axum: blocking work goes to `spawn_blocking`, and the stop is
//! `with_graceful_shutdown`.

use std::io;
use std::thread;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use farewell_peers::{Arguments, BLOCK, HELLO, KIB_64, MIB_10};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task;

#[tokio::main]
async fn main() -> io::Result<()> {
    let service = Router::new()
        .route("/", get(async || text(HELLO)))
        .route("/echo", post(async |body: Bytes| body))
        .route("/64k", get(async || text(*KIB_64)))
        .route("/10m", get(async || text(*MIB_10)))
        .route("/block", get(block));

    let listener = TcpListener::bind(Arguments::of_process().address()).await?;
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
    task::spawn_blocking(|| thread::sleep(BLOCK))
        .await
        .expect("sleeping does not panic");
    text(HELLO)
}
