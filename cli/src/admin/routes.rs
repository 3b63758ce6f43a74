//! The routes for operators.

use std::time::Instant;

use farewell::Handler;
use farewell::LocalAddr;
use farewell::Metrics;
use farewell::Rejection;
use farewell::Request;
use farewell::Response;
use farewell::Router;
use farewell::Routes;
use farewell::Server;
use farewell::StopAccess;
use farewell::StopRoutes;

use super::super::args::Options;
use super::Readers;
use super::index;
use super::index::Entry;
use super::status::ShutdownRoute;
use super::status::Status;
use super::status::Subject;

/// The routes for operators of a server.
pub(in super::super) struct Operators {
    stop: StopRoutes,
    metrics: Metrics,
    status: Status,
    readers: Readers,
    has_shutdown: bool,
}

impl Operators {
    /// The routes of this server: on its own listener, or, if `admin` is the address of one,
    /// on that.
    pub(in super::super) fn new(
        server: &Server,
        admin: Option<&LocalAddr>,
        token: Option<StopAccess>,
        options: &Options,
    ) -> Self {
        let has_token = token.is_some();
        let access = match (&token, admin) {
            (Some(token), _) => token.clone(),
            (None, Some(LocalAddr::Unix(_))) => StopAccess::unix_socket(),
            (None, _) => StopAccess::loopback(),
        };
        let readers = match admin {
            Some(address) => Readers::of_operators(address, token),
            None => Readers::of_application(token),
        };
        if let (Some(LocalAddr::Inet(address)), true) = (admin, readers.are_all()) {
            log::info!(
                "every client that can connect to {address} may read /metrics and /status: \
                 with {}, those with the token may",
                options.name("shutdown_token_file")
            );
        }
        let config = server.config();
        let subject = Subject {
            metrics: server.metrics(),
            handle: server.shutdown_handle(),
            address: server.local_addr(),
            workers: config.workers,
            max_connections: config.max_connections,
            lame_duck: config.lame_duck,
            drain_timeout: config.drain_timeout,
            shutdown: match (options.no_shutdown_route, has_token) {
                (true, _) => ShutdownRoute::None,
                (false, false) => ShutdownRoute::Open,
                (false, true) => ShutdownRoute::Token,
            },
            started: Instant::now(),
        };
        Self {
            metrics: server.metrics(),
            status: Status::new(subject, readers.clone()),
            stop: StopRoutes::new(server.shutdown_handle(), access),
            readers,
            has_shutdown: !options.no_shutdown_route,
        }
    }

    /// The routes that are listed.
    fn listed(&self) -> Vec<Entry> {
        let shutdown = self.has_shutdown.then_some(index::SHUTDOWN);
        index::OTHERS.into_iter().chain(shutdown).collect()
    }

    /// The routes.
    pub(in super::super) fn router(&self) -> Router {
        let mut router = Router::new()
            .merge(self.status.router())
            .get("/metrics", self.guarded(self.metrics.handler()))
            .get("/healthz", self.stop.healthz_handler())
            .get("/readyz", self.stop.readyz_handler());
        if self.has_shutdown {
            // The handler refuses methods by itself: a router would send it `HEAD` too.
            router = router.any("/shutdown", self.stop.shutdown_handler());
        }
        router
    }

    /// The routes, and a list of them at `/`.
    pub(super) fn router_with_index(&self) -> Routes {
        let router = self.router().get("/", index::handler(&self.listed()));
        router
            .build()
            .expect("the paths are valid, and each is there once")
    }

    /// The handler, for those that may read the numbers.
    fn guarded<H: Handler>(&self, handler: H) -> impl Handler + use<H> {
        let readers = self.readers.clone();
        move |request: Request| -> Result<Response, Rejection> {
            readers.check(&request)?;
            Ok(handler.handle(request))
        }
    }
}
