//! The server: bind, configure, serve.

#[cfg(feature = "signals")]
mod by_signals;
mod routes_call;
pub(crate) mod spawned;
#[cfg(unix)]
mod unix;

use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::ToSocketAddrs;
use std::sync::Arc;

use self::routes_call::RoutesCall;
use crate::address::LocalAddr;
use crate::config::Config;
use crate::engine::Engine;
use crate::engine::services::Services;
use crate::engine::worker_pool::WorkerPool;
use crate::error::Error;
use crate::handler::Handler;
use crate::isolate::Panicked;
use crate::journal::Journal;
use crate::lifecycle::accounting::Accounting;
use crate::lifecycle::phase::Abort;
use crate::lifecycle::phase::Lifecycle;
use crate::lifecycle::report::Report;
use crate::lifecycle::report::Unreturned;
use crate::message::rejection::Rejection;
use crate::message::rendering::Renderer;
use crate::message::response::IntoResponse;
use crate::metrics::Metrics;
use crate::net::listener;
use crate::net::listener::Listener;
use crate::net::listener_handle::ListenerHandle;
use crate::net::ownership::Ownership;
use crate::shutdown::drain::drain;
use crate::shutdown::follow::ProgressChannel;
use crate::shutdown::handle::ShutdownHandle;

/// A server that is bound to its address and does not serve yet. Connections
/// that arrive meanwhile wait in the kernel's accept queue.
///
/// Its drop closes the listener, which resets the connections in that queue.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    config: Config,
    life: Arc<Lifecycle>,
    accounting: Arc<Accounting>,
    progress: Arc<ProgressChannel>,
    /// Renders rejections, if the application has a function for that.
    renderer: Option<Renderer>,
}

impl Server {
    /// Binds to `address`. For port 0 the system chooses a free port, which
    /// [`local_addr`](Self::local_addr) returns. If `address` resolves to several
    /// addresses, the first that can be bound is used.
    ///
    /// ```
    /// # use farewell::{Config, Server};
    /// # use std::net::{Ipv4Addr, SocketAddr};
    /// Server::bind("127.0.0.1:0", Config::default())?;
    /// Server::bind(("127.0.0.1", 0), Config::default())?;
    /// Server::bind((Ipv4Addr::LOCALHOST, 0), Config::default())?;
    /// let either = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
    /// Server::bind(&either[..], Config::default())?;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    ///
    /// The socket is that of [`TcpListener::bind`], and [`Ownership::Sole`]: with `[::]`
    /// the system decides whether IPv4 connections are taken too. Linux takes them unless
    /// `net.ipv6.bindv6only` is set.
    ///
    /// 4096 connections may wait in the accept queue, or as many as the system allows if
    /// that is less: `net.core.somaxconn` on Linux, which is 4096 by default. On Windows
    /// the queue keeps the 128 of the standard library. For another length or other
    /// options, make the listener yourself and pass it to
    /// [`from_listener`](Self::from_listener).
    ///
    /// # Errors
    ///
    /// A value in `config` is invalid ([`Error::is_config`] is true), the address
    /// cannot be resolved, or none of the addresses can be bound: the error names them.
    pub fn bind(address: impl ToSocketAddrs, config: Config) -> Result<Self, Error> {
        config.validate()?;
        let addresses: Vec<SocketAddr> = address
            .to_socket_addrs()
            .map_err(|error| Error::io("cannot resolve the address to listen on", error))?
            .collect();
        let listener = Listener::bind(&*addresses)
            .map_err(|error| Error::io(cannot_listen_on(&addresses), error))?;
        Ok(Self::assemble(listener, config))
    }

