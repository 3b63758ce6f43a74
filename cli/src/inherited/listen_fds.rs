//! Unix: the protocol by which a supervisor passes listening sockets, sd_listen_fds(3).
//!
//! `LISTEN_FDS` is the number of sockets, which are the descriptors from 3 on; `LISTEN_PID`
//! the process that they are for; `LISTEN_FDNAMES` their names, separated by colons.

use std::env;
use std::io;
use std::os::fd::OwnedFd;
use std::process;

use listenfd::ListenFd;

use super::Inherited;
use super::InheritedSocket;
use super::Role;
use crate::failure::Failure;

/// The first socket's descriptor.
const FIRST: usize = 3;

/// Most sockets. The program has two servers; further sockets are an error of their own.
const COUNT_MAX: usize = 16;

/// Takes the sockets that the environment describes.
///
/// # Errors
///
/// The description is invalid; a descriptor is not a socket that can be used; or there are
/// two for one server.
pub(super) fn take() -> Result<Inherited, Failure> {
    let Some(count) = env::var_os("LISTEN_FDS") else {
        return Ok(Inherited::default());
    };
    let variable = |name| env::var(name).unwrap_or_default();
    let own = process::id().to_string();
    match variable("LISTEN_PID") {
        process if process == own => {}
        other => {
            let other = match other.as_str() {
                "" => "no process".to_owned(),
                other => format!("process {other}"),
            };
            return Ok(Inherited {
                warning: Some(format!(
                    "the sockets of LISTEN_FDS are ignored: LISTEN_PID says that they are for {other}, and this is process {own} (is farewell started by a shell? then by exec)"
                )),
                ..Inherited::default()
            });
        }
    }
    let count = count.to_str().and_then(|count| count.parse().ok());
    let Some(count) = count.filter(|count| (0..=COUNT_MAX).contains(count)) else {
        return Err(Failure::usage(format!(
            "LISTEN_FDS is not a number from 0 to {COUNT_MAX}"
        )));
    };
    let names = variable("LISTEN_FDNAMES");
    let names = names.split(':').map(Some).chain(std::iter::repeat(None));
    let mut passed = ListenFd::from_env();
    let mut inherited = Inherited::default();
    for (index, name) in (0..count).zip(names) {
        // A socket without a name of its own has that of its unit.
        let role = name.and_then(Role::of_name).unwrap_or(Role::Main);
        let socket = socket(&mut passed, index)
            .and_then(InheritedSocket::new)
            .map_err(|error| unusable(FIRST + index, name.unwrap_or_default(), &error))?;
        if inherited.sockets.iter().any(|(of, _)| *of == role) {
            return Err(Failure::usage(format!(
                "LISTEN_FDS has two sockets for '{}': one can be used (FileDescriptorName=admin is for --admin)",
                role.name()
            )));
        }
        inherited.sockets.push((role, socket));
    }
    Ok(inherited)
}

/// Takes the descriptor of a TCP or unix stream socket.
fn socket(passed: &mut ListenFd, index: usize) -> io::Result<OwnedFd> {
    if let Ok(Some(socket)) = passed.take_tcp_listener(index) {
        return Ok(socket.into());
    }
    match passed.take_unix_listener(index)? {
        Some(socket) => Ok(socket.into()),
        None => Err(io::Error::other("it is not there")),
    }
}

fn unusable(descriptor: usize, name: &str, error: &io::Error) -> Failure {
    let name = match name {
        "" => String::new(),
        name => format!(" ('{name}')"),
    };
    Failure::usage(format!(
        "LISTEN_FDS: descriptor {descriptor}{name} is not a TCP or unix stream socket that listens: {error}; check ListenStream= and Accept=no in the unit of the socket"
    ))
}
