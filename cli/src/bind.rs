//! The listening sockets.

use std::net::SocketAddr;
use std::net::ToSocketAddrs;

use farewell::Config;
use farewell::Server;

use super::args::Options;
use super::failure::Failure;
use super::listen::ListenAddress;

/// A server that listens on `address`, the value of the option that sets `field`.
pub(super) fn bind(
    field: &str,
    address: &str,
    config: Config,
    options: &Options,
) -> Result<Server, Failure> {
    let listen = ListenAddress::new(address);
    let failure = |error| Failure::of_address(field, address, &error, options);
    if let Some(path) = listen.unix_path() {
        #[cfg(unix)]
        return Server::bind_unix(path, config).map_err(failure);
        #[cfg(not(unix))]
        return Err(Failure::usage(format!(
            "cannot listen on unix:{}: this system has no unix sockets",
            path.display()
        )));
    }
    // The library does not know the text that was resolved, and could not name it.
    let resolved = listen.to_socket_addrs().map_err(|error| {
        let message = format!("cannot resolve {listen}: {error}");
        Failure::from_system(message, &error, field, address, options)
    })?;
    Server::bind(resolved.as_slice(), config).map_err(failure)
}

/// Whether a socket that listens at `other` takes the address from others: it has the same
/// port, and one of the two is for all addresses, or both are the same.
pub(super) fn is_taken_by(address: &str, other: SocketAddr) -> bool {
    let Ok(mut addresses) = ListenAddress::new(address).to_socket_addrs() else {
        return false;
    };
    addresses.any(|address| {
        let (ip, other_ip) = (address.ip().to_canonical(), other.ip().to_canonical());
        let overlap = ip == other_ip || ip.is_unspecified() || other_ip.is_unspecified();
        address.port() != 0 && address.port() == other.port() && overlap
    })
}
