//! Waiting for counts: a change of any count is reported at once, whatever the
//! condition does.

use std::panic;
use std::panic::AssertUnwindSafe;

use crate::support::Gate;
use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;
use crate::support::gated;

#[test]
fn each_count_is_reported_when_it_changes() {
    let mut config = config();
    config.workers = 1;
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config, gated(&gate));
    let stop = &server.stop;

    let mut quiet = server.connect();
    assert!(stop.wait_for_counts(TOO_LONG, |counts| counts.idle == 1));
    let mut busy = server.connect();
    busy.request("/slow");
    gate.wait_started();
    // The only worker runs a handler, so this request waits.
    quiet.request("/");
    assert!(stop.wait_for_counts(TOO_LONG, |counts| counts.waiting == 1));
    drop(bar);
    assert_eq!(
        (busy.response().status, quiet.response().status),
        (200, 200)
    );
    assert!(stop.wait_for_counts(TOO_LONG, |counts| counts.idle == 2));
    drop((busy, quiet));
    assert!(stop.wait_for_counts(TOO_LONG, |counts| counts.open == 0));
}

#[test]
fn a_condition_may_call_the_handle() {
    let server = TestServer::hello(config());
    let mut client = server.connect();
    let met = server.stop.wait_for_counts(TOO_LONG, |counts| {
        server.stop.deadline().is_none() && server.stop.counts().open == counts.open
    });
    assert!(met);
    assert_eq!(client.get("/").status, 200);
    let stopped = server.stop.wait_for_counts(TOO_LONG, |_| {
        !server.stop.shutdown_by(farewell::Trigger::Call)
    });
    assert!(stopped);
}

#[test]
fn a_condition_that_panics_or_blocks_delays_no_request_and_no_stop() {
    let (gate, bar) = Gate::new();
    let server = TestServer::hello(config());
    let panics = || {
        server
            .stop
            .wait_for_counts(TOO_LONG, |_| panic!("on purpose"))
    };
    assert!(panic::catch_unwind(AssertUnwindSafe(panics)).is_err());

    let stop = server.stop.clone();
    let blocked = std::thread::spawn(move || {
        stop.wait_for_counts(TOO_LONG, |_| {
            gate.pass("asked");
            true
        })
    });
    assert_eq!(server.connect().get("/").status, 200);
    server.stop.shutdown();
    assert!(server.join().all_answered());
    drop(bar);
    assert!(blocked.join().unwrap());
}
