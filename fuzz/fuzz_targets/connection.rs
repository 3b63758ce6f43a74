//! A stream of requests on a connection, compared with hyper.
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
        // Rust's runtime does this for other programs: a write to a client that has
        // gone then fails, and does not end the process.
        // SAFETY: no signal handler is set, so none can run.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    },
    |input: &[u8]| {
        if let Some(first) = connection(input) {
            compare(&first, &hyper_side::serve(&first.stream));
        }
    }
);

/// Checks that both servers find the same requests in the same order. The comparison ends
/// where either server stops. If hyper refuses a request that farewell accepts,
/// `no_uri_holds` has to name the reason.
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
        // Hyper reads `Connection` differently, which changes no boundary of a request.
        End::Closed => {}
    }
}

/// Whether hyper may refuse this request because its `Uri` cannot hold the target: a
/// backtick in the path, which farewell encodes; or an absolute target with an unusual
/// host, which farewell keeps only in the field `Host`.
fn no_uri_holds(further: &HandledRequest, stream: &[u8]) -> bool {
    let path = further.target.split('?').next().unwrap_or_default();
    let absolute = || stream.windows(3).any(|window| window == b"://");
    path.contains("%60") || path.starts_with('/') && absolute()
}
