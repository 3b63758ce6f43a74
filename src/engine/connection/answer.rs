//! From an answer to its last byte: `Writing`.

use std::mem;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::Version;
use http::header;

use super::Asked;
use super::Connection;
use super::State;
use super::Step;
use super::Turn;
use crate::drain::outcome::ConnectionOutcome;
use crate::drain::outcome::RequestOutcome;
use crate::drain::phase::Phase;
use crate::engine::lot::Wait;
use crate::engine::output::Output;
use crate::http::Refusal;
use crate::http::encode;
use crate::http::encode::HeadParts;
use crate::http::encode::Length;
use crate::http::persist;
use crate::http::persist::CloseReason;
use crate::http::persist::Persist;
use crate::net::stream::Sent;
use crate::service::response::Content;
use crate::service::response::IntoResponse;
use crate::service::response::Piece;
use crate::service::response::Response;
use crate::service::response::Source;
use crate::service::response::Waker;

/// A response, and what it means in the books.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response,
    pub(crate) outcome: RequestOutcome,
}

impl Answer {
    /// The handler panicked.
    pub(crate) fn failed() -> Self {
        let mut response =
            (StatusCode::INTERNAL_SERVER_ERROR, "the handler failed\n").into_response();
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
        Self {
            response,
            outcome: RequestOutcome::Failed,
        }
    }

    /// The server itself answers.
    pub(crate) fn refusal(Refusal { status, reason }: Refusal) -> Self {
        let response = (status, format!("{reason}\n")).into_response();
        Self {
            response,
            outcome: RequestOutcome::Refused,
        }
    }

    /// The server stops before a handler could start this one.
    pub(crate) fn turned_away() -> Self {
        let text = "the server is stopping: try again, later or elsewhere\n";
        let mut response = (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        Self {
            response,
            outcome: RequestOutcome::TurnedAway,
        }
    }
}

/// An answer on its way.
pub(super) struct Writing {
    output: Output,
    rest: Option<Rest>,
    persist: Persist,
    outcome: RequestOutcome,
    /// The client only follows the shutdown.
    follows_shutdown: bool,
    /// When it has to have made progress.
    until: Instant,
}

/// What comes after the output.
struct Rest {
    source: Box<dyn Source>,
    chunked: bool,
    waker: Waker,
}

impl Writing {
    /// Whether the client only follows the shutdown.
    pub(super) fn follows_shutdown(&self) -> bool {
        self.follows_shutdown
    }
}

impl Connection {
    /// `Handling` becomes `Writing`.
    pub(super) fn answer(&mut self, answer: Answer, turn: &mut Turn<'_>) {
        let Answer { response, outcome } = answer;
        let State::Handling(asked) = mem::replace(&mut self.state, State::Idle { since: turn.now })
        else {
            unreachable!("only a request in Handling is answered");
        };
        let (mut parts, body) = response.into_parts();
        if parts.status.is_informational() {
            log::error!(
                "a handler answered {}, which is no final status",
                parts.status
            );
            parts.status = StatusCode::INTERNAL_SERVER_ERROR;
        }
        let delivery_matters = body.after_delivery.is_some();
        self.after_delivery = body.after_delivery;

        let length = match &body.content {
            Content::Full(bytes) => Length::Known(bytes.len() as u64),
            Content::Stream(_) if asked.version == Version::HTTP_10 => Length::UntilClose,
            Content::Stream(_) => Length::Chunked,
        };
        let follows_shutdown = match &body.content {
            Content::Full(_) => false,
            Content::Stream(source) => source.follows_shutdown(),
        };
        let handler_closes = persist::has_token(&parts.headers, "close");
        let persist = asked
            .persist
            .close_if(handler_closes, CloseReason::Handler)
            .close_if(delivery_matters, CloseReason::Delivery)
            .close_if(follows_shutdown, CloseReason::Follower)
            .close_if(length == Length::UntilClose, CloseReason::UntilClose);
        let draining = turn.phase >= Phase::Draining && !self.another_counts(persist, turn);
        let persist = persist.close_if(draining, CloseReason::Draining);

        let mut head = Vec::with_capacity(256);
        encode::encode_head(
            &mut head,
            &HeadParts {
                status: parts.status,
                headers: &parts.headers,
                length,
                persist,
                version: asked.version,
                date: turn.date.now(),
            },
        );
        let (body, rest) = self.split_body(body.content, &asked, parts.status, length, turn);
        self.state = State::Writing(Writing {
            output: Output::new(head, body, b""),
            rest,
            persist,
            outcome,
            follows_shutdown,
            until: turn.now + turn.engine.config.write_timeout,
        });
    }

