//! Makes the responses of rejections, where the application has a function for that.
//!
//! A rejection is rendered once, where its response leaves the handler or the layer that
//! returned it. So the layers outside see the rendered response.

use std::fmt;
use std::mem;
use std::sync::Arc;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::header;

use super::rejection::Rejection;
use super::response::IntoResponse;
use super::response::Response;
use crate::address::PeerAddr;
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
    /// the application's does not, such as `Allow`, is kept with all its values, and
    /// cookies are added to each other.
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
        parts.extensions.remove::<Rejection>();
        *default.body_mut() = body;
        let fields = mem::take(default.headers_mut());
        *default.headers_mut() = with_kept(parts.headers, &fields);
        default.extensions_mut().extend(parts.extensions);
        default
    }
}

/// The rendered fields, and those of the default response that they do not replace.
fn with_kept(rendered: HeaderMap, default: &HeaderMap) -> HeaderMap {
    let mut fields = rendered.clone();
    for (name, value) in default {
        let is_kept = match *name {
            header::SET_COOKIE => true,
            _ if DESCRIBE_BODY.contains(name) => false,
            _ => !rendered.contains_key(name),
        };
        if is_kept {
            fields.append(name, value.clone());
        }
    }
    fields
}

/// The fields that describe a body, which is another one after rendering.
const DESCRIBE_BODY: [HeaderName; 6] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::ETAG,
];

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

/// Calls the next handler for a layer, and renders its response. A panic becomes a 500,
/// after which the connection closes.
///
/// The panic is logged here, because the layer may return another response. A panic that
/// no layer sees is logged by the worker.
pub(crate) fn answer(
    call: impl FnOnce() -> Response,
    peer: PeerAddr,
    renderer: Option<&Renderer>,
) -> Response {
    let response = isolate(call).unwrap_or_else(|Panicked| {
        log::error!("the handler of a request from {peer} panicked: its layer gets a 500");
        after_panic()
    });
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
