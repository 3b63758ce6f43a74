//! Turns for urgent requests only.

use super::*;

#[test]
fn a_turn_for_urgent_requests_ends_before_the_handler_of_another_and_the_next_turn_calls_it() {
    let routes = Router::new()
        .get("/urgent", |_: Request| ())
        .urgent()
        .get("/slow", |_: Request| ())
        .post("/slow", |_: Request| ());
    let routes = routes.build().unwrap().route_table();
    let mut bench = Bench::with_routes(routes);
    for held in [
        "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy",
        "GET /none HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let urgent = "GET /urgent HTTP/1.1\r\nHost: a\r\n\r\n";
        let stream = [urgent, held, urgent].concat();
        bench.client.write_all(stream.as_bytes()).unwrap();
        let mut seen = Vec::new();
        bench.serves = Serves::UrgentOnly;
        while !matches!(bench.advance(&mut seen), Next::Hold) {
            std::thread::yield_now();
        }
        assert_eq!(seen.len(), 1, "{seen:?}");
        // It stays where it is.
        assert!(matches!(bench.advance(&mut seen), Next::Hold));
        assert!(matches!(bench.connection.state, State::Body(_)));
        bench.serves = Serves::Everything;
        assert!(matches!(bench.advance(&mut seen), Next::Suspend(_)));
        let targets: Vec<&str> = seen.iter().map(|seen| &*seen.target).collect();
        let target = held.split(' ').nth(1).unwrap();
        assert_eq!(targets, ["/urgent", target, "/urgent"]);
        assert_eq!(seen[1].body.len(), if held.ends_with("xy") { 2 } else { 0 });
    }
    drop(bench.client.shutdown(Shutdown::Write));
    assert_eq!(bench.finish(&mut Vec::new()), ConnectionOutcome::Completed);
}
