//! `Handling`: the handler has the request, and may read the rest of the body.

use std::io;
use std::io::PipeReader;
use std::time::Instant;

use http::Method;
use http::Version;

use super::Connection;
use super::Context;
use super::State;
use super::Step;
use super::common::Common;
use super::incoming::Incoming;
use super::incoming::Pulled;
use super::refuse::OwnResponse;
use crate::http1::head::Head;
use crate::http1::persist;
use crate::http1::persist::CloseReason;
use crate::http1::persist::Persist;
use crate::message::request::Origin;
use crate::message::request::Request;
use crate::message::request_body::BodyError;
use crate::message::request_body::RequestBody;
use crate::message::route_match::RouteMatch;
use crate::net::stream::Stream;

/// What the answer to the request depends on.
#[derive(Debug)]
pub(super) struct Handling {
    pub(super) method: Method,
    pub(super) version: Version,
    pub(super) persist: Persist,
    /// The client asks for another protocol.
    pub(super) asks_for_upgrade: bool,
    /// The part of the request's body that has not been read yet.
    pub(super) incoming: Option<Box<Incoming>>,
    /// The response of the server itself that the application renders. No handler has
    /// the request then.
    pub(super) own: Option<Box<OwnResponse>>,
}

impl Handling {
    /// Has the handler called: enough of the request has arrived. `incoming` is the part
    /// of its body that has not.
    pub(super) fn call(request: Request, incoming: Option<Box<Incoming>>) -> Step {
        let head = request.head();
        let handling = Self {
            method: head.method.clone(),
            version: head.version,
            persist: match head.present.connection || head.version == Version::HTTP_10 {
                true => Persist::asked(head.version, head.headers()),
                false => Persist::KeepAlive,
            },
            asks_for_upgrade: asks_for_upgrade(head),
            incoming,
            own: None,
        };
        Step::Call(handling, request)
    }

    /// For the answer to a request that no handler gets.
    pub(super) fn without_handler(method: Method, version: Version) -> Self {
        Self {
            method,
            version,
            persist: Persist::Close(CloseReason::Rejected),
            asks_for_upgrade: false,
            incoming: None,
            own: None,
        }
    }

    /// Moves the input that the handler has not used back to the connection, after the
    /// handler has returned.
    pub(super) fn take_back_input(&mut self, common: &mut Common) {
        if let Some(incoming) = &mut self.incoming {
            incoming.handler_wait = None;
            incoming.give_back_input(common);
        }
    }
}

impl Common {
    /// Makes the request that the handler gets.
    pub(super) fn request(
        &self,
        head: Head,
        route_match: RouteMatch,
        body: RequestBody,
        cx: &Context<'_>,
    ) -> Request {
        let exchange = self.exchange.as_ref();
        let origin = Origin {
            peer: self.peer,
            local: self.local.clone(),
            arrived: exchange.map_or(cx.now, |exchange| exchange.began),
            connection: self.guard.number(),
            number: self.exchange_count,
        };
        Request::new(head, route_match, body, origin, cx.services.life.clone())
    }
}

/// The calls of a running handler on its connection.
impl Connection {
    /// Whether the handler may read a part of the body that has not arrived yet.
    pub(crate) fn body_follows(&self) -> bool {
        matches!(&self.state, State::Handling(handling) if handling.incoming.is_some())
    }

    /// Reads the next piece of the body for the handler.
    pub(crate) fn pull_body(&mut self, out: &mut [u8], now: Instant) -> Pulled {
        match &mut self.state {
            State::Handling(Handling {
                incoming: Some(incoming),
                ..
            }) => incoming.pull(out, &mut self.common, now),
            _ => Pulled::Failed(BodyError::OVER),
        }
    }

    /// Lets the handler wait for the socket itself: events of the socket no longer wake
    /// a worker. Returns a pipe, which is closed when the connection continues without
    /// the body, or ends.
    ///
    /// # Errors
    ///
    /// The system cannot create a pipe.
    pub(crate) fn leave_to_handler(&mut self) -> io::Result<PipeReader> {
        let (reader, writer) = io::pipe()?;
        self.common.deregister();
        if let State::Handling(Handling {
            incoming: Some(incoming),
            ..
        }) = &mut self.state
        {
            incoming.handler_wait = Some(writer);
        }
        Ok(reader)
    }

    /// Returns a handle of the socket, for a thread that waits for it.
    pub(crate) fn share_stream(&self) -> Stream {
        self.common.socket.stream.share()
    }
}

/// Whether the client asks for another protocol (RFC 9110 section 7.8).
fn asks_for_upgrade(head: &Head) -> bool {
    head.present.upgrade
        && head.version == Version::HTTP_11
        && persist::has_token(head.headers(), "upgrade")
}
