//! The routes for operators.

use farewell::Handler;
use farewell::LocalAddr;
use farewell::Metrics;
use farewell::Rejection;
use farewell::Request;
use farewell::Response;
use farewell::Router;
use farewell::Routes;
use farewell::ShutdownHandle;
use farewell::StopAccess;
use farewell::StopRoutes;

use super::super::args::Options;
use super::Readers;

/// The routes for operators, of the server with this handle.
pub(in super::super) struct Operators {
    stop: StopRoutes,
    metrics: Metrics,
    readers: Readers,
    has_shutdown: bool,
}

impl Operators {
    /// The routes on the listener of the application, or, if `admin` is its address, on one
    /// of their own.
    pub(in super::super) fn new(
        handle: ShutdownHandle,
        admin: Option<&LocalAddr>,
        token: Option<StopAccess>,
        options: &Options,
    ) -> Self {
        let access = match (&token, admin) {
            (Some(token), _) => token.clone(),
            (None, Some(LocalAddr::Unix(_))) => StopAccess::unix_socket(),
            (None, _) => StopAccess::loopback(),
        };
        let readers = match admin {
            Some(address) => Readers::at(address, token),
            None => Readers::with(access.clone()),
        };
        Self {
            metrics: handle.metrics(),
            stop: StopRoutes::new(handle, access),
            readers,
            has_shutdown: !options.no_shutdown_route,
        }
    }

    /// The paths of the routes.
    pub(in super::super) fn paths(&self) -> Vec<&'static str> {
        let shutdown = self.has_shutdown.then_some("/shutdown");
        let paths = ["/metrics", "/healthz", "/readyz"].into_iter();
        paths.chain(shutdown).collect()
    }

    /// The routes.
    pub(in super::super) fn router(&self) -> Router {
        let mut router = Router::new()
            .get("/healthz", self.stop.healthz_handler())
            .get("/readyz", self.stop.readyz_handler())
            .get("/metrics", self.guarded(self.metrics.handler()));
        if self.has_shutdown {
            // The handler refuses methods by itself: a router would send it `HEAD` too.
            router = router.any("/shutdown", self.stop.shutdown_handler());
        }
        router
    }

    /// The routes, and a list of them at `/`.
    pub(super) fn router_with_index(&self) -> Routes {
        let text = self.paths().join("\n") + "\n";
        let router = self.router().get("/", move |_: Request| text.clone());
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
