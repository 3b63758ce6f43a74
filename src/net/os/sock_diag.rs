//! Counts the TCP sockets of Linux by state, over netlink (`man 7 sock_diag`).
//!
//! The tables in `/proc/net` have the same data as text, with a line for every
//! socket of the machine. Under load, tens of thousands of sockets are in
//! TIME_WAIT, and reading them takes longer than the rest of a stop. Over netlink
//! the kernel selects by state.

use std::io;
use std::io::Read;
use std::time::Duration;

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
    #[cfg(test)]
    Established = 1,
    SynRecv = 3,
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
/// Offset of the local port in an answer, after its header.
const LOCAL_PORT: usize = 4;

/// The kernel answers at once. The timeout bounds the stop if it does not.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How many TCP sockets with this local port are in this state.
pub(super) fn count(family: Family, state: TcpState, port: u16) -> io::Result<usize> {
    let domain = Domain::from(AF_NETLINK);
    let protocol = Protocol::from(NETLINK_SOCK_DIAG);
    let mut socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.send(&request(family, state))?;
    let mut answer = vec![0; 32 * 1024];
    let mut found = 0;
    loop {
        let length = socket.read(&mut answer)?;
        let (here, done) = count_in(&answer[..length], port)?;
        found += here;
        if done {
            return Ok(found);
        }
    }
}

/// A request for all TCP sockets of a family that are in a state.
fn request(family: Family, state: TcpState) -> [u8; REQUEST] {
    let mut bytes = [0; REQUEST];
    bytes[..4].copy_from_slice(&(REQUEST as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    // Sequence number and sender may be zero, because each socket has one request.
    bytes[HEADER] = family as u8;
    bytes[HEADER + 1] = IPPROTO_TCP;
    bytes[HEADER + 4..HEADER + 8].copy_from_slice(&(1u32 << state as u8).to_ne_bytes());
    // The rest is zero: any address and any port.
    bytes
}

/// How many of the answers in a datagram have this local port, and whether the
/// datagram has the end of the dump.
fn count_in(mut datagram: &[u8], port: u16) -> io::Result<(usize, bool)> {
    let mut found = 0;
    while let Some((header, _)) = datagram.split_first_chunk::<HEADER>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let message = datagram
            .get(HEADER..length)
            .ok_or(io::ErrorKind::InvalidData)?;
        match kind {
            NLMSG_DONE => return Ok((found, true)),
            NLMSG_ERROR => return Err(io::ErrorKind::Unsupported.into()),
            _ => {
                let local = message.get(LOCAL_PORT..LOCAL_PORT + 2);
                found += usize::from(local == Some(&port.to_be_bytes()));
            }
        }
        // Messages begin at multiples of four.
        datagram = datagram
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    Ok((found, false))
}

#[cfg(test)]
mod tests {
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
    fn broken_answers_are_errors() {
        assert!(count_in(&[255; 20], 1).is_err());
        assert_eq!(count_in(&[], 1).unwrap(), (0, false));
    }
}
