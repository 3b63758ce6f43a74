//! One client and a server that follows a script: the outcome of each
//! behaviour.

use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;

use super::*;

/// A step of the server on one connection. After the last step it closes.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Reads until these bytes have come.
    Read(&'static str),
    Write(&'static str),
    /// Closes its side, and waits for the client to close.
    HalfClose,
    /// Makes the close a reset.
    Reset,
    /// Waits for the client to close.
    WaitForEnd,
}

use Step::HalfClose;
use Step::Read as ReadUntil;
use Step::Reset;
use Step::WaitForEnd;
use Step::Write as Send;

const ANSWERED: Outcome = Outcome::Answered(200);

const REQUEST: Step = ReadUntil("\r\n\r\n");
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const OK_AND_CLOSE: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

/// Turns a hang into a failure. No test takes as long.
const TOO_LONG: Duration = Duration::from_secs(60);

/// For clients that run into this timeout.
const SHORT: Duration = Duration::from_millis(200);

/// Makes this many attempts. The server accepts one connection for each script,
/// and then stops listening.
fn outcomes(mode: Mode, attempts: usize, scripts: &[&[Step]]) -> Vec<Outcome> {
    outcomes_within(TOO_LONG, mode, attempts, scripts)
}

fn outcomes_within(
    patience: Duration,
    mode: Mode,
    attempts: usize,
    scripts: &[&[Step]],
) -> Vec<Outcome> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Requests::new(address, "localhost", "/", patience, Expected::SUCCESS);
    let watch = RoundWatch::default();
    watch.mark_stop();
    let mut client = Client::new(&requests, &watch, Rng::with_seed(1));
    thread::scope(|scope| {
        scope.spawn(move || {
            for script in scripts {
                run_script(listener.accept().unwrap().0, script);
            }
        });
        for _ in 0..attempts {
            // If each attempt has a script, the connection of the last one must
            // end first.
            if let Some(kept) = &client.kept_alive
                && scripts.len() == attempts
            {
                while !kept.is_unusable() {
                    thread::yield_now();
                }
            }
            let _ = client.attempt(mode);
        }
        client.kept_alive = None;
    });
    client
        .attempts
        .iter()
        .map(|attempt| attempt.outcome)
        .collect()
}

fn run_script(mut stream: TcpStream, script: &[Step]) {
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
            Send(text) => stream.write_all(text.as_bytes()).unwrap(),
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
    // The client's close may be a reset.
    let _ = std::io::copy(stream, &mut std::io::sink());
}

fn lost(stage: AttemptStage, cause: LossCause) -> Outcome {
    Outcome::Lost(Loss { stage, cause })
}

fn truncated(cause: LossCause) -> Outcome {
    Outcome::Truncated(Loss {
        stage: AttemptStage::ReceivingResponse,
        cause,
    })
}

#[test]
fn a_complete_response_counts_by_its_status() {
    let error = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let scripts: [&[Step]; 2] = [&[REQUEST, Send(OK)], &[REQUEST, Send(error)]];
    assert_eq!(
        outcomes(Mode::New, 2, &scripts),
        [ANSWERED, Outcome::UnexpectedStatus(503)]
    );
}

#[test]
fn a_client_that_sent_close_does_not_reuse_the_connection() {
    let scripts: [&[Step]; 2] = [&[REQUEST, Send(OK), WaitForEnd]; 2];
    assert_eq!(outcomes(Mode::New, 2, &scripts), [ANSWERED; 2]);
}

#[test]
fn a_keep_alive_connection_carries_the_next_request() {
    let scripts: [&[Step]; 1] = [&[REQUEST, Send(OK), REQUEST, Send(OK_AND_CLOSE)]];
    assert_eq!(outcomes(Mode::KeepAlive, 2, &scripts), [ANSWERED; 2]);
}

#[test]
fn a_keep_alive_connection_closed_before_the_next_request_is_not_a_loss() {
    for end in [&[REQUEST, Send(OK)] as &[Step], &[REQUEST, Send(OK), Reset]] {
        let scripts = [end, &[REQUEST, Send(OK)]];
        assert_eq!(outcomes(Mode::KeepAlive, 2, &scripts), [ANSWERED; 2]);
    }
}

#[test]
fn a_keep_alive_connection_with_unrequested_bytes_is_not_reused() {
    let timeout = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
    let scripts: [&[Step]; 2] = [
        &[REQUEST, Send(OK), Send(timeout), WaitForEnd],
        &[REQUEST, Send(OK)],
    ];
    assert_eq!(outcomes(Mode::KeepAlive, 2, &scripts), [ANSWERED; 2]);
}

#[test]
fn a_refused_connection_after_the_stop_ends_the_client() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let patience = Duration::from_secs(10);
    let requests = Requests::new(address, "localhost", "/", patience, Expected::SUCCESS);
    let watch = RoundWatch::default();
    watch.mark_stop();
    let client = Client::new(&requests, &watch, Rng::with_seed(1));
    let attempts = client.closed_loop(Mode::New);
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].outcome, Outcome::ConnectionRefused);
}

