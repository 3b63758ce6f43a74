//! Different numbers of shards and workers: each connection has its turn, whichever
//! worker is free, and however many shards the worker has to serve.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use crossbeam_channel::unbounded;
use farewell::Body;
use farewell::Config;
use farewell::Phase;
use farewell::Request;
use farewell::Response;
use farewell::Server;

use crate::support::Client;
use crate::support::Holds;
use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;
use crate::support::get;

fn sized(shards: usize, workers: usize) -> Config {
    let mut config = config();
    config.shards = Some(shards);
    config.workers = workers;
    config
}

/// A server that holds requests for `/hold`, with any query, and that stops on
/// `/shutdown`.
fn start(config: Config, holds: &Holds) -> TestServer {
    let holds = holds.clone();
    let server = Server::bind("127.0.0.1:0", config).unwrap();
    let stop = server.shutdown_handle();
    TestServer::spawn(server, move |request: Request| {
        match request.uri().path() {
            "/hold" => holds.hold(request.uri()),
            "/shutdown" => stop.shutdown(),
            _ => {}
        }
        format!("hello {}", request.uri())
    })
}

fn expect_answer(client: &mut Client, target: &str) {
    assert_eq!(client.response().body, format!("hello {target}"));
}

/// Each client gets its answer before the next client sends its request.
fn expect_answers_one_by_one(clients: &mut [Client]) {
    for client in clients {
        client.request("/quick");
        expect_answer(client, "/quick");
    }
}

/// All clients send their requests before the first answer is read.
fn expect_answers_at_once(clients: &mut [Client]) {
    for client in clients.iter_mut() {
        client.request("/quick");
    }
    for client in clients {
        expect_answer(client, "/quick");
    }
}

/// Every client always has a request, and every worker is in a call. The test ends the
/// oldest call, again and again, and counts the calls of each connection: no connection
/// may have more than twice as many as another one, plus two.
///
/// Connections are served in the order in which polls find them ready. Connections that
/// the same poll finds have no order, so a connection may have its second turn before
/// another one has its first.
fn expect_turns(shards: usize, workers: usize, connections: usize) {
    let holds = Holds::new();
    let server = TestServer::start(sized(shards, workers), {
        let holds = holds.clone();
        move |request: Request| {
            // The handler waits, so that its calls are expected to wait.
            thread::sleep(Duration::from_millis(1));
            holds.hold(request.uri().query().unwrap());
            "done"
        }
    });
    let mut clients = server.connect_in_turn(connections);
    let ask = |client: &mut Client, number: usize| client.request(&format!("/?{number}"));
    for (number, client) in clients.iter_mut().enumerate() {
        ask(client, number);
    }
    let mut calls = vec![0_usize; connections];
    let mut held = VecDeque::new();
    let mut begin_next = |held: &mut VecDeque<_>| {
        let call = holds.next();
        let number: usize = call.target.parse().unwrap();
        calls[number] += 1;
        let (fewest, most) = (calls.iter().min().unwrap(), calls.iter().max().unwrap());
        assert!(
            *most <= 2 * fewest + 2,
            "{shards} shards, {workers} workers: {calls:?}"
        );
        held.push_back((number, call));
    };
    for _ in 0..workers {
        begin_next(&mut held);
    }
    for _ in 0..8 * connections {
        let (number, call) = held.pop_front().unwrap();
        drop(call);
        assert_eq!(clients[number].response().body, "done");
        ask(&mut clients[number], number);
        begin_next(&mut held);
    }
    // One request of each connection is left.
    for begun in 0..connections {
        let (number, call) = held.pop_front().unwrap();
        drop(call);
        assert_eq!(clients[number].response().body, "done");
        if begun + workers < connections {
            begin_next(&mut held);
        }
    }
    drop(clients);
    server.stop.shutdown();
    assert!(server.join().all_answered());
}

#[test]
fn connections_of_one_shard_take_turns() {
    expect_turns(1, 1, 5);
    expect_turns(1, 2, 6);
}

