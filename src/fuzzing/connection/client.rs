//! A client that sends a stream in pieces, closes its side, and reads whatever
//! it gets.

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
    /// `None`: it has disconnected.
    socket: Option<TcpStream>,
    pieces: vec::IntoIter<&'a [u8]>,
    /// What is left of the last piece.
    piece: &'a [u8],
    /// Its side is closed: it sends no more.
    closed: bool,
    received: Vec<u8>,
}

impl<'a> Client<'a> {
    /// A client, and the server's end of its connection. A pair of sockets of
    /// the system's costs less than a TCP connection, and uses up no ports; to
    /// read and write it takes the same calls.
    pub(super) fn connect(pieces: Vec<&'a [u8]>) -> (Self, Stream) {
        let (ours, theirs) = UnixStream::pair().expect("the system has sockets left");
        let [ours, theirs] = [ours, theirs].map(|end| TcpStream::from(OwnedFd::from(end)));
        ours.set_nonblocking(true).expect("a socket can do that");
        let client = Self {
            socket: Some(ours),
            pieces: pieces.into_iter(),
            piece: &[],
            closed: false,
            received: Vec::new(),
        };
        let stream = Stream::of(theirs).expect("a socket can do that");
        (client, stream)
    }

    /// Sends a piece, or closes its side after the last. Says whether there was
    /// anything to do.
    pub(super) fn goes_on(&mut self) -> bool {
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
                .expect("the server's end is there");
            return !closed;
        }
        match socket.write(self.piece) {
            Ok(count) => self.piece = &self.piece[count..],
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        true
    }

    pub(super) fn disconnect(&mut self) {
        self.socket = None;
    }

    /// Reads what has come.
    pub(super) fn take_answers(&mut self) {
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

    /// All that it got, once the connection is closed; `None` if it has
    /// disconnected.
    pub(super) fn received(&mut self) -> Option<Vec<u8>> {
        self.take_answers();
        self.socket.as_ref()?;
        Some(std::mem::take(&mut self.received))
    }
}
