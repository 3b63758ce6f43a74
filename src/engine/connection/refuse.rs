//! The server's own answers to requests that no handler gets.

use http::Method;

use super::Context;
use super::answer::Answer;
use super::common::Common;
use super::handling::Handling;
use super::writing::Writing;
use crate::http1::Refusal;
use crate::http1::request_line::AsksForHead;
use crate::journal::note;

impl Writing {
    /// Makes the answer that refuses the request. The connection is closed after it.
    pub(super) fn refusal(refusal: Refusal, common: &mut Common, cx: &mut Context<'_>) -> Self {
        let Refusal { status, reason } = refusal;
        note!(
            cx.services.journal,
            Debug,
            "{}: rejected with {status}: {reason}",
            common.peer
        );
        cx.services.refusals.count(status, cx.now);
        without_handler(Answer::refusal(refusal), common, cx)
    }

    /// Makes the answer with 503: no handler has started the request, and no handler
    /// will.
    pub(super) fn unavailable(common: &mut Common, cx: &mut Context<'_>) -> Self {
        without_handler(Answer::unavailable(), common, cx)
    }
}

/// Begins to write an answer of the server itself. The answer to a HEAD has no body,
/// even if only a part of the request has arrived (RFC 9110 section 9.3.2).
fn without_handler(mut answer: Answer, common: &mut Common, cx: &mut Context<'_>) -> Writing {
    let exchange = common.exchange.as_ref();
    let method = match exchange.and_then(|exchange| exchange.request_line.as_ref()) {
        Some(request_line) => request_line.method.clone(),
        // The part of the head that has arrived is still in the buffer.
        None => match AsksForHead::of(cx.buffer.unused()) {
            AsksForHead::Yes => Method::HEAD,
            AsksForHead::No => Method::GET,
            AsksForHead::Unknown => {
                // An empty body is valid for every method.
                answer = answer.without_body();
                Method::GET
            }
        },
    };
    Handling::without_handler(method).answer(answer, common, cx)
}
