//! Clients in a closed loop, with each of four ways to use a server: GET and POST, on
//! connections that they keep and on new ones. Every attempt is followed to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use crate::client::Client;
use crate::client::Loss;

/// How many clients.
pub(crate) const CLIENTS: usize = 64;

/// How the attempts of all clients ended.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    pub(crate) answered: AtomicU64,
    /// The connection was refused, or could not be made for another reason.
    pub(crate) refused: AtomicU64,
    /// The request was sent, and no byte of a response came.
    pub(crate) lost: AtomicU64,
    pub(crate) truncated: AtomicU64,
    /// A wrong status or body.
    pub(crate) wrong: AtomicU64,
}

impl Attempts {
    /// How many were not answered rightly.
    pub(crate) fn failed(&self) -> u64 {
        [&self.refused, &self.lost, &self.truncated, &self.wrong]
            .map(|count| count.load(SeqCst))
            .iter()
            .sum()
    }
}

/// The running clients.
pub(crate) struct Clients {
    threads: Vec<JoinHandle<()>>,
    pub(crate) attempts: Arc<Attempts>,
    stopping: Arc<AtomicBool>,
}

impl Clients {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let attempts = Arc::new(Attempts::default());
        let stopping = Arc::new(AtomicBool::new(false));
        let threads = (0..CLIENTS)
            .map(|number| {
                let (attempts, stopping) = (Arc::clone(&attempts), Arc::clone(&stopping));
                thread::spawn(move || client(address, number, &attempts, &stopping))
            })
            .collect();
        Self {
            threads,
            attempts,
            stopping,
        }
    }

    /// Waits for so many further answers.
    pub(crate) fn wait_answered(&self, count: u64) {
        let until = self.attempts.answered.load(SeqCst) + count;
        let too_long = Instant::now() + Duration::from_secs(60);
        while self.attempts.answered.load(SeqCst) < until {
            assert!(Instant::now() < too_long, "{:?}", self.attempts);
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Has every client end after its attempt.
    pub(crate) fn finish(self) -> Arc<Attempts> {
        self.stopping.store(true, SeqCst);
        for thread in self.threads {
            thread.join().unwrap();
        }
        self.attempts
    }
}

fn client(address: SocketAddr, number: usize, attempts: &Attempts, stopping: &AtomicBool) {
    let (keeps, posts) = (number.is_multiple_of(2), (number / 2).is_multiple_of(2));
    let add = |count: &AtomicU64| count.fetch_add(1, SeqCst);
    let mut open: Option<Client> = None;
    for attempt in 0u64.. {
        if stopping.load(SeqCst) {
            return;
        }
        let Some(mut connection) = open.take().or_else(|| Client::try_connect(address).ok()) else {
            add(&attempts.refused);
            // A server that is down shall not be asked without end.
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        let (request, expected) = request(number, attempt, keeps, posts);
        if connection.try_send(request).is_err() {
            add(&attempts.lost);
            continue;
        }
        match connection.try_response(false) {
            Ok(response) if response.status == 200 && response.body == expected => {
                add(&attempts.answered);
                open = (!response.closes()).then_some(connection);
            }
            Ok(_) => _ = add(&attempts.wrong),
            Err(Loss::Lost) => _ = add(&attempts.lost),
            Err(Loss::Truncated) => _ = add(&attempts.truncated),
        }
    }
}

/// A request, and the body of the right response.
fn request(number: usize, attempt: u64, keeps: bool, posts: bool) -> (String, String) {
    let connection = if keeps { "" } else { "Connection: close\r\n" };
    let name = format!("/{number}/{attempt}");
    match posts {
        true => (
            format!(
                "POST /echo HTTP/1.1\r\nHost: a\r\n{connection}Content-Length: {}\r\n\r\n{name}",
                name.len()
            ),
            name,
        ),
        false => (
            format!("GET {name} HTTP/1.1\r\nHost: a\r\n{connection}\r\n"),
            format!("Hello, you requested {name}\n"),
        ),
    }
}
