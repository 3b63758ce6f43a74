//! Makes the responses of rejections, where the application has a function for that.
//!
//! A rejection is rendered once, where its response leaves the handler or the layer that
//! returned it. So the layers outside see the rendered response.

use std::fmt;
use std::mem;
use std::sync::Arc;

use http::HeaderValue;
use http::StatusCode;
use http::header;

use super::rejection::Rejection;
use super::response::IntoResponse;
use super::response::Response;
use crate::isolate::Panicked;
use crate::isolate::isolate;

/// The function of the application that makes the responses of rejections.
#[derive(Clone)]
pub(crate) struct Renderer(Arc<dyn Fn(&Rejection) -> Response + Send + Sync>);

/// Marks a response that stands for a panic.
#[derive(Clone, Copy)]
struct AfterPanic;

impl Renderer {
    pub(crate) fn new<R: IntoResponse>(
        render: impl Fn(&Rejection) -> R + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move |rejection| render(rejection).into_response()))
    }

    /// Has the application make the response of a rejection. If that panics, the
    /// client gets the text that it would get without the function.
    ///
    /// The status is that of the rejection. A field that the default response has and
    /// the application's does not, such as `Allow`, is kept.
    fn render(&self, mut default: Response) -> Response {
        let status = default.status();
        let Some(rejection) = default.extensions().get::<Rejection>() else {
            return default;
        };
        let rejection = rejection.clone().with_status(status);
        let rendered = isolate(|| (self.0)(&rejection));
        let Ok(rendered) = rendered else {
            log::error!(
                "the function that renders rejections panicked: the client gets plain text"
            );
            return default;
        };
        let (mut parts, body) = rendered.into_parts();
        // The function may return a rejection or an error, which is not rendered again.
        Rejection::remove_marks(&mut parts.extensions);
        *default.body_mut() = body;
        let headers = mem::replace(default.headers_mut(), parts.headers);
        for (name, value) in &headers {
            if name != header::CONTENT_TYPE && !default.headers().contains_key(name) {
                default.headers_mut().insert(name, value.clone());
            }
        }
        default.extensions_mut().extend(parts.extensions);
        default
    }
}

impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renderer")
    }
}

/// Renders the response of a handler or a layer, if it is that of a rejection.
#[inline]
pub(crate) fn render(response: Response, renderer: Option<&Renderer>) -> Response {
    match response.extensions().is_empty() {
        true => response,
        false => render_marked(response, renderer),
    }
}

fn render_marked(mut response: Response, renderer: Option<&Renderer>) -> Response {
    let is_unrendered = Rejection::remove_marks(response.extensions_mut());
    match renderer {
        Some(renderer) if is_unrendered => renderer.render(response),
        _ => response,
    }
}

/// Calls a handler or a layer, and renders its response. A panic becomes a 500, after
/// which the connection closes.
pub(crate) fn answer(call: impl FnOnce() -> Response, renderer: Option<&Renderer>) -> Response {
    let response = isolate(call).unwrap_or_else(|Panicked| after_panic());
    render(response, renderer)
}

/// The response to a request whose handler has panicked.
pub(crate) fn after_panic() -> Response {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    let mut response = Rejection::new(status, "internal server error").into_response();
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response.extensions_mut().insert(AfterPanic);
    response
}

/// Whether this is the response of [`after_panic`], which layers may have changed.
pub(crate) fn is_after_panic(response: &Response) -> bool {
    response.extensions().get::<AfterPanic>().is_some()
}
