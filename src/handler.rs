//! The trait of everything that answers requests.

use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::Response;

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
