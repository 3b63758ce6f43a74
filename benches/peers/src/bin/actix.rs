//! actix-web. Blocking work and computation go to `web::block`. The server
//! handles SIGTERM itself.

use std::io;
use std::thread;
use std::time::Duration;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{self, Bytes};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use farewell_peers::{Arguments, BLOCK, HELLO, KIB_64, MIB_10, duration_in, spin};

#[actix_web::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::of_process();
    let mut server = HttpServer::new(|| {
        App::new()
            .route("/", web::get().to(async || text(HELLO)))
            .route("/echo", web::post().to(async |body: Bytes| body))
            .route("/64k", web::get().to(async || text(*KIB_64)))
            .route("/10m", web::get().to(async || text(*MIB_10)))
            .route("/block", web::get().to(block))
            .route("/nap", web::get().to(nap_for))
            .route("/first/{name}", web::get().to(nap_for))
            .route("/spin", web::get().to(spin_for))
    });
    if let Some(workers) = arguments.workers {
        // Each event loop has its own pool. There is one event loop for each
        // core.
        let cores = thread::available_parallelism().map_or(1, usize::from);
        server = server.worker_max_blocking_threads(workers.div_ceil(cores));
    }
    server.bind(arguments.address())?.run().await
}

fn text(body: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/plain"))
        .body(Bytes::from_static(body.as_bytes()))
}

async fn block() -> HttpResponse {
    nap(BLOCK).await;
    text(HELLO)
}

async fn nap_for(request: HttpRequest) -> HttpResponse {
    nap(duration_in(request.uri().query())).await;
    text(HELLO)
}

async fn nap(time: Duration) {
    web::block(move || thread::sleep(time))
        .await
        .expect("sleeping does not panic");
}

async fn spin_for(request: HttpRequest) -> HttpResponse {
    let time = duration_in(request.uri().query());
    web::block(move || spin(time))
        .await
        .expect("computing does not panic");
    text(HELLO)
}
