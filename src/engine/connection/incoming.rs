//! The body of a request: read beforehand (`Body`), while its handler runs
//! (`Handling`), or discarded because the handler did not want it.

use std::io;
use std::io::PipeReader;
use std::io::PipeWriter;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http::Version;

use super::Asked;
use super::Connection;
use super::Context;
use super::State;
use super::Step;
use crate::config::Config;
use crate::engine::buffer::Buffer;
use crate::engine::output::Output;
use crate::engine::shard::Wait;
use crate::engine::upload_limit::Permit;
use crate::engine::upload_limit::Waiter;
use crate::http::Refusal;
use crate::http::body::Decoded;
use crate::http::body::Decoder;
use crate::http::encode;
use crate::http::framing;
use crate::http::framing::Framing;
use crate::http::head::Head;
use crate::http::persist;
use crate::journal::note;
use crate::net::stream::Received;
use crate::net::stream::Sent;
use crate::net::stream::Stream;
use crate::os::Ready;
use crate::pace::Pace;
use crate::service::request_body::BodyError;

/// The most that is set aside for a body before its bytes are there: a claim
/// of the client's costs nothing.
const BODY_RESERVE_MAX: u64 = 16 * 1024;

/// How much of a chunked body is read at a time while its handler runs. What
/// is left of it afterwards has to fit into a worker's buffer.
const INPUT_BYTES: usize = 16 * 1024;

/// A head, and what has come of its body.
#[derive(Debug)]
pub(super) struct PartialBody {
    head: Head,
    body: Vec<u8>,
    incoming: Box<Incoming>,
    /// While too many others wait for theirs.
    waiter: Option<Waiter>,
    /// When that has taken too long.
    waits_until: Option<Instant>,
}

/// A body that has not ended yet.
#[derive(Debug)]
pub(super) struct Incoming {
    decoder: Decoder,
    pace: Pace,
    /// What the client waits for before it sends the body.
    interim: Option<Output>,
    /// Input read while the handler runs, and not used yet.
    input: Option<Buffer>,
    failed: Option<BodyError>,
    /// While its handler may wait for it.
    permit: Option<Permit>,
    /// A thread may wait for the socket. Dropped to end that: the connection goes
    /// on without the body, or ends.
    watched: Option<PipeWriter>,
}

/// What there is of a body for its handler.
#[derive(Debug)]
pub(crate) enum Pulled {
    /// So many bytes; never none.
    Bytes(usize),
    /// It has ended. With what stood behind it, the first time.
    End(Option<Box<HeaderMap>>),
    Failed(BodyError),
    /// Nothing yet, and until then there is time.
    Wait(Ready, Instant),
}

impl Incoming {
    /// The body that a head announces; `None` if there is none.
    pub(super) fn announced(
        head: &Head,
        config: &Config,
        now: Instant,
    ) -> Result<Option<Box<Self>>, Refusal> {
        let framing = match head.present.framing {
            true => Framing::of(head.version, head.headers())?,
            false => Framing::Length(0),
        };
        let waits = head.present.expect && framing::expects_continue(head.version, head.headers())?;
        if framing == Framing::Length(0) {
            return Ok(None);
        }
        let decoder = Decoder::new(framing, config.body_bytes_max, config.head_limits())?;
        let interim = waits.then(|| Output::new(Vec::new(), Bytes::new(), encode::CONTINUE));
        Ok(Some(Box::new(Self {
            decoder,
            pace: config.body_pace().start(now),
            interim,
            input: None,
            failed: None,
            permit: None,
            watched: None,
        })))
    }

    /// Takes up what was read before the handler began.
    fn take_up(&mut self, leftover: &mut Box<[u8]>, owed: usize) {
        if self.input.is_none() {
            let leftover = std::mem::take(leftover);
            let mut input = Buffer::new(INPUT_BYTES.max(leftover.len()));
            input.load(&leftover, owed);
            self.input = Some(input);
        }
    }

