//! Any system. A stop works without the system's help, except that a connection
//! is reset if it arrives after the backlog was found empty and before the
//! listener is closed.

use std::fs::File;
use std::io;
use std::io::PipeReader;
use std::net::SocketAddr;
use std::sync::Arc;
#[cfg(feature = "signals")]
use std::sync::OnceLock;
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
use super::ReceivedSignal;
#[cfg(feature = "signals")]
use super::SignalEffect;
#[cfg(feature = "signals")]
use super::StopSignals;
use super::ThreadUsage;

/// Some systems report later bytes only after a read has found the socket empty.
pub(crate) fn short_read_means_empty() -> bool {
    false
}

/// No call refuses new connections and keeps the backlog.
pub(crate) fn refuse_new_connections(_: &SockRef<'_>, _: SocketAddr) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// On these systems `shutdown` of a socket that listens is an error, or resets the
/// backlog.
pub(crate) fn refuse_new_unix_connections(_: &SockRef<'_>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// No call returns the number of half-open handshakes.
pub(crate) fn half_open(_: SocketAddr) -> Option<usize> {
    None
}

/// No call returns the round trips of connections.
pub(crate) fn longest_round_trip(_: SocketAddr) -> Option<Duration> {
    None
}

/// No call returns the limit on open files.
pub(crate) fn open_files_max() -> Option<usize> {
    None
}

/// No call limits how many bytes the kernel takes that it cannot send yet.
pub(crate) fn limit_unsent(_: &SockRef<'_>, _: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// On some systems mio's accept relies on the listener's mode, and ours blocks.
pub(crate) fn accepted_is_nonblocking() -> bool {
    false
}

/// The option is set on each accepted socket.
pub(crate) fn nodelay_is_inherited() -> bool {
    false
}

/// No call tells the system that more bytes follow.
pub(crate) fn send_before_more(socket: &SockRef<'_>, bytes: &[u8]) -> io::Result<usize> {
    socket.send(bytes)
}

/// No call sends a file: the caller reads it and writes.
pub(crate) fn send_file(_: &SockRef<'_>, _: &File, _: u64, _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Threads have no ID that [`is_running`] could use.
pub(crate) fn thread_number() -> Option<u32> {
    None
}

/// No call returns the usage of a thread.
pub(crate) fn thread_usage() -> Option<ThreadUsage> {
    None
}

/// The socket, which can be registered only while it has a single handle.
fn single_handle(socket: &mut Arc<TcpStream>) -> io::Result<&mut TcpStream> {
    Arc::get_mut(socket).ok_or_else(|| io::ErrorKind::ResourceBusy.into())
}

/// Registers a socket with a poll.
pub(crate) fn register(
    socket: &mut Arc<TcpStream>,
    registry: &Registry,
    token: Token,
    interest: Interest,
) -> io::Result<()> {
    single_handle(socket)?.register(registry, token, interest)
}

/// Changes the events for which a socket is registered.
pub(crate) fn reregister(
    socket: &mut Arc<TcpStream>,
    registry: &Registry,
    token: Token,
    interest: Interest,
) -> io::Result<()> {
    single_handle(socket)?.reregister(registry, token, interest)
}

/// Ends a registration. The socket stays open.
pub(crate) fn deregister(socket: &mut Arc<TcpStream>, registry: &Registry) -> io::Result<()> {
    single_handle(socket)?.deregister(registry)
}

/// How long a thread sleeps, because it cannot wait for a socket.
const RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// No call waits for several polls: this sleeps, and the caller checks each poll.
pub(crate) fn wait_for_any(_: &[&Poll], timeout: Option<Duration>) -> io::Result<Option<usize>> {
    let longest = Duration::from_millis(1);
    thread::sleep(timeout.map_or(longest, |timeout| timeout.min(longest)));
    Ok(None)
}

/// No call waits for one socket: this sleeps, and the caller tries again.
pub(crate) fn wait_until_ready(
    _: &SockRef<'_>,
    _: Ready,
    timeout: Option<Duration>,
    _: &[&PipeReader],
) -> io::Result<()> {
    thread::sleep(timeout.map_or(RETRY_INTERVAL, |timeout| timeout.min(RETRY_INTERVAL)));
    Ok(())
}

/// No call returns whether a thread runs.
pub(crate) fn is_running(_: u32) -> Option<bool> {
    None
}

/// No call returns which signals the process ignores.
#[cfg(feature = "signals")]
#[cfg_attr(
    not(any(unix, test)),
    expect(dead_code, reason = "these systems have no signals")
)]
pub(crate) fn ignored_signals() -> u64 {
    0
}

/// Handles the console events that `ctrlc` handles. There are no other signals.
#[cfg(feature = "signals")]
#[cfg_attr(unix, allow(dead_code, reason = "compiled there for the tests"))]
pub(crate) fn handle_signals(
    _: StopSignals,
    received: fn(ReceivedSignal) -> SignalEffect,
) -> io::Result<()> {
    static HANDLED: OnceLock<Result<(), String>> = OnceLock::new();

    #[allow(clippy::exit, reason = "without a handler, Ctrl+C does the same")]
    let end = || std::process::exit(130);
    let handle = || super::ctrl_c::handle(received, end).map_err(|error| error.to_string());
    let handled = HANDLED.get_or_init(handle);
    handled.clone().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_portable_versions_support_nothing() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let listener = SockRef::from(&socket);
        let refused = refuse_new_connections(&listener, address).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
        let refused = refuse_new_unix_connections(&listener).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
        let refused = limit_unsent(&listener, 1).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
        assert_eq!(half_open(address), None);
        assert_eq!(longest_round_trip(address), None);
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
        assert!(send_before_more(&listener, b"a").is_err());
        let file = File::open(file!()).unwrap();
        let refused = send_file(&listener, &file, 0, 1).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
    }
}
