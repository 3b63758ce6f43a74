//! The stop as a component, with the feature `stop-routes`: handlers that stop the server
//! and tell its health.

pub(crate) mod access;
mod denial_log;
mod health;
mod refusal;
mod report;
mod shutdown;

use std::fmt;
use std::sync::Arc;

use crate::handler::Handler;
use crate::message::request::Request;
use crate::router::Router;
use crate::shutdown::handle::ShutdownHandle;

use self::access::StopAccess;
use self::denial_log::DenialLog;

/// Handlers that stop a server and tell its health: `/shutdown`, `/healthz` and
/// `/readyz`. Needs the feature `stop-routes`.
///
/// [`router`](Self::router) has all three, to be mounted where you like. Each is also a
/// handler by itself, for another path.
///
/// ```
/// use farewell::{Config, Request, Router, Server, StopAccess, StopRoutes};
///
/// let server = Server::bind("127.0.0.1:0", Config::default())?;
/// let stop = StopRoutes::new(server.shutdown_handle(), StopAccess::token("open-sesame")?);
/// let routes = Router::new()
///     .get("/", |_: Request| "hello\n")
///     .nest("/admin", stop.router())
///     .build()?;
/// # let address = server.local_addr();
/// # let client = std::thread::spawn(move || {
/// #     use std::io::{Read, Write};
/// #     let mut client = std::net::TcpStream::connect(address).unwrap();
/// #     let token = "Authorization: Bearer open-sesame\r\n";
/// #     write!(client, "GET /admin/shutdown?wait HTTP/1.1\r\nHost: a\r\n{token}\r\n").unwrap();
/// #     let mut answer = String::new();
/// #     client.read_to_string(&mut answer).unwrap();
/// #     answer
/// # });
///
/// // curl -H 'Authorization: Bearer open-sesame' 'http://127.0.0.1:8080/admin/shutdown?wait'
/// let report = server.serve(routes)?;
/// assert!(report.all_answered());
/// # assert!(client.join().unwrap().contains("\nstopped in "));
/// # Ok::<(), farewell::Error>(())
/// ```
///
/// The routes of [`router`](Self::router) are [urgent](Router::urgent): they are answered
/// while every worker runs a handler. A handler that you put at another path is not, unless
/// you make its router urgent too.
#[derive(Clone)]
pub struct StopRoutes {
    stop: ShutdownHandle,
    access: StopAccess,
    denials: Arc<DenialLog>,
    is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl StopRoutes {
    /// Handlers for the server of this handle. `access` says which requests may stop it;
    /// all may ask for its health. It is ready until it stops.
    ///
    /// ```
    /// use farewell::{Config, Router, Server, StopAccess, StopRoutes};
    ///
    /// let server = Server::bind("127.0.0.1:0", Config::default())?;
    /// let stop = StopRoutes::new(server.shutdown_handle(), StopAccess::token("open-sesame")?);
    /// let routes = Router::new().nest("/", stop.router()).build()?;
    /// # let _ = routes;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    ///
    /// Another server of the process may serve them, on a listener for operators. It answers
    /// while every worker of the first is busy, and its requests are none of the first. Stop
    /// it last: the clients that follow the stop get the report from it.
    ///
    /// ```
    /// use farewell::{Config, Request, Server, StopAccess, StopRoutes};
    ///
    /// let server = Server::bind("127.0.0.1:0", Config::default())?;
    /// let stop = StopRoutes::new(server.shutdown_handle(), StopAccess::loopback());
    /// let admin = Server::bind("127.0.0.1:0", Config::default())?;
    /// let admin = admin.spawn(stop.router().build()?)?;
    /// # server.shutdown_handle().shutdown();
    /// let report = server.serve(|_: Request| "hello\n")?;
    /// admin.shutdown_handle().shutdown();
    /// admin.join()?;
    /// # assert!(report.all_answered());
    /// # Ok::<(), farewell::Error>(())
    /// ```
    pub fn new(stop: ShutdownHandle, access: StopAccess) -> Self {
        Self {
            stop,
            access,
            denials: Arc::default(),
            is_ready: Arc::new(|| true),
        }
    }

    /// Adds a condition to `/readyz`: while it is `false`, the response is a 503. It
    /// replaces the condition of an earlier call.
    ///
    /// The condition is called on the worker of each request for `/readyz`, until a stop
    /// begins. It may block, and delays that response alone while a worker is free; but
    /// nothing bounds it, and meanwhile it holds a worker, or the one thread that answers
    /// [urgent](Router::urgent) requests while no worker is free. So give what it waits for a
    /// timeout that is shorter than the interval of the probes. A panic in it is a 500.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// use farewell::{Config, Server, StopAccess, StopRoutes};
    ///
    /// let server = Server::bind("127.0.0.1:0", Config::default())?;
    /// let is_loaded = Arc::new(AtomicBool::new(false));
    /// let loaded = Arc::clone(&is_loaded);
    /// let stop = StopRoutes::new(server.shutdown_handle(), StopAccess::loopback())
    ///     .ready_when(move || loaded.load(Ordering::Relaxed));
    /// // Later, when the cache is loaded:
    /// is_loaded.store(true, Ordering::Relaxed);
    /// # let _ = stop;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    #[must_use]
    pub fn ready_when(self, is_ready: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let is_ready = Arc::new(is_ready);
        Self { is_ready, ..self }
    }

    /// A router with `/shutdown`, `/healthz` and `/readyz`, for [`Router::nest`]. Its routes
    /// are [urgent](Router::urgent).
    ///
    /// The layers of the outer router wrap these routes too. A layer that refuses
    /// requests, such as one that checks a session, then also refuses probes.
    ///
    /// ```
    /// use farewell::{Config, Request, Router, Server, StopAccess, StopRoutes};
    ///
    /// let server = Server::bind("127.0.0.1:0", Config::default())?;
    /// let stop = StopRoutes::new(server.shutdown_handle(), StopAccess::loopback());
    /// let routes = Router::new()
    ///     .get("/", |_: Request| "hello\n")
    ///     .nest("/internal", stop.router()) // /internal/shutdown, /internal/healthz, ...
    ///     .build()?;
    /// # let _ = routes;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    pub fn router(&self) -> Router {
        Router::new()
            // The handler refuses methods by itself: a router would send it `HEAD` too,
            // and list `HEAD` in `Allow`.
            .any("/shutdown", self.shutdown_handler())
            .get("/healthz", self.healthz_handler())
            .get("/readyz", self.readyz_handler())
            .urgent()
    }

