//! The URLs of the server, for people.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::UdpSocket;

use farewell::LocalAddr;

/// The URLs under which clients reach the server. A unix socket has none.
pub(crate) struct Urls {
    /// For clients on this machine.
    pub(crate) here: String,
    /// For other machines in the network; `None` if only this machine can connect.
    pub(crate) elsewhere: Option<String>,
}

impl Urls {
    pub(crate) fn of(address: &LocalAddr) -> Option<Self> {
        let address = address.socket_addr()?;
        let url = |ip: IpAddr| format!("http://{}/", SocketAddr::new(ip, address.port()));
        Some(match address.ip() {
            ip if ip.is_unspecified() => Self {
                here: format!("http://localhost:{}/", address.port()),
                elsewhere: own_address(ip).map(url),
            },
            ip if ip.to_canonical().is_loopback() => Self {
                here: url(ip),
                elsewhere: None,
            },
            ip => Self {
                here: url(ip),
                elsewhere: Some(url(ip)),
            },
        })
    }

    /// The URL for most clients.
    pub(crate) fn best(&self) -> &str {
        self.elsewhere.as_ref().unwrap_or(&self.here)
    }

    /// For the greeting.
    pub(crate) fn listed(&self) -> String {
        match &self.elsewhere {
            Some(elsewhere) if *elsewhere != self.here => format!("{elsewhere} and {}", self.here),
            _ => self.here.clone(),
        }
    }
}

/// The address of this machine in its network, if it has one.
fn own_address(listening: IpAddr) -> Option<IpAddr> {
    let v4 = || {
        source_of(
            Ipv4Addr::UNSPECIFIED.into(),
            Ipv4Addr::new(192, 0, 2, 1).into(),
        )
    };
    let v6 = || {
        let documented = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        source_of(Ipv6Addr::UNSPECIFIED.into(), documented.into())
    };
    // People prefer the short address.
    match listening {
        IpAddr::V4(_) => v4(),
        IpAddr::V6(_) => v4().or_else(v6),
    }
}

/// The address from which the kernel would send to this one. The connection of a UDP socket
/// is a route and no packet. The addresses are those for documentation (RFC 5737, RFC 3849),
/// for which the kernel takes its default route.
fn source_of(any: IpAddr, destination: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((destination, 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn urls(address: &str) -> Urls {
        let address: SocketAddr = address.parse().unwrap();
        Urls::of(&LocalAddr::Inet(address)).unwrap()
    }

    #[test]
    fn a_loopback_address_is_for_this_machine_alone() {
        for (address, url) in [
            ("127.0.0.1:8081", "http://127.0.0.1:8081/"),
            ("[::1]:1", "http://[::1]:1/"),
        ] {
            let urls = urls(address);
            assert_eq!((&*urls.here, &urls.elsewhere), (url, &None));
            assert_eq!((urls.best(), &*urls.listed()), (url, url));
        }
    }

    #[test]
    fn an_address_of_a_network_has_one_url() {
        let urls = urls("192.0.2.7:80");
        assert_eq!(urls.best(), "http://192.0.2.7:80/");
        assert_eq!(urls.listed(), "http://192.0.2.7:80/");
    }

    #[test]
    fn all_addresses_are_localhost_here_and_an_address_elsewhere() {
        for address in ["0.0.0.0:8081", "[::]:8081"] {
            let urls = urls(address);
            assert_eq!(urls.here, "http://localhost:8081/");
            if let Some(elsewhere) = &urls.elsewhere {
                assert!(!elsewhere.contains("0.0.0.0") && !elsewhere.contains("[::]"));
                assert_eq!(urls.best(), elsewhere);
                assert!(urls.listed().ends_with(" and http://localhost:8081/"));
            }
        }
    }

    #[test]
    fn a_unix_socket_has_no_url() {
        assert!(Urls::of(&LocalAddr::Unix(Path::new("/run/a.sock").into())).is_none());
    }
}
