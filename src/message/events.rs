//! Server-sent events: a stream that lasts until the client closes its side.

use std::collections::VecDeque;
use std::fmt;
use std::fmt::Write;
use std::mem;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::header;

use super::body::Body;
use super::body::source::BodyKind;
use super::body::source::Piece;
use super::body::source::PieceSource;
use super::body::source::Waker;
use super::response::IntoResponse;
use super::response::Response;

/// How many bytes may wait for a slow client.
const BACKLOG_BYTES: usize = 64 * 1024;

/// An event of a stream (WHATWG HTML, section 9.2.6).
///
/// ```
/// let event = farewell::Event::data("line 1\nline 2").name("news").id("7");
/// assert_eq!(event.to_string(), "event: news\nid: 7\ndata: line 1\ndata: line 2\n\n");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    text: String,
    data: String,
}

impl Event {
    /// An event with this data. Each line becomes a `data` line of the event.
    pub fn data(data: impl AsRef<str>) -> Self {
        let mut event = Self::default();
        for line in lines(data.as_ref()) {
            event.data.push_str("data: ");
            event.data.push_str(line);
            event.data.push('\n');
        }
        event
    }

    /// A comment, which clients ignore. Send one now and then, so that proxies do not
    /// close the stream as idle.
    pub fn comment(text: impl AsRef<str>) -> Self {
        let mut event = Self::default();
        for line in lines(text.as_ref()) {
            event.text.push_str(": ");
            event.text.push_str(line);
            event.text.push('\n');
        }
        event
    }

    /// Sets the type of the event. The default is `message`. Lines behind the first
    /// are left out.
    #[must_use]
    pub fn name(self, name: impl AsRef<str>) -> Self {
        self.field("event", name.as_ref())
    }

    /// Sets the identifier that the client sends as `Last-Event-ID` when it
    /// reconnects. NUL, and lines behind the first, are left out.
    #[must_use]
    pub fn id(self, id: impl AsRef<str>) -> Self {
        self.field("id", &id.as_ref().replace('\0', ""))
    }

    /// Sets how long the client waits before it reconnects, in whole milliseconds.
    #[must_use]
    pub fn retry(self, after: Duration) -> Self {
        self.field("retry", &after.as_millis().to_string())
    }

    fn field(mut self, name: &str, value: &str) -> Self {
        let value = lines(value).next().unwrap_or_default();
        writeln!(self.text, "{name}: {value}").expect("a write to a String does not fail");
        self
    }
}

/// Splits as clients do: at LF, CR, or CR LF.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let Some(end) = text.find(['\r', '\n']) else {
            return Some(text);
        };
        let behind = &text[end..];
        rest = Some(behind.strip_prefix("\r\n").unwrap_or(&behind[1..]));
        Some(&text[..end])
    })
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}{}", self.text, self.data)
    }
}

/// A stream of server-sent events, which a handler returns.
///
/// An open stream holds no worker and no thread. [`EventSender`]s send events to it
/// from any thread. The stream ends when its last sender is dropped, when the client
/// closes or half-closes the connection, or when the server stops: at the end of the
/// last call ([`Config::last_call`](crate::Config::last_call)) it ends after the
/// events that have been sent. [`EventSender::draining`] says that the drain has
/// begun.
///
/// One thread that feeds many streams can wait for the drain with
/// [`ShutdownHandle::wait_for_timeout`](crate::ShutdownHandle::wait_for_timeout).
///
/// ```
/// use std::thread;
/// # use farewell::{Event, Events, Request};
///
/// fn ticks(_: Request) -> Events {
///     let (sender, events) = Events::new();
///     thread::spawn(move || {
///         let mut count = 0;
///         while sender.send(&Event::data(count.to_string())).is_ok() {
///             count += 1;
///             if sender.wait_draining(std::time::Duration::from_secs(1)) {
///                 break;
///             }
///         }
///     });
///     events
/// }
/// ```
pub struct Events {
    stream: EventSource,
}

