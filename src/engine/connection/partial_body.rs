//! `Body`: reads the body of a request until enough of it has arrived for its handler
//! to be called. A request whose handler may not be called in this turn waits here, with
//! or without a body.

use std::mem;
use std::time::Instant;

use bytes::Bytes;

use super::Context;
use super::Next;
use super::Step;
use super::common::Common;
use super::handling::Handling;
use super::incoming::Incoming;
use crate::engine::shard::Wait;
use crate::engine::upload_limit::UploadWaiter;
use crate::http1::body::Decoded;
use crate::http1::head::Head;
use crate::journal::note;
use crate::message::request_body::RequestBody;
use crate::message::route_match::RouteMatch;
use crate::net::stream::Received;

/// The most memory that is reserved for a body before its bytes arrive, in bytes. A
/// client that only announces a large body must not cost much memory.
const BODY_RESERVE_BYTES_MAX: u64 = 16 * 1024;

/// A head, and the part of its body that has arrived.
#[derive(Debug)]
pub(super) struct PartialBody {
    head: Head,
    route_match: RouteMatch,
    body: Vec<u8>,
    /// The part of the body that has not arrived; `None` if the whole body has, or if there
    /// is none.
    incoming: Option<Box<Incoming>>,
    /// Set while the connection waits for a permit of the upload limit.
    waiter: Option<UploadWaiter>,
    /// When that wait ends without a permit.
    permit_deadline: Option<Instant>,
}

impl PartialBody {
    /// Begins to read the body that the head announces.
    pub(super) fn new(
        head: Head,
        route_match: RouteMatch,
        mut incoming: Box<Incoming>,
        cx: &Context<'_>,
    ) -> Box<Self> {
        // A client that sends the body without waiting gets no 100 (Continue)
        // (RFC 9110 section 10.1.1).
        if !cx.buffer.is_empty() {
            incoming.interim = None;
        }
        let reserved_bytes = incoming
            .decoder
            .left()
            .unwrap_or(0)
            .min(BODY_RESERVE_BYTES_MAX);
        Box::new(Self {
            head,
            route_match,
            body: Vec::with_capacity(usize::try_from(reserved_bytes).unwrap_or(0)),
            incoming: Some(incoming),
            waiter: None,
            permit_deadline: None,
        })
    }

    /// For a request without a body whose turn ends before its handler is called.
    #[cold]
    pub(super) fn without_body(head: Head, route_match: RouteMatch) -> Box<Self> {
        Box::new(Self {
            head,
            route_match,
            body: Vec::new(),
            incoming: None,
            waiter: None,
            permit_deadline: None,
        })
    }

    /// Reads until the body is whole, or until enough of it has arrived for its
    /// handler to be called. If the client waits for a 100 (Continue), the handler is
    /// called at once.
    pub(super) fn step(&mut self, common: &mut Common, cx: &mut Context<'_>) -> Step {
        let Some(incoming) = &mut self.incoming else {
            return self.call_handler(common, cx);
        };
        let enough_bytes = match incoming.interim {
            Some(_) => 0,
            None => incoming.limits.buffer,
        };
        let (body, decoder) = (&mut self.body, &mut incoming.decoder);
        while !decoder.is_done() && body.len() < enough_bytes && !cx.buffer.is_empty() {
            match decoder.decode(cx.buffer.unused()) {
                Ok(Decoded { used, data }) => {
                    body.extend_from_slice(data);
                    cx.buffer.consume(used);
                    common.count_received(used);
                }
                Err(refusal) => return Step::Refuse(refusal),
            }
        }
        if decoder.is_done() {
            return self.call_handler(common, cx);
        }
        if body.len() >= enough_bytes {
            if incoming.permit.is_none() {
                // Without a permit, which other connections could use meanwhile. A
                // connection that waits for one keeps its turn and its deadline.
                if self.waiter.is_none() && cx.holds(common) {
                    return Step::Next(Next::Hold);
                }
                // The handler may have to wait for the rest of the body, and the upload
                // limit bounds how many handlers wait at a time. The time of the wait for
                // a permit does not count against the client.
                incoming.minimum_rate.start_again(cx.now);
                let limit = &cx.services.upload_limit;
                incoming.permit = limit.acquire(common.waker(), &mut self.waiter);
            }
            return match incoming.permit {
                Some(_) => self.call_handler(common, cx),
                None => {
                    let latest = cx.now + incoming.limits.timeout;
                    self.await_permit(latest, common, cx)
                }
            };
        }
        match cx.buffer.fill(&common.socket.stream) {
            Received::Bytes(count) => {
                incoming.minimum_rate.moved(count, cx.now);
                Step::Continue
            }
            Received::Eof | Received::Gone => common.close_disconnected_request(cx),
            Received::Wait => {
                let until = incoming.minimum_rate.wait(cx.now);
                cx.await_rest_of_request(until, "request body arrived too slowly")
            }
        }
    }

    fn await_permit(&mut self, latest: Instant, common: &mut Common, cx: &Context<'_>) -> Step {
        let until = *self.permit_deadline.get_or_insert(latest);
        match common.socket.stream.look() {
            Received::Gone => common.close_disconnected_request(cx),
            // If the buffer is empty too, the rest of the body can no longer arrive.
            Received::Eof if cx.buffer.is_empty() => common.close_disconnected_request(cx),
            _ if cx.now < until && !cx.is_aborting() => cx.suspend(Wait::Wake, Some(until)),
            _ => {
                if !cx.is_aborting() {
                    let peer = common.peer;
                    note!(
                        cx.services.journal,
                        Warn,
                        "{peer} gets a 503: too many handlers wait for slow request bodies"
                    );
                }
                Step::Unavailable
            }
        }
    }

    /// Has the handler called, with everything that has arrived. The head and the body
    /// are moved out, because the connection does not return to this state.
    fn call_handler(&mut self, common: &Common, cx: &Context<'_>) -> Step {
        if cx.holds(common) {
            return Step::Next(Next::Hold);
        }
        let head = mem::take(&mut self.head);
        let route_match = mem::take(&mut self.route_match);
        let arrived = Bytes::from(mem::take(&mut self.body));
        let arrived_bytes = arrived.len() as u64;
        match self.incoming.take() {
            Some(incoming) if !incoming.decoder.is_done() => {
                let left = incoming.decoder.left();
                let length = left.map(|left| left + arrived_bytes);
                let body = RequestBody::new(arrived, length, None);
                Handling::call(common.request(head, route_match, body, cx), Some(incoming))
            }
            whole => {
                let trailers = whole.and_then(|mut incoming| incoming.decoder.take_trailers());
                let body = RequestBody::new(arrived, Some(arrived_bytes), trailers);
                Handling::call(common.request(head, route_match, body, cx), None)
            }
        }
    }
}
