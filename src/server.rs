//! Assembly: bind, configure, serve.

use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::thread;
use std::thread::JoinHandle;

use crate::config::Config;
use crate::drain::books::Books;
use crate::drain::phase::Lifecycle;
use crate::drain::report::Report;
use crate::drain::shutdown;
use crate::drain::shutdown::Board;
use crate::drain::shutdown::ShutdownHandle;
use crate::engine::Engine;
use crate::engine::lot::Lot;
use crate::engine::staff::Staff;
use crate::error::Error;
use crate::net::listener;
use crate::net::listener::Knocker;
use crate::net::listener::Listener;
use crate::net::listener::Ownership;
use crate::service::handler::Handler;

/// A server that is bound to its address and does not serve yet. Connections
/// that arrive meanwhile wait in the kernel's queue.
///
/// Dropping it closes the listener, and resets what waits there.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    config: Config,
    life: Arc<Lifecycle>,
    books: Arc<Books>,
    board: Arc<Board>,
}

impl Server {
    /// Binds to `address`; port 0 takes any free one, which
    /// [`local_addr`](Self::local_addr) tells. If it resolves to several, the
    /// first that can be bound is taken.
    ///
    /// # Errors
    ///
    /// A value in `config` that cannot work
    /// ([`Error::is_config`] is true), or an address that cannot be bound.
    pub fn bind(
        address: impl ToSocketAddrs + std::fmt::Display,
        config: Config,
    ) -> Result<Self, Error> {
        config.validate()?;
        let listener = Listener::bind(&address)
            .map_err(|error| Error::io(format!("cannot listen on {address}"), error))?;
        Ok(Self::assemble(listener, config))
    }

    /// Serves on a listener that is bound already, in blocking mode. `ownership`
    /// says whether someone else goes on with it after us.
    ///
    /// With [`Ownership::Shared`], those who connect after the trigger are
    /// neither refused nor served by us: they wait for whoever holds it too.
    ///
    /// # Errors
    ///
    /// A value in `config` that cannot work, or a socket that does not listen.
    pub fn from_listener(
        listener: TcpListener,
        ownership: Ownership,
        config: Config,
    ) -> Result<Self, Error> {
        config.validate()?;
        let listener = Listener::new(listener, ownership)
            .map_err(|error| Error::io("cannot use the listener", error))?;
        Ok(Self::assemble(listener, config))
    }

    fn assemble(listener: Listener, mut config: Config) -> Self {
        let affordable = listener::affordable_connections(config.max_connections);
        if affordable < config.max_connections {
            log::info!(
                "the limit on open files (ulimit -n) allows {affordable} connections at a time, not {}",
                config.max_connections
            );
            config.max_connections = affordable;
        }
        let life = Arc::new(Lifecycle::new(config.lame_duck, config.drain_timeout));
        let books = Arc::new(Books::new(Arc::clone(&life)));
        Self {
            listener,
            config,
            life,
            books,
            board: Arc::default(),
        }
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.address()
    }

    /// The limits and timeouts in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What stops this server. It can be used before [`serve`](Self::serve)
    /// too: then that serves those who wait, and returns.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        ShutdownHandle::new(
            Arc::clone(&self.life),
            Arc::clone(&self.books),
            Arc::clone(&self.board),
        )
    }

    /// Serves until it is asked to stop and everyone has left; see the
    /// [crate's front page](crate) for what that means. Every thread is joined
    /// when it returns, save those whose handlers do not return
    /// ([`Report::threads_left`]).
    ///
    /// # Errors
    ///
    /// Threads or an epoll cannot be made. Errors of single connections never
    /// end a server; nor does running out of files.
    pub fn serve(self, handler: impl Handler) -> Result<Report, Error> {
        let life = Arc::clone(&self.life);
        // Nobody is to wait for ever for a server that never ran.
        self.run(handler).inspect_err(|_| life.stopped())
    }

    fn run(self, handler: impl Handler) -> Result<Report, Error> {
        let Self {
            listener,
            config,
            life,
            books,
            board,
        } = self;
        let awake = thread::available_parallelism().map_or(1, |cores| cores.get());
        let lot = Lot::new(awake.min(config.workers), &books)
            .map_err(|error| Error::io("cannot wait for connections", error))?;
        let knocker = Knocker::new(listener.address())
            .map_err(|error| Error::io("cannot make a socket", error))?;
        let engine = Arc::new(Engine::new(
            config,
            life,
            books,
            Arc::new(lot),
            Box::new(handler),
            knocker,
        ));
        let staff = Staff::hire(Arc::clone(&engine), listener)?;
        Ok(shutdown::drain(&engine, staff, &board))
    }

    /// As [`serve`](Self::serve), on a thread of its own.
    ///
    /// # Errors
    ///
    /// The thread cannot be made.
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

/// A server on a thread of its own. Dropping it stops the server and waits
/// for that, for as long as a drain may take.
#[derive(Debug)]
pub struct Spawned {
    /// Taken by `join`.
    thread: Option<JoinHandle<Result<Report, Error>>>,
    handle: ShutdownHandle,
    address: SocketAddr,
}

impl Spawned {
    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What stops this server.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.handle.clone()
    }

    /// Waits until the server has stopped. It does not ask it to.
    ///
    /// # Errors
    ///
    /// Those of [`Server::serve`].
    pub fn join(mut self) -> Result<Report, Error> {
        self.wait()
    }

    fn wait(&mut self) -> Result<Report, Error> {
        let gone = || Error::io("the server's thread is gone", io::ErrorKind::Other.into());
        let thread = self.thread.take().ok_or_else(gone)?;
        thread.join().map_err(|_| gone())?
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
