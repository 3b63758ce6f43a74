//! One client and a server that follows a script: a fate for each behaviour.

use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;

use super::*;

/// What the server does on a connection, step by step. At its end it closes.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Reads until these bytes have come.
    Read(&'static str),
    Write(&'static str),
    /// Ends its side, and waits for the client's end.
    HalfClose,
    /// Has its close be a reset.
    Reset,
    /// Waits for the client's end.
    WaitForEnd,
}

use Step::HalfClose;
use Step::Read as ReadUntil;
use Step::Reset;
use Step::WaitForEnd;
use Step::Write as Say;

const ANSWERED: Fate = Fate::Answered(200);

const REQUEST: Step = ReadUntil("\r\n\r\n");
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const OK_AND_CLOSE: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

/// No test waits for this; it turns a hang into a failure.
const TOO_LONG: Duration = Duration::from_secs(60);

/// For clients that are to lose it.
const SHORT: Duration = Duration::from_millis(200);

/// Makes so many attempts at a server that takes one connection for each
/// script, and then listens no more.
fn fates(mode: Mode, attempts: usize, scripts: &[&[Step]]) -> Vec<Fate> {
    fates_within(TOO_LONG, mode, attempts, scripts)
}

fn fates_within(patience: Duration, mode: Mode, attempts: usize, scripts: &[&[Step]]) -> Vec<Fate> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Requests::new(address, "localhost", "/", patience, Expected::SUCCESS);
    let stage = Stage::default();
    stage.stop_now();
    let mut client = Client::new(&requests, &stage, Rng::with_seed(1));
    thread::scope(|scope| {
        scope.spawn(move || {
            for script in scripts {
                play(listener.accept().unwrap().0, script);
            }
        });
        for _ in 0..attempts {
            // With a script for each attempt, the one before ends first.
            if let Some(kept) = &client.kept
                && scripts.len() == attempts
            {
                while !kept.is_over() {
                    thread::yield_now();
                }
            }
            client.attempt(mode);
        }
        client.kept = None;
    });
    client.attempts.iter().map(|attempt| attempt.fate).collect()
}

fn play(mut stream: TcpStream, script: &[Step]) {
    for step in script {
        match step {
            ReadUntil(end) => {
                let mut read = Vec::new();
                while !read.ends_with(end.as_bytes()) {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    read.extend(byte);
                }
            }
            Say(text) => stream.write_all(text.as_bytes()).unwrap(),
            HalfClose => {
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                wait_for_end(&mut stream);
            }
            Reset => socket2::SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap(),
            WaitForEnd => wait_for_end(&mut stream),
        }
    }
}

fn wait_for_end(stream: &mut TcpStream) {
    // Whether it ends in good order is the client's affair.
    let _ = std::io::copy(stream, &mut std::io::sink());
}

fn lost(point: Point, ending: Ending) -> Fate {
    Fate::Lost(Loss { point, ending })
}

fn truncated(ending: Ending) -> Fate {
    Fate::Truncated(Loss {
        point: Point::Answering,
        ending,
    })
}

#[test]
fn an_answer_is_an_answer_and_errors_are_told_apart() {
    let error = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let scripts: [&[Step]; 2] = [&[REQUEST, Say(OK)], &[REQUEST, Say(error)]];
    assert_eq!(
        fates(Mode::New, 2, &scripts),
        [ANSWERED, Fate::Unexpected(503)]
    );
}

#[test]
fn who_asked_for_a_close_does_not_go_on() {
    let scripts: [&[Step]; 2] = [&[REQUEST, Say(OK), WaitForEnd]; 2];
    assert_eq!(fates(Mode::New, 2, &scripts), [ANSWERED; 2]);
}

#[test]
fn a_kept_connection_carries_the_next_request() {
    let scripts: [&[Step]; 1] = [&[REQUEST, Say(OK), REQUEST, Say(OK_AND_CLOSE)]];
    assert_eq!(fates(Mode::KeepAlive, 2, &scripts), [ANSWERED; 2]);
}

#[test]
fn a_kept_connection_that_ended_before_the_next_request_is_no_loss() {
    for end in [&[REQUEST, Say(OK)] as &[Step], &[REQUEST, Say(OK), Reset]] {
        let scripts = [end, &[REQUEST, Say(OK)]];
        assert_eq!(fates(Mode::KeepAlive, 2, &scripts), [ANSWERED; 2]);
    }
}

#[test]
fn a_kept_connection_that_says_something_unasked_is_not_used() {
    let timeout = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
    let scripts: [&[Step]; 2] = [
        &[REQUEST, Say(OK), Say(timeout), WaitForEnd],
        &[REQUEST, Say(OK)],
    ];
    assert_eq!(fates(Mode::KeepAlive, 2, &scripts), [ANSWERED; 2]);
}