#[test]
fn connections_of_several_shards_take_turns() {
    expect_turns(2, 2, 6);
    expect_turns(2, 3, 8);
    expect_turns(4, 2, 8);
    expect_turns(8, 3, 16);
}

#[test]
fn connections_of_many_shards_take_turns_with_one_worker() {
    expect_turns(2, 1, 4);
    expect_turns(4, 1, 4);
    expect_turns(8, 1, 8);
    expect_turns(8, 1, 16);
}

#[test]
fn requests_pipelined_behind_a_long_call_wait_for_other_connections() {
    for shards in [1, 2, 4] {
        let holds = Holds::new();
        let server = start(sized(shards, 1), &holds);
        let mut clients = server.connect_in_turn(shards + 1);
        let (pipelining, others) = clients.split_first_mut().unwrap();
        pipelining.send(get("/hold?1") + &get("/hold?2"));
        let first = holds.next();
        for client in others.iter_mut() {
            client.request("/hold?other");
        }
        server.wait_waiting(others.len());
        drop(first);
        for _ in 0..others.len() {
            assert_eq!(holds.next().target, "/hold?other");
        }
        assert_eq!(holds.next().target, "/hold?2");
        expect_answer(pipelining, "/hold?1");
        expect_answer(pipelining, "/hold?2");
        for client in others {
            expect_answer(client, "/hold?other");
        }
    }
}

#[test]
fn requests_begin_in_the_order_of_arrival_whatever_their_shards() {
    for shards in [1, 2, 4] {
        let holds = Holds::new();
        let server = start(sized(shards, 1), &holds);
        let mut clients = server.connect_in_turn(1 + 4 * shards);
        let (first, others) = clients.split_first_mut().unwrap();
        first.request("/hold?first");
        let mut call = holds.next();
        // All clients of a shard, and then all clients of the next one.
        let order = (0..shards).flat_map(|shard| (shard..4 * shards).step_by(shards));
        let order: Vec<usize> = order.collect();
        for (waiting, &client) in order.iter().enumerate() {
            others[client].request(&format!("/hold?{client}"));
            server.wait_waiting(waiting + 1);
        }
        for client in order {
            drop(call);
            call = holds.next();
            assert_eq!(call.target, format!("/hold?{client}"), "{shards} shards");
        }
        drop(call);
        expect_answer(first, "/hold?first");
        for (client, other) in others.iter_mut().enumerate() {
            expect_answer(other, &format!("/hold?{client}"));
        }
    }
}

/// The first call of a client also sends the client's next request, so that it has
/// arrived when the worker looks for it. The same happens if the kernel lets the client
/// run before the worker goes on.
fn expect_next_request_behind_others(first: &str, sent_in_call: &str) {
    let holds = Holds::new();
    let mut config = sized(1, 1);
    config.body_buffer = 1;
    let (begun, calls) = unbounded();
    let (to_send, sends) = unbounded::<(Client, String)>();
    let server = TestServer::start(config, {
        let holds = holds.clone();
        move |mut request: Request| {
            let target = request.uri().to_string();
            begun.send(target.clone()).unwrap();
            match request.uri().path() {
                "/hold" => holds.hold(&target),
                "/sends" => {
                    if let Ok((mut client, bytes)) = sends.try_recv() {
                        client.send(bytes);
                    }
                }
                _ => {}
            }
            request.bytes().unwrap();
            format!("hello {target}")
        }
    });
    let [mut quick, mut other, mut held] =
        <[Client; 3]>::try_from(server.connect_in_turn(3)).unwrap();
    // After these calls the route is expected to be quick, so the worker keeps the job.
    for method in ["GET", "POST"] {
        for _ in 0..100 {
            quick.send(format!(
                "{method} /sends HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
            ));
            expect_answer(&mut quick, "/sends");
            assert_eq!(calls.recv().unwrap(), "/sends");
        }
    }
    held.request("/hold");
    let call = holds.next();
    assert_eq!(calls.recv().unwrap(), "/hold");
    to_send
        .send((quick.try_clone(), sent_in_call.to_owned()))
        .unwrap();
    quick.send(first);
    other.request("/other");
    server.wait_waiting(2);
    drop(call);
    let order: Vec<String> = calls.iter().take(3).collect();
    assert_eq!(order, ["/sends", "/other", "/next"]);
    expect_answer(&mut held, "/hold");
    expect_answer(&mut other, "/other");
    expect_answer(&mut quick, "/sends");
    expect_answer(&mut quick, "/next");
}

