//! Measures each step of a request separately:
//!
//! ```text
//! cargo bench --bench micro
//! ```

use std::hint::black_box;

use criterion::Criterion;
use farewell::internals;
use farewell::internals::Parser;
use farewell::internals::Rig;

/// A request of a browser.
const HEAD: &[u8] = b"GET /path?query=1 HTTP/1.1\r\n\
    Host: localhost:8081\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Connection: keep-alive\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    \r\n";

/// A request of a load generator.
const SHORT_HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost:8081\r\n\r\n";

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    pieces(&mut criterion);
    criterion.final_summary();
}

fn pieces(criterion: &mut Criterion) {
    let parser = Parser::default();
    criterion.bench_function("parse a head of 7 fields", |bencher| {
        bencher.iter(|| parser.parse(black_box(HEAD)));
    });
    criterion.bench_function("parse a head of 1 field", |bencher| {
        bencher.iter(|| parser.parse(black_box(SHORT_HEAD)));
    });
    let mut out = Vec::new();
    criterion.bench_function("encode the head of a response", |bencher| {
        bencher.iter(|| {
            out.clear();
            internals::encode_head(black_box(&mut out));
        });
    });
    let mut rig = Rig::new().expect("sockets and an epoll can be created");
    criterion.bench_function(
        "send a job through the run queue, and receive it",
        |bencher| {
            bencher.iter(|| rig.hand_off());
        },
    );
    criterion.bench_function("suspend a connection, and poll it ready again", |bencher| {
        bencher.iter(|| rig.suspend_and_resume().expect("loopback works"));
    });
}
