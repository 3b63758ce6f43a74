//! The server's own answers: to requests that no handler gets, and in place of a
//! handler's answer that cannot be sent.

use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;

use super::Call;
use super::Connection;
use super::Context;
use super::Next;
use super::State;
use super::answer::Answer;
use super::common::Common;
use super::handling::Handling;
use crate::http1::Refusal;
use crate::http1::request_line::AsksForHead;
use crate::journal::note;
use crate::lifecycle::outcome::RequestOutcome;
use crate::message::body::Body;
use crate::message::rejection::Rejection;
use crate::message::rendering::Renderer;
use crate::message::rendering::render;
use crate::message::response::IntoResponse;
use crate::message::response::Response;

/// A response of the server itself, and the outcome of its request.
#[derive(Debug)]
pub(crate) struct OwnResponse {
    response: Response,
    outcome: RequestOutcome,
}

impl OwnResponse {
    /// The response to a request that the server refuses.
    fn refusal(Refusal { status, reason }: Refusal) -> Self {
        Self {
            response: Rejection::new(status, reason).into_response(),
            outcome: RequestOutcome::Rejected,
        }
    }

    /// The response to a request that no handler will start, because the server stops
    /// or has no capacity.
    pub(crate) fn unavailable() -> Self {
        let message = "server cannot handle the request now: try again later";
        let rejection = Rejection::new(StatusCode::SERVICE_UNAVAILABLE, message);
        let mut response = rejection.into_response();
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        Self {
            response,
            outcome: RequestOutcome::Unavailable,
        }
    }

    /// The response in place of one that cannot be sent.
    pub(super) fn invalid(outcome: RequestOutcome) -> Box<Self> {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Box::new(Self {
            response: Rejection::new(status, "internal server error").into_response(),
            outcome,
        })
    }

    /// The answer with the text of the server.
    pub(crate) fn into_answer(self) -> Answer {
        Answer::new(self.response, self.outcome)
    }

    /// The answer as the application renders it. Runs code of the application.
    pub(crate) fn into_rendered(self, renderer: Option<&Renderer>) -> Answer {
        Answer::new(render(self.response, renderer), self.outcome)
    }
}

impl Connection {
    /// Refuses the request. The connection is closed after the answer.
    #[cold]
    pub(super) fn refuse(&mut self, refusal: Refusal, cx: &mut Context<'_>) -> Option<Next> {
        let Refusal { status, reason } = refusal;
        note!(
            cx.services.journal,
            Debug,
            "{}: rejected with {status}: {reason}",
            self.common.peer
        );
        cx.services.refusals.count(status, cx.now);
        self.answer_without_handler(OwnResponse::refusal(refusal), cx)
    }

    /// Answers with 503: no handler has started the request, and no handler will.
    #[cold]
    pub(super) fn refuse_unavailable(&mut self, cx: &mut Context<'_>) -> Option<Next> {
        self.answer_without_handler(OwnResponse::unavailable(), cx)
    }

    /// The answer to a HEAD has no body, even if only a part of the request has arrived
    /// (RFC 9110 section 9.3.2).
    fn answer_without_handler(
        &mut self,
        mut own: OwnResponse,
        cx: &mut Context<'_>,
    ) -> Option<Next> {
        let method = asked_method(&mut self.common, cx);
        let is_known = method.is_some();
        let handling = Handling::without_handler(method.unwrap_or(Method::GET));
        if is_known && cx.renders_rejections() {
            self.state = State::Handling(handling);
            return Some(Next::Call(Call::Render(Box::new(own))));
        }
        if !is_known {
            // An empty body is valid for every method.
            *own.response.body_mut() = Body::empty();
        }
        let writing = handling.answer(own.into_answer(), &mut self.common, cx);
        self.state = State::Writing(writing);
        None
    }
}

/// The method of the request in progress; `None` if too little of the head has arrived
/// to tell whether it is HEAD. Another method than HEAD may be given as GET.
fn asked_method(common: &mut Common, cx: &Context<'_>) -> Option<Method> {
    let exchange = common.exchange.as_ref();
    if let Some(request_line) = exchange.and_then(|exchange| exchange.request_line.as_ref()) {
        return Some(request_line.method.clone());
    }
    // The part of the head that has arrived is still in the buffer.
    common.count_received(cx.buffer.unused().len());
    match AsksForHead::of(cx.buffer.unused()) {
        AsksForHead::Yes => Some(Method::HEAD),
        AsksForHead::No => Some(Method::GET),
        AsksForHead::Unknown => None,
    }
}
