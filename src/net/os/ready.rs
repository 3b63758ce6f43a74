//! Unix: waiting for one socket, or for several polls.

use std::io;
use std::io::PipeReader;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;
use socket2::SockRef;

use super::Ready;

/// Waits until the socket may be ready, until `timeout` has passed, or until the
/// writing end of one of the pipes is closed. Whatever ended the wait, the caller
/// tries again.
///
/// # Errors
///
/// The system is out of memory.
pub(crate) fn wait_until_ready(
    socket: &SockRef<'_>,
    ready: Ready,
    timeout: Option<Duration>,
    pipes: &[&PipeReader],
) -> io::Result<()> {
    let flags = match ready {
        Ready::Input => PollFlags::POLLIN,
        Ready::Room => PollFlags::POLLOUT,
    };
    let mut fds = vec![PollFd::new(socket.as_fd(), flags)];
    // Nothing is ever written to the pipes. `POLLIN` is requested because some
    // systems report a closed end only together with a requested event.
    let pipes = pipes.iter();
    fds.extend(pipes.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
    wait(&mut fds, timeout)
}

/// Waits until one of several polls has events, or until `timeout` has passed.
/// Returns the index of the first that has.
///
/// # Errors
///
/// The system is out of memory.
pub(crate) fn wait_for_any(
    polls: &[&mio::Poll],
    timeout: Option<Duration>,
) -> io::Result<Option<usize>> {
    let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(polls.len());
    for poll in polls {
        fds.push(PollFd::new(poll.registry().as_fd(), PollFlags::POLLIN));
    }
    wait(&mut fds, timeout)?;
    Ok(fds.iter().position(|fd| fd.any() == Some(true)))
}

fn wait(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<()> {
    // Rounded up, so that the time has passed when `poll` times out. A timeout
    // that is too long for `poll` ends early, and the caller waits again.
    let timeout = timeout.map_or(PollTimeout::NONE, |timeout| {
        let millis = timeout.as_micros().div_ceil(1000);
        PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
    });
    match poll(fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::net::TcpStream;
    use std::time::Instant;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (one, listener.accept().unwrap().0)
    }

    #[test]
    fn a_wait_ends_with_input_room_a_closed_pipe_or_its_timeout() {
        let (mut client, socket) = pair();
        let socket = SockRef::from(&socket);
        let (reader, writer) = io::pipe().unwrap();
        let wait = |ready, timeout| wait_until_ready(&socket, ready, timeout, &[&reader]).unwrap();
        let (start, short) = (Instant::now(), Duration::from_millis(20));
        wait(Ready::Input, Some(short));
        assert!(start.elapsed() >= short);
        // The next waits have no timeout, so only their events end them.
        wait(Ready::Room, None);
        client.write_all(b"x").unwrap();
        wait(Ready::Input, None);
        drop(writer);
        let (_client, idle) = pair();
        wait_until_ready(&SockRef::from(&idle), Ready::Input, None, &[&reader]).unwrap();
    }

    #[test]
    fn a_wait_for_polls_ends_with_an_event_of_any_or_its_timeout() {
        let polls = [mio::Poll::new().unwrap(), mio::Poll::new().unwrap()];
        let polls = [&polls[0], &polls[1]];
        let (start, short) = (Instant::now(), Duration::from_millis(20));
        assert_eq!(wait_for_any(&polls, Some(short)).unwrap(), None);
        assert!(start.elapsed() >= short);
        let waker = mio::Waker::new(polls[1].registry(), mio::Token(0)).unwrap();
        waker.wake().unwrap();
        // The event is there already, and the wait has no timeout.
        assert_eq!(wait_for_any(&polls, None).unwrap(), Some(1));
    }
}