    /// What of a body is written with the head, and what comes later.
    fn split_body(
        &mut self,
        content: Content,
        asked: &Asked,
        status: StatusCode,
        length: Length,
        turn: &Turn<'_>,
    ) -> (Bytes, Option<Rest>) {
        match content {
            _ if !encode::may_have_body(&asked.method, status) => (Bytes::new(), None),
            Content::Full(bytes) => (bytes, None),
            Content::Stream(source) => {
                let waker = turn.engine.lot.waker(self);
                let chunked = length == Length::Chunked;
                (
                    Bytes::new(),
                    Some(Rest {
                        source,
                        chunked,
                        waker,
                    }),
                )
            }
        }
    }

    /// Whether, in a drain, a request behind this one is answered too: it is
    /// here already (RFC 9112 section 9.3.2). After the last call that goes for
    /// what is here when it is first looked at, and for nothing that comes
    /// later: a client that pipelines on and on has to leave.
    fn another_counts(&mut self, persist: Persist, turn: &mut Turn<'_>) -> bool {
        if persist != Persist::KeepAlive || turn.aborting() {
            return false;
        }
        if self.owed.is_none() {
            if turn.buffer.has_room() {
                // A broken connection shows in the write that follows.
                turn.buffer.fill(&mut self.stream);
            }
            let began = turn.engine.life.draining_since();
            if began.is_some_and(|began| turn.now >= began + turn.engine.config.last_call) {
                turn.buffer.mark_owed();
                self.owed = Some(turn.buffer.owed());
            }
        }
        turn.buffer.skip_empty_lines();
        match self.owed {
            Some(_) => turn.buffer.owed() > 0,
            None => !turn.buffer.is_empty(),
        }
    }

    /// `Writing`: writes what there is, then asks for more.
    pub(super) fn write(&mut self, turn: &mut Turn<'_>) -> Step {
        let State::Writing(writing) = &mut self.state else {
            unreachable!("called in Writing only");
        };
        if !writing.output.is_done() {
            return match writing.output.write(&mut self.stream) {
                Sent::Bytes(_) => {
                    writing.until = turn.now + turn.engine.config.write_timeout;
                    Step::Go
                }
                Sent::Gone => {
                    self.break_off(RequestOutcome::Abandoned, ConnectionOutcome::Vanished, turn)
                }
                Sent::Wait if turn.aborting() && !writing.follows_shutdown => self.cut(turn),
                Sent::Wait if turn.now < writing.until => {
                    turn.park(Wait::Room, Some(writing.until))
                }
                Sent::Wait => {
                    self.break_off(RequestOutcome::Stalled, ConnectionOutcome::Stalled, turn)
                }
            };
        }
        let Some(rest) = &mut writing.rest else {
            return self.finish(turn);
        };
        // A source may run code of the user's.
        let next = AssertUnwindSafe(|| rest.source.next(&rest.waker));
        let Ok(piece) = panic::catch_unwind(next) else {
            log::error!("a response body panicked ({}): it is cut", self.peer);
            return self.cut(turn);
        };
        match piece {
            Piece::Data(data) if rest.chunked => {
                let head = encode::chunk_head(&data);
                writing.output = Output::new(head, data, encode::CHUNK_END);
            }
            Piece::Data(data) => writing.output = Output::new(Vec::new(), data, b""),
            Piece::End => {
                let tail = if rest.chunked {
                    encode::LAST_CHUNK
                } else {
                    b""
                };
                writing.output = Output::new(Vec::new(), Bytes::new(), tail);
                writing.rest = None;
            }
            // Who follows the shutdown is told of its end, whatever ended it.
            Piece::NotYet if turn.aborting() && !writing.follows_shutdown => {
                return self.cut(turn);
            }
            Piece::NotYet => return turn.park(Wait::Piece, None),
        }
        writing.until = turn.now + turn.engine.config.write_timeout;
        Step::Go
    }

    /// The answer is written: what becomes of the connection?
    fn finish(&mut self, turn: &mut Turn<'_>) -> Step {
        let State::Writing(Writing {
            persist, outcome, ..
        }) = self.state
        else {
            unreachable!("called in Writing only");
        };
        self.end_exchange(outcome, &turn.engine.books);
        match persist {
            Persist::KeepAlive => {
                self.state = State::Idle { since: turn.now };
                Step::Go
            }
            Persist::Close(reason) => {
                let unasked = reason == CloseReason::Draining;
                self.say_goodbye(ConnectionOutcome::Completed, unasked, turn)
            }
        }
    }
}
