//! From a handler's response to a message: what its head says, and what
//! becomes of the connection after it.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::Version;
use http::header;

use super::Asked;
use super::Connection;
use super::Context;
use super::Feeding;
use super::State;
use super::writing::Rest;
use super::writing::Writing;
use crate::drain::outcome::RequestOutcome;
use crate::drain::phase::Phase;
use crate::drain::report::UserCode;
use crate::engine::deferred::Deferred;
use crate::engine::output::COPIED_MAX;
use crate::engine::output::Output;
use crate::http::Refusal;
use crate::http::encode;
use crate::http::encode::HeadParts;
use crate::http::encode::Length;
use crate::http::encode::Stated;
use crate::http::persist::CloseReason;
use crate::http::persist::Persist;
use crate::isolate::isolate;
use crate::journal::note;
use crate::service::body::Body;
use crate::service::body::Content;
use crate::service::body::Nature;
use crate::service::response::IntoResponse;
use crate::service::response::Response;

/// A response, taken apart, and what it means in the accounting.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    /// The status line and the handler's fields.
    head: Vec<u8>,
    stated: Stated,
    body: Body,
    outcome: RequestOutcome,
    /// A drop of something that the response held has panicked. The answer is
    /// whole all the same.
    drop_panicked: bool,
}

impl Answer {
    /// Takes a response apart. This drops its fields, its extensions and a small
    /// body, which may run code of the application: so it is called where that
    /// runs anyway.
    pub(crate) fn new(response: Response, outcome: RequestOutcome) -> Self {
        let (parts, mut body) = response.into_parts();
        let status = parts.status;
        let mut head = Vec::with_capacity(HEAD_BYTES);
        let stated = encode::begin_head(&mut head, status, &parts.headers);
        let mut drop_panicked = isolate(|| drop(parts)).is_err();
        if let Content::Shared(bytes) = &mut body.content
            && bytes.len() < COPIED_MAX
        {
            let copy = Bytes::copy_from_slice(bytes);
            let shared = mem::replace(&mut body.content, Content::Full(copy));
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

    /// The handler panicked.
    pub(crate) fn failed() -> Self {
        let mut response =
            (StatusCode::INTERNAL_SERVER_ERROR, "the handler failed\n").into_response();
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
        Self::new(response, RequestOutcome::Failed)
    }

    /// The same answer with an empty body. For answers that the server itself
    /// makes: what a handler made is not dropped here.
    pub(super) fn without_body(self) -> Self {
        Self {
            body: Body::default(),
            ..self
        }
    }

    /// The server itself answers.
    pub(crate) fn refusal(Refusal { status, reason }: Refusal) -> Self {
        let response = (status, format!("{reason}\n")).into_response();
        Self::new(response, RequestOutcome::Refused)
    }

    /// The server stops before a handler could start this one.
    pub(crate) fn turned_away() -> Self {
        let text = "the server cannot take it now: try again, later or elsewhere\n";
        let mut response = (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        Self::new(response, RequestOutcome::TurnedAway)
    }
}

/// Room for the head of most responses, in bytes.
const HEAD_BYTES: usize = 512;

impl Connection {
    /// `Handling` becomes `Writing`.
    pub(super) fn answer(&mut self, answer: Answer, cx: &mut Context<'_>) {
        let State::Handling(mut asked) =
            mem::replace(&mut self.state, State::Idle { since: cx.now })
        else {
            unreachable!("only a request in Handling is answered");
        };
        let read = self.discard_body(asked.incoming.take(), cx);
        asked.persist = asked.persist.close_if(!read, CloseReason::UnreadBody);

        let Answer {
            status,
            mut head,
            stated,
            body,
            outcome,
            drop_panicked,
        } = self.checked(answer, &asked, read, cx);
        if drop_panicked {
            note!(cx.services.journal, Error, "{} panicked", UserCode::Drop);
        }
        let Body {
            mut content,
            after_delivery,
        } = body;
        let wants_delivery = after_delivery.is_some();
        self.after_delivery = after_delivery
            .map(|tell| Deferred::call(UserCode::AfterDelivery, tell, self.subject()));

        let taken_over = is_taken_over(&content, &asked, status);
        if !taken_over && matches!(content, Content::TakeOver(_)) {
            let unused = mem::take(&mut content);
            self.defer_drop(unused, cx);
        }
        let length = length(&content, &asked, stated);
        let nature = content.nature();
        let persist = match status {
            StatusCode::SWITCHING_PROTOCOLS => Persist::Upgrade,
            _ => asked
                .persist
                .close_if(taken_over, CloseReason::TakenOver)
                .close_if(wants_delivery, CloseReason::Delivery)
                .close_if(length == Length::UntilClose, CloseReason::UntilClose),
        };
        let persist = persist_after(persist, nature, stated);
        let draining = cx.phase >= Phase::Draining && !self.another_counts(persist, cx);
        let persist = persist.close_if(draining, CloseReason::Draining);

        let own = HeadParts {
            status,
            stated,
            length,
            persist,
            version: asked.version,
            date: cx.date.at(cx.now),
        };
        encode::finish_head(&mut head, &own);
        self.count_answer(status, head.len());
        let may_have_body = taken_over || encode::may_have_body(&asked.method, status);
        let (body, rest) = match may_have_body {
            true => self.split_body(content, cx),
            false => {
                self.defer_drop(content, cx);
                (Bytes::new(), Rest::Nothing)
            }
        };
        self.state = State::Writing(Writing {
            output: Output::new(head, body, b""),
            rest,
            length,
            persist,
            outcome,
            nature,
            pace: cx.services.config.write_pace().start(cx.now),
        });
    }

    /// The answer, or a 500 if it is none that can be sent.
    fn checked(&self, answer: Answer, asked: &Asked, read: bool, cx: &mut Context<'_>) -> Answer {
        let Some(problem) = problem(&answer, asked, read) else {
            return answer;
        };
        let peer = self.peer;
        note!(
            cx.services.journal,
            Error,
            "a handler's answer to {peer} is a 500: {problem}"
        );
        let outcome = answer.outcome;
        let unsent = Deferred::drop_of(answer.body, self.subject());
        cx.deferred.push(unsent);
        Answer::new(StatusCode::INTERNAL_SERVER_ERROR.into_response(), outcome)
    }

    /// Content that is not sent. Its drop may run code of the application.
    fn defer_drop(&self, mut content: Content, cx: &mut Context<'_>) {
        match &mut content {
            Content::Full(_) | Content::File { .. } => return,
            Content::Stream(source, _) => source.end(),
            Content::Shared(_) | Content::TakeOver(_) => {}
        }
        let unsent = Deferred::drop_of(content, self.subject());
        cx.deferred.push(unsent);
    }

    /// What of a body is written with the head, and what comes later.
    fn split_body(&mut self, content: Content, cx: &mut Context<'_>) -> (Bytes, Rest) {
        match content {
            Content::Full(bytes) => (bytes, Rest::Nothing),
            Content::Shared(bytes) => (bytes.clone(), Rest::Shared(bytes)),
            Content::File {
                file,
                offset,
                length,
            } => {
                let (file, left) = (Arc::new(file), length);
                (Bytes::new(), Rest::File { file, offset, left })
            }
            Content::TakeOver(take_over) => (Bytes::new(), Rest::TakeOver(take_over)),
            Content::Stream(mut source, left) => {
                source.begin();
                let waker = self.waker();
                if let Some(run) = source.feeder() {
                    let subject = self.subject();
                    cx.feedings.push(Feeding { run, subject });
                }
                let rest = Rest::Stream {
                    source: Some(source),
                    waker,
                    left,
                };
                (Bytes::new(), rest)
            }
        }
    }

    /// Whether, in a drain, a request behind this one is answered too: it is
    /// here already (RFC 9112 section 9.3.2). After the last call that goes for
    /// what is here when it is first looked at, and for nothing that comes
    /// later: a client that pipelines on and on has to leave.
    fn another_counts(&mut self, persist: Persist, cx: &mut Context<'_>) -> bool {
        if persist != Persist::KeepAlive || cx.aborting() {
            return false;
        }
        if self.owed.is_none() {
            if cx.buffer.has_room() {
                // A broken connection shows in the write that follows.
                cx.buffer.fill(&self.stream);
            }
            let began = cx.services.life.draining_since();
            if began.is_some_and(|began| cx.now >= began + cx.services.config.last_call) {
                cx.buffer.mark_owed();
                self.owed = Some(cx.buffer.owed());
            }
        }
        cx.holds_request() && (self.owed.is_none() || cx.buffer.owed() > 0)
    }
}

/// What an answer of this nature, with these fields, does to a connection that
/// would persist otherwise.
fn persist_after(persist: Persist, nature: Nature, stated: Stated) -> Persist {
    persist
        .close_if(stated.close, CloseReason::Handler)
        .close_if(nature == Nature::Follower, CloseReason::Follower)
        .close_if(nature == Nature::Endless, CloseReason::Endless)
}

/// What is wrong with a handler's answer, if anything is. `read`: nothing of the
/// request's body is left.
fn problem(answer: &Answer, asked: &Asked, read: bool) -> Option<&'static str> {
    let status = answer.status;
    let takes_over = matches!(answer.body.content, Content::TakeOver(_));
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return match takes_over {
            false => Some("it switches protocols, and does not take the connection over"),
            true if !asked.upgrade => Some("it switches protocols, and the client did not ask"),
            true if !answer.stated.upgrade => {
                Some("it switches protocols, and does not say to which")
            }
            true if !read => Some("it switches protocols in the middle of the request's body"),
            true => None,
        };
    }
    if status.is_informational() {
        return Some("it has an informational status, which is not final");
    }
    if takes_over && status.is_success() && !read {
        return Some("it takes the connection over in the middle of the request's body");
    }
    None
}

/// Whether the connection is taken over after the head.
fn is_taken_over(content: &Content, asked: &Asked, status: StatusCode) -> bool {
    let without_body = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT];
    let fit = status == StatusCode::SWITCHING_PROTOCOLS
        || status.is_success() && !without_body.contains(&status) && asked.method != Method::HEAD;
    fit && matches!(content, Content::TakeOver(_))
}

/// How the client finds the end of the body.
fn length(content: &Content, asked: &Asked, stated: Stated) -> Length {
    match content {
        Content::TakeOver(_) => Length::None,
        // What a GET would have got, if the handler knows.
        Content::Full(bytes) if asked.method == Method::HEAD && bytes.is_empty() => {
            Length::Known(stated.length.unwrap_or(0))
        }
        content => match content.length() {
            Some(length) => Length::Known(length),
            None if asked.version == Version::HTTP_10 => Length::UntilClose,
            None => Length::Chunked,
        },
    }
}
