//! The body of a request. It is read before its handler is called (`Body`), read by
//! the handler (`Handling`), or discarded because the handler has not read it.

use std::io;
use std::io::PipeReader;
use std::io::PipeWriter;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http::Version;

use super::Connection;
use super::Context;
use super::Handling;
use super::State;
use super::Step;
use crate::config::Config;
use crate::engine::buffer::Buffer;
use crate::engine::minimum_rate::MinimumRate;
use crate::engine::minimum_rate::RateMeter;
use crate::engine::output::Output;
use crate::engine::shard::Wait;
use crate::engine::upload_limit::UploadPermit;
use crate::engine::upload_limit::UploadWaiter;
use crate::http1::Refusal;
use crate::http1::body::Decoded;
use crate::http1::body::Decoder;
use crate::http1::encode;
use crate::http1::framing;
use crate::http1::framing::Framing;
use crate::http1::head::Head;
use crate::http1::persist;
use crate::journal::note;
use crate::message::request_body::BodyError;
use crate::net::os::Ready;
use crate::net::stream::Received;
use crate::net::stream::Sent;
use crate::net::stream::Stream;

/// The most memory that is reserved for a body before its bytes arrive, in bytes: a
/// client that only announces a large body must not cost much.
const BODY_RESERVE_BYTES_MAX: u64 = 16 * 1024;

/// How much of a chunked body is read at a time while its handler runs, in bytes.
/// What is unused when the handler returns has to fit into a worker's buffer.
const INPUT_BYTES: usize = 16 * 1024;

/// A head, and the part of its body that has arrived.
#[derive(Debug)]
pub(super) struct PartialBody {
    head: Head,
    body: Vec<u8>,
    incoming: Box<Incoming>,
    /// Set while the connection waits for a permit of the upload limit.
    waiter: Option<UploadWaiter>,
    /// When that wait ends without a permit.
    permit_deadline: Option<Instant>,
}

/// A body that is not read to its end yet.
#[derive(Debug)]
pub(super) struct Incoming {
    decoder: Decoder,
    minimum_rate: RateMeter,
    /// The 100 (Continue) for which the client waits before it sends the body.
    interim: Option<Output>,
    /// Input that was read while the handler runs, and is not used yet.
    input: Option<Buffer>,
    failed: Option<BodyError>,
    /// Held while the handler may wait for the body.
    permit: Option<UploadPermit>,
    /// Set if the handler waits for the socket. The drop ends that wait, when the
    /// connection goes on without the body or is closed.
    handler_wait: Option<PipeWriter>,
}

/// What a handler gets when it reads its request's body.
#[derive(Debug)]
pub(crate) enum Pulled {
    /// So many bytes, at least one.
    Bytes(usize),
    /// The end of the body. The first time, with its trailers if it has some.
    End(Option<Box<HeaderMap>>),
    Failed(BodyError),
    /// Nothing yet: the socket has to be ready before this deadline.
    Wait(Ready, Instant),
}

impl Incoming {
    /// The body that a head announces; `None` if it announces none.
    pub(super) fn announced(
        head: &Head,
        config: &Config,
        now: Instant,
    ) -> Result<Option<Box<Self>>, Refusal> {
        let framing = match head.present.framing {
            true => Framing::of(head.version, head.headers())?,
            false => Framing::Length(0),
        };
        let expects_continue =
            head.present.expect && framing::expects_continue(head.version, head.headers())?;
        if framing == Framing::Length(0) {
            return Ok(None);
        }
        let decoder = Decoder::new(framing, config.body_bytes_max, config.head_limits())?;
        let interim =
            expects_continue.then(|| Output::new(Vec::new(), Bytes::new(), encode::CONTINUE));
        Ok(Some(Box::new(Self {
            decoder,
            minimum_rate: MinimumRate::new(config.body_timeout, config.rate_min).start(now),
            interim,
            input: None,
            failed: None,
            permit: None,
            handler_wait: None,
        })))
    }

    /// Moves in the input that was read before the handler began.
    fn load_input(&mut self, unused_input: &mut Box<[u8]>, in_time_bytes: usize) {
        if self.input.is_none() {
            let unused_input = std::mem::take(unused_input);
            let mut input = Buffer::new(INPUT_BYTES.max(unused_input.len()));
            input.load(&unused_input, in_time_bytes);
            self.input = Some(input);
        }
    }