/// Sends events to a stream. Clones send to the same stream.
#[derive(Clone)]
pub struct EventSender {
    end: Arc<EndOnDrop>,
}

/// Shared by the senders of a stream. Its drop, with that of the last sender, ends
/// the stream.
struct EndOnDrop {
    pipe: Arc<EventPipe>,
}

#[derive(Default)]
struct EventPipe {
    queue: Mutex<EventQueue>,
    changed: Condvar,
}

#[derive(Default)]
struct EventQueue {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    /// No sender is left, or the last call is over.
    ended: bool,
    /// The connection has ended, or never gets the stream.
    closed: bool,
    draining: bool,
    waker: Option<Waker>,
}

/// Why an event could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The client has closed the connection, or the server has ended the stream.
    Closed,
    /// The client reads too slowly: 64 KiB wait for it. The event is not sent; a later
    /// event may be.
    Full,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "event stream is closed",
            Self::Full => "event stream is full: the client reads too slowly",
        })
    }
}

impl std::error::Error for SendError {}

impl Events {
    /// A stream, and its first sender.
    pub fn new() -> (EventSender, Self) {
        let pipe = Arc::new(EventPipe::default());
        let end = Arc::new(EndOnDrop {
            pipe: Arc::clone(&pipe),
        });
        let stream = EventSource { pipe };
        (EventSender { end }, Self { stream })
    }
}

impl IntoResponse for Events {
    /// A response of type `text/event-stream`, with `Cache-Control: no-store`.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::stream(self.stream));
        let headers = response.headers_mut();
        let event_stream = HeaderValue::from_static("text/event-stream");
        headers.insert(header::CONTENT_TYPE, event_stream);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl EventSender {
    /// Sends an event. Never blocks.
    ///
    /// # Errors
    ///
    /// The stream is closed, or the client reads too slowly.
    pub fn send(&self, event: &Event) -> Result<(), SendError> {
        let mut queue = self.pipe().lock();
        if queue.closed || queue.ended {
            return Err(SendError::Closed);
        }
        let text = event.to_string();
        if queue.bytes > 0 && queue.bytes + text.len() > BACKLOG_BYTES {
            return Err(SendError::Full);
        }
        queue.bytes += text.len();
        queue.pieces.push_back(text.into());
        wake(queue);
        Ok(())
    }

    /// Whether the client has closed the connection, or the server has ended the
    /// stream.
    pub fn is_closed(&self) -> bool {
        let queue = self.pipe().lock();
        queue.closed || queue.ended
    }

    /// Whether the server drains. Until the end of the last call, a final event can
    /// still be sent. The server stops earlier if all senders are dropped then.
    pub fn draining(&self) -> bool {
        self.pipe().lock().draining
    }

    /// Waits until the server drains or the stream is closed, at most for `timeout`.
    /// Returns whether one of the two has happened.
    pub fn wait_draining(&self, timeout: Duration) -> bool {
        let pipe = self.pipe();
        let (queue, _) = pipe
            .changed
            .wait_timeout_while(pipe.lock(), timeout, |queue| {
                !(queue.draining || queue.closed || queue.ended)
            })
            .unwrap_or_else(PoisonError::into_inner);
        queue.draining || queue.closed || queue.ended
    }

    fn pipe(&self) -> &EventPipe {
        &self.end.pipe
    }
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        let mut queue = self.pipe.lock();
        queue.ended = true;
        wake(queue);
    }
}

