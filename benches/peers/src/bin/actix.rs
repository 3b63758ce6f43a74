//! actix-web: blocking work goes to `web::block`, and the stop is the one that
//! its server does by itself at SIGTERM.

use std::io;
use std::thread;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{self, Bytes};
use actix_web::{App, HttpResponse, HttpServer};
use farewell_peers::{Arguments, BLOCK, HELLO, KIB_64, MIB_10};

#[actix_web::main]
async fn main() -> io::Result<()> {
    HttpServer::new(|| {
        App::new()
            .route("/", web::get().to(async || text(HELLO)))
            .route("/echo", web::post().to(async |body: Bytes| body))
            .route("/64k", web::get().to(async || text(*KIB_64)))
            .route("/10m", web::get().to(async || text(*MIB_10)))
            .route("/block", web::get().to(block))
    })
    .bind(Arguments::of_process().address())?
    .run()
    .await
}

fn text(body: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/plain"))
        .body(Bytes::from_static(body.as_bytes()))
}

async fn block() -> HttpResponse {
    web::block(|| thread::sleep(BLOCK))
        .await
        .expect("sleeping does not panic");
    text(HELLO)
}
