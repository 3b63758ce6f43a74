//! may_minihttp: a coroutine for each connection. A coroutine must not block
//! its thread, so `/block` is a coroutine's sleep. It computes in the
//! coroutine, because its documentation recommends nothing else. It has no
//! graceful stop: SIGTERM ends the process.

use std::io::{self, Read};

use farewell_peers::{Arguments, BLOCK, HELLO, KIB_64, MIB_10, duration_in, path_and_query, spin};
use may_minihttp::{HttpServer, HttpService, Request, Response};

#[derive(Clone)]
struct Service;

impl HttpService for Service {
    fn call(
        &mut self,
        request: Request<'_, '_, '_>,
        response: &mut Response<'_>,
    ) -> io::Result<()> {
        let (path, query) = path_and_query(request.path());
        match path {
            "/" => text(response, HELLO),
            "/64k" => text(response, *KIB_64),
            "/10m" => text(response, *MIB_10),
            "/block" => {
                may::coroutine::sleep(BLOCK);
                text(response, HELLO);
            }
            "/spin" => {
                spin(duration_in(query));
                text(response, HELLO);
            }
            path if path == "/nap" || path.starts_with("/first/") => {
                may::coroutine::sleep(duration_in(query));
                text(response, HELLO);
            }
            "/echo" => {
                let mut body = Vec::new();
                request.body().read_to_end(&mut body)?;
                response.body_vec(body);
            }
            _ => {
                response.status_code(404, "Not Found");
            }
        }
        Ok(())
    }
}

fn text(response: &mut Response<'_>, body: &'static str) {
    response.header("Content-Type: text/plain").body(body);
}

fn main() -> io::Result<()> {
    let serving = HttpServer(Service).start(Arguments::of_process().address())?;
    serving
        .join()
        .expect("the serving coroutine does not panic");
    Ok(())
}
