//! A clock of server-sent events. One thread sends to all clients, and a last event when
//! the server stops.
//!
//! ```sh
//! cargo run --example sse [ADDRESS]
//! curl -N http://127.0.0.1:8080/clock    # or open http://127.0.0.1:8080/ in a browser
//! ```

use std::time::{Duration, SystemTime};
use std::{env, error::Error, sync::mpsc, thread};

use farewell::{Config, Event, EventSender, Events, Html, Phase, Request, Router};
use farewell::{SendError, Server, ShutdownHandle};

const PAGE: &str = r#"<!DOCTYPE html><title>Clock</title><h1 id="clock"></h1><script>
const show = event => document.getElementById("clock").textContent = event.data;
const source = new EventSource("/clock");
source.onmessage = show;
source.addEventListener("goodbye", event => { show(event); source.close(); });</script>"#;

/// Ticks until the drain. Its return drops all senders, which ends their streams.
fn tick(arrivals: mpsc::Receiver<EventSender>, stop: &ShutdownHandle) {
    let mut listeners = Vec::new();
    let mut send = |event: &Event| {
        listeners.extend(arrivals.try_iter());
        listeners.retain(|to: &EventSender| to.send(event) != Err(SendError::Closed));
    };
    while !stop.wait_for_timeout(Phase::Draining, Duration::from_secs(1)) {
        send(&Event::data(httpdate::fmt_http_date(SystemTime::now())));
    }
    send(&Event::data("The clock has stopped.").name("goodbye"));
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;
    let (arrive, arrivals) = mpsc::channel();
    let stop = server.shutdown_handle();
    let ticking = thread::spawn(move || tick(arrivals, &stop));
    let clock = move |_: Request| {
        let (sender, events) = Events::new();
        let _ = arrive.send(sender); // if the clock has stopped, this drops the sender
        events
    };
    let routes = Router::new()
        .get("/", |_: Request| Html(PAGE))
        .get("/clock", clock);
    println!("listening on http://{}", server.local_addr());
    server.serve(routes.build()?)?;
    ticking.join().map_err(|_| "the clock panicked".into())
}
