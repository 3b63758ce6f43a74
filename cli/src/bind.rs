//! The listening sockets.

use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::path::Path;

use farewell::Config;
use farewell::Server;

use super::args::Options;
use super::failure::Failure;
use super::inherited::InheritedSocket;
use super::listen::ListenAddress;

/// A server that listens on the inherited socket, if there is one, or else on `address`,
/// the value of the option that sets `field`.
pub(super) fn bind(
    field: &str,
    address: &str,
    inherited: Option<InheritedSocket>,
    config: Config,
    options: &Options,
) -> Result<Server, Failure> {
    let listen = ListenAddress::new(address);
    if let Some(socket) = inherited {
        let server = socket.server(config);
        let server = server.map_err(|error| Failure::from_library(&error, options))?;
        let inherited = server.local_addr();
        if !listen.is_of(&inherited) {
            let option = options.name(field);
            log::info!(
                "{option} {listen} is ignored: listening on the inherited socket {inherited}"
            );
        }
        return Ok(server);
    }
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
    let resolved = resolve(field, address, options)?;
    Server::bind(resolved.as_slice(), config).map_err(failure)
}

/// Checks the address without listening on it: it resolves, or its folder is there.
pub(super) fn check(field: &str, address: &str, options: &Options) -> Result<(), Failure> {
    let Some(path) = ListenAddress::new(address).unix_path() else {
        return resolve(field, address, options).map(drop);
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    match folder.unwrap_or(Path::new(".")).metadata() {
        Ok(folder) if folder.is_dir() && path.file_name().is_some() => Ok(()),
        Ok(_) => Err(Failure::usage(format!(
            "cannot listen on {address}: write {} as unix:/run/farewell.sock",
            options.name(field)
        ))),
        Err(error) => Err(Failure::error(format!(
            "cannot listen on {address}: {error}; choose another path with {}",
            options.name(field)
        ))),
    }
}

fn resolve(field: &str, address: &str, options: &Options) -> Result<Vec<SocketAddr>, Failure> {
    let listen = ListenAddress::new(address);
    // The library does not know the text that was resolved, and could not name it.
    let resolved = listen.to_socket_addrs().map_err(|error| {
        let message = format!("cannot resolve {listen}: {error}");
        Failure::from_system(message, &error, field, address, options)
    })?;
    Ok(resolved.collect())
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
