//! The trait of everything that answers requests.

use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::Response;
use crate::route_table::RouteTable;

/// Answers requests: any `Fn(Request) -> impl IntoResponse` that threads can share,
/// or [`Routes`](crate::Routes), which pass each request to the handler of its
/// route.
///
/// A handler may block. The server serves other connections meanwhile, as long as
/// a worker is free. If a handler panics, the client gets a 500 and the connection
/// closes; the worker goes on.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    note = "a handler is a function from `Request` to a type that implements `IntoResponse`, or the `Routes` that `Router::build` returns"
)]
pub trait Handler: Send + Sync + 'static {
    /// Answers one request.
    fn handle(&self, request: Request) -> Response;

    /// The paths and limits of the [`Routes`](crate::Routes) that this handler is, or
    /// wraps. Default: `None`.
    ///
    /// [`Server::serve`](crate::Server::serve) calls it once, before it serves, on a
    /// thread of its own. If it has not returned at the deadline of a stop, the server
    /// ends without having served, and the report names
    /// [`UserCode::RouteTable`](crate::UserCode::RouteTable). With the table, the server finds the route of a request as soon as its head has
    /// arrived: so it applies the [limits of that
    /// route](crate::Router::body_limits), answers [urgent](crate::Router::urgent) requests
    /// while no worker is free, and learns for each route, and not for each
    /// path, whether its calls wait. A type that wraps `Routes` forwards the call:
    ///
    /// ```
    /// use farewell::{Handler, Request, Response, RouteTable, Routes};
    ///
    /// struct Logged(Routes);
    ///
    /// impl Handler for Logged {
    ///     fn handle(&self, request: Request) -> Response {
    ///         println!("{}", request.uri());
    ///         self.0.handle(request)
    ///     }
    ///
    ///     fn route_table(&self) -> Option<RouteTable> {
    ///         self.0.route_table()
    ///     }
    /// }
    /// ```
    ///
    /// A closure that calls `Routes` cannot forward it. Then the limits of
    /// [`Config`](crate::Config) apply to every request, and none is urgent; everything else
    /// is the same.
    fn route_table(&self) -> Option<RouteTable> {
        None
    }
}

impl<F, R> Handler for F
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: IntoResponse,
{
    fn handle(&self, request: Request) -> Response {
        self(request).into_response()
    }
}
