//! A server on a thread of its own.

use std::io;
use std::thread;
use std::thread::JoinHandle;

use super::Server;
use crate::address::LocalAddr;
use crate::error::Error;
use crate::handler::Handler;
use crate::lifecycle::report::Report;
use crate::shutdown::handle::ShutdownHandle;

impl Server {
    /// Serves as [`serve`](Self::serve) does, on a thread of its own. The drop of the
    /// [`Spawned`] stops the server and waits until it has stopped, so keep it as long
    /// as the server shall run.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn spawn(self, handler: impl Handler) -> Result<Spawned, Error> {
        let handle = self.shutdown_handle();
        let address = self.local_addr();
        let thread = thread::Builder::new()
            .name("farewell".to_owned())
            .spawn(move || self.serve(handler))
            .map_err(|error| Error::io("cannot start a thread", error))?;
        Ok(Spawned {
            thread: Some(thread),
            handle,
            address,
        })
    }
}

/// A server on a thread of its own. Its drop stops the server and waits until it
/// has stopped, for as long as a drain may take.
#[derive(Debug)]
pub struct Spawned {
    /// Taken by `join`.
    thread: Option<JoinHandle<Result<Report, Error>>>,
    handle: ShutdownHandle,
    address: LocalAddr,
}

impl Spawned {
    /// The address it listens on.
    pub fn local_addr(&self) -> LocalAddr {
        self.address.clone()
    }

    /// The handle that stops this server.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.handle.clone()
    }

    /// Waits until the server has stopped. It does not ask the server to stop.
    ///
    /// # Errors
    ///
    /// The errors of [`Server::serve`].
    pub fn join(mut self) -> Result<Report, Error> {
        self.wait()
    }

    fn wait(&mut self) -> Result<Report, Error> {
        let panicked = || Error::io("the server's thread panicked", io::ErrorKind::Other.into());
        let thread = self.thread.take().ok_or_else(panicked)?;
        thread.join().map_err(|_| panicked())?
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.handle.shutdown();
            if let Err(error) = self.wait() {
                log::error!("{error}");
            }
        }
    }
}