#[test]
fn a_request_that_arrives_during_a_call_waits_for_other_ready_connections() {
    expect_next_request_behind_others(&get("/sends"), &get("/next"));
}

#[test]
fn an_upload_that_arrives_during_another_of_its_client_waits_for_other_connections() {
    expect_next_request_behind_others(
        "POST /sends HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx",
        "xPOST /next HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxx",
    );
}

const ONE_WORKER: [usize; 3] = [1, 4, 8];

#[test]
fn one_worker_answers_the_connections_of_all_shards() {
    for shards in ONE_WORKER {
        let server = start(sized(shards, 1), &Holds::new());
        let mut clients = server.connect_in_turn(2 * shards);
        expect_answers_one_by_one(&mut clients);
        expect_answers_at_once(&mut clients);
        clients.reverse();
        expect_answers_one_by_one(&mut clients);
    }
}

#[test]
fn requests_that_arrive_while_the_only_worker_is_in_a_call_are_answered_after_it() {
    for shards in ONE_WORKER {
        let holds = Holds::new();
        let server = start(sized(shards, 1), &holds);
        let mut clients = server.connect_in_turn(2 * shards + 1);
        let (slow, others) = clients.split_first_mut().unwrap();
        slow.request("/hold");
        let call = holds.next();
        for client in others.iter_mut() {
            client.request("/quick");
        }
        // The monitor counts them, in every shard, although no worker is free.
        server.wait_waiting(others.len());
        drop(call);
        for client in others.iter_mut() {
            expect_answer(client, "/quick");
        }
        expect_answer(slow, "/hold");
        expect_answers_one_by_one(&mut clients);
    }
}

#[test]
fn one_worker_handles_the_deadlines_of_all_shards() {
    for shards in ONE_WORKER {
        let holds = Holds::new();
        let mut config = sized(shards, 1);
        config.idle_timeout = Duration::from_millis(100);
        let server = start(config, &holds);
        let mut fresh: Vec<Client> = (0..shards).map(|_| server.connect()).collect();
        let mut used: Vec<Client> = (0..shards).map(|_| server.connect()).collect();
        for client in &mut used {
            client.request("/quick");
        }
        for client in &mut used {
            expect_answer(client, "/quick");
            client.expect_eof();
        }
        for client in &mut fresh {
            client.expect_eof();
        }
    }
}

#[test]
fn deadlines_that_pass_while_the_only_worker_is_in_a_call_are_handled_after_it() {
    for shards in ONE_WORKER {
        let holds = Holds::new();
        let mut config = sized(shards, 1);
        config.idle_timeout = Duration::from_millis(100);
        let server = start(config, &holds);
        let mut slow = server.connect();
        slow.request("/hold");
        let call = holds.next();
        let mut idle: Vec<Client> = (0..2 * shards).map(|_| server.connect()).collect();
        // Waits until their deadlines have passed. No worker is free for them.
        server.wait_waiting(idle.len());
        drop(call);
        expect_answer(&mut slow, "/hold");
        for client in &mut idle {
            client.expect_eof();
        }
    }
}

#[test]
fn one_worker_drains_all_shards() {
    for shards in ONE_WORKER {
        // The request to stop arrives in each shard once.
        for stopping in 0..shards {
            let server = start(sized(shards, 1), &Holds::new());
            let mut clients = server.connect_in_turn(2 * shards);
            expect_answers_one_by_one(&mut clients[shards..]);
            clients[stopping].request("/shutdown");
            expect_answer(&mut clients[stopping], "/shutdown");
            for client in &mut clients {
                client.expect_eof();
            }
            drop(clients);
            let report = server.join();
            assert!(report.all_answered(), "{report}");
            assert_eq!(report.requests.total(), shards as u64 + 1);
        }
    }
}

