//! Turns a handler's response into a message: decides what the head of the message
//! says, and whether the connection is kept after it.

use std::borrow::Cow;
use std::mem;

use http::Method;
use http::StatusCode;
use http::Version;

use super::BodyTask;
use super::Context;
use super::common::Common;
use super::handling::Handling;
use super::refuse::OwnResponse;
use super::rest::FileBody;
use super::rest::Rest;
use super::rest::StreamBody;
use super::writing::Writing;
use crate::engine::deferred::Deferred;
use crate::engine::minimum_rate::MinimumRate;
use crate::engine::output::COPIED_BYTES_MAX;
use crate::engine::output::Output;
use crate::http1::encode;
use crate::http1::encode::HeadParts;
use crate::http1::encode::Length;
use crate::http1::encode::Stated;
use crate::http1::persist::CloseReason;
use crate::http1::persist::Persist;
use crate::isolate::isolate;
use crate::journal::note;
use crate::lifecycle::outcome::RequestOutcome;
use crate::lifecycle::phase::Phase;
use crate::lifecycle::report::UserCode;
use crate::message::body::Body;
use crate::message::body::Content;
use crate::message::body::source::BodyKind;
use crate::message::rendering;
use crate::message::rendering::Renderer;
use crate::message::response::Response;

/// The parts of a response, and the outcome of its request for the accounting.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    /// The status line and the handler's fields, encoded.
    head: Vec<u8>,
    stated: Stated,
    body: Body,
    outcome: RequestOutcome,
    /// The drop of a value in the response has panicked. The answer is complete
    /// nevertheless.
    drop_panicked: bool,
}

impl Answer {
    /// Takes a response apart. This drops its fields, its extensions and a small body.
    /// The drops may run code of the application, so `new` is called only where such
    /// code may run.
    pub(crate) fn new(response: Response, outcome: RequestOutcome) -> Self {
        let (parts, mut body) = response.into_parts();
        let status = parts.status;
        let mut head = Vec::with_capacity(HEAD_BYTES);
        let stated = encode::begin_head(&mut head, status, &parts.headers);
        let mut drop_panicked = isolate(|| drop(parts)).is_err();
        if let Content::Shared(bytes) = &mut body.content
            && bytes.len() < COPIED_BYTES_MAX
        {
            let copy = Content::Full(Cow::Owned(bytes.to_vec()));
            let shared = mem::replace(&mut body.content, copy);
            drop_panicked |= isolate(|| drop(shared)).is_err();
        }
        Self {
            status,
            head,
            stated,
            body,
            outcome,
            drop_panicked,
        }
    }

    /// Takes the response of a handler apart. If it is that of a rejection, the
    /// application renders it before.
    pub(crate) fn of_handler(response: Response, renderer: Option<&Renderer>) -> Self {
        // The marks of rejections and panics are extensions.
        match response.extensions().is_empty() {
            true => Self::new(response, RequestOutcome::Answered),
            false => Self::of_marked(response, renderer),
        }
    }

    #[cold]
    fn of_marked(response: Response, renderer: Option<&Renderer>) -> Self {
        let outcome = match rendering::is_after_panic(&response) {
            true => RequestOutcome::HandlerPanicked,
            false => RequestOutcome::Answered,
        };
        Self::new(rendering::render(response, renderer), outcome)
    }

    /// The same answer with an empty body. Only for answers of the server itself: the
    /// drop of a body of the application could run its code.
    pub(super) fn without_body(self) -> Self {
        Self {
            body: Body::default(),
            ..self
        }
    }
}

/// The initial capacity for a response's head, in bytes. Most heads fit.
const HEAD_BYTES: usize = 512;

