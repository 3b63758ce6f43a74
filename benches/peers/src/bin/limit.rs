//! Not a server: two event loops that search for the end of each head and write
//! a constant response. An upper limit for the speed of a server.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use farewell_peers::Arguments;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};

const LOOPS: usize = 2;
const WAKER: Token = Token(usize::MAX);
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\r\nHello, world!";

fn main() -> io::Result<()> {
    let listener = TcpListener::bind(Arguments::of_process().address())?;
    let mut loops = Vec::new();
    for _ in 0..LOOPS {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || serve(poll, &receiver));
        loops.push((sender, waker));
    }
    // Connections alternate between the loops.
    for (stream, (sender, waker)) in listener.incoming().zip(loops.iter().cycle()) {
        let stream = stream?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let connection = Connection {
            stream: TcpStream::from_std(stream),
            matched: 0,
        };
        if sender.send(connection).is_err() {
            return Err(io::Error::other("an event loop has ended"));
        }
        waker.wake()?;
    }
    Ok(())
}

fn serve(mut poll: Poll, accepted: &Receiver<Connection>) -> io::Result<()> {
    let mut events = Events::with_capacity(1024);
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut free = Vec::new();
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == WAKER {
                for mut connection in accepted.try_iter() {
                    let place = free.pop().unwrap_or_else(|| {
                        connections.push(None);
                        connections.len() - 1
                    });
                    let stream = &mut connection.stream;
                    let registry = poll.registry();
                    registry.register(stream, Token(place), Interest::READABLE)?;
                    connections[place] = Some(connection);
                }
                continue;
            }
            let place = event.token().0;
            if let Some(connection) = &mut connections[place]
                && connection.advance().is_err()
            {
                connections[place] = None;
                free.push(place);
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    /// How many bytes of the end of a head have been matched.
    matched: usize,
}

impl Connection {
    /// Writes a response for each complete head. An error means that the client
    /// has closed, or that its buffer is full.
    fn advance(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        loop {
            let count = match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            for _ in 0..self.heads(&buffer[..count]) {
                self.stream.write_all(RESPONSE)?;
            }
            if count < buffer.len() {
                return Ok(());
            }
        }
    }

    fn heads(&mut self, bytes: &[u8]) -> usize {
        let mut heads = 0;
        for &byte in bytes {
            self.matched = match byte {
                _ if byte == END_OF_HEAD[self.matched] => self.matched + 1,
                b'\r' => 1,
                _ => 0,
            };
            if self.matched == END_OF_HEAD.len() {
                self.matched = 0;
                heads += 1;
            }
        }
        heads
    }
}