    /// The next piece, into `out`.
    fn pull(&mut self, out: &mut [u8], stream: &Stream, now: Instant) -> Pulled {
        if let Some(nothing_yet) = self.ask(stream, now) {
            return nothing_yet;
        }
        let Some(input) = &mut self.input else {
            unreachable!("taken up before the first pull");
        };
        loop {
            if self.decoder.is_done() {
                self.permit = None;
                self.watched = None;
                return Pulled::End(self.decoder.take_trailers());
            }
            if input.is_empty() {
                // A large piece of a body that has no framing inside needs no
                // copy.
                let direct = match self.decoder.left() {
                    Some(left) if out.len() >= INPUT_BYTES => {
                        usize::try_from(left).map_or(out.len(), |left| left.min(out.len()))
                    }
                    _ => 0,
                };
                let received = match direct {
                    0 => input.fill(stream),
                    count => stream.read(&mut out[..count]),
                };
                match received {
                    Received::Bytes(count) => {
                        self.pace.moved(count, now);
                        if direct > 0 {
                            return match self.decoder.decode(&out[..count]) {
                                Ok(_) => Pulled::Bytes(count),
                                Err(refusal) => self.fail(BodyError::refused(refusal)),
                            };
                        }
                    }
                    Received::Eof | Received::Gone => return self.fail(BodyError::GONE),
                    Received::Wait => return self.wait(Ready::Input, now),
                }
            }
            let room = out.len().min(input.unused().len());
            match self.decoder.decode(&input.unused()[..room]) {
                Ok(Decoded { used, data }) => {
                    let count = data.len();
                    out[..count].copy_from_slice(data);
                    input.use_up(used);
                    if count > 0 {
                        return Pulled::Bytes(count);
                    }
                }
                Err(refusal) => return self.fail(BodyError::refused(refusal)),
            }
        }
    }

    /// Asks for the body, if the client waits for that and none of it has come
    /// (RFC 9110 section 10.1.1). What is in the way, if something is.
    fn ask(&mut self, stream: &Stream, now: Instant) -> Option<Pulled> {
        let interim = self.interim.as_mut()?;
        let begun = self.input.as_ref().is_some_and(|input| !input.is_empty());
        while !begun && !interim.is_done() {
            match interim.write(stream) {
                Sent::Bytes(_) => {}
                Sent::Wait => return Some(self.wait(Ready::Room, now)),
                Sent::Gone => return Some(self.fail(BodyError::GONE)),
            }
        }
        self.interim = None;
        self.pace.start_again(now);
        None
    }

