//! Clients in a closed loop. Every attempt is followed to its end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::thread::JoinHandle;

use crate::client::Client;
use crate::client::Loss;

const CLIENTS: usize = 64;

/// How the clients use connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A new connection for each request.
    New,
    /// One connection for as long as the server keeps it.
    KeepAlive,
    /// Half of the clients in each way.
    Half,
}

/// How the attempts ended.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connected: AtomicU64,
    pub(crate) answered: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) truncated: AtomicU64,
    /// Answered with a wrong status or body.
    pub(crate) wrong: AtomicU64,
}

/// The running clients.
pub(crate) struct Load {
    clients: Vec<JoinHandle<()>>,
    counts: Arc<Counts>,
    /// Whether a refused connection is expected.
    stopping: Arc<AtomicBool>,
}

impl Load {
    /// Starts the clients, and returns once they have had this many responses
    /// in total.
    pub(crate) fn start(address: SocketAddr, mode: Mode, answers: u64) -> Self {
        let counts = Arc::new(Counts::default());
        let stopping = Arc::new(AtomicBool::new(false));
        let clients = (0..CLIENTS)
            .map(|number| {
                let keep_alive = match mode {
                    Mode::New => false,
                    Mode::KeepAlive => true,
                    Mode::Half => number % 2 == 0,
                };
                let (counts, stopping) = (Arc::clone(&counts), Arc::clone(&stopping));
                thread::spawn(move || {
                    client(address, number, keep_alive, &counts, &stopping);
                })
            })
            .collect();
        while counts.answered.load(SeqCst) < answers {
            thread::yield_now();
        }
        Self {
            clients,
            counts,
            stopping,
        }
    }

    /// Allows connections to be refused from now on.
    pub(crate) fn expect_stop(&self) {
        self.stopping.store(true, SeqCst);
    }

    /// Waits until every client has been refused.
    pub(crate) fn finish(self) -> Arc<Counts> {
        for client in self.clients {
            client.join().unwrap();
        }
        self.counts
    }
}

/// Sends one request after another until a connection is refused.
fn client(
    address: SocketAddr,
    number: usize,
    keep_alive: bool,
    counts: &Counts,
    stopping: &AtomicBool,
) {
    let mut open: Option<Client> = None;
    for attempt in 0u64.. {
        let mut connection = match open.take() {
            Some(connection) => connection,
            None => match Client::try_connect(address) {
                Ok(connection) => {
                    counts.connected.fetch_add(1, SeqCst);
                    connection
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
                    assert!(stopping.load(SeqCst), "refused before the stop");
                    return;
                }
            },
        };
        let path = format!("/{number}/{attempt}");
        let close = if keep_alive {
            ""
        } else {
            "Connection: close\r\n"
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{close}\r\n");
        if connection.try_send(request).is_err() {
            counts.lost.fetch_add(1, SeqCst);
            continue;
        }
        match connection.try_response(false) {
            Ok(response) => {
                let expected = format!("Hello, you requested {path}\n");
                let right = response.status == 200 && response.body == expected;
                let count = if right {
                    &counts.answered
                } else {
                    &counts.wrong
                };
                count.fetch_add(1, SeqCst);
                if !response.closes() {
                    open = Some(connection);
                }
            }
            Err(Loss::Lost) => _ = counts.lost.fetch_add(1, SeqCst),
            Err(Loss::Truncated) => _ = counts.truncated.fetch_add(1, SeqCst),
        }
    }
}