    /// Reads the next piece into `out`.
    fn pull(&mut self, out: &mut [u8], stream: &Stream, now: Instant) -> Pulled {
        if let Some(nothing_yet) = self.send_continue(stream, now) {
            return nothing_yet;
        }
        let Some(input) = &mut self.input else {
            unreachable!("the input is loaded before the first pull");
        };
        loop {
            if self.decoder.is_done() {
                self.permit = None;
                self.handler_wait = None;
                return Pulled::End(self.decoder.take_trailers());
            }
            if input.is_empty() {
                // A large piece of a body without chunks is read into `out` directly.
                let direct_bytes = match self.decoder.left() {
                    Some(left) if out.len() >= INPUT_BYTES => {
                        usize::try_from(left).map_or(out.len(), |left| left.min(out.len()))
                    }
                    _ => 0,
                };
                let received = match direct_bytes {
                    0 => input.fill(stream),
                    count => stream.read(&mut out[..count]),
                };
                match received {
                    Received::Bytes(count) => {
                        self.minimum_rate.moved(count, now);
                        if direct_bytes > 0 {
                            return match self.decoder.decode(&out[..count]) {
                                Ok(_) => Pulled::Bytes(count),
                                Err(refusal) => self.fail(BodyError::refused(refusal)),
                            };
                        }
                    }
                    Received::Eof | Received::Gone => return self.fail(BodyError::GONE),
                    Received::Wait => return self.not_yet(Ready::Input, now),
                }
            }
            let room = out.len().min(input.unused().len());
            match self.decoder.decode(&input.unused()[..room]) {
                Ok(Decoded { used, data }) => {
                    let count = data.len();
                    out[..count].copy_from_slice(data);
                    input.consume(used);
                    if count > 0 {
                        return Pulled::Bytes(count);
                    }
                }
                Err(refusal) => return self.fail(BodyError::refused(refusal)),
            }
        }
    }

    /// Sends the 100 (Continue), if the client waits for it and nothing of the body
    /// has arrived (RFC 9110 section 10.1.1). If it cannot be sent now, gives the
    /// outcome of the pull.
    fn send_continue(&mut self, stream: &Stream, now: Instant) -> Option<Pulled> {
        let interim = self.interim.as_mut()?;
        let body_has_begun = self.input.as_ref().is_some_and(|input| !input.is_empty());
        while !body_has_begun && !interim.is_done() {
            match interim.write(stream) {
                Sent::Bytes(_) => {}
                Sent::Wait => return Some(self.not_yet(Ready::Room, now)),
                Sent::Gone => return Some(self.fail(BodyError::GONE)),
            }
        }
        self.interim = None;
        self.minimum_rate.start_again(now);
        None
    }

    /// Nothing yet, or an error if the client has been too slow.
    fn not_yet(&mut self, ready: Ready, now: Instant) -> Pulled {
        let until = self.minimum_rate.wait(now);
        match now < until {
            true => Pulled::Wait(ready, until),
            false => self.fail(BodyError::TOO_SLOW),
        }
    }

    fn fail(&mut self, error: BodyError) -> Pulled {
        self.failed = Some(error);
        Pulled::Failed(error)
    }
}

impl Connection {
    /// Begins to read the body that the head announces.
    pub(super) fn begin_body(
        &mut self,
        head: Head,
        mut incoming: Box<Incoming>,
        cx: &Context<'_>,
    ) -> Step {
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
        self.state = State::Body(Box::new(PartialBody {
            head,
            body: Vec::with_capacity(usize::try_from(reserved_bytes).unwrap_or(0)),
            incoming,
            waiter: None,
            permit_deadline: None,
        }));
        Step::Continue
    }

    /// `Body`: reads until the body is whole, or until enough of it has arrived for
    /// its handler to be called. If the client waits for a 100 (Continue), the
    /// handler is called at once.
    pub(super) fn read_body(&mut self, cx: &mut Context<'_>) -> Step {
        let State::Body(partial) = &mut self.state else {
            unreachable!("called in Body only");
        };
        let PartialBody { body, incoming, .. } = &mut **partial;
        let enough_bytes = match incoming.interim {
            Some(_) => 0,
            None => cx.services.config.body_buffer,
        };
        let decoder = &mut incoming.decoder;
        while !decoder.is_done() && body.len() < enough_bytes && !cx.buffer.is_empty() {
            match decoder.decode(cx.buffer.unused()) {
                Ok(Decoded { used, data }) => {
                    body.extend_from_slice(data);
                    cx.buffer.consume(used);
                }
                Err(refusal) => return self.refuse(refusal, cx),
            }
        }
        if decoder.is_done() {
            return self.call_with_body(cx);
        }
        if body.len() >= enough_bytes {
            return self.acquire_upload_permit(cx);
        }
        match cx.buffer.fill(&self.socket.stream) {
            Received::Bytes(count) => {
                incoming.minimum_rate.moved(count, cx.now);
                Step::Continue
            }
            Received::Eof | Received::Gone => self.close_disconnected_request(cx),
            Received::Wait => {
                let until = incoming.minimum_rate.wait(cx.now);
                self.await_rest_of_request(until, "the body came too slowly", cx)
            }
        }
    }