    /// Nothing yet, or too little for too long.
    fn wait(&mut self, ready: Ready, now: Instant) -> Pulled {
        let until = self.pace.wait(now);
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
    /// The head announces a body.
    pub(super) fn take_body(
        &mut self,
        head: Head,
        mut incoming: Box<Incoming>,
        cx: &Context<'_>,
    ) -> Step {
        // RFC 9110 section 10.1.1: a client that does not wait is not asked.
        if !cx.buffer.is_empty() {
            incoming.interim = None;
        }
        let reserve = incoming.decoder.left().unwrap_or(0).min(BODY_RESERVE_MAX);
        self.state = State::Body(Box::new(PartialBody {
            head,
            body: Vec::with_capacity(usize::try_from(reserve).unwrap_or(0)),
            incoming,
            waiter: None,
            waits_until: None,
        }));
        Step::Go
    }

    /// `Body`: reads until it is whole, or enough for its handler to begin;
    /// if the client waits to be asked, that is at once.
    pub(super) fn read_body(&mut self, cx: &mut Context<'_>) -> Step {
        let State::Body(partial) = &mut self.state else {
            unreachable!("called in Body only");
        };
        let PartialBody { body, incoming, .. } = &mut **partial;
        let enough = match incoming.interim {
            Some(_) => 0,
            None => cx.services.config.body_buffer,
        };
        let decoder = &mut incoming.decoder;
        while !decoder.is_done() && body.len() < enough && !cx.buffer.is_empty() {
            match decoder.decode(cx.buffer.unused()) {
                Ok(Decoded { used, data }) => {
                    body.extend_from_slice(data);
                    cx.buffer.use_up(used);
                }
                Err(refusal) => return self.refuse(refusal, cx),
            }
        }
        if decoder.is_done() {
            return self.call_with_body(cx);
        }
        if body.len() >= enough {
            return self.enter_upload(cx);
        }
        match cx.buffer.fill(&self.stream) {
            Received::Bytes(count) => {
                incoming.pace.moved(count, cx.now);
                Step::Go
            }
            Received::Eof | Received::Gone => self.abandon(cx),
            Received::Wait => {
                let until = incoming.pace.wait(cx.now);
                self.await_rest(until, "the body came too slowly", cx)
            }
        }
    }

    /// Enough of the body is here. Its handler may wait for the rest, unless too
    /// many do.
    fn enter_upload(&mut self, cx: &mut Context<'_>) -> Step {
        let waker = self.waker();
        let State::Body(partial) = &mut self.state else {
            unreachable!("called in Body only");
        };
        // Time spent waiting for others is not the client's.
        partial.incoming.pace.start_again(cx.now);
        let limit = &cx.services.upload_limit;
        partial.incoming.permit = limit.acquire(waker, &mut partial.waiter);
        if partial.incoming.permit.is_some() {
            return self.call_with_body(cx);
        }
        let longest = cx.services.config.body_timeout;
        let until = *partial.waits_until.get_or_insert(cx.now + longest);
        match self.stream.look() {
            Received::Gone => self.abandon(cx),
            // With nothing here either, the body will never be whole.
            Received::Eof if cx.buffer.is_empty() => self.abandon(cx),
            _ if cx.now < until && !cx.aborting() => cx.suspend(Wait::Wake, Some(until)),
            _ => {
                if !cx.aborting() {
                    let peer = self.peer;
                    note!(
                        cx.services.journal,
                        Warn,
                        "{peer} is turned away: too many bodies are slow to come"
                    );
                }
                self.turn_away(cx)
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
        let here = Bytes::from(body);
        if incoming.decoder.is_done() {
            let (length, trailers) = (here.len() as u64, incoming.decoder.take_trailers());
            return self.call(head, here, Some(length), trailers, None, cx);
        }
        let left = incoming.decoder.left();
        let length = left.map(|left| left + here.len() as u64);
        self.call(head, here, length, None, Some(incoming), cx)
    }

    /// Whether a part of the body is still to come while the handler runs.
    pub(crate) fn body_follows(&self) -> bool {
        matches!(&self.state, State::Handling(asked) if asked.incoming.is_some())
    }

    /// The next piece of the body, for the handler.
    pub(crate) fn pull_body(&mut self, out: &mut [u8], now: Instant) -> Pulled {
        let State::Handling(asked) = &mut self.state else {
            return Pulled::Failed(BodyError::OVER);
        };
        match &mut asked.incoming {
            None => Pulled::Failed(BodyError::OVER),
            Some(incoming) => match incoming.failed {
                Some(error) => Pulled::Failed(error),
                None => {
                    incoming.take_up(&mut self.leftover, self.owed.unwrap_or(0));
                    incoming.pull(out, &self.stream, now)
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
        if let State::Handling(Asked {
            incoming: Some(incoming),
            ..
        }) = &mut self.state
        {
            incoming.watched = Some(writer);
        }
        Ok(reader)
    }

    /// The socket, for a thread that waits for it.
    pub(crate) fn share_stream(&self) -> Stream {
        self.stream.share()
    }

    /// The handler has returned: what it read ahead is the connection's again.
    pub(super) fn take_back_input(&mut self) {
        let State::Handling(asked) = &mut self.state else {
            return;
        };
        let Some(incoming) = &mut asked.incoming else {
            return;
        };
        incoming.watched = None;
        if let Some(input) = incoming.input.take() {
            self.leftover = input.to_leftover();
            self.owed = self.owed.map(|_| input.owed());
        }
    }

    /// The handler may not have read the whole body. Says whether the
    /// connection can go on: the rest is here, and little enough to discard.
    pub(super) fn discard_body(
        &self,
        incoming: Option<Box<Incoming>>,
        cx: &mut Context<'_>,
    ) -> bool {
        let Some(mut incoming) = incoming else {
            return true;
        };
        // One that waits to be asked may send it or not, once it has its answer.
        if incoming.interim.is_some() || incoming.failed.is_some() {
            return false;
        }
        let mut discarded = 0;
        while !incoming.decoder.is_done() {
            let before = cx.buffer.unused().len();
            let Ok(Decoded { used, .. }) = incoming.decoder.decode(cx.buffer.unused()) else {
                return false;
            };
            cx.buffer.use_up(used);
            discarded += used as u64;
            if discarded > cx.services.config.discard_bytes_max {
                return false;
            }
            if before == 0 && !matches!(cx.buffer.fill(&self.stream), Received::Bytes(_)) {
                return false;
            }
        }
        true
    }
}

/// Whether the client is willing to change the protocol
/// (RFC 9110 section 7.8).
pub(super) fn asks_for_upgrade(head: &Head) -> bool {
    head.present.upgrade
        && head.version == Version::HTTP_11
        && persist::has_token(head.headers(), "upgrade")
}
