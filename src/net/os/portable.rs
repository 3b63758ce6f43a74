//! Where the system offers nothing: stopping still works, and a small window
//! stays, between the last look at the backlog and the listener's close, in
//! which a new connection is reset.

use std::fs::File;
use std::io;
use std::io::PipeReader;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mio::Interest;
use mio::Poll;
use mio::Registry;
use mio::Token;
use mio::event::Source;
use mio::net::TcpStream;
use socket2::SockRef;

use super::Ready;
#[cfg(feature = "signals")]
use super::SignalEffect;
use super::ThreadUsage;

/// Some systems tell of what comes later only after a read has found nothing.
pub(crate) fn short_read_means_empty() -> bool {
    false
}

/// No call refuses new connections and keeps those that the kernel holds.
pub(crate) fn refuse_new_connections(_: &SockRef<'_>, _: SocketAddr) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Nothing tells how many handshakes with this listener are half-open.
pub(crate) fn half_open(_: SocketAddr) -> Option<usize> {
    None
}

/// Nothing tells how many files the process may have open.
pub(crate) fn open_files_max() -> Option<usize> {
    None
}

/// How much the kernel takes from us before a client has it is the kernel's
/// own business.
pub(crate) fn limit_unsent(_: &SockRef<'_>, _: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// On some systems mio relies on the listener's mode, and ours blocks.
pub(crate) fn accepted_is_nonblocking() -> bool {
    false
}

/// Each accepted socket is told.
pub(crate) fn nodelay_is_inherited() -> bool {
    false
}

/// No call sends a file: whoever wants that reads it and writes.
pub(crate) fn send_file(_: &SockRef<'_>, _: &File, _: u64, _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Threads have no number that [`is_running`] would know.
pub(crate) fn thread_number() -> Option<u32> {
    None
}

/// Nothing tells what a thread has used.
pub(crate) fn thread_usage() -> Option<ThreadUsage> {
    None
}

/// Only the one handle of a socket can be registered.
fn sole(socket: &mut Arc<TcpStream>) -> io::Result<&mut TcpStream> {
    Arc::get_mut(socket).ok_or_else(|| io::ErrorKind::ResourceBusy.into())
}

/// Has a poll tell of the events of a socket.
pub(crate) fn register(
    socket: &mut Arc<TcpStream>,
    registry: &Registry,
    token: Token,
    interest: Interest,
) -> io::Result<()> {
    sole(socket)?.register(registry, token, interest)
}

/// Changes what a poll tells of.
pub(crate) fn reregister(
    socket: &mut Arc<TcpStream>,
    registry: &Registry,
    token: Token,
    interest: Interest,
) -> io::Result<()> {
    sole(socket)?.reregister(registry, token, interest)
}

/// Ends a registration, while the socket stays open.
pub(crate) fn deregister(socket: &mut Arc<TcpStream>, registry: &Registry) -> io::Result<()> {
    sole(socket)?.deregister(registry)
}

/// How long a thread sleeps where it cannot wait for a socket.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// No call waits for several polls: the caller looks at each after a while.
pub(crate) fn wait_for_any(_: &[&Poll], timeout: Option<Duration>) -> io::Result<Option<usize>> {
    let longest = Duration::from_millis(1);
    thread::sleep(timeout.map_or(longest, |timeout| timeout.min(longest)));
    Ok(None)
}

/// No call waits for one socket: the caller tries again after a while.
pub(crate) fn wait_until_ready(
    _: &SockRef<'_>,
    _: Ready,
    timeout: Option<Duration>,
    _: &[&PipeReader],
) -> io::Result<()> {
    thread::sleep(timeout.map_or(LOOK_EVERY, |timeout| timeout.min(LOOK_EVERY)));
    Ok(())
}

/// Nothing tells what a thread does.
pub(crate) fn is_running(_: u32) -> Option<bool> {
    None
}

/// Nothing tells which signals the process ignores.
#[cfg(feature = "signals")]
#[cfg_attr(
    not(any(unix, test)),
    expect(dead_code, reason = "there are none to ask for")
)]
pub(crate) fn ignored_signals() -> u64 {
    0
}

/// `ctrlc` knows the events of a console; there are no signals beside them.
#[cfg(feature = "signals")]
#[cfg_attr(unix, allow(dead_code, reason = "compiled there for the tests"))]
pub(crate) fn handle_signals(received: fn() -> SignalEffect) -> io::Result<()> {
    #[allow(clippy::exit, reason = "what Ctrl+C does where it is not handled")]
    let end = || std::process::exit(130);
    super::ctrl_c::handle(received, end)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_portable_answers_are_no() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let listener = SockRef::from(&socket);
        let refused = refuse_new_connections(&listener, address).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
        let refused = limit_unsent(&listener, 1).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
        assert_eq!(half_open(address), None);
        assert_eq!(open_files_max(), None);
        assert!(!short_read_means_empty());
        assert!(!nodelay_is_inherited());
        assert!(!accepted_is_nonblocking());
        assert_eq!(thread_number(), None);
        assert_eq!(is_running(1), None);
        assert!(thread_usage().is_none());
        let (timeout, no_pipes) = (Some(Duration::ZERO), &[]);
        wait_until_ready(&listener, Ready::Input, timeout, no_pipes).unwrap();
        let poll = Poll::new().unwrap();
        assert_eq!(wait_for_any(&[&poll], None).unwrap(), None);
        let stream = std::net::TcpStream::connect(address).unwrap();
        let mut stream = Arc::new(TcpStream::from_std(stream));
        let (registry, both) = (poll.registry(), Interest::READABLE | Interest::WRITABLE);
        register(&mut stream, registry, Token(0), Interest::READABLE).unwrap();
        reregister(&mut stream, registry, Token(0), both).unwrap();
        let other = Arc::clone(&stream);
        let busy = deregister(&mut stream, registry).unwrap_err();
        assert_eq!(busy.kind(), io::ErrorKind::ResourceBusy);
        drop(other);
        deregister(&mut stream, registry).unwrap();
        #[cfg(feature = "signals")]
        assert_eq!(ignored_signals(), 0);
        let file = File::open(file!()).unwrap();
        let refused = send_file(&listener, &file, 0, 1).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
    }
}
