//! rouille: a thread for each request, which may block. The stop is
//! `Server::stoppable`.

use std::error::Error;
use std::io::Read;
use std::thread;

use farewell_peers::{
    Arguments, BLOCK, HELLO, KIB_64, MIB_10, duration_in, on_sigterm, path_and_query,
};
use rouille::{Request, Response, ResponseBody, Server};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let server = Server::new(Arguments::of_process().address(), respond)?;
    let (serving, stop) = server.stoppable();
    on_sigterm(move || {
        // An error means that the server has stopped already.
        let _ = stop.send(());
    });
    serving.join().expect("the serving thread does not panic");
    Ok(())
}

fn respond(request: &Request) -> Response {
    let (path, query) = path_and_query(request.raw_url());
    match (request.method(), path) {
        ("GET", "/") => text(HELLO),
        ("GET", "/64k") => text(*KIB_64),
        ("GET", "/10m") => text(*MIB_10),
        ("GET", "/block") => {
            thread::sleep(BLOCK);
            text(HELLO)
        }
        ("GET", path) if path == "/nap" || path.starts_with("/first/") => {
            thread::sleep(duration_in(query));
            text(HELLO)
        }
        ("POST", "/echo") => echo(request),
        _ => Response::empty_404(),
    }
}

fn echo(request: &Request) -> Response {
    let mut body = Vec::new();
    let read = request.data().map(|mut data| data.read_to_end(&mut body));
    match read {
        Some(Ok(_)) => Response::from_data("application/octet-stream", body),
        _ => Response::empty_400(),
    }
}

fn text(body: &'static str) -> Response {
    let mut response = Response::from_data("text/plain", "");
    response.data = ResponseBody::from_reader_and_size(body.as_bytes(), body.len());
    response
}
