//! The pair of sockets between the two processes of a restart.

use std::fmt;
use std::io;
use std::io::ErrorKind;
use std::io::IoSlice;
use std::io::IoSliceMut;
use std::io::Read;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use farewell::Ownership;
use rustix::io::FdFlags;
use rustix::net::RecvAncillaryBuffer;
use rustix::net::RecvAncillaryMessage;
use rustix::net::RecvFlags;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendAncillaryMessage;
use rustix::net::SendFlags;

use crate::inherited::Role;

/// Most bytes of a line.
const LINE_MAX: usize = 256;

/// Most sockets that are passed on.
const SOCKETS_MAX: usize = 2;

/// What the first line begins with. Another version of the program may use another one.
const GREETING: &str = "farewell-restart-1";

/// What the processes say to each other, each in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// The new process accepts connections.
    Ready,
    /// The old process wants the new one to own the sockets.
    TakeOver,
    /// The new process owns them.
    Taken,
}

impl Message {
    const ALL: [Self; 3] = [Self::Ready, Self::TakeOver, Self::Taken];

    fn text(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::TakeOver => "take over",
            Self::Taken => "taken",
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A listening socket on its way to the new process.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) role: Role,
    /// What the new process has when it has taken over.
    pub(super) ownership: Ownership,
    pub(super) socket: OwnedFd,
}

/// One end of the pair. Its drop tells the other process that this one has given up or has
/// ended.
#[derive(Debug)]
pub(super) struct Channel {
    stream: UnixStream,
    /// The beginning of a line.
    received: Vec<u8>,
}

impl Channel {
    /// Both ends. The second is for the new process.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self::new(ours), theirs.into()))
    }

    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// Passes the sockets on. It is the first that is sent, and too short to block.
    pub(super) fn send_sockets(&self, sockets: &[Passed]) -> io::Result<()> {
        let mut line = GREETING.to_owned();
        for passed in sockets {
            let ownership = match passed.ownership {
                Ownership::Sole => "sole",
                Ownership::Shared => "shared",
            };
            line += &format!(" {}={ownership}", passed.role.name());
        }
        line.push('\n');
        let descriptors: Vec<_> = sockets.iter().map(|passed| passed.socket.as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        if !rights.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("too many sockets"));
        }
        let bytes = [IoSlice::new(line.as_bytes())];
        match rustix::net::sendmsg(&self.stream, &bytes, &mut rights, SendFlags::NOSIGNAL)? {
            sent if sent == line.len() => Ok(()),
            _ => Err(ErrorKind::WriteZero.into()),
        }
    }

    /// Receives the sockets, which the old process has sent before this one started.
    pub(super) fn receive_sockets(&self, timeout: Duration) -> io::Result<Vec<Passed>> {
        self.stream.set_read_timeout(Some(timeout))?;
        let mut line = [0; LINE_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = [IoSliceMut::new(&mut line)];
        let flags = RecvFlags::empty();
        let received = rustix::net::recvmsg(&self.stream, &mut bytes, &mut rights, flags)?;
        let mut sockets = Vec::new();
        for message in rights.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                sockets.extend(descriptors);
            }
        }
        for socket in &sockets {
            rustix::io::fcntl_setfd(socket, FdFlags::CLOEXEC)?;
        }
        let line = line.get(..received.bytes).unwrap_or_default();
        described(line, sockets).ok_or_else(|| {
            io::Error::other("the process before speaks another version of the protocol")
        })
    }

    pub(super) fn send(&mut self, message: Message) -> io::Result<()> {
        self.stream.write_all(format!("{message}\n").as_bytes())
    }

    /// Waits for the next message. `None` after `timeout`.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof`: the other process has given up, or has ended. `InvalidData`: it says
    /// something else.
    pub(super) fn receive(&mut self, timeout: Duration) -> io::Result<Option<Message>> {
        if let Some(message) = self.next_line() {
            return message.map(Some);
        }
        // A timeout of zero would be none.
        let timeout = timeout.max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(timeout))?;
        let mut buffer = [0; LINE_MAX];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => self
                .received
                .extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                // The other process has closed its end before it had read everything.
                ErrorKind::ConnectionReset => return Err(ErrorKind::UnexpectedEof.into()),
                _ => return Err(error),
            },
        }
        self.next_line().transpose()
    }

    /// The first whole line of what was received.
    fn next_line(&mut self) -> Option<io::Result<Message>> {
        let Some(end) = self.received.iter().position(|&byte| byte == b'\n') else {
            let is_too_long = self.received.len() > LINE_MAX;
            return is_too_long.then(|| Err(ErrorKind::InvalidData.into()));
        };
        let line: Vec<u8> = self.received.drain(..=end).collect();
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let mut known = Message::ALL.into_iter();
        let message = known.find(|message| message.text().as_bytes() == line);
        Some(message.ok_or_else(|| ErrorKind::InvalidData.into()))
    }
}

