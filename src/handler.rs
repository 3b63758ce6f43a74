//! What answers requests.

use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::Response;

/// What answers requests: any `Fn(Request) -> impl IntoResponse` that threads
/// can share, and [`Routes`](crate::Routes), which finds one for each request.
///
/// A handler may block: other connections go on as long as a worker is free.
/// If it panics, the client gets a 500, the connection closes, and the worker
/// lives on.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler",
    note = "a handler is a function of a `Request` that returns something `IntoResponse`, or what `Router::build` returns"
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
