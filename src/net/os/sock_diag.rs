//! Counts the TCP sockets of Linux by state, and asks for their round trips, over netlink
//! (`man 7 sock_diag`).
//!
//! The tables in `/proc/net` have the same data as text, with a line for every
//! socket of the machine. Under load, tens of thousands of sockets are in
//! TIME_WAIT, and reading them takes longer than the rest of a stop. Over netlink
//! the kernel selects by state.

use std::io;
use std::io::Read;
use std::time::Duration;
use std::time::Instant;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

/// Address family, as in `sys/socket.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4 = 2,
    V6 = 10,
}

/// State of a TCP socket, as in `netinet/tcp.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TcpState {
    Established = 1,
    SynRecv = 3,
    FinWait1 = 4,
    FinWait2 = 5,
    CloseWait = 8,
    LastAck = 9,
    Closing = 11,
}

impl TcpState {
    /// The states in which a connection has a round trip. One with a single request is
    /// established for a moment only.
    const CONNECTED: [Self; 6] = [
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::LastAck,
        Self::Closing,
    ];
}

const AF_NETLINK: i32 = 16;
const NETLINK_SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const IPPROTO_TCP: u8 = 6;

/// Bytes of a `nlmsghdr`.
const HEADER: usize = 16;
/// Bytes of a header and an `inet_diag_req_v2`.
const REQUEST: usize = HEADER + 56;
/// Offset of the local port in a request or an answer, after its header.
const REQUESTED_PORT: usize = 8;
const LOCAL_PORT: usize = 4;
/// Bytes of an `inet_diag_msg`, after which the attributes of an answer begin.
const MESSAGE: usize = 72;
/// The attribute with the `tcp_info` of a socket, and the bit that asks for it.
const INET_DIAG_INFO: u16 = 2;
const ASK_FOR_INFO: u8 = 1 << (INET_DIAG_INFO - 1);
/// Offset of `tcpi_min_rtt` in a `tcp_info`, in microseconds. Older kernels send less.
const MIN_RTT: usize = 148;

/// The kernel answers at once. The timeout bounds the stop if it does not.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How many TCP sockets with this local port are in this state.
pub(super) fn count(family: Family, state: TcpState, port: u16) -> io::Result<usize> {
    let mut found = 0;
    ask(&request(family, &[state], port, 0), |answer| {
        found += usize::from(has_port(answer, port));
    })?;
    Ok(found)
}

/// The longest round trip of the connections with this local port: of each the shortest
/// that the kernel has seen, which a client that delays its acknowledgements does not
/// lengthen. Zero if there is none, or the kernel does not tell.
pub(super) fn longest_round_trip(family: Family, port: u16) -> io::Result<Duration> {
    let mut longest = Duration::ZERO;
    let request = request(family, &TcpState::CONNECTED, port, ASK_FOR_INFO);
    ask(&request, |answer| {
        if let Some(here) = round_trip(answer).filter(|_| has_port(answer, port)) {
            longest = longest.max(here);
        }
    })?;
    Ok(longest)
}

