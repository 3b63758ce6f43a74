//! What still runs or listens after a stop, and what the user can do about it.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::DrillError;
use super::args::DrillOptions;
use super::args::Stop;
use super::connection::ClientConnection;
use super::connection::ReadSpeed;
use super::outcome::Attempt;
use super::outcome::Outcome;
use super::server::Exit;
use super::server::Server;
use super::system::Process;

/// How long other processes may run after the command has ended.
const OUTLIVE_TIMEOUT: Duration = Duration::from_millis(200);

/// Time between two checks whether they have ended.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How long the connection that checks whether a process listens may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The advice for a signal that has reached a wrapper and not the server.
const EXEC_OR_GROUP: &str =
    "make the wrapper `exec` the server, or signal both with --stop TERM:group";

/// What is left of a server whose command has ended.
#[derive(Debug)]
pub(super) struct LeftBehind {
    running: Vec<Process>,
    /// The address, if it still accepts connections.
    listening: Option<SocketAddr>,
}

impl LeftBehind {
    /// Checks until nothing is left, or until a short time has passed.
    pub(super) fn find(server: &Server, address: SocketAddr) -> Self {
        let deadline = Instant::now() + OUTLIVE_TIMEOUT;
        loop {
            let is_listening =
                ClientConnection::open(address, CONNECT_TIMEOUT, ReadSpeed::Full).is_ok();
            let left_behind = Self {
                running: server.running(),
                listening: is_listening.then_some(address),
            };
            if left_behind.is_empty() || Instant::now() > deadline {
                return left_behind;
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty() && self.listening.is_none()
    }

    /// The error for a command that has ended while its server has not: the
    /// signal has reached only a wrapper.
    pub(super) fn outlived_its_command(
        &self,
        options: &DrillOptions,
        server: &Server,
        exit: Exit,
    ) -> DrillError {
        let running = self.running.iter().map(|process| format!("{process} runs"));
        let listening = self.listening.iter();
        let listening = listening.map(|address| format!("{address} accepts connections"));
        let left: Vec<String> = running.chain(listening).collect();
        let all_in_group = !self.running.is_empty() && left_group(server, &self.running).is_none();
        let advice = match &options.stop {
            Stop::Signal {
                to_group: false, ..
            } if all_in_group => EXEC_OR_GROUP,
            _ => "run the server in the foreground, or stop it with --stop url:/path",
        };
        DrillError::failed(format!(
            "the command ended ({}), but the server did not: {}; {advice}",
            exit.describe(),
            left.join(", ")
        ))
    }
}

/// The error for a server that has not ended within the stop timeout.
pub(super) fn did_not_stop(
    options: &DrillOptions,
    server: &Server,
    running: &[Process],
    attempts: &[Attempt],
    stop: Instant,
) -> DrillError {
    let is_answered = |attempt: &Attempt| {
        matches!(
            attempt.outcome,
            Outcome::Answered(_) | Outcome::UnexpectedStatus(_)
        ) && attempt.ended > stop
    };
    let after = attempts
        .iter()
        .filter(|attempt| is_answered(attempt))
        .count();
    let advice = match &options.stop {
        Stop::Signal {
            to_group: false, ..
        } => format!("; {EXEC_OR_GROUP}"),
        Stop::Signal { to_group: true, .. } => match left_group(server, running) {
            Some(process) => format!(
                "; {process} has left the process group, so the signal did not reach it: stop the \
                 server with --stop url:/path"
            ),
            None => String::new(),
        },
        // The last attempt is the request to stop.
        Stop::Request(path) => match attempts.last().map(|attempt| attempt.outcome) {
            Some(Outcome::UnexpectedStatus(status)) => {
                return DrillError::failed(format!(
                    "{path} was answered with {status}, and the server did not stop and was killed; \
                     correct the path in --stop"
                ));
            }
            _ => String::new(),
        },
    };
    let timeout = humantime::format_duration(options.stop_timeout);
    DrillError::failed(format!(
        "the server did not stop within {timeout} and was killed; it answered {after} requests in \
         that time{advice}"
    ))
}

/// The error for a command that has ended before the stop.
pub(super) fn ended(when: &str, exit: Exit, server: &Server) -> DrillError {
    let advice = match server.running().first() {
        Some(process) => format!("; {process} still runs: run the server in the foreground"),
        None => String::new(),
    };
    DrillError::failed(format!(
        "the server ended {when}: {}{advice}",
        exit.describe()
    ))
}

/// The first process that a signal to the group does not reach.
fn left_group<'a>(server: &Server, running: &'a [Process]) -> Option<&'a Process> {
    running
        .iter()
        .find(|process| server.has_left_group(process))
}