#[test]
fn an_owner_that_sleeps_takes_the_jobs_of_a_worker_in_a_call() {
    for shards in [1, 2, 4] {
        for slow in 0..shards {
            let holds = Holds::new();
            let server = start(sized(shards, 2), &holds);
            let mut clients = server.connect_in_turn(2 * shards);
            // After this, every worker sleeps: idle, or as the owner of a shard.
            expect_answers_one_by_one(&mut clients);
            clients[slow].request("/hold");
            let call = holds.next();
            let mut slow = clients.swap_remove(slow);
            expect_answers_one_by_one(&mut clients);
            expect_answers_at_once(&mut clients);
            expect_answers_one_by_one(&mut clients);
            drop(call);
            expect_answer(&mut slow, "/hold");
        }
    }
}

#[test]
fn a_worker_that_becomes_free_takes_the_jobs_that_wait_and_later_ones() {
    for shards in [1, 2, 4] {
        let holds = Holds::new();
        let server = start(sized(shards, 2), &holds);
        let mut slow = server.connect_in_turn(2);
        let mut clients = server.connect_in_turn(2 * shards);
        expect_answers_one_by_one(&mut clients);
        let calls = [0, 1].map(|number: usize| {
            slow[number].request("/hold");
            holds.next()
        });
        for client in &mut clients {
            client.request("/quick");
        }
        server.wait_waiting(clients.len());
        let [first, second] = calls;
        drop(first);
        for client in &mut clients {
            expect_answer(client, "/quick");
        }
        // The other worker is still in its call.
        expect_answers_one_by_one(&mut clients);
        expect_answers_at_once(&mut clients);
        drop(second);
        for client in &mut slow {
            expect_answer(client, "/hold");
        }
    }
}

/// Panics in the code that the path names. Other paths are answered.
fn panicking(request: &Request, holds: &Holds) -> Response {
    const ON_PURPOSE: &str = "on purpose";
    match request.uri().query() {
        Some("hold") => holds.hold(request.uri()),
        Some("quick") => return Response::default(),
        _ => {}
    }
    let body = match request.uri().path() {
        "/handler" => panic!("{ON_PURPOSE}"),
        "/piece" => {
            let mut pieces = 0;
            let panics_then = move || {
                pieces += 1;
                assert!(pieces < 3, "{ON_PURPOSE}");
                Some("piece")
            };
            Body::from_chunks(std::iter::from_fn(panics_then))
        }
        "/after" => Body::from("hello /after").after_delivery(|| panic!("{ON_PURPOSE}")),
        path => Body::from(format!("hello {path}")),
    };
    Response::new(body)
}

/// The only worker is in a call that panics, or after which other code panics, while the
/// other connections of all shards wait.
fn expect_no_shard_lost_by_a_panic(path: &str, expect: impl Fn(&mut Client)) {
    for shards in [1, 4] {
        let holds = Holds::new();
        let server = TestServer::start(sized(shards, 1), {
            let holds = holds.clone();
            move |request: Request| panicking(&request, &holds)
        });
        let mut clients = server.connect_in_turn(2 * shards);
        expect_answers_one_by_one(&mut clients);
        for slow in 0..shards {
            server.wait_open(clients.len());
            let mut panics = server.connect_in_turn(shards).swap_remove(slow);
            panics.request(&format!("{path}?hold"));
            let call = holds.next();
            for client in &mut clients {
                client.request("/quick");
            }
            drop(call);
            expect(&mut panics);
            drop(panics);
            for client in &mut clients {
                expect_answer(client, "/quick");
            }
            // The same with the job in the worker's slot: the route was quick before.
            let mut panics = server.connect();
            for _ in 0..100 {
                assert_eq!(panics.get(&format!("{path}?quick")).status, 200);
            }
            panics.request(path);
            expect(&mut panics);
            drop(panics);
            expect_answers_one_by_one(&mut clients);
        }
        drop(clients);
        server.stop.shutdown();
        let report = server.join();
        assert!(report.all_answered(), "{report}");
        assert_eq!(report.threads_left, 0);
    }
}

