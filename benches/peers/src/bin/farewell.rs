//! farewell. A handler may block and compute. The stop is
//! `ShutdownHandle::shutdown()`.

use std::process::ExitCode;
use std::thread;

use farewell::{Config, Rejection, Request, Response, Router, Server, header};
use farewell_peers::{Arguments, BLOCK, HELLO, KIB_64, MIB_10, duration_in, on_sigterm, spin};

fn main() -> Result<ExitCode, farewell::Error> {
    let arguments = Arguments::of_process();
    let mut config = Config::default();
    if let Some(workers) = arguments.workers {
        config.workers = workers;
    }
    if let Some(max_connections) = arguments.max_connections {
        config.max_connections = max_connections;
    }
    if let Some(lame_duck) = arguments.lame_duck {
        config.lame_duck = lame_duck;
    }
    config.shards = arguments.shards;

    let echo = |mut request: Request| -> Result<_, Rejection> { request.bytes() };
    let routes = Router::new()
        .get("/", |_: Request| text(HELLO))
        .post("/echo", echo)
        .get("/64k", |_: Request| text(*KIB_64))
        .get("/10m", |_: Request| text(*MIB_10))
        .get("/block", |_: Request| {
            thread::sleep(BLOCK);
            text(HELLO)
        })
        .get("/nap", nap)
        .get("/first/{name}", nap)
        .get("/spin", |request: Request| {
            spin(duration_in(request.uri().query()));
            text(HELLO)
        })
        .build()?;

    let server = Server::bind(arguments.address(), config)?;
    let stop = server.shutdown_handle();
    on_sigterm(move || {
        stop.shutdown();
    });
    let report = server.serve(routes)?;
    Ok(match report.all_answered() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(3),
    })
}

fn nap(request: Request) -> Response {
    thread::sleep(duration_in(request.uri().query()));
    text(HELLO)
}

fn text(body: &'static str) -> Response {
    let mut response = Response::new(body.into());
    let plain = header::HeaderValue::from_static("text/plain");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
