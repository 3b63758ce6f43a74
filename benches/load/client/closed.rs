//! A closed loop: each connection sends its next request when it has its
//! response. One thread has all connections, so that the client takes little
//! processor time.

use std::io::Write;
use std::net::Ipv4Addr;
use std::time::Duration;
use std::time::Instant;

use mio::Events;
use mio::Interest;
use mio::Poll;
use mio::Token;
use mio::net::TcpStream;

use super::PATIENCE;
use super::Response;
use super::microseconds;
use super::percentile;
use super::request;
use super::would_block;
use crate::harness::Result;

/// Duration of the loop before it counts.
const WARM_UP: Duration = Duration::from_millis(500);

/// The connections of a closed loop.
pub(super) struct Closed {
    poll: Poll,
    connections: Vec<PolledConnection>,
    request: Vec<u8>,
}

struct PolledConnection {
    stream: TcpStream,
    response: Response,
    asked: Instant,
}

/// One response: its connection, when it was requested, and when it was
/// complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) connection: usize,
    pub(super) asked: Instant,
    pub(super) answered: Instant,
}

impl Answer {
    pub(super) fn latency(&self) -> Duration {
        self.answered - self.asked
    }
}

impl Closed {
    pub(super) fn open(port: u16, path: &str, connections: usize) -> Result<Self> {
        let poll = Poll::new()?;
        let open = |index: usize| -> Result<PolledConnection> {
            let stream = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry()
                .register(&mut stream, Token(index), Interest::READABLE)?;
            Ok(PolledConnection {
                stream,
                response: Response::default(),
                asked: Instant::now(),
            })
        };
        let connections = (0..connections).map(open).collect::<Result<_>>()?;
        Ok(Self {
            poll,
            connections,
            request: request(path).into_bytes(),
        })
    }

    /// Sends requests on all connections until `is_over` returns true. It is
    /// called after each poll.
    ///
    /// # Errors
    ///
    /// If the server does not answer, or not with 200.
    pub(super) fn run(
        mut self,
        mut is_over: impl FnMut() -> bool,
        mut count: impl FnMut(Answer),
    ) -> Result<()> {
        for connection in &mut self.connections {
            connection.ask(&self.request)?;
        }
        let mut events = Events::with_capacity(256);
        while !is_over() {
            self.poll.poll(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                return Err(format!("no response within {PATIENCE:?}").into());
            }
            for event in &events {
                let index = event.token().0;
                let connection = &mut self.connections[index];
                if connection.has_answer()? {
                    count(Answer {
                        connection: index,
                        asked: connection.asked,
                        answered: Instant::now(),
                    });
                    connection.ask(&self.request)?;
                }
            }
        }
        Ok(())
    }
}

impl PolledConnection {
    /// The request is short, and the send buffer is empty, so this does not
    /// block.
    fn ask(&mut self, request: &[u8]) -> Result<()> {
        self.asked = Instant::now();
        self.stream.write_all(request)?;
        Ok(())
    }

    /// Reads until the response is complete or no more bytes are there. No
    /// bytes follow a complete response, because no other request was sent.
    fn has_answer(&mut self) -> Result<bool> {
        loop {
            match self.response.read_from(&mut self.stream) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) if would_block(error.as_ref()) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
}

/// How many responses each connection gets, and how long they take.
pub(super) fn counted(
    port: u16,
    path: &str,
    connections: usize,
    time: Duration,
) -> Result<Vec<(&'static str, f64)>> {
    let closed = Closed::open(port, path, connections)?;
    let mut counts = vec![0_u64; connections];
    let mut latencies = Vec::new();
    let start = Instant::now() + WARM_UP;
    let end = start + time;
    closed.run(
        || Instant::now() >= end,
        |answer| {
            if answer.answered >= start && answer.answered < end {
                counts[answer.connection] += 1;
                latencies.push(answer.latency());
            }
        },
    )?;
    latencies.sort_unstable();
    let fewest = counts.iter().min().copied().unwrap_or_default();
    let most = counts.iter().max().copied().unwrap_or_default();
    Ok(vec![
        ("requests", latencies.len() as f64),
        ("seconds", time.as_secs_f64()),
        ("p50", percentile(&latencies, 0.5)),
        ("p99", percentile(&latencies, 0.99)),
        ("p999", percentile(&latencies, 0.999)),
        ("worst", latencies.last().copied().map_or(0.0, microseconds)),
        ("fewest", fewest as f64),
        ("most", most as f64),
    ])
}
