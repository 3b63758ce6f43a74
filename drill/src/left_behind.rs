//! What a stop leaves behind, and what its user can do about it.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::Failure;
use super::args::Options;
use super::args::Stop;
use super::connection::Connection;
use super::connection::Pace;
use super::server::Exit;
use super::server::Server;
use super::system::Process;
use super::tally::Attempt;
use super::tally::Fate;

/// How much longer than the command the other processes may take to end.
const OUTLIVE_TIMEOUT: Duration = Duration::from_millis(200);

/// How often it is seen whether they have.
const OUTLIVE_EVERY: Duration = Duration::from_millis(10);

/// How long a connection may take to tell whether a process listens.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// What there is of a server although its command has ended.
#[derive(Debug)]
pub(super) struct LeftBehind {
    running: Vec<Process>,
    /// The address still takes connections.
    listening: Option<SocketAddr>,
}

impl LeftBehind {
    /// Looks until nothing is left, or for a short time.
    pub(super) fn find(server: &Server, address: SocketAddr) -> Self {
        let deadline = Instant::now() + OUTLIVE_TIMEOUT;
        loop {
            let is_listening = Connection::open(address, CONNECT_TIMEOUT, Pace::Full).is_ok();
            let left_behind = Self {
                running: server.running(),
                listening: is_listening.then_some(address),
            };
            if left_behind.is_nothing() || Instant::now() > deadline {
                return left_behind;
            }
            thread::sleep(OUTLIVE_EVERY);
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.running.is_empty() && self.listening.is_none()
    }

    /// The stop has reached a wrapper, and not the server.
    pub(super) fn outlived_its_command(
        &self,
        options: &Options,
        server: &Server,
        exit: Exit,
    ) -> Failure {
        let running = self.running.iter().map(|process| format!("{process} runs"));
        let listening = self.listening.iter();
        let listening = listening.map(|address| format!("{address} takes connections"));
        let left: Vec<String> = running.chain(listening).collect();
        let group_has_all = !self.running.is_empty() && left_group(server, &self.running).is_none();
        let advice = match &options.stop {
            Stop::Signal {
                to_group: false, ..
            } if group_has_all => {
                "a wrapper has to `exec` the server, or --stop TERM:group signals both"
            }
            _ => "run the server in the foreground, or stop it with --stop url:/path",
        };
        Failure::error(format!(
            "the command ended ({}), but not the server: {}; {advice}",
            exit.describe(),
            left.join(", ")
        ))
    }
}

/// The command, or in a stop by group another process, was there too long.
pub(super) fn did_not_stop(
    options: &Options,
    server: &Server,
    running: &[Process],
    attempts: &[Attempt],
    stop: Instant,
) -> Failure {
    let is_answered = |attempt: &Attempt| {
        matches!(attempt.fate, Fate::Answered(_) | Fate::Unexpected(_)) && attempt.ended > stop
    };
    let after = attempts
        .iter()
        .filter(|attempt| is_answered(attempt))
        .count();
    let advice = match &options.stop {
        Stop::Signal {
            to_group: false, ..
        } => "; a wrapper has to `exec` the server, or --stop TERM:group signals both".to_owned(),
        Stop::Signal { to_group: true, .. } => match left_group(server, running) {
            Some(process) => format!(
                "; {process} has left the group, so that the signal did not reach it: stop it \
                 with --stop url:/path"
            ),
            None => String::new(),
        },
        // The request to stop was the last to be made.
        Stop::Request(path) => match attempts.last().map(|attempt| attempt.fate) {
            Some(Fate::Unexpected(status)) => {
                return Failure::error(format!(
                    "{path} was answered with {status}, and the server did not stop: it was killed"
                ));
            }
            _ => String::new(),
        },
    };
    let timeout = humantime::format_duration(options.stop_timeout);
    Failure::error(format!(
        "the server did not stop in {timeout}, and was killed; it answered {after} requests in \
         that time{advice}"
    ))
}

/// The command has ended too early.
pub(super) fn ended(when: &str, exit: Exit, server: &Server) -> Failure {
    let advice = match server.running().first() {
        Some(process) => format!("; {process} runs on: run the server in the foreground"),
        None => String::new(),
    };
    Failure::error(format!(
        "the server ended {when}: {}{advice}",
        exit.describe()
    ))
}

/// A process that a signal to the group does not reach.
fn left_group<'a>(server: &Server, running: &'a [Process]) -> Option<&'a Process> {
    running
        .iter()
        .find(|process| server.has_left_group(process))
}
