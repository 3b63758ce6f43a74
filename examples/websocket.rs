//! A WebSocket that echoes, with `tungstenite` on an upgraded connection. When the
//! server stops, it closes the WebSocket with code 1001, "going away".
//!
//! ```sh
//! cargo run --example websocket [ADDRESS]
//! websocat ws://127.0.0.1:8080/    # or, in a browser, new WebSocket("ws://127.0.0.1:8080/")
//! ```

use std::time::{Duration, Instant};
use std::{env, error::Error, io::ErrorKind};

use farewell::{Body, Config, Phase, Rejection, Request, Response, Router, Server};
use farewell::{StatusCode, Upgraded};
use tungstenite::handshake::server::create_response_with_body;
use tungstenite::protocol::{CloseFrame, Role, WebSocket, frame::coding::CloseCode};
use tungstenite::{Error::Io, Message::Binary, Message::Text};

fn upgrade(request: Request) -> Result<Response, Rejection> {
    let body = || Body::upgrade(|connection| drop(echo(connection)));
    create_response_with_body(&request.to_http(), body)
        .map_err(|error| Rejection::new(StatusCode::BAD_REQUEST, error.to_string()))
}

/// Echoes until the client closes or the server drains. The error says how it ended.
fn echo(mut connection: Upgraded) -> tungstenite::Result<()> {
    connection.wake_on_drain(true);
    let mut socket = WebSocket::from_raw_socket(connection, Role::Server, None);
    while socket.get_ref().phase() < Phase::Draining {
        match socket.read() {
            Ok(message @ (Text(_) | Binary(_))) => socket.send(message)?,
            Ok(_) => {} // such as a ping, which `read` has answered
            Err(Io(error)) if error.kind() == ErrorKind::WouldBlock => {} // the server drains
            Err(end) => return Err(end),
        }
    }
    let (code, reason) = (CloseCode::Away, "server is shutting down".into());
    socket.close(Some(CloseFrame { code, reason }))?;
    // Reads up to the client's close frame, because a proxy may wait for it too.
    let (start, timeout) = (Instant::now(), Duration::from_secs(1));
    socket.get_mut().set_read_timeout(Some(timeout));
    while start.elapsed() < timeout {
        socket.read()?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;

    println!("listening on http://{}", server.local_addr());
    server.serve(Router::new().get("/", upgrade).build()?)?;
    Ok(())
}
