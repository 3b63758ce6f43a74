//! A client that sends a stream in pieces, closes its side, and reads the responses.

use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::vec;

use crate::net::stream::Stream;

pub(super) struct Client<'a> {
    /// `None` once the client has dropped the connection.
    socket: Option<TcpStream>,
    pieces: vec::IntoIter<&'a [u8]>,
    /// The rest of the current piece.
    piece: &'a [u8],
    /// The client has closed its side.
    closed: bool,
    received: Vec<u8>,
}

impl<'a> Client<'a> {
    /// A client, and the server's end of its connection. A Unix socket pair costs less
    /// than a TCP connection and uses no ports; reads and writes are the same calls.
    pub(super) fn connect(pieces: Vec<&'a [u8]>) -> (Self, Stream) {
        let (client_end, server_end) = UnixStream::pair().expect("the system has sockets left");
        let [client_end, server_end] =
            [client_end, server_end].map(|end| TcpStream::from(OwnedFd::from(end)));
        client_end
            .set_nonblocking(true)
            .expect("a socket can be non-blocking");
        let client = Self {
            socket: Some(client_end),
            pieces: pieces.into_iter(),
            piece: &[],
            closed: false,
            received: Vec::new(),
        };
        let stream = Stream::of(server_end).expect("a socket can be a stream");
        (client, stream)
    }

    /// Sends a piece, or closes the client's side after the last piece. Returns whether
    /// the client had anything to do.
    pub(super) fn send_next(&mut self) -> bool {
        let Some(socket) = &mut self.socket else {
            return false;
        };
        if self.piece.is_empty() {
            self.piece = self.pieces.next().unwrap_or_default();
        }
        if self.piece.is_empty() {
            let closed = std::mem::replace(&mut self.closed, true);
            socket
                .shutdown(Shutdown::Write)
                .expect("the server's end is open");
            return !closed;
        }
        match socket.write(self.piece) {
            Ok(count) => self.piece = &self.piece[count..],
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        true
    }

    /// Drops the connection.
    pub(super) fn disconnect(&mut self) {
        self.socket = None;
    }

    /// Reads what has arrived.
    pub(super) fn read_responses(&mut self) {
        let Some(socket) = &mut self.socket else {
            return;
        };
        if let Err(error) = socket.read_to_end(&mut self.received) {
            assert!(
                matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::ConnectionReset
                ),
                "{error}"
            );
        }
    }

    /// All bytes that the client has received, once the connection is closed; `None` if
    /// the client has dropped the connection.
    pub(super) fn received(&mut self) -> Option<Vec<u8>> {
        self.read_responses();
        self.socket.as_ref()?;
        Some(std::mem::take(&mut self.received))
    }
}
