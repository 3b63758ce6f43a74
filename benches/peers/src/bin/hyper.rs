//! hyper alone, on tokio's multi-threaded runtime. Blocking work goes to
//! `spawn_blocking`, and so does computation, behind a semaphore. The stop is
//! hyper-util's `GracefulShutdown`.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use farewell_peers::on_tokio::{compute, nap, runtime};
use farewell_peers::{Arguments, BLOCK, HELLO, KIB_64, MIB_10, duration_in};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> io::Result<()> {
    let arguments = Arguments::of_process();
    runtime(&arguments)?.block_on(serve(&arguments))
}

async fn serve(arguments: &Arguments) -> io::Result<()> {
    let listener = TcpListener::bind(arguments.address()).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let graceful = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
            _ = terminate.recv() => break,
        };
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(respond));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // An error means that the client has closed.
            let _ = connection.await;
        });
    }
    drop(listener);
    graceful.shutdown().await;
    Ok(())
}

async fn respond(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let time = || duration_in(request.uri().query());
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => text(HELLO),
        (&Method::GET, "/64k") => text(*KIB_64),
        (&Method::GET, "/10m") => text(*MIB_10),
        (&Method::GET, "/block") => {
            nap(BLOCK).await;
            text(HELLO)
        }
        (&Method::GET, "/nap") => {
            nap(time()).await;
            text(HELLO)
        }
        (&Method::GET, "/spin") => {
            compute(time()).await;
            text(HELLO)
        }
        (&Method::GET, path) if path.starts_with("/first/") => {
            nap(time()).await;
            text(HELLO)
        }
        (&Method::POST, "/echo") => match request.into_body().collect().await {
            Ok(body) => Response::new(Full::new(body.to_bytes())),
            Err(_) => failure(StatusCode::BAD_REQUEST),
        },
        _ => failure(StatusCode::NOT_FOUND),
    })
}

fn text(body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    let plain = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

fn failure(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
