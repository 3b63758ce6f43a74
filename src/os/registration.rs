//! Unix: registrations with an epoll or the like. They belong to a descriptor, so
//! a handle that is shared can be registered too, and a poll with another poll.

#![allow(
    clippy::needless_pass_by_ref_mut,
    reason = "the same functions on other systems need it"
)]

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use mio::Events;
use mio::Interest;
use mio::Poll;
use mio::Registry;
use mio::Token;
use mio::event::Source;
use mio::net::TcpStream;
use mio::unix::SourceFd;

/// Has an epoll tell of the events of a socket.
pub(crate) fn register(
    socket: &mut Arc<TcpStream>,
    registry: &Registry,
    token: Token,
    interest: Interest,
) -> io::Result<()> {
    SourceFd(&socket.as_raw_fd()).register(registry, token, interest)
}

/// Changes what an epoll tells of.
pub(crate) fn reregister(
    socket: &mut Arc<TcpStream>,
    registry: &Registry,
    token: Token,
    interest: Interest,
) -> io::Result<()> {
    SourceFd(&socket.as_raw_fd()).reregister(registry, token, interest)
}

/// Waits until one of several polls has events, or until `timeout` has passed.
///
/// # Errors
///
/// There is no file descriptor left.
pub(crate) fn wait_for_any(polls: &[&Poll], timeout: Option<Duration>) -> io::Result<()> {
    let mut all = Poll::new()?;
    for (index, poll) in polls.iter().enumerate() {
        let source = poll.as_raw_fd();
        all.registry()
            .register(&mut SourceFd(&source), Token(index), Interest::READABLE)?;
    }
    match all.poll(&mut Events::with_capacity(1), timeout) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

/// Ends a registration, while the socket stays open.
pub(crate) fn deregister(socket: &mut Arc<TcpStream>, registry: &Registry) -> io::Result<()> {
    SourceFd(&socket.as_raw_fd()).deregister(registry)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use mio::Waker;

    use super::*;

    #[test]
    fn a_wait_ends_with_an_event_of_any_poll_or_its_timeout() {
        let (one, other) = (Poll::new().unwrap(), Poll::new().unwrap());
        let polls = [&one, &other];
        let (start, short) = (Instant::now(), Duration::from_millis(20));
        wait_for_any(&polls, Some(short)).unwrap();
        assert!(start.elapsed() >= short);
        let waker = Waker::new(other.registry(), Token(0)).unwrap();
        waker.wake().unwrap();
        // It has come already, and the wait has no end of its own.
        wait_for_any(&polls, None).unwrap();
    }
}
