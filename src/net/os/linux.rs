//! Linux: a listener that refuses new connections and keeps its backlog; limits of
//! the process, and usage of its threads.

use std::fs;
use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::num::NonZeroUsize;
use std::time::Duration;

use nix::sys::resource::UsageWho;
use nix::sys::resource::getrusage;
use nix::sys::time::TimeVal;
use nix::sys::time::TimeValLike;
use socket2::SockRef;

use super::ThreadUsage;
use super::sock_diag;
use super::sock_diag::Family;
use super::sock_diag::TcpState;

/// An interface index that no system has: the kernel counts from 1.
const NO_INTERFACE: NonZeroU32 = NonZeroU32::new(i32::MAX as u32).expect("not zero");

/// A flag of send(2): a broken connection is an error, and raises no SIGPIPE. It has this
/// number on every architecture of Linux.
const MSG_NOSIGNAL: i32 = 0x4000;

/// A flag of send(2): more bytes follow. It has this number on every architecture of Linux.
const MSG_MORE: i32 = 0x8000;

/// A read from a TCP socket that returns less than the buffer holds has emptied
/// the socket, and bytes that arrive later cause an event of an edge-triggered
/// epoll: epoll(7), question 9. (A read that ends at urgent data has not emptied
/// it. The rest is then read with the client's next bytes.)
///
/// The same holds for a unix socket, if the client sends neither urgent data nor open
/// files.
pub(crate) fn short_read_means_empty() -> bool {
    true
}

/// Has the kernel refuse new connections, and keep the backlog.
///
/// It binds the listener to an interface that does not exist. Then the kernel
/// finds no listener for a new SYN, and answers it with RST: the client gets
/// "connection refused". The connections in the accept queue stay there, and
/// handshakes that have begun still complete into it, because they belong to the
/// listener and are not looked up again.
///
/// Without privilege this cannot be undone, and it affects every holder of the
/// socket. So it is for a stop only, and for a listener that is ours alone. In a
/// `SO_REUSEPORT` group the kernel would still choose this socket for its share of
/// the clients, and they would hang: there this is an error.
pub(crate) fn refuse_new_connections(
    listener: &SockRef<'_>,
    address: SocketAddr,
) -> io::Result<()> {
    if listener.reuse_port()? {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the listener shares its port (SO_REUSEPORT)",
        ));
    }
    if address.is_ipv4() {
        listener.bind_device_by_index_v4(Some(NO_INTERFACE))
    } else {
        listener.bind_device_by_index_v6(Some(NO_INTERFACE))
    }
}

/// The same for a unix socket, whose address is a file or an abstract name: see
/// `unix_socket.rs`.
pub(crate) fn refuse_new_unix_connections(listener: &SockRef<'_>) -> io::Result<()> {
    listener.shutdown(Shutdown::Read)
}

/// Limits how many bytes the kernel takes that it cannot send yet, to about so
/// many on each connection of this listener.
pub(crate) fn limit_unsent(listener: &SockRef<'_>, bytes: u32) -> io::Result<()> {
    listener.set_tcp_notsent_lowat(bytes)
}

/// mio accepts with `SOCK_NONBLOCK`.
pub(crate) fn accepted_is_nonblocking() -> bool {
    true
}

/// An accepted socket has `TCP_NODELAY` if the listener has it.
pub(crate) fn nodelay_is_inherited() -> bool {
    true
}

/// Sends bytes which more bytes follow at once: the kernel keeps them up to 200 ms, and
/// sends both in the same segments. A client then wakes up once for a head and its file.
pub(crate) fn send_before_more(socket: &SockRef<'_>, bytes: &[u8]) -> io::Result<usize> {
    socket.send_with_flags(bytes, MSG_NOSIGNAL | MSG_MORE)
}

/// Sends a part of a file from the page cache. Returns 0 at the file's end.
///
/// # Errors
///
/// `Unsupported`: the kernel cannot send this file, or from this offset.
pub(crate) fn send_file(
    socket: &SockRef<'_>,
    file: &File,
    offset: u64,
    length: u64,
) -> io::Result<usize> {
    let Ok(offset) = usize::try_from(offset) else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let length = usize::try_from(length).ok().and_then(NonZeroUsize::new);
    socket.sendfile(file, offset, length).map_err(|error| {
        // The error of sendfile(2) for a file that it cannot map.
        match error.kind() {
            io::ErrorKind::InvalidInput => io::ErrorKind::Unsupported.into(),
            _ => error,
        }
    })
}

