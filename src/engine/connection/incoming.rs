//! The part of a request's body that has not been read yet. The connection reads it
//! before the handler is called (`Body`), or the handler reads it (`Handling`). If the
//! handler does not read it, the server discards it.

use std::io::PipeWriter;
use std::mem;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;

use super::Context;
use super::common::Common;
use crate::config::Config;
use crate::engine::buffer::Buffer;
use crate::engine::minimum_rate::MinimumRate;
use crate::engine::minimum_rate::RateMeter;
use crate::engine::output::Output;
use crate::engine::upload_limit::UploadPermit;
use crate::http1::Refusal;
use crate::http1::body::Decoded;
use crate::http1::body::Decoder;
use crate::http1::encode;
use crate::http1::framing;
use crate::http1::framing::Framing;
use crate::http1::head::Head;
use crate::message::request_body::BodyError;
use crate::net::os::Ready;
use crate::net::stream::Received;
use crate::net::stream::Sent;
use crate::route_table::body_limits::LimitsInForce;

/// How much of a chunked body is read at a time while its handler runs, in bytes. The
/// bytes that are unused when the handler returns have to fit into a worker's buffer.
const INPUT_BYTES: usize = 16 * 1024;

/// A body that has not been read to its end.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) decoder: Decoder,
    pub(super) minimum_rate: RateMeter,
    /// Those of the request's route.
    pub(super) limits: LimitsInForce,
    /// The 100 (Continue) for which the client waits before it sends the body.
    pub(super) interim: Option<Output>,
    /// Input that was read while the handler runs, and is not used yet.
    input: Option<Buffer>,
    pub(super) failed: Option<BodyError>,
    /// Held while the handler may wait for the body.
    pub(super) permit: Option<UploadPermit>,
    /// Set if the handler waits for the socket. The drop ends that wait, when the
    /// connection continues without the body or is closed.
    pub(super) handler_wait: Option<PipeWriter>,
}

/// The result of a handler's read of its request's body.
#[derive(Debug)]
pub(crate) enum Pulled {
    /// The number of bytes read, at least one.
    Bytes(usize),
    /// The end of the body. The first such result has the trailers, if the body has
    /// some.
    End(Option<Box<HeaderMap>>),
    Failed(BodyError),
    /// No byte can be read yet. The socket has to be ready before this deadline.
    Wait(Ready, Instant),
}

impl Incoming {
    /// Returns the body that a head announces; `None` if it announces none.
    pub(super) fn announced(
        head: &Head,
        limits: impl FnOnce() -> LimitsInForce,
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
        let limits = limits();
        let decoder = Decoder::new(framing, limits.bytes_max, config.head_limits())?;
        let interim =
            expects_continue.then(|| Output::new(Vec::new(), Bytes::new(), encode::CONTINUE));
        Ok(Some(Box::new(Self {
            decoder,
            minimum_rate: MinimumRate::new(limits.timeout, config.rate_min).start(now),
            limits,
            interim,
            input: None,
            failed: None,
            permit: None,
            handler_wait: None,
        })))
    }

    /// Reads the next piece into `out`: from the input that was read before the handler
    /// was called, and then from the socket.
    pub(super) fn pull(&mut self, out: &mut [u8], common: &mut Common, now: Instant) -> Pulled {
        if let Some(error) = self.failed {
            return Pulled::Failed(error);
        }
        let mut input = self.input.take().unwrap_or_else(|| take_input(common));
        let pulled = self.pull_from(&mut input, out, common, now);
        self.input = Some(input);
        pulled
    }

    fn pull_from(
        &mut self,
        input: &mut Buffer,
        out: &mut [u8],
        common: &mut Common,
        now: Instant,
    ) -> Pulled {
        if let Some(nothing_yet) = self.send_continue(input, common, now) {
            return nothing_yet;
        }
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
                    0 => input.fill(&common.socket.stream),
                    count => common.socket.stream.read(&mut out[..count]),
                };
                match received {
                    Received::Bytes(count) => {
                        self.minimum_rate.moved(count, now);
                        if direct_bytes > 0 {
                            common.count_received(count);
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
                    common.count_received(used);
                    if count > 0 {
                        return Pulled::Bytes(count);
                    }
                }
                Err(refusal) => return self.fail(BodyError::refused(refusal)),
            }
        }
    }

    /// Sends the 100 (Continue), if the client waits for it and no byte of the body has
    /// arrived (RFC 9110 section 10.1.1). Returns the result of the pull, if the 100
    /// cannot be sent now.
    fn send_continue(
        &mut self,
        input: &Buffer,
        common: &mut Common,
        now: Instant,
    ) -> Option<Pulled> {
        let interim = self.interim.as_mut()?;
        while input.is_empty() && !interim.is_done() {
            match interim.write(&common.socket.stream) {
                Sent::Bytes(count) => common.count_sent(count),
                Sent::Wait => return Some(self.not_yet(Ready::Room, now)),
                Sent::Gone => return Some(self.fail(BodyError::GONE)),
            }
        }
        self.interim = None;
        self.minimum_rate.start_again(now);
        None
    }

    /// Returns [`Pulled::Wait`], or an error if the client has been below the minimum
    /// rate.
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

    /// Moves the input that the handler has not used back to the connection.
    pub(super) fn give_back_input(&mut self, common: &mut Common) {
        if let Some(input) = self.input.take() {
            common.unused_input = input.to_unused();
            common.in_time_bytes = common.in_time_bytes.map(|_| input.in_time_bytes());
        }
    }

    /// Discards the part of the body that the handler has not read. False if the
    /// connection has to be closed after the answer, because that part has not arrived,
    /// is too large, or is invalid.
    pub(super) fn discard(&mut self, common: &mut Common, cx: &mut Context<'_>) -> bool {
        // A client that waits for a 100 (Continue) and gets the answer instead may send
        // the body, or may not.
        if self.interim.is_some() || self.failed.is_some() {
            return false;
        }
        let mut discarded_bytes = 0;
        while !self.decoder.is_done() {
            let before = cx.buffer.unused().len();
            let Ok(Decoded { used, .. }) = self.decoder.decode(cx.buffer.unused()) else {
                return false;
            };
            cx.buffer.consume(used);
            common.count_received(used);
            discarded_bytes += used as u64;
            if discarded_bytes > cx.services.config.discard_bytes_max {
                return false;
            }
            if before == 0 {
                let received = cx.buffer.fill(&common.socket.stream);
                if !matches!(received, Received::Bytes(_)) {
                    return false;
                }
            }
        }
        true
    }
}

/// Moves the unused input of the connection into a buffer.
fn take_input(common: &mut Common) -> Buffer {
    let unused_input = mem::take(&mut common.unused_input);
    let mut input = Buffer::new(INPUT_BYTES.max(unused_input.len()));
    input.load(&unused_input, common.in_time_bytes.unwrap_or(0));
    input
}