    /// The handler of `/shutdown`, for a path of your own. It takes `GET` and `POST`:
    ///
    /// | query | what it does |
    /// |---|---|
    /// | none | begins the stop, and confirms it: the other requests in progress, and the time that the stop takes at most |
    /// | `?wait` | begins the stop; the response has a line whenever the counts change, once a second while only the bytes left to send change, and ends with the [`Report`](crate::Report) when only followers of the stop are left |
    /// | `?now` | begins the stop, and confirms it; once the confirmation is delivered, all other requests are cut |
    ///
    /// The response arrives before the server ends. It is text for people, or, if `Accept`
    /// names `application/json`, a JSON object in each line; the last object of `?wait` is
    /// [`Report::to_json`](crate::Report::to_json). The others of `?wait` have the counts,
    /// and `response_bytes_left`, `likely_seconds` and `before_deadline`: what is left to
    /// send, and from a second after the start of the drain on the time in which that is
    /// likely, and whether that is before the deadline (`null` while unknown); see
    /// [`Unsent`](crate::Unsent). The trigger in the report is
    /// [`Trigger::Request`](crate::Trigger::Request), unless the stop has begun before.
    ///
    /// Other requests do not stop the server. Each gets a
    /// [`Rejection`](crate::Rejection), in this order:
    ///
    /// - 405 with `Allow`: another method, `HEAD` and `OPTIONS` included.
    /// - 401 or 403: the [`StopAccess`] denies it. This is logged as a warning, at most
    ///   once a second.
    /// - 400: another query.
    ///
    /// ```
    /// use farewell::{Config, Router, Server, StopAccess, StopRoutes};
    ///
    /// let server = Server::bind("127.0.0.1:0", Config::default())?;
    /// let stop = StopRoutes::new(server.shutdown_handle(), StopAccess::loopback());
    /// let routes = Router::new()
    ///     .post("/admin/stop", stop.shutdown_handler()) // not by GET
    ///     .get("/livez", stop.healthz_handler())
    ///     .get("/readyz", stop.readyz_handler())
    ///     .build()?;
    /// # let _ = routes;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    pub fn shutdown_handler(&self) -> impl Handler + use<> {
        let routes = self.clone();
        move |request: Request| shutdown::stop_by(&request, &routes)
    }

    /// The handler of `/healthz`, for a path of your own: 200 and `ok` as long as the
    /// server serves, during a stop too. For a liveness probe. Methods other than `GET`
    /// and `HEAD` get a 405.
    ///
    /// ```
    /// use farewell::{Config, Router, Server, StopAccess, StopRoutes};
    ///
    /// let server = Server::bind("127.0.0.1:0", Config::default())?;
    /// let stop = StopRoutes::new(server.shutdown_handle(), StopAccess::loopback());
    /// let routes = Router::new().get("/livez", stop.healthz_handler()).build()?;
    /// # let _ = routes;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    pub fn healthz_handler(&self) -> impl Handler + use<> {
        |request: Request| health::health(&request)
    }

    /// The handler of `/readyz`, for a path of your own: 200 and `ready`, or a 503 once a
    /// stop has begun or while [`ready_when`](Self::ready_when) is `false`. For a
    /// readiness probe, or the health check of a load balancer. Methods other than `GET`
    /// and `HEAD` get a 405.
    ///
    /// [`Config::lame_duck`](crate::Config::lame_duck) is the time that a load balancer
    /// has to notice the 503, before the server refuses new connections. Its default is
    /// zero.
    ///
    /// ```
    /// use farewell::{Config, Router, Server, StopAccess, StopRoutes};
    ///
    /// let mut config = Config::default();
    /// config.lame_duck = std::time::Duration::from_secs(5);
    /// let server = Server::bind("127.0.0.1:0", config)?;
    /// let stop = StopRoutes::new(server.shutdown_handle(), StopAccess::loopback());
    /// let routes = Router::new().get("/ready", stop.readyz_handler()).build()?;
    /// # let _ = routes;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    pub fn readyz_handler(&self) -> impl Handler + use<> {
        let Self { stop, is_ready, .. } = self.clone();
        move |request: Request| health::readiness(&request, stop.phase(), &*is_ready)
    }
}

impl fmt::Debug for StopRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopRoutes")
            .field("stop", &self.stop)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}