/// How many handshakes with this listener's port have begun and not ended.
/// `None` if the kernel does not tell.
///
/// A handshake of another socket on the same port counts too. A handshake with a
/// SYN cookie (of a flooded backlog) does not, because the kernel keeps nothing
/// of it.
pub(crate) fn half_open(listener: SocketAddr) -> Option<usize> {
    let port = listener.port();
    let asked: io::Result<usize> = families(listener)
        .iter()
        .map(|&family| sock_diag::count(family, TcpState::SynRecv, port))
        .sum();
    asked.ok().or_else(|| half_open_by_table(port))
}

/// The same from the tables in `/proc`, for kernels without `sock_diag`.
fn half_open_by_table(port: u16) -> Option<usize> {
    let v4 = fs::read_to_string("/proc/net/tcp").ok()?;
    let v6 = fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
    Some(count_half_open(&v4, port) + count_half_open(&v6, port))
}

/// The longest round trip between this listener's port and a client that is connected.
/// `None` if the kernel does not tell.
pub(crate) fn longest_round_trip(listener: SocketAddr) -> Option<Duration> {
    let asked = families(listener)
        .iter()
        .map(|&family| sock_diag::longest_round_trip(family, listener.port()));
    asked.filter_map(io::Result::ok).max()
}

/// The families of the sockets of a listener. A socket for IPv6 may accept IPv4 too,
/// whose handshakes count as IPv4.
fn families(listener: SocketAddr) -> &'static [Family] {
    match listener {
        SocketAddr::V4(_) => &[Family::V4],
        SocketAddr::V6(_) => &[Family::V6, Family::V4],
    }
}

/// The format of a line is `sl local:port remote:port state …`, in hexadecimal.
fn count_half_open(table: &str, port: u16) -> usize {
    const SYN_RECV: &str = "03";

    let port = format!("{port:04X}");
    table
        .lines()
        .filter(|line| {
            let mut columns = line.split_ascii_whitespace().skip(1);
            let local = columns.next().and_then(|local| local.rsplit(':').next());
            local == Some(&port) && columns.nth(1) == Some(SYN_RECV)
        })
        .count()
}

/// How many files this process may have open.
pub(crate) fn open_files_max() -> Option<usize> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The calling thread's ID.
pub(crate) fn thread_number() -> Option<u32> {
    let own = fs::read_link("/proc/thread-self").ok()?;
    own.file_name()?.to_str()?.parse().ok()
}

/// The usage of the calling thread.
pub(crate) fn thread_usage() -> Option<ThreadUsage> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).ok()?;
    let time =
        |time: TimeVal| Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or(0));
    Some(ThreadUsage {
        processor: time(usage.user_time()) + time(usage.system_time()),
        waits: u64::try_from(usage.voluntary_context_switches()).unwrap_or(0),
    })
}

/// Whether a thread of this process runs, or is ready to run; otherwise it waits.
/// `None` if the kernel does not tell.
pub(crate) fn is_running(thread: u32) -> Option<bool> {
    let stat = fs::read(format!("/proc/self/task/{thread}/stat")).ok()?;
    // The state comes after the name, which is in parentheses and may contain
    // parentheses itself.
    let name_ends = stat.iter().rposition(|&byte| byte == b')')?;
    stat.get(name_ends + 2).map(|&state| state == b'R')
}

/// The signals that this process ignores: bit 0 for signal 1, and so on.
#[cfg(feature = "signals")]
pub(crate) fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_by_status(&status).unwrap_or_default()
}

