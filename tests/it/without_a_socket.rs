//! A service is tested without a socket: its routes answer requests that a test builds.

use std::io::Read;
use std::net::SocketAddr;

use farewell::Body;
use farewell::Config;
use farewell::Event;
use farewell::Events;
use farewell::Handler;
use farewell::IntoResponse;
use farewell::Rejection;
use farewell::Request;
use farewell::RequestBody;
use farewell::Response;
use farewell::Router;
use farewell::Routes;
use farewell::Server;
use http::StatusCode;
use http::header;

use crate::support::Client;

fn guarded(request: Request, next: &dyn Handler) -> Response {
    match request.peer_addr().ip().is_some_and(|ip| ip.is_loopback()) {
        true => next.handle(request),
        false => StatusCode::FORBIDDEN.into_response(),
    }
}

fn routes() -> Routes {
    let users = Router::new().get("/{id}", |request: Request| {
        let id = request.param("id").unwrap_or_default().to_owned();
        match id.parse::<u32>() {
            Ok(_) => Ok(format!("{id} of {}", request.route().unwrap_or_default())),
            Err(_) => Err(Rejection::new(StatusCode::NOT_FOUND, "no such user")),
        }
    });
    Router::new()
        .nest("/users", users)
        .post("/length", |mut request: Request| {
            let length = request.body_mut().length();
            let read = request.bytes()?.len();
            Ok::<_, Rejection>(format!("{length:?} {read}"))
        })
        .layer(guarded)
        .build()
        .unwrap()
}

fn text(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().into_bytes(1000).unwrap();
    (status, String::from_utf8(body.into()).unwrap())
}

fn get(target: &str) -> Request {
    http::Request::get(target).body(()).unwrap().into()
}

fn post(body: impl Into<RequestBody>) -> Request {
    http::Request::post("/length").body(body).unwrap().into()
}

#[test]
fn routes_answer_as_in_a_server() {
    let routes = routes();
    let answer = |request| text(routes.handle(request));
    assert_eq!(
        answer(get("/users/7")),
        (200, "7 of /users/{id}".to_owned())
    );
    assert_eq!(answer(get("http://a/users/%37?x")).0, 200);
    assert_eq!(answer(get("/users/x")), (404, "no such user\n".to_owned()));
    assert_eq!(answer(get("/users/%ff")).0, 400);
    assert_eq!(answer(get("/nothing")).0, 404);
    let not_allowed = routes.handle(get("/length"));
    assert_eq!(not_allowed.status(), 405);
    assert_eq!(not_allowed.headers()[header::ALLOW], "OPTIONS, POST");

    let far: SocketAddr = "192.0.2.1:9".parse().unwrap();
    assert_eq!(answer(get("/users/7").with_peer_addr(far)).0, 403);
    assert_eq!(answer(get("/nothing").with_peer_addr(far)).0, 403);
}

#[test]
fn bodies_of_every_kind_arrive() {
    let routes = routes();
    let answer = |request| text(routes.handle(request));
    for request in [
        post("hello"),
        post("hello".to_owned()),
        post(&b"hello"[..]),
        post(b"hello".to_vec()),
        post(bytes::Bytes::from("hello")),
        post(RequestBody::from_reader(&b"hello"[..], Some(5))),
    ] {
        assert_eq!(answer(request), (200, "Some(5) 5".to_owned()));
    }
    assert_eq!(answer(post(())).1, "Some(0) 0");
    let stream = RequestBody::from_reader(std::io::repeat(b'x').take(100_000), None);
    assert_eq!(answer(post(stream)).1, "None 100000");
}

#[test]
fn a_broken_upload_is_the_error_that_a_client_would_cause() {
    let short = RequestBody::from_reader(&b"half"[..], Some(10));
    let (status, text) = text(routes().handle(post(short)));
    assert_eq!(status, 400);
    assert!(text.starts_with("client closed the connection"), "{text}");
}

#[test]
fn a_stream_is_read_as_it_comes() {
    let (sender, events) = Events::new();
    let handler = std::sync::Mutex::new(Some(events));
    let handler = move |_: Request| handler.lock().unwrap().take().unwrap();
    let mut reader = handler.handle(get("/")).into_body().into_reader();
    for number in ["1", "2"] {
        sender.send(&Event::data(number)).unwrap();
        let mut event = [0; 9];
        reader.read_exact(&mut event).unwrap();
        assert_eq!(event, *format!("data: {number}\n\n").as_bytes());
    }
    drop(reader);
    assert!(sender.is_closed());
}

#[test]
fn a_read_follower_sees_the_stop_and_the_drain_does_not_count_it() {
    let server = Server::bind("127.0.0.1:0", Config::for_tests()).unwrap();
    let stop = server.shutdown_handle();
    let server = server.spawn(|_: Request| "hello").unwrap();
    let mut idle = Client::connect(server.local_addr());
    assert_eq!(idle.get("/").body, "hello");

    let follow = || {
        let body = stop.follow(|progress| match progress {
            farewell::Progress::Finished(report) => format!("{}", report.requests),
            _ => "going on; ".to_owned(),
        });
        body.into_reader()
    };
    let mut followers = [follow(), follow()];
    for follower in &mut followers {
        // Both have seen the latest progress, and wait.
        let mut first = [0; 10];
        follower.read_exact(&mut first).unwrap();
    }
    assert_eq!(stop.counts().followers, 0);
    std::thread::scope(|scope| {
        for follower in &mut followers {
            scope.spawn(|| {
                let mut rest = String::new();
                follower.read_to_string(&mut rest).unwrap();
                assert!(rest.ends_with("1 answered"), "{rest}");
            });
        }
        stop.shutdown();
    });
    assert!(server.join().unwrap().balances());
}

#[test]
fn a_stop_of_a_test_is_quick_although_a_client_stays_connected() {
    let server = Server::bind("127.0.0.1:0", Config::for_tests()).unwrap();
    let stop = server.shutdown_handle();
    let server = server.spawn(|_: Request| Body::from("hello")).unwrap();
    let mut idle = Client::connect(server.local_addr());
    assert_eq!(idle.get("/").body, "hello");
    stop.shutdown();
    let report = server.join().unwrap();
    assert!(report.all_answered(), "{report}");
    // A stop with the default configuration waits for this client at least so long.
    let default = Config::default();
    assert!(
        report.duration < default.last_call + default.linger,
        "{report}"
    );
    drop(idle);
}
