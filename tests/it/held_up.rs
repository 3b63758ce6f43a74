//! A slow handler delays only its own client, as long as one worker is free.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

use farewell::Request;

use crate::support::Client;
use crate::support::Gate;
use crate::support::TestServer;
use crate::support::config;
use crate::support::gated;
use crate::support::get;

/// Connects more clients than there are shards, so that each shard has several.
fn connect_many(server: &TestServer) -> Vec<Client> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let connect = |_| {
        let mut client = server.connect();
        client.request("/");
        client.response();
        client
    };
    (0..2 * cores + 4).map(connect).collect()
}

fn expect_answers(clients: &mut [Client]) {
    for client in clients {
        client.request("/quick");
        assert_eq!(client.response().body, "hello /quick");
    }
}

#[test]
fn one_free_worker_serves_all_clients_while_the_other_workers_wait() {
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config(), gated(&gate));
    let mut clients = connect_many(&server);
    let (slow, quick) = clients.split_at_mut(3);
    for client in slow.iter_mut() {
        client.request("/slow");
        gate.wait_started();
        expect_answers(quick);
    }
    drop(bar);
    for client in slow {
        assert_eq!(client.response().body, "hello /slow");
    }
    expect_answers(&mut clients);
}

#[test]
fn one_free_worker_serves_all_clients_while_the_other_worker_computes() {
    let done = Arc::new(AtomicBool::new(false));
    let (gate, bar) = Gate::new();
    drop(bar);
    let handler = {
        let (gated, done) = (gated(&gate), Arc::clone(&done));
        move |request: Request| {
            let computes = request.uri().path() == "/slow";
            let response = farewell::Handler::handle(&gated, request);
            while computes && !done.load(SeqCst) {
                std::hint::spin_loop();
            }
            response
        }
    };
    let mut config = config();
    config.workers = 2;
    let server = TestServer::start(config, handler);
    let mut clients = connect_many(&server);
    let (slow, quick) = clients.split_at_mut(1);
    slow[0].request("/slow");
    gate.wait_started();
    expect_answers(quick);
    done.store(true, SeqCst);
    assert_eq!(slow[0].response().body, "hello /slow");
}

#[test]
fn requests_that_arrive_while_all_workers_are_busy_are_served_by_the_first_free_worker() {
    let (first, bar) = Gate::new();
    let (second, second_bar) = Gate::new();
    let handler = {
        let (first, second) = (Arc::clone(&first), Arc::clone(&second));
        move |request: Request| {
            match request.uri().path() {
                "/first" => first.pass("first"),
                "/second" => second.pass("second"),
                _ => {}
            }
            format!("hello {}", request.uri().path())
        }
    };
    let mut config = config();
    config.workers = 2;
    let server = TestServer::start(config, handler);
    let mut clients = connect_many(&server);
    let (busy, others) = clients.split_at_mut(2);
    busy[0].request("/first");
    first.wait_started();
    busy[1].request("/second");
    second.wait_started();
    for client in others.iter_mut() {
        client.request("/quick");
    }
    drop(bar);
    for client in others {
        assert_eq!(client.response().body, "hello /quick");
    }
    drop(second_bar);
    assert_eq!(busy[1].response().body, "hello /second");
}

#[test]
fn a_body_arrives_while_every_other_worker_is_busy() {
    let (gate, bar) = Gate::new();
    let begun = Gate::new();
    drop(begun.1);
    let handler = {
        let (gated, begun) = (gated(&gate), Arc::clone(&begun.0));
        move |mut request: Request| {
            if request.uri().path() != "/body" {
                return farewell::Handler::handle(&gated, request);
            }
            begun.pass("body");
            let mut length = 0;
            let mut piece = [0; 1024];
            loop {
                match request.body_mut().read(&mut piece) {
                    Ok(0) => break,
                    Ok(count) => length += count,
                    Err(error) => return farewell::IntoResponse::into_response(error.to_string()),
                }
            }
            farewell::IntoResponse::into_response(length.to_string())
        }
    };
    let server = TestServer::start(config(), handler);
    let mut clients = connect_many(&server);
    for client in &mut clients[..3] {
        client.request("/slow");
        gate.wait_started();
    }
    // More than the server reads before the call, in pieces that arrive one by one.
    let piece = "x".repeat(32 * 1024);
    let upload = &mut clients[3];
    upload.send(format!(
        "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{piece}{piece}",
        6 * piece.len()
    ));
    begun.0.wait_started();
    for _ in 0..4 {
        upload.send(piece.clone());
    }
    assert_eq!(upload.response().body, (6 * piece.len()).to_string());
    drop(bar);
}

#[test]
fn an_eof_that_arrives_while_a_handler_runs_is_seen_after_the_answers() {
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config(), gated(&gate));
    let mut clients = connect_many(&server);
    let (client, others) = clients.split_first_mut().unwrap();
    client.request("/slow");
    gate.wait_started();
    client.send(get("/last"));
    client.half_close();
    // The worker that serves these gets the event of the request and of the EOF.
    expect_answers(others);
    drop(bar);
    assert_eq!(client.response().body, "hello /slow");
    assert_eq!(client.response().body, "hello /last");
    client.expect_eof();
}