impl EventPipe {
    fn lock(&self) -> MutexGuard<'_, EventQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the connection. Releases the lock first, because the connection may take it
/// at once.
fn wake(mut queue: MutexGuard<'_, EventQueue>) {
    let waker = queue.waker.take();
    drop(queue);
    if let Some(wake) = waker {
        wake();
    }
}

/// The connection's end of a stream of events.
struct EventSource {
    pipe: Arc<EventPipe>,
}

impl PieceSource for EventSource {
    /// All waiting events, in one piece.
    fn next(&mut self, waker: &Waker) -> Piece {
        let mut queue = self.pipe.lock();
        if !queue.pieces.is_empty() {
            queue.bytes = 0;
            let pieces = mem::take(&mut queue.pieces);
            drop(queue);
            return Piece::Data(match <[Bytes; 1]>::try_from(Vec::from(pieces)) {
                Ok([single]) => single,
                Err(several) => several.concat().into(),
            });
        }
        if queue.ended {
            return Piece::End;
        }
        queue.waker = Some(Arc::clone(waker));
        Piece::NotYet
    }

    fn kind(&self) -> BodyKind {
        BodyKind::Endless
    }

    fn drain(&mut self) {
        self.pipe.lock().draining = true;
        self.pipe.changed.notify_all();
    }

    fn close(&mut self) {
        self.pipe.lock().ended = true;
        self.pipe.changed.notify_all();
    }

    fn end(&mut self) {
        let mut queue = self.pipe.lock();
        queue.closed = true;
        queue.pieces.clear();
        drop(queue);
        self.pipe.changed.notify_all();
    }
}

impl Drop for EventSource {
    /// Closes a stream that no connection ever got.
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events({} bytes waiting)", self.stream.pipe.lock().bytes)
    }
}

impl fmt::Debug for EventSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventSender({} bytes waiting)", self.pipe().lock().bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noop_waker() -> Waker {
        Arc::new(|| {})
    }

    #[test]
    fn no_line_of_the_data_becomes_another_field() {
        let event = Event::data("a\nid: 1\rb\r\n\r\nc")
            .id("x\nretry: 1")
            .name("y\0");
        let lines = "id: x\nevent: y\0\ndata: a\ndata: id: 1\ndata: b\ndata: \ndata: c\n\n";
        assert_eq!(event.to_string(), lines);
        assert_eq!(Event::data("").to_string(), "data: \n\n");
        assert_eq!(Event::comment("still here").to_string(), ": still here\n\n");
        let retry = Event::data("x").retry(Duration::from_secs(2));
        assert_eq!(retry.to_string(), "retry: 2000\ndata: x\n\n");
    }

    #[test]
    fn the_stream_ends_with_its_last_sender() {
        let (sender, mut events) = Events::new();
        let clone = sender.clone();
        sender.send(&Event::data("1")).unwrap();
        clone.send(&Event::data("2")).unwrap();
        drop(sender);
        let next = |events: &mut Events| events.stream.next(&noop_waker());
        assert!(matches!(next(&mut events), Piece::Data(data) if data == "data: 1\n\ndata: 2\n\n"));
        assert!(matches!(next(&mut events), Piece::NotYet));
        drop(clone);
        assert!(matches!(next(&mut events), Piece::End));
    }

    #[test]
    fn a_slow_reader_costs_a_bounded_backlog() {
        let (sender, events) = Events::new();
        let event = Event::data("x".repeat(1000));
        let sent = (0..).take_while(|_| sender.send(&event).is_ok()).count();
        assert_eq!(sender.send(&event), Err(SendError::Full));
        assert!((60..=66).contains(&sent), "{sent}");
        drop(events);
        assert_eq!(sender.send(&event), Err(SendError::Closed));
    }

    #[test]
    fn a_closed_stream_gives_what_was_sent_and_ends() {
        let (sender, mut events) = Events::new();
        sender.send(&Event::data("1")).unwrap();
        events.stream.drain();
        assert!(sender.draining());
        events.stream.close();
        assert_eq!(sender.send(&Event::data("2")), Err(SendError::Closed));
        assert!(matches!(events.stream.next(&noop_waker()), Piece::Data(_)));
        assert!(matches!(events.stream.next(&noop_waker()), Piece::End));
    }
}
