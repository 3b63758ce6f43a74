//! Assembly: bind, configure, serve.

use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::thread;
use std::thread::JoinHandle;

use crate::config::Config;
use crate::engine::Engine;
use crate::engine::services::Services;
use crate::engine::worker_pool::WorkerPool;
use crate::error::Error;
use crate::handler::Handler;
use crate::journal::Journal;
use crate::lifecycle::accounting::Accounting;
use crate::lifecycle::phase::Lifecycle;
use crate::lifecycle::report::Report;
use crate::net::listener;
use crate::net::listener::AcceptorWaker;
use crate::net::listener::Listener;
use crate::net::listener::Ownership;
use crate::shutdown::drain::drain;
use crate::shutdown::follow::ProgressChannel;
use crate::shutdown::handle::ShutdownHandle;
#[cfg(feature = "signals")]
use crate::signals;
#[cfg(feature = "signals")]
use crate::signals::Signals;

/// A server that is bound to its address and does not serve yet. Connections
/// that arrive meanwhile wait in the kernel's queue.
///
/// Dropping it closes the listener, and resets what waits there.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    config: Config,
    life: Arc<Lifecycle>,
    accounting: Arc<Accounting>,
    progress: Arc<ProgressChannel>,
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
        let affordable = listener::affordable_connections(
            config.max_connections,
            config.shards(),
            config.uploads_max(),
        );
        if affordable < config.max_connections {
            log::info!(
                "the limit on open files (ulimit -n) allows {affordable} connections at a time, not {}",
                config.max_connections
            );
            config.max_connections = affordable;
        }
        let life = Arc::new(Lifecycle::new(&config));
        let accounting = Arc::new(Accounting::new(Arc::clone(&life)));
        Self {
            listener,
            config,
            life,
            accounting,
            progress: Arc::default(),
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
            Arc::clone(&self.accounting),
            Arc::clone(&self.progress),
        )
    }

    /// Has signals stop this server: Ctrl+C (SIGINT), SIGTERM and SIGHUP. Needs
    /// the feature `signals`.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), farewell::Error> {
    /// let server = farewell::Server::bind("127.0.0.1:8081", farewell::Config::default())?;
    /// server.stop_on_signals()?;
    /// println!("{}", server.serve(|_: farewell::Request| "hello\n")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The first signal drains, as [`shutdown_by`](ShutdownHandle::shutdown_by)
    /// with [`Trigger::Signal`](crate::Trigger::Signal) does; the second aborts,
    /// as [`abort_by`](ShutdownHandle::abort_by) does. Signals within 200 ms of
    /// the first are the same one: supervisors such as `timeout` signal a
    /// process and then its group. A first signal that comes after another
    /// trigger (`/shutdown`, say) belongs to the same stop, and changes nothing.
    /// After a signal that comes before [`serve`](Self::serve) is called, the
    /// server stops as soon as that is called.
    ///
    /// A signal that the process ignores at this call stays ignored: SIGHUP
    /// under `nohup`, SIGINT in a background job of a script. Linux tells which
    /// they are. Other systems do not, and there every one of the three stops
    /// the server.
    ///
    /// Several servers of a process may ask for this, each before it serves.
    /// Every signal goes to all of them, and each counts its own: a server that
    /// is added later drains at the next signal. To ask again for the same
    /// server changes nothing.
    ///
    /// Once all of them have stopped, the program has a second, from the next
    /// signal on, to write what it knows. A signal after that ends the process,
    /// as it would without this call. So a program that hangs after `serve` can
    /// still be ended by Ctrl+C.
    ///
    /// Signals belong to the process, and it takes these over for the rest of
    /// its life. Two threads wait for them until the process ends: `ctrl-c`, of
    /// the crate `ctrlc`, and `farewell-signal`. They run none of your code and
    /// log nothing, so that nothing keeps the second signal waiting. A handler
    /// that was set before is replaced if it is one for SIGINT, and called too if
    /// it is one of the others.
    ///
    /// Not promised: that two signals which arrive together are both seen; that
    /// a signal which all threads block (`pthread_sigmask`) is seen; anything
    /// about other signals (SIGQUIT ends the process). Elsewhere than on Unix
    /// this is Ctrl+C, and what else of a console's events `ctrlc` takes.
    ///
    /// # Errors
    ///
    /// The operating system refuses a thread or a pair of sockets; or the
    /// program has given `ctrlc` a handler of its own, and `ctrlc` takes one.
    /// Every further call returns the same error.
    #[cfg(feature = "signals")]
    pub fn stop_on_signals(&self) -> Result<Signals, Error> {
        signals::stop(&self.life)
    }

    /// Serves until it is asked to stop and everyone has left; see the
    /// [crate's front page](crate) for what that means. Every thread is joined
    /// when it returns, save those that are in code of the application that does
    /// not return ([`Report::threads_left`]).
    ///
    /// # Errors
    ///
    /// Threads or an epoll cannot be made. Errors of single connections never
    /// end a server; nor does running out of files. If a thread of the server
    /// panics, which is a bug of this library, the server stops as if it had
    /// been asked to ([`Trigger::Failure`](crate::Trigger::Failure)), and the
    /// error says which one.
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
            accounting,
            progress,
        } = self;
        let (journal, lines) = Journal::new();
        let acceptor_waker = AcceptorWaker::new(listener.address())
            .map_err(|error| Error::io("cannot make a socket", error))?;
        let services = Services::new(config, journal, Arc::clone(&life), accounting);
        let engine = Engine::new(services, Box::new(handler), acceptor_waker)
            .map_err(|error| Error::io("cannot wait for connections", error))?;
        let pool = WorkerPool::start(Arc::new(engine), listener, lines)?;
        let report = drain(pool, &progress);
        match life.failed_thread() {
            None => Ok(report),
            Some(thread) => {
                let cause = format!("the thread {thread} panicked; {}", report.summary());
                Err(Error::io("the server failed", io::Error::other(cause)))
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::phase::Phase;
    use crate::lifecycle::phase::Trigger;

    #[test]
    fn a_thread_that_panicked_is_the_error_of_serve() {
        let server = Server::bind("127.0.0.1:0", Config::default()).unwrap();
        let (life, handle) = (Arc::clone(&server.life), server.shutdown_handle());
        let spawned = server.spawn(|_: crate::Request| "text").unwrap();
        life.fail("farewell-1");
        assert_eq!(life.history().trigger.unwrap().0, Trigger::Failure);
        let error = spawned.join().unwrap_err();
        assert!(
            error.to_string().contains("the thread farewell-1 panicked"),
            "{error}"
        );
        assert!(!error.is_config());
        assert_eq!(handle.phase(), Phase::Stopped);
    }
}