    /// Serves on a listener that is bound already, in blocking mode. `ownership`
    /// says whether another process or handle goes on accepting from it.
    ///
    /// With [`Ownership::Shared`], connections that arrive after the trigger are
    /// neither refused nor served: they wait for the other holder of the listener.
    /// [`listener_handle`](Self::listener_handle) can change it while the server runs.
    ///
    /// The accept queue keeps the length that the listener has. Only
    /// [`bind`](Self::bind) lengthens it.
    ///
    /// # Errors
    ///
    /// A value in `config` is invalid, or the socket cannot be used.
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
            renderer: None,
        }
    }

    /// Has `render` make the response of every [`Rejection`]: those of the server
    /// itself, those of a [`Router`](crate::Router), and those that handlers and layers
    /// return. Without it, or where it panics, a rejection is a line of plain text.
    ///
    /// ```
    /// use farewell::{Config, IntoResponse, Rejection, Server, header};
    ///
    /// fn as_json(rejection: &Rejection) -> impl IntoResponse + use<> {
    ///     let text = format!("{{\"error\": {:?}}}\n", rejection.message());
    ///     ([(header::CONTENT_TYPE, "application/json")], text)
    /// }
    ///
    /// let server = Server::bind("127.0.0.1:0", Config::default())?.render_rejections(as_json);
    /// # let _ = server;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    ///
    /// The server itself rejects requests that are malformed, too large, too slow or
    /// not supported (400, 408, 413, 414, 417, 421, 429, 431, 501, 505), requests that no
    /// handler can take (503), and panics of handlers and responses that cannot be sent
    /// (500). [`Rejection::message`] says in one line what was wrong.
    ///
    /// - The status is that of the rejection, whatever `render` sets. Fields that the
    ///   rejection needs (`Allow`, `Retry-After`, `WWW-Authenticate`) are kept if `render`
    ///   does not set them. The connection closes after a rejection of the server, except
    ///   after the 500 for a response that cannot be sent.
    /// - A rejection is rendered where it leaves the handler or the layer that returned
    ///   it. So layers outside of it see the response as the client gets it. Rejections
    ///   of the server itself pass no layer.
    /// - `render` runs on a worker, like a handler, and a stop is bounded in the same way.
    ///   At the deadline the server sends its own text.
    ///
    /// Not rendered: the 503s that an abort gives, because an abort waits for no code of
    /// the application; and the answer to a request of which so little has arrived that
    /// it may be a HEAD, which has no body.
    #[must_use]
    pub fn render_rejections<R: IntoResponse>(
        mut self,
        render: impl Fn(&Rejection) -> R + Send + Sync + 'static,
    ) -> Self {
        self.renderer = Some(Renderer::new(render));
        self
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> LocalAddr {
        self.listener.address().clone()
    }

    /// The limits and timeouts in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The handle that stops this server. It may be used before
    /// [`serve`](Self::serve) is called: then `serve` answers the connections that
    /// wait in the accept queue, and returns.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        ShutdownHandle::new(
            Arc::clone(&self.life),
            Arc::clone(&self.accounting),
            Arc::clone(&self.progress),
        )
    }

    /// The handle that shares the listening socket with another process: for a restart in
    /// which no connection is refused.
    pub fn listener_handle(&self) -> ListenerHandle {
        ListenerHandle::new(self.listener.downgrade())
    }

    /// What counts the connections and requests of this server. It may be used before
    /// [`serve`](Self::serve) is called, and after the server has stopped.
    pub fn metrics(&self) -> Metrics {
        Metrics::new(Arc::clone(&self.accounting))
    }

    /// Serves until the server is asked to stop and every connection has ended, as
    /// the [crate's front page](crate) describes. When it returns, every thread is
    /// joined, except those in code of the application that does not return
    /// ([`Report::threads_left`]).
    ///
    /// # Errors
    ///
    /// Threads or an epoll cannot be created. Errors of single connections never
    /// end a server, nor does a lack of file descriptors. If a thread of the
    /// server panics, which is a bug of this library, the server stops as if it
    /// had been asked to ([`Trigger::Failure`](crate::Trigger::Failure)), and the
    /// error names the thread.
    pub fn serve(self, handler: impl Handler) -> Result<Report, Error> {
        let life = Arc::clone(&self.life);
        // A server that never ran has stopped too, or `wait_for` would not return.
        self.run(handler).inspect_err(|_| life.stopped())
    }

    fn run(self, handler: impl Handler) -> Result<Report, Error> {
        let Self {
            listener,
            config,
            life,
            accounting,
            progress,
            renderer,
        } = self;
        let routes_call = routes_call::call(handler, &life)
            .map_err(|error| Error::io("cannot start a thread", error))?;
        let (handler, routes, threads_left) = match routes_call {
            RoutesCall::Returned {
                handler,
                routes,
                threads_left,
            } => (handler, routes, threads_left),
            RoutesCall::LeftBehind(unreturned) => {
                return Ok(stop_unserved(listener, &life, &accounting, unreturned));
            }
        };
        let routes = routes.map_err(|Panicked| {
            let cause = io::Error::other("Handler::route_table panicked");
            Error::io("the server failed", cause)
        })?;
        let (journal, lines) = Journal::new();
        let acceptor_waker = listener
            .acceptor_waker()
            .map_err(|error| Error::io("cannot create a socket", error))?;
        let renders = renderer.is_some();
        let services = Services::new(
            config,
            journal,
            Arc::clone(&life),
            accounting,
            renders,
            routes,
        );
        let engine = Engine::new(services, Box::new(handler), renderer, acceptor_waker)
            .map_err(|error| Error::io("cannot create an epoll or a pipe", error))?;
        let pool = WorkerPool::start(Arc::new(engine), listener, lines)?;
        life.started();
        let mut report = drain(pool, &progress);
        report.threads_left += threads_left;
        match life.failed_thread() {
            None => Ok(report),
            Some(thread) => {
                let cause = format!("the thread {thread} panicked; {}", report.summary());
                Err(Error::io("the server failed", io::Error::other(cause)))
            }
        }
    }
}

/// Ends a server whose handler gave no routes until the end of its stop. It has served
/// no connection.
fn stop_unserved(
    listener: Listener,
    life: &Lifecycle,
    accounting: &Accounting,
    unreturned: Option<Unreturned>,
) -> Report {
    life.abort(Abort::Deadline);
    if listener.close_unserved() {
        accounting.backlog_abandoned();
    }
    life.stopped();
    let mut report = accounting.report();
    report.threads_left = 1;
    report.unreturned.extend(unreturned);
    report
}

/// `cannot listen on 127.0.0.1:80`, with every address that was tried.
fn cannot_listen_on(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    match addresses.is_empty() {
        true => "cannot listen".to_owned(),
        false => format!("cannot listen on {}", addresses.join(" or ")),
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

    #[test]
    fn a_route_table_that_panics_is_the_error_of_serve() {
        struct Panics;

        impl Handler for Panics {
            fn handle(&self, _: crate::Request) -> crate::Response {
                crate::Response::default()
            }

            fn route_table(&self) -> Option<crate::RouteTable> {
                panic!("for the test")
            }
        }

        let server = Server::bind("127.0.0.1:0", Config::default()).unwrap();
        let handle = server.shutdown_handle();
        let error = server.serve(Panics).unwrap_err();
        assert!(
            error.to_string().contains("Handler::route_table panicked"),
            "{error}"
        );
        assert_eq!(handle.phase(), Phase::Stopped);
    }
}
