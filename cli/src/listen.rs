//! The address to listen on, as it is written in `--listen`.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::path;
use std::path::Path;

use farewell::LocalAddr;

/// `127.0.0.1:8081`, `localhost:8081`, `:8081` for all addresses, or
/// `unix:/run/farewell.sock`.
pub(super) struct ListenAddress<'a>(&'a str);

impl<'a> ListenAddress<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The path of a unix socket.
    pub(super) fn unix_path(&self) -> Option<&'a Path> {
        self.0.strip_prefix("unix:").map(Path::new)
    }

    /// Whether a server for this address may listen on that one.
    pub(super) fn is_of(&self, listening: &LocalAddr) -> bool {
        match (self.unix_path(), listening) {
            (Some(path), LocalAddr::Unix(other)) => {
                path::absolute(path).is_ok_and(|path| path == **other)
            }
            (None, LocalAddr::Inet(other)) => {
                let mut addresses = self.to_socket_addrs().into_iter().flatten();
                addresses.any(|address| {
                    address.ip() == other.ip() && [0, other.port()].contains(&address.port())
                })
            }
            _ => false,
        }
    }
}

impl ToSocketAddrs for ListenAddress<'_> {
    type Iter = std::vec::IntoIter<SocketAddr>;

    /// The addresses in the order in which they are tried. A socket for all
    /// IPv6 addresses accepts IPv4 connections too, unless the system is
    /// configured otherwise. On a system without IPv6 the IPv4 address is used.
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        let all = |port| {
            let all = [
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            ];
            Ok(Vec::from(all).into_iter())
        };
        match self.0.strip_prefix(':').map(str::parse) {
            Some(Ok(port)) => all(port),
            // The standard library's error covers `:x` too.
            _ => Ok(self.0.to_socket_addrs()?.collect::<Vec<_>>().into_iter()),
        }
    }
}

impl fmt::Display for ListenAddress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => f.write_str("an empty address"),
            text => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Vec<String> {
        let addresses = ListenAddress::new(text).to_socket_addrs().unwrap();
        addresses.map(|address| address.to_string()).collect()
    }

    #[test]
    fn a_port_alone_means_all_addresses() {
        assert_eq!(resolved(":8081"), ["[::]:8081", "0.0.0.0:8081"]);
        assert_eq!(resolved("127.0.0.1:1"), ["127.0.0.1:1"]);
        assert_eq!(resolved("[::1]:1"), ["[::1]:1"]);
    }

    #[test]
    fn a_unix_socket_has_a_path() {
        let path = ListenAddress::new("unix:/run/a.sock").unix_path();
        assert_eq!(path, Some(Path::new("/run/a.sock")));
        assert_eq!(
            ListenAddress::new("unix:a").unix_path(),
            Some(Path::new("a"))
        );
        assert_eq!(ListenAddress::new("/run/a.sock").unix_path(), None);
    }

    #[test]
    fn an_address_is_told_from_that_of_an_inherited_socket() {
        let inet = |text: &str| LocalAddr::from(text.parse::<SocketAddr>().unwrap());
        let unix = LocalAddr::Unix(Path::new("/run/a.sock").into());
        let is_of = |text: &str, listening: &LocalAddr| ListenAddress::new(text).is_of(listening);
        assert!(is_of("127.0.0.1:80", &inet("127.0.0.1:80")));
        assert!(is_of("127.0.0.1:0", &inet("127.0.0.1:80")));
        assert!(is_of(":80", &inet("[::]:80")) && is_of(":80", &inet("0.0.0.0:80")));
        assert!(!is_of(":80", &inet("127.0.0.1:80")));
        assert!(!is_of("127.0.0.1:81", &inet("127.0.0.1:80")));
        assert!(is_of("unix:/run/a.sock", &unix));
        assert!(!is_of("unix:/run/b.sock", &unix) && !is_of("127.0.0.1:80", &unix));
        assert!(!is_of("bad", &inet("127.0.0.1:80")));
    }

    #[test]
    fn an_invalid_address_is_invalid_input() {
        for wrong in ["", "bad", ":", ":x", ":65536", ":-1", "8081", "[::1]"] {
            let error = ListenAddress::new(wrong).to_socket_addrs().err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{wrong}");
        }
    }
}