impl Handling {
    /// Turns an answer that can be sent into a message, and `Handling` into `Writing`.
    pub(super) fn answer(
        &self,
        answer: Answer,
        common: &mut Common,
        cx: &mut Context<'_>,
    ) -> Writing {
        let Answer {
            status,
            mut head,
            stated,
            body,
            outcome,
            drop_panicked,
        } = answer;
        if drop_panicked {
            note!(cx.services.journal, Error, "{} panicked", UserCode::Drop);
        }
        let Body {
            mut content,
            after_delivery,
        } = body;
        let wants_delivery = after_delivery.is_some();
        common.after_delivery = after_delivery
            .map(|call| Deferred::call(UserCode::AfterDelivery, call, common.subject()));

        let is_upgrade = is_upgrade(&content, self, status);
        if !is_upgrade && matches!(content, Content::Upgrade(_)) {
            let unused = mem::take(&mut content);
            defer_drop(unused, common, cx);
        }
        if outcome == RequestOutcome::HandlerPanicked {
            common.guard.handler_panicked();
        }
        let length = length(&content, self, stated);
        let kind = content.kind_in(&cx.services.life);
        let persist = match status {
            StatusCode::SWITCHING_PROTOCOLS => Persist::Upgrade,
            _ => self
                .persist
                .close_if(is_upgrade, CloseReason::Upgraded)
                .close_if(
                    outcome == RequestOutcome::HandlerPanicked,
                    CloseReason::Handler,
                )
                .close_if(wants_delivery, CloseReason::Delivery)
                .close_if(length == Length::UntilClose, CloseReason::UntilClose),
        };
        let persist = persist_after(persist, kind, stated);
        let is_last = cx.phase >= Phase::Draining && !common.answers_next_request(persist, cx);
        let persist = persist.close_if(is_last, CloseReason::Draining);

        let parts = HeadParts {
            status,
            stated,
            length,
            persist,
            version: self.version,
            date_line: cx.date.line_at(cx.now),
        };
        encode::finish_head(&mut head, &parts);
        common.set_answer_head(status, head.len());
        let may_have_body = is_upgrade || encode::may_have_body(&self.method, status);
        let ((output, rest), length) = match may_have_body {
            true => (split_body(head, content, common, cx), length),
            false => {
                defer_drop(content, common, cx);
                ((Output::of_head(head), None), Length::None)
            }
        };
        let config = &cx.services.config;
        Writing {
            output,
            rest,
            length,
            persist,
            outcome,
            kind,
            minimum_rate: MinimumRate::new(config.write_timeout, config.rate_min).start(cx.now),
        }
    }

    /// Discards the part of the request's body that the handler has not read. True if
    /// nothing of the body is left. Otherwise the connection is closed after the
    /// answer.
    fn discard_body(&mut self, common: &mut Common, cx: &mut Context<'_>) -> bool {
        let is_read = match self.incoming.take() {
            Some(mut incoming) => incoming.discard(common, cx),
            None => true,
        };
        self.persist = self.persist.close_if(!is_read, CloseReason::UnreadBody);
        is_read
    }

    /// Checks the answer of the handler. Returns the server's own answer if the
    /// handler's cannot be sent.
    pub(super) fn check(
        &mut self,
        answer: &mut Answer,
        common: &mut Common,
        cx: &mut Context<'_>,
    ) -> Result<(), OwnResponse> {
        let body_is_read = self.discard_body(common, cx);
        let Some(problem) = problem(answer, self, body_is_read) else {
            return Ok(());
        };
        let peer = common.peer;
        note!(
            cx.services.journal,
            Error,
            "invalid response of the handler: {problem} ({peer} gets a 500)"
        );
        let outcome = answer.outcome;
        let unsent = Deferred::drop_of(mem::take(&mut answer.body), common.subject());
        cx.deferred.push(unsent);
        Err(OwnResponse::invalid(outcome))
    }
}

/// Drops content that is not sent, after the turn if the drop may run code of the
/// application.
fn defer_drop(mut content: Content, common: &Common, cx: &mut Context<'_>) {
    match &mut content {
        Content::Full(_) | Content::File { .. } => return,
        Content::Stream(source, _) => source.end(),
        Content::Shared(_) | Content::Upgrade(_) => {}
    }
    let unsent = Deferred::drop_of(content, common.subject());
    cx.deferred.push(unsent);
}

