//! Wraps handlers in layers. And the router's own handlers: those of 404, 405, 400
//! and `OPTIONS`.

use std::sync::Arc;

use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;

use super::Layer;
use crate::handler::Handler;
use crate::message::rejection::Rejection;
use crate::message::rendering;
use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::Response;

/// The layers of a router and of those around it, the innermost first.
#[derive(Clone, Default)]
pub(super) struct Layers(Vec<Layer>);

impl Layers {
    pub(super) fn new(own: Vec<Layer>, outside: &Self) -> Self {
        let outside = outside.0.iter().map(Arc::clone);
        Self(own.into_iter().chain(outside).collect())
    }

    pub(super) fn wrap(&self, handler: &Arc<dyn Handler>) -> Arc<dyn Handler> {
        let layers = self.0.iter().map(Arc::clone);
        layers.fold(Arc::clone(handler), |next, layer| {
            let next = Next(next);
            Arc::new(Layered { layer, next })
        })
    }

    /// Adds the router's own handlers of `HEAD` and `OPTIONS` to those of a path.
    /// Returns the handler of the 405.
    pub(super) fn add_own_handlers(
        &self,
        handlers: &mut Vec<(Method, Arc<dyn Handler>)>,
    ) -> Arc<dyn Handler> {
        let of = |handlers: &[(Method, Arc<dyn Handler>)], wanted: Method| {
            let found = handlers.iter().find(|(method, _)| *method == wanted);
            found.map(|(_, handler)| Arc::clone(handler))
        };
        if let Some(get) = of(handlers, Method::GET)
            && of(handlers, Method::HEAD).is_none()
        {
            handlers.push((Method::HEAD, get));
        }
        let methods = handlers.iter().map(|(method, _)| method);
        let allow = allow(methods.chain([&Method::OPTIONS]));
        if of(handlers, Method::OPTIONS).is_none() {
            handlers.push((Method::OPTIONS, self.wrap(&options(allow.clone()))));
        }
        self.wrap(&method_not_allowed(allow))
    }
}

struct Layered {
    layer: Layer,
    next: Next,
}

impl Handler for Layered {
    fn handle(&self, request: Request) -> Response {
        (self.layer)(request, &self.next)
    }
}

/// The next handler, as a layer calls it. A panic in it, or a rejection that it
/// returns, comes back as the response that the client would get, so that the layer
/// sees it.
struct Next(Arc<dyn Handler>);

impl Handler for Next {
    fn handle(&self, request: Request) -> Response {
        let (peer, renderer) = (request.peer_addr(), request.renderer().cloned());
        rendering::answer(|| self.0.handle(request), peer, renderer.as_ref())
    }
}

pub(super) fn answer(status: StatusCode, message: &'static str) -> Arc<dyn Handler> {
    Arc::new(move |_: Request| Rejection::new(status, message))
}

pub(super) fn options(allow: HeaderValue) -> Arc<dyn Handler> {
    Arc::new(move |_: Request| {
        let mut response = StatusCode::NO_CONTENT.into_response();
        response.headers_mut().insert(header::ALLOW, allow.clone());
        response
    })
}

fn method_not_allowed(allow: HeaderValue) -> Arc<dyn Handler> {
    let message = "method not allowed";
    Arc::new(move |_: Request| {
        Rejection::new(StatusCode::METHOD_NOT_ALLOWED, message)
            .with_header(header::ALLOW, allow.clone())
    })
}

/// The value of `Allow` (RFC 9110 section 10.2.1), in alphabetical order.
pub(super) fn allow<'a>(methods: impl Iterator<Item = &'a Method>) -> HeaderValue {
    let mut methods: Vec<&str> = methods.map(Method::as_str).collect();
    methods.sort_unstable();
    methods.dedup();
    HeaderValue::try_from(methods.join(", ")).expect("a method is a token")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_is_sorted_and_without_duplicates() {
        let methods = [Method::POST, Method::GET, Method::POST, Method::HEAD];
        assert_eq!(allow(methods.iter()), "GET, HEAD, POST");
        assert_eq!(allow([].iter()), "");
    }
}