    /// Has the handler called once there is a permit: it may have to wait for the
    /// rest of the body, and the upload limit bounds how many handlers do.
    fn acquire_upload_permit(&mut self, cx: &mut Context<'_>) -> Step {
        let waker = self.waker();
        let State::Body(partial) = &mut self.state else {
            unreachable!("called in Body only");
        };
        // The time of the wait for a permit does not count against the client.
        partial.incoming.minimum_rate.start_again(cx.now);
        let limit = &cx.services.upload_limit;
        partial.incoming.permit = limit.acquire(waker, &mut partial.waiter);
        if partial.incoming.permit.is_some() {
            return self.call_with_body(cx);
        }
        let latest = cx.now + cx.services.config.body_timeout;
        let until = *partial.permit_deadline.get_or_insert(latest);
        match self.socket.stream.look() {
            Received::Gone => self.close_disconnected_request(cx),
            // With an empty buffer, the body can never be whole.
            Received::Eof if cx.buffer.is_empty() => self.close_disconnected_request(cx),
            _ if cx.now < until && !cx.is_aborting() => cx.suspend(Wait::Wake, Some(until)),
            _ => {
                if !cx.is_aborting() {
                    let peer = self.peer;
                    note!(
                        cx.services.journal,
                        Warn,
                        "{peer} gets a 503: too many handlers wait for slow request bodies"
                    );
                }
                self.answer_unavailable(cx)
            }
        }
    }

    fn call_with_body(&mut self, cx: &Context<'_>) -> Step {
        let idle = State::Idle { since: cx.now };
        let State::Body(partial) = std::mem::replace(&mut self.state, idle) else {
            unreachable!("called in Body only");
        };
        let PartialBody {
            head,
            body,
            mut incoming,
            ..
        } = *partial;
        let arrived = Bytes::from(body);
        if incoming.decoder.is_done() {
            let (length, trailers) = (arrived.len() as u64, incoming.decoder.take_trailers());
            return self.call_handler(head, arrived, Some(length), trailers, None, cx);
        }
        let left = incoming.decoder.left();
        let length = left.map(|left| left + arrived.len() as u64);
        self.call_handler(head, arrived, length, None, Some(incoming), cx)
    }

    /// Whether the handler may read a part of the body that has not arrived yet.
    pub(crate) fn body_follows(&self) -> bool {
        matches!(&self.state, State::Handling(handling) if handling.incoming.is_some())
    }

    /// Reads the next piece of the body for the handler.
    pub(crate) fn pull_body(&mut self, out: &mut [u8], now: Instant) -> Pulled {
        let State::Handling(handling) = &mut self.state else {
            return Pulled::Failed(BodyError::OVER);
        };
        match &mut handling.incoming {
            None => Pulled::Failed(BodyError::OVER),
            Some(incoming) => match incoming.failed {
                Some(error) => Pulled::Failed(error),
                None => {
                    incoming.load_input(&mut self.unused_input, self.in_time_bytes.unwrap_or(0));
                    incoming.pull(out, &self.socket.stream, now)
                }
            },
        }
    }

    /// The handler waits for the socket itself: events of it wake no worker any
    /// more. Gives a pipe that is closed when the connection goes on without the
    /// body, or ends.
    pub(crate) fn leave_to_handler(&mut self) -> io::Result<PipeReader> {
        let (reader, writer) = io::pipe()?;
        self.deregister();
        if let State::Handling(Handling {
            incoming: Some(incoming),
            ..
        }) = &mut self.state
        {
            incoming.handler_wait = Some(writer);
        }
        Ok(reader)
    }

    /// The socket, for a thread that waits for it.
    pub(crate) fn share_stream(&self) -> Stream {
        self.socket.stream.share()
    }

    /// Takes back the input that the handler has not used. The handler has returned.
    pub(super) fn take_back_input(&mut self) {
        let State::Handling(handling) = &mut self.state else {
            return;
        };
        let Some(incoming) = &mut handling.incoming else {
            return;
        };
        incoming.handler_wait = None;
        if let Some(input) = incoming.input.take() {
            self.unused_input = input.to_unused();
            self.in_time_bytes = self.in_time_bytes.map(|_| input.in_time_bytes());
        }
    }

    /// Discards the part of the body that the handler has not read. `false` if the
    /// connection has to be closed after the answer, because that part has not
    /// arrived or is too large.
    pub(super) fn discard_body(
        &self,
        incoming: Option<Box<Incoming>>,
        cx: &mut Context<'_>,
    ) -> bool {
        let Some(mut incoming) = incoming else {
            return true;
        };
        // A client that waits for a 100 (Continue) may or may not send the body when
        // it gets the answer instead.
        if incoming.interim.is_some() || incoming.failed.is_some() {
            return false;
        }
        let mut discarded_bytes = 0;
        while !incoming.decoder.is_done() {
            let before = cx.buffer.unused().len();
            let Ok(Decoded { used, .. }) = incoming.decoder.decode(cx.buffer.unused()) else {
                return false;
            };
            cx.buffer.consume(used);
            discarded_bytes += used as u64;
            if discarded_bytes > cx.services.config.discard_bytes_max {
                return false;
            }
            if before == 0 && !matches!(cx.buffer.fill(&self.socket.stream), Received::Bytes(_)) {
                return false;
            }
        }
        true
    }
}

/// Whether the client asks for another protocol (RFC 9110 section 7.8).
pub(super) fn asks_for_upgrade(head: &Head) -> bool {
    head.present.upgrade
        && head.version == Version::HTTP_11
        && persist::has_token(head.headers(), "upgrade")
}
