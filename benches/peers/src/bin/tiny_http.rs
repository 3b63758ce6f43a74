//! tiny_http: threads that call `recv` and may block. The stop calls `unblock`
//! for each thread and joins them.

use std::error::Error;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use farewell_peers::{
    Arguments, BLOCK, HELLO, KIB_64, MIB_10, duration_in, on_sigterm, path_and_query,
};
use tiny_http::{Header, Method, Request, Response, Server, StatusCode};

/// Number of threads without `--workers`.
const THREADS: usize = 64;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments = Arguments::of_process();
    let count = arguments.workers.unwrap_or(THREADS);
    let server = Arc::new(Server::http(arguments.address())?);
    let stopping = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let (server, stopping) = (Arc::clone(&server), Arc::clone(&stopping));
            thread::spawn(move || work(&server, &stopping))
        })
        .collect();

    on_sigterm(move || {
        stopping.store(true, SeqCst);
        // Each call wakes one thread.
        (0..count).for_each(|_| server.unblock());
    });
    for thread in threads {
        thread.join().expect("a thread of the pool does not panic");
    }
    Ok(())
}

fn work(server: &Server, stopping: &AtomicBool) {
    while !stopping.load(SeqCst) {
        if let Ok(request) = server.recv() {
            // An error means that the client has closed.
            let _ = respond(request);
        }
    }
}

fn respond(mut request: Request) -> io::Result<()> {
    if *request.method() == Method::Post {
        let mut body = Vec::new();
        request.as_reader().read_to_end(&mut body)?;
        return request.respond(Response::from_data(body));
    }
    let (path, query) = path_and_query(request.url());
    let time = duration_in(query);
    match path {
        "/" => request.respond(text(HELLO)),
        "/64k" => request.respond(text(*KIB_64)),
        "/10m" => request.respond(text(*MIB_10)),
        "/block" => {
            thread::sleep(BLOCK);
            request.respond(text(HELLO))
        }
        path if path == "/nap" || path.starts_with("/first/") => {
            thread::sleep(time);
            request.respond(text(HELLO))
        }
        _ => request.respond(Response::empty(404)),
    }
}

fn text(body: &'static str) -> Response<impl Read> {
    let plain = Header::from_bytes("Content-Type", "text/plain").expect("a valid header field");
    let (bytes, length) = (body.as_bytes(), Some(body.len()));
    Response::new(StatusCode(200), vec![plain], bytes, length, None)
}
