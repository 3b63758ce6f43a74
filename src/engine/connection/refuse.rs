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
use crate::lifecycle::rejection_reason::PartOfRequest;
use crate::lifecycle::rejection_reason::RejectionReason;
use crate::message::rejection::Rejection;
use crate::message::rendering::Renderer;
use crate::message::rendering::render;
use crate::message::response::IntoResponse;
use crate::message::response::Response;

/// A response of the server itself, which is not made yet, and the outcome of its
/// request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnResponse {
    refusal: Refusal,
    outcome: RequestOutcome,
}

impl OwnResponse {
    /// The response to a request that no handler will start, because the server stops
    /// or has no capacity.
    pub(crate) const UNAVAILABLE: Self = Self {
        refusal: Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "server cannot handle the request now: try again later",
        ),
        outcome: RequestOutcome::Unavailable,
    };

    /// The response to a request that the server refuses.
    fn refusal(refusal: Refusal) -> Self {
        Self {
            refusal,
            outcome: RequestOutcome::Rejected,
        }
    }

    /// The response in place of one that cannot be sent.
    pub(super) fn invalid(outcome: RequestOutcome) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self {
            refusal: Refusal::new(status, "internal server error"),
            outcome,
        }
    }

    fn response(self) -> Response {
        let Refusal { status, reason } = self.refusal;
        let mut response = Rejection::new(status, reason).into_response();
        if self.outcome == RequestOutcome::Unavailable {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The answer with the text of the server.
    pub(crate) fn into_answer(self) -> Answer {
        Answer::new(self.response(), self.outcome)
    }

    /// The answer as the application renders it. Runs code of the application.
    pub(crate) fn into_rendered(self, renderer: Option<&Renderer>) -> Answer {
        Answer::new(render(self.response(), renderer), self.outcome)
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
        let part = match self.state {
            State::Body(_) => PartOfRequest::Body,
            _ => PartOfRequest::Head,
        };
        let reason = RejectionReason::of_refusal(status, part);
        self.common.guard.request_rejected(reason);
        self.answer_without_handler(OwnResponse::refusal(refusal), cx)
    }

    /// Answers with 503: no handler has started the request, and no handler will.
    #[cold]
    pub(super) fn refuse_unavailable(&mut self, cx: &mut Context<'_>) -> Option<Next> {
        self.common.guard.request_rejected(match cx.is_aborting() {
            true => RejectionReason::Stopping,
            false => RejectionReason::TooManyUploads,
        });
        self.answer_without_handler(OwnResponse::UNAVAILABLE, cx)
    }

    /// The answer to a HEAD has no body, even if only a part of the request has arrived
    /// (RFC 9110 section 9.3.2).
    fn answer_without_handler(&mut self, own: OwnResponse, cx: &mut Context<'_>) -> Option<Next> {
        let common = &mut self.common;
        let method = asked_method(common, cx);
        let version = common.asked_version();
        let mut handling =
            Handling::without_handler(method.clone().unwrap_or(Method::GET), version);
        if method.is_some() && cx.renders_rejections() {
            handling.own = Some(Box::new(own));
            self.state = State::Handling(handling);
            return self.render_own(cx);
        }
        let answer = match method {
            Some(_) => own.into_answer(),
            // An empty body is valid for every method.
            None => own.into_answer().without_body(),
        };
        self.state = State::Writing(handling.answer(answer, common, cx));
        None
    }

    /// Goes on with a response of the server itself: has the application render it, or
    /// sends it as it is, because an abort has begun meanwhile.
    #[cold]
    pub(super) fn render_own(&mut self, cx: &mut Context<'_>) -> Option<Next> {
        let Self { common, state } = self;
        let own = match state {
            State::Handling(handling) => {
                handling.own.as_deref().copied().map(|own| (handling, own))
            }
            _ => None,
        };
        let Some((handling, own)) = own else {
            unreachable!("while a handler runs, the worker calls `resume` and not `advance`");
        };
        if cx.renders_rejections() {
            return Some(match cx.holds(common) {
                true => Next::Hold,
                false => Next::Call(Call::Render(own)),
            });
        }
        self.state = State::Writing(handling.answer(own.into_answer(), common, cx));
        None
    }
}

/// The method of the request in progress; `None` if too little of the head has arrived
/// to tell whether it is HEAD. Another method than HEAD is given as GET.
fn asked_method(common: &mut Common, cx: &Context<'_>) -> Option<Method> {
    let exchange = common.exchange.as_ref();
    let request_line = exchange.and_then(|exchange| exchange.request_line.as_ref());
    let asks_for_head = match request_line {
        Some(request_line) => request_line.asks_for_head(),
        None => {
            // The part of the head that has arrived is still in the buffer.
            common.count_received(cx.buffer.unused().len());
            AsksForHead::of(cx.buffer.unused())
        }
    };
    match asks_for_head {
        AsksForHead::Yes => Some(Method::HEAD),
        AsksForHead::No => Some(Method::GET),
        AsksForHead::Unknown => None,
    }
}