#[test]
fn nobody_listens_is_a_refusal_and_the_client_leaves() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let patience = Duration::from_secs(10);
    let requests = Requests::new(address, "localhost", "/", patience, Expected::SUCCESS);
    let stage = Stage::default();
    stage.stop_now();
    let client = Client::new(&requests, &stage, Rng::with_seed(1));
    let attempts = client.closed_loop(Mode::New);
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].fate, Fate::Refused);
}

#[test]
fn a_request_that_meets_an_end_is_lost() {
    for mode in [Mode::New, Mode::KeepAlive, Mode::Idle] {
        for (end, ending) in [
            (&[REQUEST] as &[Step], Ending::Eof),
            (&[REQUEST, HalfClose], Ending::Eof),
            (&[REQUEST, Reset], Ending::Reset),
            (
                &[REQUEST, Say("HTTP/1.1 100 Continue\r\n\r\n")],
                Ending::Eof,
            ),
        ] {
            assert_eq!(
                fates(mode, 1, &[end]),
                [lost(Point::Sent, ending)],
                "{mode:?} {end:?}"
            );
        }
    }
    let silent: &[Step] = &[REQUEST, WaitForEnd];
    let silence = lost(Point::Sent, Ending::Silence);
    assert_eq!(fates_within(SHORT, Mode::New, 1, &[silent]), [silence]);
    // On a kept connection too.
    let scripts: [&[Step]; 1] = [&[REQUEST, Say(OK), REQUEST]];
    let second = fates(Mode::KeepAlive, 2, &scripts)[1];
    assert_eq!(second, lost(Point::Sent, Ending::Eof));
}

#[test]
fn who_is_let_in_and_reset_is_lost() {
    let fate = fates(Mode::New, 1, &[&[Reset]])[0];
    let Fate::Lost(loss) = fate else {
        panic!("{fate:?}");
    };
    assert_eq!(loss.ending, Ending::Reset);
}

#[test]
fn an_answer_without_its_end_is_truncated() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n";
    for (begun, reset_too) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", false),
        ("HTTP/1.1 2", false),
        (chunked, false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", true),
        ("HTTP/1.1 200 OK\r\n\r\nok", true),
    ] {
        let (end, ending) = match reset_too {
            true => (Reset, Ending::Reset),
            false => (HalfClose, Ending::Eof),
        };
        // The client has read what was said when the reset comes.
        let pause = ReadUntil("\r\n\r\n");
        let script = [pause, Say(begun), end];
        assert_eq!(
            fates(Mode::New, 1, &[&script]),
            [truncated(ending)],
            "{begun:?}"
        );
    }
    let silent: &[Step] = &[REQUEST, Say("HTTP/1.1 200 OK\r\n\r\nok"), WaitForEnd];
    let silence = truncated(Ending::Silence);
    assert_eq!(fates_within(SHORT, Mode::New, 1, &[silent]), [silence]);
    let nonsense: &[Step] = &[REQUEST, Say("hello\r\n\r\n")];
    assert!(matches!(
        fates(Mode::New, 1, &[nonsense])[..],
        [Fate::Truncated(_)]
    ));
}

#[test]
fn an_end_in_good_order_completes_an_answer_without_a_length() {
    let scripts: [&[Step]; 1] = [&[REQUEST, Say("HTTP/1.0 200 OK\r\n\r\nok")]];
    assert_eq!(fates(Mode::KeepAlive, 1, &scripts), [ANSWERED]);
}

#[test]
fn pipelined_requests_behind_a_close_are_unprocessed() {
    let scripts: [&[Step]; 1] = [&[REQUEST, Say(OK), Say(OK_AND_CLOSE), HalfClose]];
    let fates = fates(Mode::Pipelined, 1, &scripts);
    assert_eq!(fates[..2], [ANSWERED; 2]);
    assert_eq!(fates[2..], [Fate::Unprocessed; PIPELINED - 2]);
}

#[test]
fn pipelined_requests_without_a_notice_are_lost() {
    let scripts: [&[Step]; 1] = [&[REQUEST, Say(OK), HalfClose]];
    let fates = fates(Mode::Pipelined, 1, &scripts);
    assert_eq!(fates[0], ANSWERED);
    assert_eq!(fates[1..], [lost(Point::Sent, Ending::Eof); PIPELINED - 1]);
}

#[test]
fn a_post_is_answered_whole_or_in_two_parts_or_early() {
    let body = ReadUntil("xxxxxxxx");
    let late: &[Step] = &[REQUEST, body, Say(OK_AND_CLOSE), HalfClose];
    let early: &[Step] = &[REQUEST, Say(OK_AND_CLOSE), HalfClose];
    for script in [late, early] {
        // Both ways to send it come by chance.
        assert_eq!(fates(Mode::Post, 8, &[script; 8]), [ANSWERED; 8]);
    }
}

#[test]
fn a_slow_reader_gets_all_of_it() {
    let scripts: [&[Step]; 1] = [&[REQUEST, Say(OK), HalfClose]];
    assert_eq!(fates(Mode::SlowReader, 1, &scripts), [ANSWERED]);
}