/// Returns the head with the part of a body that is written with it, and the rest.
fn split_body(
    head: Vec<u8>,
    content: Content,
    common: &mut Common,
    cx: &mut Context<'_>,
) -> (Output, Option<Rest>) {
    let rest = match content {
        Content::Full(bytes) => return (Output::with_body(head, bytes), None),
        Content::Shared(bytes) => {
            let output = Output::new(head, bytes.clone(), b"");
            return (output, Some(Rest::Shared(bytes)));
        }
        Content::File {
            file,
            offset,
            length,
        } => {
            let file = FileBody::new(file, offset, length);
            Rest::File(file)
        }
        Content::Upgrade(function) => Rest::Upgrade(function),
        Content::Stream(mut source, length) => {
            source.begin();
            let waker = common.waker();
            if let Some(run) = source.take_writer() {
                let subject = common.subject();
                cx.body_tasks.push(BodyTask { run, subject });
            }
            let stream = StreamBody::new(source, waker, length);
            Rest::Stream(stream)
        }
    };
    (Output::of_head(head), Some(rest))
}

impl Common {
    /// True if, in a drain, the next request is answered too, because it has already
    /// arrived (RFC 9112 section 9.3.2). After the last call, only the bytes count that
    /// have arrived at the first such check: a client that keeps pipelining must not
    /// keep its connection open.
    fn answers_next_request(&mut self, persist: Persist, cx: &mut Context<'_>) -> bool {
        if persist != Persist::KeepAlive || cx.is_aborting() {
            return false;
        }
        if self.in_time_bytes.is_none() {
            if cx.buffer.has_room() {
                // The result is ignored: if the connection is broken, the write of the
                // answer reports it.
                cx.buffer.fill(&self.socket.stream);
            }
            let last_call_ends = cx.services.life.last_call_ends();
            if last_call_ends.is_some_and(|ends| cx.now >= ends) {
                cx.buffer.mark_in_time();
                self.in_time_bytes = Some(cx.buffer.in_time_bytes());
            }
        }
        cx.holds_request() && (self.in_time_bytes.is_none() || cx.buffer.in_time_bytes() > 0)
    }
}

/// Returns whether the connection is kept after an answer of this kind with these
/// fields.
fn persist_after(persist: Persist, kind: BodyKind, stated: Stated) -> Persist {
    persist
        .close_if(stated.close, CloseReason::Handler)
        .close_if(kind == BodyKind::Follower, CloseReason::Follower)
        .close_if(kind == BodyKind::Endless, CloseReason::Endless)
}

/// Returns the reason why a handler's answer cannot be sent, if it cannot.
/// `body_is_read`: nothing of the request's body is left.
fn problem(answer: &Answer, handling: &Handling, body_is_read: bool) -> Option<&'static str> {
    let status = answer.status;
    let upgrades = matches!(answer.body.content, Content::Upgrade(_));
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return match upgrades {
            false => Some("status 101 without an upgrade of the connection"),
            true if !handling.asks_for_upgrade => {
                Some("status 101, but the client did not ask for an upgrade")
            }
            true if !answer.stated.upgrade => Some("status 101 without an Upgrade field"),
            true if !body_is_read => Some("status 101 before the request body was read"),
            true => None,
        };
    }
    if status.is_informational() {
        return Some("informational status, which is not final");
    }
    if upgrades && status.is_success() && !body_is_read {
        return Some("upgrade before the request body was read");
    }
    None
}

/// Whether the connection is upgraded after the head is written.
fn is_upgrade(content: &Content, handling: &Handling, status: StatusCode) -> bool {
    let without_body = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT];
    let has_fitting_status = status == StatusCode::SWITCHING_PROTOCOLS
        || status.is_success()
            && !without_body.contains(&status)
            && handling.method != Method::HEAD;
    has_fitting_status && matches!(content, Content::Upgrade(_))
}

/// Returns how the client finds the end of the body.
fn length(content: &Content, handling: &Handling, stated: Stated) -> Length {
    match content {
        Content::Upgrade(_) => Length::None,
        // An answer to HEAD has the length that a GET would get, if the handler has
        // stated it.
        Content::Full(bytes) if handling.method == Method::HEAD && bytes.is_empty() => {
            Length::Known(stated.length.unwrap_or(0))
        }
        content => match content.length() {
            Some(length) => Length::Known(length),
            None if handling.version == Version::HTTP_10 => Length::UntilClose,
            None => Length::Chunked,
        },
    }
}