#[test]
fn a_request_without_a_response_is_lost() {
    for mode in [Mode::New, Mode::KeepAlive, Mode::Idle] {
        for (end, cause) in [
            (&[REQUEST] as &[Step], LossCause::Eof),
            (&[REQUEST, HalfClose], LossCause::Eof),
            (&[REQUEST, Reset], LossCause::Reset),
            (
                &[REQUEST, Send("HTTP/1.1 100 Continue\r\n\r\n")],
                LossCause::Eof,
            ),
        ] {
            assert_eq!(
                outcomes(mode, 1, &[end]),
                [lost(AttemptStage::Sent, cause)],
                "{mode:?} {end:?}"
            );
        }
    }
    let silent: &[Step] = &[REQUEST, WaitForEnd];
    let silence = lost(AttemptStage::Sent, LossCause::Timeout);
    assert_eq!(outcomes_within(SHORT, Mode::New, 1, &[silent]), [silence]);
    // The same on a keep-alive connection.
    let scripts: [&[Step]; 1] = [&[REQUEST, Send(OK), REQUEST]];
    let second = outcomes(Mode::KeepAlive, 2, &scripts)[1];
    assert_eq!(second, lost(AttemptStage::Sent, LossCause::Eof));
}

#[test]
fn a_connection_reset_before_the_request_is_lost() {
    let outcome = outcomes(Mode::New, 1, &[&[Reset]])[0];
    let Outcome::Lost(loss) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(loss.cause, LossCause::Reset);
}

#[test]
fn an_incomplete_response_is_truncated() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n";
    for (begun, reset_too) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", false),
        ("HTTP/1.1 2", false),
        (chunked, false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", true),
        ("HTTP/1.1 200 OK\r\n\r\nok", true),
    ] {
        let (end, cause) = match reset_too {
            true => (Reset, LossCause::Reset),
            false => (HalfClose, LossCause::Eof),
        };
        // The client has read the beginning of the response when the reset
        // comes.
        let pause = ReadUntil("\r\n\r\n");
        let script = [pause, Send(begun), end];
        assert_eq!(
            outcomes(Mode::New, 1, &[&script]),
            [truncated(cause)],
            "{begun:?}"
        );
    }
    let silent: &[Step] = &[REQUEST, Send("HTTP/1.1 200 OK\r\n\r\nok"), WaitForEnd];
    let silence = truncated(LossCause::Timeout);
    assert_eq!(outcomes_within(SHORT, Mode::New, 1, &[silent]), [silence]);
    let nonsense: &[Step] = &[REQUEST, Send("hello\r\n\r\n")];
    assert!(matches!(
        outcomes(Mode::New, 1, &[nonsense])[..],
        [Outcome::Truncated(_)]
    ));
}

#[test]
fn an_orderly_end_completes_a_response_without_a_length() {
    let scripts: [&[Step]; 1] = [&[REQUEST, Send("HTTP/1.0 200 OK\r\n\r\nok")]];
    assert_eq!(outcomes(Mode::KeepAlive, 1, &scripts), [ANSWERED]);
}

#[test]
fn pipelined_requests_after_a_close_are_unprocessed() {
    let scripts: [&[Step]; 1] = [&[REQUEST, Send(OK), Send(OK_AND_CLOSE), HalfClose]];
    let outcomes = outcomes(Mode::Pipelined, 1, &scripts);
    assert_eq!(outcomes[..2], [ANSWERED; 2]);
    assert_eq!(
        outcomes[2..],
        [Outcome::Unprocessed; PIPELINED_REQUESTS - 2]
    );
}

#[test]
fn pipelined_requests_without_a_close_are_lost() {
    let scripts: [&[Step]; 1] = [&[REQUEST, Send(OK), HalfClose]];
    let outcomes = outcomes(Mode::Pipelined, 1, &scripts);
    assert_eq!(outcomes[0], ANSWERED);
    assert_eq!(
        outcomes[1..],
        [lost(AttemptStage::Sent, LossCause::Eof); PIPELINED_REQUESTS - 1]
    );
}

#[test]
fn a_post_may_be_answered_late_or_early() {
    let body = ReadUntil("xxxxxxxx");
    let late: &[Step] = &[REQUEST, body, Send(OK_AND_CLOSE), HalfClose];
    let early: &[Step] = &[REQUEST, Send(OK_AND_CLOSE), HalfClose];
    for script in [late, early] {
        // The client chooses at random whether it sends the body in two parts.
        assert_eq!(outcomes(Mode::Post, 8, &[script; 8]), [ANSWERED; 8]);
    }
}

#[test]
fn a_slow_reader_gets_the_whole_response() {
    let scripts: [&[Step]; 1] = [&[REQUEST, Send(OK), HalfClose]];
    assert_eq!(outcomes(Mode::SlowReader, 1, &scripts), [ANSWERED]);
}
