//! Connections that stay open and idle after one request each.

use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

const THREADS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(5);
const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Idle connections to one server.
#[derive(Debug)]
pub(crate) struct IdleConnections {
    streams: Vec<TcpStream>,
    /// The error that kept it from opening the requested number.
    pub(crate) failure: Option<io::Error>,
}

impl IdleConnections {
    /// Opens this many connections, or as many as the server accepts.
    pub(crate) fn open(port: u16, count: usize) -> Self {
        let shares = (0..THREADS).map(|index| (count + index) / THREADS);
        let opened: Vec<Self> = thread::scope(|scope| {
            let opening: Vec<_> = shares
                .map(|share| scope.spawn(move || open(port, share)))
                .collect();
            let joined = opening.into_iter().map(|opening| opening.join());
            joined
                .map(|opened| opened.expect("opening connections does not panic"))
                .collect()
        });
        let mut all = Self {
            streams: Vec::with_capacity(count),
            failure: None,
        };
        for part in opened {
            all.streams.extend(part.streams);
            all.failure = all.failure.or(part.failure);
        }
        all
    }

    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }

    /// How many connections the server has not closed.
    pub(crate) fn still_open(&self) -> usize {
        let open = |mut stream: &TcpStream| {
            let asked = stream.set_nonblocking(true);
            let read = asked.and_then(|()| stream.read(&mut [0]));
            read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        };
        self.streams.iter().filter(|stream| open(stream)).count()
    }

    /// Closes each connection when the server has closed it, as a client does.
    /// Returns when all are closed.
    pub(crate) fn close_after_the_server(self) {
        for mut stream in self.streams {
            // A connection with an error is closed too.
            let _ = stream.set_nonblocking(false);
            let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
            while stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {}
        }
    }
}

fn open(port: u16, count: usize) -> IdleConnections {
    let mut streams = Vec::with_capacity(count);
    let failure = (0..count).find_map(|_| match one(port) {
        Ok(stream) => {
            streams.push(stream);
            None
        }
        // A read that times out reports `WouldBlock`.
        Err(error) if error.kind() == ErrorKind::WouldBlock => Some(io::Error::new(
            ErrorKind::TimedOut,
            "no response within 5 s",
        )),
        Err(error) => Some(error),
    });
    IdleConnections { streams, failure }
}

fn one(port: u16) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(ASK)?;
    let mut response = [0; 2048];
    let mut length = 0;
    loop {
        match stream.read(&mut response[length..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => length += count,
        }
        if is_whole(&response[..length]) {
            return Ok(stream);
        }
    }
}

/// Whether the response is complete by its `Content-Length`.
fn is_whole(response: &[u8]) -> bool {
    let text = String::from_utf8_lossy(response);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_some_and(|length| body.len() >= length)
}