/// Sends a request, and calls `each` with each answer, until the end of the dump.
fn ask(request: &[u8], mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let domain = Domain::from(AF_NETLINK);
    let protocol = Protocol::from(NETLINK_SOCK_DIAG);
    let mut socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.send(request)?;
    let mut answer = vec![0; 32 * 1024];
    let end = Instant::now() + TIMEOUT;
    while Instant::now() < end {
        let length = socket.read(&mut answer)?;
        if answers(&answer[..length], &mut each)? {
            return Ok(());
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// A request for the TCP sockets of a family with this local port that are in one of these
/// states.
/// `extensions` are the attributes that each answer is to have.
fn request(family: Family, states: &[TcpState], port: u16, extensions: u8) -> [u8; REQUEST] {
    let mut bytes = [0; REQUEST];
    bytes[..4].copy_from_slice(&(REQUEST as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    // Sequence number and sender may be zero, because each socket has one request.
    bytes[HEADER] = family as u8;
    bytes[HEADER + 1] = IPPROTO_TCP;
    bytes[HEADER + 2] = extensions;
    let states = states
        .iter()
        .fold(0, |all, &state| all | 1u32 << state as u8);
    bytes[HEADER + 4..HEADER + 8].copy_from_slice(&states.to_ne_bytes());
    let port_at = HEADER + REQUESTED_PORT;
    bytes[port_at..port_at + 2].copy_from_slice(&port.to_be_bytes());
    // The rest is zero: any address, and any port of the client.
    bytes
}

/// Calls `each` with each answer in a datagram. Returns whether the datagram has the end
/// of the dump.
fn answers(mut datagram: &[u8], each: &mut impl FnMut(&[u8])) -> io::Result<bool> {
    while let Some((header, _)) = datagram.split_first_chunk::<HEADER>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let message = datagram
            .get(HEADER..length)
            .ok_or(io::ErrorKind::InvalidData)?;
        match kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => return Err(io::ErrorKind::Unsupported.into()),
            _ => each(message),
        }
        // Messages begin at multiples of four.
        datagram = datagram
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    Ok(false)
}

/// Whether the socket of an answer has this local port.
fn has_port(answer: &[u8], port: u16) -> bool {
    answer.get(LOCAL_PORT..LOCAL_PORT + 2) == Some(&port.to_be_bytes())
}

/// The shortest round trip that the kernel has seen on the connection of an answer.
fn round_trip(answer: &[u8]) -> Option<Duration> {
    let mut attributes = answer.get(MESSAGE..)?;
    while let Some((header, _)) = attributes.split_first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let value = attributes.get(header.len()..length)?;
        if u16::from_ne_bytes([header[2], header[3]]) == INET_DIAG_INFO {
            let micros = value.get(MIN_RTT..MIN_RTT + 4)?.try_into().ok()?;
            // All bits are set before the first measurement.
            let micros = Some(u32::from_ne_bytes(micros)).filter(|&micros| micros != u32::MAX)?;
            return Some(Duration::from_micros(micros.into()));
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;
    use std::net::TcpListener;
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn the_kernel_counts_by_family_state_and_port() {
        for (address, family, other) in [
            ("127.0.0.1:0", Family::V4, Family::V6),
            ("[::1]:0", Family::V6, Family::V4),
        ] {
            let listener = TcpListener::bind(address).unwrap();
            let address = listener.local_addr().unwrap();
            let clients: Vec<TcpStream> = (0..3)
                .map(|_| TcpStream::connect(address).unwrap())
                .collect();
            let count = |family, state| count(family, state, address.port()).unwrap();
            assert_eq!(count(family, TcpState::Established), 3);
            assert_eq!(count(family, TcpState::SynRecv), 0);
            assert_eq!(count(other, TcpState::Established), 0);
            drop(clients);
        }
    }

    #[test]
    fn a_long_dump_comes_in_several_datagrams() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let pairs: Vec<_> = (0..600)
            .map(|_| {
                (
                    TcpStream::connect(address).unwrap(),
                    listener.accept().unwrap(),
                )
            })
            .collect();
        let counted = count(Family::V4, TcpState::Established, address.port()).unwrap();
        assert_eq!(counted, pairs.len());
    }

    #[test]
    fn the_kernel_tells_the_longest_round_trip_of_a_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let longest = || longest_round_trip(Family::V4, port).unwrap();
        assert_eq!(longest(), Duration::ZERO);
        let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (server, _) = listener.accept().unwrap();
        // The handshake was the first measurement.
        let on_loopback = longest();
        assert!(on_loopback > Duration::ZERO && on_loopback < TIMEOUT);
        // It is known for a connection that is half-closed, too.
        server.shutdown(Shutdown::Write).unwrap();
        assert!(longest() > Duration::ZERO);
    }

    /// An answer with these attributes, each of a kind and a value.
    fn answer(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; MESSAGE];
        for (kind, value) in attributes {
            let length = u16::try_from(4 + value.len()).unwrap();
            bytes.extend(length.to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(*value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn the_round_trip_is_found_among_the_attributes() {
        let mut info = vec![0; MIN_RTT + 8];
        info[MIN_RTT..MIN_RTT + 4].copy_from_slice(&200_000_u32.to_ne_bytes());
        let found = round_trip(&answer(&[(8, &[0]), (INET_DIAG_INFO, &info)]));
        assert_eq!(found, Some(Duration::from_millis(200)));
        info[MIN_RTT..MIN_RTT + 4].fill(255);
        for without in [
            answer(&[(INET_DIAG_INFO, &info)]),
            answer(&[(INET_DIAG_INFO, &info[..MIN_RTT])]),
            answer(&[(8, &[0])]),
            Vec::new(),
            vec![0; MESSAGE + 6],
            [answer(&[]), vec![255; 4]].concat(),
        ] {
            assert_eq!(round_trip(&without), None, "{without:?}");
        }
    }

    #[test]
    fn broken_answers_are_errors() {
        assert!(answers(&[255; 20], &mut |_| ()).is_err());
        assert!(!answers(&[], &mut |_| ()).unwrap());
    }
}