#[test]
fn a_handler_that_panics_does_not_stall_its_shard() {
    expect_no_shard_lost_by_a_panic("/handler", |client| {
        assert_eq!(client.response().status, 500);
        client.expect_eof();
    });
}

#[test]
fn a_piece_of_a_body_that_panics_does_not_stall_its_shard() {
    expect_no_shard_lost_by_a_panic("/piece", |client| {
        client.head();
        client.expect_end();
    });
}

#[test]
fn a_call_after_a_delivery_that_panics_does_not_stall_its_shard() {
    expect_no_shard_lost_by_a_panic("/after", |client| {
        assert_eq!(client.response().body, "hello /after");
        client.expect_eof();
    });
}

#[test]
fn a_shutdown_while_all_workers_are_in_calls_answers_all_requests() {
    for (shards, workers) in [(1, 3), (2, 3), (4, 3)] {
        for stopping in 0..shards {
            let holds = Holds::new();
            let server = start(sized(shards, workers), &holds);
            let mut slow = server.connect_in_turn(workers);
            let mut others = server.connect_in_turn(2 * shards);
            let mut calls: VecDeque<_> = slow
                .iter_mut()
                .map(|client| {
                    client.request("/hold");
                    holds.next()
                })
                .collect();
            let target = |number| {
                if number == stopping {
                    "/shutdown"
                } else {
                    "/quick"
                }
            };
            for (number, client) in others.iter_mut().enumerate() {
                client.request(target(number));
            }
            server.wait_waiting(others.len());
            assert_eq!(server.stop.phase(), Phase::Running);
            // One free worker is enough for all other requests.
            calls.pop_front();
            for (number, client) in others.iter_mut().enumerate() {
                expect_answer(client, target(number));
            }
            assert!(server.stop.wait_for_timeout(Phase::Draining, TOO_LONG));
            drop(calls);
            for client in &mut slow {
                expect_answer(client, "/hold");
            }
            for client in slow.iter_mut().chain(&mut others) {
                client.expect_eof();
            }
            drop((slow, others));
            let report = server.join();
            assert!(report.all_answered(), "{report}");
            let all = (workers + 2 * shards) as u64;
            assert_eq!(report.requests.total(), all);
        }
    }
}

#[test]
fn a_shutdown_cuts_and_names_the_calls_that_do_not_return_until_its_deadline() {
    for shards in [1, 2, 4] {
        let holds = Holds::new();
        let mut config = sized(shards, 3);
        config.drain_timeout = Duration::from_millis(200);
        let server = start(config, &holds);
        let mut slow = server.connect_in_turn(3);
        let mut others = server.connect_in_turn(shards + 1);
        let (stopping, idle) = others.split_last_mut().unwrap();
        let mut calls: VecDeque<_> = (0..3)
            .map(|number: usize| {
                slow[number].request(&format!("/hold?{number}"));
                holds.next()
            })
            .collect();
        stopping.request("/shutdown");
        server.wait_waiting(1);
        calls.pop_front();
        expect_answer(stopping, "/shutdown");
        stopping.expect_eof();
        expect_answer(&mut slow[0], "/hold?0");
        for client in idle {
            client.expect_eof();
        }
        for client in &mut slow[1..] {
            client.expect_end();
        }
        drop((slow, others));
        let report = server.join();
        assert_eq!(report.requests.to_string(), "2 answered, 2 cut");
        let mut routes: Vec<_> = report.cut.iter().map(|cut| &*cut.route).collect();
        routes.sort_unstable();
        assert_eq!(routes, ["GET /hold?1", "GET /hold?2"]);
        assert!(report.cut.iter().all(|cut| cut.handler_running));
        assert!(report.threads_left >= 2, "{report}");
        drop(calls);
    }
}