/// The sockets with what the line says about them.
fn described(line: &[u8], sockets: Vec<OwnedFd>) -> Option<Vec<Passed>> {
    let line = str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let mut words = line.split(' ');
    if words.next() != Some(GREETING) {
        return None;
    }
    let described: Option<Vec<_>> = words
        .map(|word| {
            let (name, ownership) = word.split_once('=')?;
            let ownership = match ownership {
                "sole" => Ownership::Sole,
                "shared" => Ownership::Shared,
                _ => return None,
            };
            Some((Role::of_name(name)?, ownership))
        })
        .collect();
    let described = described.filter(|described| described.len() == sockets.len())?;
    let passed = described.into_iter().zip(sockets);
    Some(
        passed
            .map(|((role, ownership), socket)| Passed {
                role,
                ownership,
                socket,
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::net::TcpStream;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pair() -> (Channel, Channel) {
        let (ours, theirs) = Channel::pair().unwrap();
        (ours, Channel::new(theirs.into()))
    }

    fn passed(role: Role, ownership: Ownership, listener: &TcpListener) -> Passed {
        Passed {
            role,
            ownership,
            socket: listener.try_clone().unwrap().into(),
        }
    }

    #[test]
    fn sockets_arrive_with_what_they_are_for() {
        let (old, new) = pair();
        let (main, admin) = (
            TcpListener::bind("127.0.0.1:0").unwrap(),
            TcpListener::bind("127.0.0.1:0").unwrap(),
        );
        let sockets = [
            passed(Role::Main, Ownership::Sole, &main),
            passed(Role::Admin, Ownership::Shared, &admin),
        ];
        old.send_sockets(&sockets).unwrap();
        let mut received = new.receive_sockets(SECOND).unwrap();
        assert_eq!(received.len(), 2);
        let second = received.remove(1);
        assert_eq!(
            (second.role, second.ownership),
            (Role::Admin, Ownership::Shared)
        );
        let _client = TcpStream::connect(admin.local_addr().unwrap()).unwrap();
        TcpListener::from(second.socket).accept().unwrap();
    }

    #[test]
    fn messages_arrive_in_order_and_the_end_is_seen() {
        let (mut old, mut new) = pair();
        assert_eq!(old.receive(Duration::ZERO).unwrap(), None);
        new.send(Message::Ready).unwrap();
        new.send(Message::Taken).unwrap();
        assert_eq!(old.receive(SECOND).unwrap(), Some(Message::Ready));
        assert_eq!(old.receive(SECOND).unwrap(), Some(Message::Taken));
        drop(new);
        let end = old.receive(SECOND).unwrap_err();
        assert_eq!(end.kind(), ErrorKind::UnexpectedEof);

        let (mut old, new) = pair();
        old.send(Message::TakeOver).unwrap();
        drop(new);
        let end = old.receive(SECOND).unwrap_err();
        assert_eq!(end.kind(), ErrorKind::UnexpectedEof, "it has read nothing");
    }

    #[test]
    fn another_program_is_told_from_the_new_process() {
        for wrong in [
            "hello\n".to_owned(),
            "ready \n".to_owned(),
            "x".repeat(2 * LINE_MAX),
        ] {
            let (mut old, mut new) = pair();
            new.stream.write_all(wrong.as_bytes()).unwrap();
            let error = loop {
                match old.receive(SECOND) {
                    Ok(message) => assert_eq!(message, None),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{wrong:?}");
        }
        for wrong in ["", "farewell-restart-2\n", "farewell-restart-1 main=sole\n"] {
            assert!(
                described(wrong.as_bytes(), Vec::new()).is_none(),
                "{wrong:?}"
            );
        }
    }
}