/// The format of the line is `SigIgn:`, a tab, and 16 hexadecimal digits, or more
/// where there are more than 64 signals.
#[cfg(feature = "signals")]
fn ignored_by_status(status: &str) -> Option<u64> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?
        .trim();
    let first_64 = mask.get(mask.len().saturating_sub(16)..)?;
    u64::from_str_radix(first_64, 16).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::io::Write;
    use std::net::TcpListener;
    use std::net::TcpStream;
    use std::os::unix::net::UnixListener;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn a_listener_that_refuses_new_connections_keeps_its_backlog() {
        for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let port = listener.local_addr().unwrap().port();
            let target = if address.contains("127") || address.contains("0.0") {
                format!("127.0.0.1:{port}")
            } else {
                format!("[::1]:{port}")
            };
            let early = TcpStream::connect(&target).unwrap();
            refuse_new_connections(&SockRef::from(&listener), listener.local_addr().unwrap())
                .unwrap();
            let late = TcpStream::connect(&target).unwrap_err();
            assert_eq!(late.kind(), io::ErrorKind::ConnectionRefused, "{address}");
            let (_, peer) = listener.accept().unwrap();
            assert_eq!(peer, early.local_addr().unwrap());
        }
    }

    #[test]
    fn a_unix_socket_that_refuses_new_connections_keeps_its_backlog() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let mut early = [(); 3].map(|()| UnixStream::connect(&path).unwrap());
        early[0].write_all(b"x").unwrap();
        refuse_new_unix_connections(&SockRef::from(&listener)).unwrap();
        let late = UnixStream::connect(&path).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::ConnectionRefused);
        // Clients write before and after, and can be answered.
        early[1].write_all(b"x").unwrap();
        listener.set_nonblocking(true).unwrap();
        for client in &mut early[..2] {
            let (mut accepted, _) = listener.accept().unwrap();
            let mut byte = [0];
            accepted.read_exact(&mut byte).unwrap();
            accepted.write_all(b"y").unwrap();
            client.read_exact(&mut byte).unwrap();
            assert_eq!(&byte, b"y");
        }
        // The close resets what is left in the backlog.
        drop(listener);
        let reset = early[2].read(&mut [0]).unwrap_err();
        assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn a_listener_on_a_shared_port_cannot_refuse_connections() {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(1).unwrap();
        let refused = refuse_new_connections(&SockRef::from(&socket), address).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn half_open_handshakes_are_counted_by_port() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue
   0: 0100007F:1F91 00000000:0000 0A 00000000:00000000
   1: 0100007F:1F91 0100007F:C1D2 03 00000000:00000000
   2: 0100007F:1F91 0100007F:C1D3 01 00000000:00000000
   3: 0100007F:1F92 0100007F:C1D4 03 00000000:00000000
";
        assert_eq!(count_half_open(table, 0x1F91), 1);
        assert_eq!(count_half_open(table, 0x1F93), 0);
        assert!(half_open_by_table(1).is_some());
        let listener = TcpListener::bind("[::]:0").unwrap();
        assert_eq!(half_open(listener.local_addr().unwrap()), Some(0));
    }

    #[test]
    fn a_thread_that_waits_does_not_run() {
        let own = thread_number().unwrap();
        assert_eq!(is_running(own), Some(true));
        let (sender, number) = mpsc::channel();
        let (stop, stopped) = mpsc::channel::<()>();
        let waiting = thread::spawn(move || {
            sender.send(thread_number().unwrap()).unwrap();
            let _ = stopped.recv();
        });
        let number = number.recv().unwrap();
        while is_running(number) != Some(false) {
            thread::yield_now();
        }
        drop(stop);
        waiting.join().unwrap();
        assert_eq!(is_running(u32::MAX), None);
    }

    #[test]
    fn the_limit_on_open_files_is_known() {
        assert!(open_files_max().unwrap() > 0);
    }

    #[cfg(feature = "signals")]
    #[test]
    fn the_signals_that_the_process_ignores_are_known() {
        let status = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t00\n";
        assert_eq!(ignored_by_status(status), Some(0x1001));
        let of_128 = "SigIgn:\t00000000000000010000000000000001\n";
        assert_eq!(ignored_by_status(of_128), Some(1));
        assert_eq!(ignored_by_status("SigIgn:\tnothing\n"), None);
        assert_eq!(ignored_by_status(""), None);
        // Every program in Rust ignores SIGPIPE, and cannot ignore SIGKILL.
        let bit = |signal: u32| 1 << (signal - 1);
        assert_ne!(ignored_signals() & bit(13), 0);
        assert_eq!(ignored_signals() & bit(9), 0);
    }
}
