//! A stream of requests on a connection, and on one of hyper's.
#![no_main]

mod hyper_side;

use farewell::fuzzing::HandledRequest;
use farewell::fuzzing::Seen;
use farewell::fuzzing::connection;
use libfuzzer_sys::fuzz_target;

use self::hyper_side::End;
use self::hyper_side::Second;

fuzz_target!(
    init: {
        // Rust's runtime, which a fuzzer does without, has writes to clients
        // that are gone fail instead of ending the process.
        // SAFETY: there is no handler that could run.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    },
    |input: &[u8]| {
        if let Some(first) = connection(input) {
            compare(&first, &hyper_side::serve(&first.stream));
        }
    }
);

/// Requests that both servers accept are the same, in order. Where one of them
/// stops, nothing is left to compare; but when hyper refuses what farewell
/// accepts, there is a rule that says who is right.
fn compare(first: &Seen, second: &Second) {
    for (one, two) in first.exchanges.iter().zip(&second.exchanges) {
        assert_eq!(one, two, "the boundaries differ");
    }
    let Some(further) = first.exchanges.get(second.exchanges.len()) else {
        return;
    };
    if no_uri_holds(further, &first.stream) {
        return;
    }
    match &second.end {
        End::Refused(why) => panic!("hyper refuses {further:?}: {why}"),
        // It went by another reading of `Connection`, which moves no boundary.
        End::Closed => {}
    }
}

/// Whether hyper may refuse this one because its `Uri` cannot hold the target: a
/// backtick in the path, which farewell encodes; or an absolute target with an odd
/// host, which farewell leaves to the field `Host`.
fn no_uri_holds(further: &HandledRequest, stream: &[u8]) -> bool {
    let path = further.target.split('?').next().unwrap_or_default();
    let absolute = || stream.windows(3).any(|window| window == b"://");
    path.contains("%60") || path.starts_with('/') && absolute()
}
