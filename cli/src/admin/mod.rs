//! What operators need around the server: the routes of the stop and of the numbers, and
//! the listener of their own (`--admin`).
//!
//! ```text
//!  with --admin      --listen: the application          --admin: a second server with the routes
//!  without           --listen: the application, and the routes
//! ```
//!
//! The second server has its own threads, so that it answers while every worker of the
//! first is busy. It stops last: the clients that follow the stop get the report from it.

mod index;
mod readers;
mod routes;
mod status;

use std::fs;
use std::net::ToSocketAddrs;
use std::time::Duration;

use farewell::Config;
use farewell::LocalAddr;
use farewell::Server;
use farewell::ShutdownHandle;
use farewell::Spawned;

use self::readers::Readers;
pub(super) use self::routes::Operators;
use super::args::Options;
use super::bind;
use super::failure::Failure;
use super::inherited::InheritedSocket;
use super::listen::ListenAddress;
use super::live;
use super::os;

/// The second server, on a thread of its own.
pub(super) struct Admin {
    server: Spawned,
}

/// The listener for operators, bound; `None` without `--admin`. `main` is the address of
/// the first server, which is bound already.
pub(super) fn bind(
    options: &Options,
    main: &LocalAddr,
    inherited: Option<InheritedSocket>,
) -> Result<Option<Server>, Failure> {
    let Some(address) = &options.admin else {
        return Ok(None);
    };
    let is_inherited = inherited.is_some();
    let bind = || bind::bind("admin", address, inherited, config(), options);
    // Only the user of the program may connect, and so stop it.
    let bound = os::with_private_files(bind);
    if let Ok(LocalAddr::Unix(path)) = bound.as_ref().map(Server::local_addr)
        && is_inherited
        && fs::metadata(&path).is_ok_and(|file| os::is_writable_by_all(&file))
    {
        log::warn!(
            "every user of this machine may stop the program by the inherited socket {}: have the supervisor make it with the mode 0600",
            path.display()
        );
    }
    bound.map(Some).map_err(|failure| match main.socket_addr() {
        Some(main) if bind::is_taken_by(address, main) => is_taken(address, options),
        _ => failure,
    })
}

/// Checks the address without listening on it.
pub(super) fn check(options: &Options) -> Result<(), Failure> {
    let Some(address) = &options.admin else {
        return Ok(());
    };
    bind::check("admin", address, options)?;
    let is_same = match ListenAddress::new(address).unix_path() {
        Some(_) => *address == options.listen,
        None => {
            let main = ListenAddress::new(&options.listen).to_socket_addrs();
            let mut main = main.into_iter().flatten();
            main.any(|main| bind::is_taken_by(address, main))
        }
    };
    match is_same {
        true => Err(is_taken(address, options)),
        false => Ok(()),
    }
}

fn is_taken(address: &str, options: &Options) -> Failure {
    Failure::usage(format!(
        "{} is '{address}', where {} listens already: choose another port",
        options.name("admin"),
        options.name("listen")
    ))
}

/// The limits of the second server: few clients, short requests, and a stop that takes at
/// most 0.9 s (the drain, and twice the linger), because it is added to that of the first.
fn config() -> Config {
    let mut config = Config::default();
    config.workers = 4;
    config.max_connections = 64;
    config.body_bytes_max = 64 * 1024;
    config.head_timeout = Duration::from_secs(5);
    config.idle_timeout = Duration::from_secs(15);
    config.body_timeout = Duration::from_secs(5);
    config.write_timeout = Duration::from_secs(10);
    config.drain_timeout = Duration::from_millis(300);
    config.last_call = Duration::from_millis(100);
    config.linger = Duration::from_millis(300);
    config.linger_max = Duration::from_millis(300);
    config.handshake_grace = Duration::from_millis(50);
    config
}

impl Admin {
    /// Begins to serve.
    pub(super) fn start(server: Server, operators: &Operators) -> Result<Self, Failure> {
        let routes = operators.router_with_index();
        let server = server
            .spawn(routes)
            .map_err(|error| Failure::error(format!("the admin listener: {error}")))?;
        Ok(Self { server })
    }

    pub(super) fn shutdown_handle(&self) -> ShutdownHandle {
        self.server.shutdown_handle()
    }

    /// Stops, after the first server has stopped. Its clients have the report by then, or
    /// get it now.
    pub(super) fn stop(self) {
        live::leave_out_later_stops();
        self.server.shutdown_handle().shutdown();
        if let Err(error) = self.server.join() {
            log::error!("the admin listener: {error}");
        }
    }
}
