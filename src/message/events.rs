//! Server-sent events: a stream that goes on as long as its reader listens.

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
use super::body::source::Nature;
use super::body::source::Piece;
use super::body::source::Source;
use super::body::source::Waker;
use super::response::IntoResponse;
use super::response::Response;

/// How much may wait for a slow reader, in bytes.
const BACKLOG_BYTES: usize = 64 * 1024;

/// One event of a stream (WHATWG HTML, section 9.2.6).
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
    /// An event with this data; each of its lines becomes one of the event.
    pub fn data(data: impl AsRef<str>) -> Self {
        let mut event = Self::default();
        for line in lines(data.as_ref()) {
            event.data.push_str("data: ");
            event.data.push_str(line);
            event.data.push('\n');
        }
        event
    }

    /// A comment, which readers ignore. One now and then keeps proxies from
    /// taking the stream for dead.
    pub fn comment(text: impl AsRef<str>) -> Self {
        let mut event = Self::default();
        for line in lines(text.as_ref()) {
            event.text.push_str(": ");
            event.text.push_str(line);
            event.text.push('\n');
        }
        event
    }

    /// Its type; `message` if there is none. Only the first line counts.
    #[must_use]
    pub fn name(self, name: impl AsRef<str>) -> Self {
        self.field("event", name.as_ref())
    }

    /// What the reader sends as `Last-Event-ID` when it comes back. Only the
    /// first line counts; NUL is left out.
    #[must_use]
    pub fn id(self, id: impl AsRef<str>) -> Self {
        self.field("id", &id.as_ref().replace('\0', ""))
    }

    /// How long the reader is to wait before it comes back, in whole
    /// milliseconds.
    #[must_use]
    pub fn retry(self, after: Duration) -> Self {
        self.field("retry", &after.as_millis().to_string())
    }

    fn field(mut self, name: &str, value: &str) -> Self {
        let value = lines(value).next().unwrap_or_default();
        writeln!(self.text, "{name}: {value}").expect("a String takes every write");
        self
    }
}

/// As readers split them: by LF, CR, or both.
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

/// A stream of server-sent events, to be returned by a handler.
///
/// It holds no worker, and no thread: [`EventSender`]s feed it from wherever
/// they are. It ends when its last sender is dropped, when its reader leaves
/// (closes or half-closes the connection), or when the server stops: from the
/// start of the drain [`EventSender::draining`] says so, and with the end of
/// the last call ([`Config::last_call`](crate::Config::last_call)) what has
/// been sent by then is the rest.
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
    stream: Stream,
}

/// Feeds a stream of events. Clones feed the same one.
#[derive(Clone)]
pub struct EventSender {
    held: Arc<Held>,
}

/// Whose drop ends the stream: the last of a stream's senders.
struct Held {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    /// No sender is left, or the last call is over.
    ended: bool,
    /// The reader is gone.
    closed: bool,
    draining: bool,
    waker: Option<Waker>,
}

/// Why an event could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The reader is gone, or the server has ended the stream.
    Closed,
    /// The reader does not keep up: 64 KiB wait for it. The event is not sent;
    /// a later one may be.
    Full,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the reader of the events is gone",
            Self::Full => "the reader of the events does not keep up",
        })
    }
}

impl std::error::Error for SendError {}

impl Events {
    /// A stream, and its first sender.
    pub fn new() -> (EventSender, Self) {
        let shared = Arc::new(Shared::default());
        let held = Arc::new(Held {
            shared: Arc::clone(&shared),
        });
        let stream = Stream { shared };
        (EventSender { held }, Self { stream })
    }
}

impl IntoResponse for Events {
    /// `text/event-stream`, not to be stored.
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
    /// Sends an event. Never waits.
    ///
    /// # Errors
    ///
    /// The reader is gone, or does not keep up.
    pub fn send(&self, event: &Event) -> Result<(), SendError> {
        let mut state = self.shared().lock();
        if state.closed || state.ended {
            return Err(SendError::Closed);
        }
        let text = event.to_string();
        if state.bytes > 0 && state.bytes + text.len() > BACKLOG_BYTES {
            return Err(SendError::Full);
        }
        state.bytes += text.len();
        state.pieces.push_back(text.into());
        wake(state);
        Ok(())
    }

    /// Whether the reader is gone, or the server has ended the stream.
    pub fn is_closed(&self) -> bool {
        let state = self.shared().lock();
        state.closed || state.ended
    }

    /// Whether the server drains: until the end of the last call there is time
    /// for a word of goodbye. Whoever drops the sender then lets the server
    /// stop earlier.
    pub fn draining(&self) -> bool {
        self.shared().lock().draining
    }

    /// Waits until the server drains or the stream is closed, for so long at
    /// most. Says whether either is so.
    pub fn wait_draining(&self, timeout: Duration) -> bool {
        let shared = self.shared();
        let (state, _) = shared
            .changed
            .wait_timeout_while(shared.lock(), timeout, |state| {
                !(state.draining || state.closed || state.ended)
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.draining || state.closed || state.ended
    }

    fn shared(&self) -> &Shared {
        &self.held.shared
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.ended = true;
        wake(state);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls the connection, with the lock released: it may come at once.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(wake) = waker {
        wake();
    }
}

/// The connection's end of a stream of events.
struct Stream {
    shared: Arc<Shared>,
}

impl Source for Stream {
    /// All the events that are there, in one piece.
    fn next(&mut self, waker: &Waker) -> Piece {
        let mut state = self.shared.lock();
        if !state.pieces.is_empty() {
            state.bytes = 0;
            let pieces = mem::take(&mut state.pieces);
            drop(state);
            return Piece::Data(match <[Bytes; 1]>::try_from(Vec::from(pieces)) {
                Ok([single]) => single,
                Err(several) => several.concat().into(),
            });
        }
        if state.ended {
            return Piece::End;
        }
        state.waker = Some(Arc::clone(waker));
        Piece::NotYet
    }

    fn nature(&self) -> Nature {
        Nature::Endless
    }

    fn drain(&mut self) {
        self.shared.lock().draining = true;
        self.shared.changed.notify_all();
    }

    fn close(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
    }

    fn end(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.pieces.clear();
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Drop for Stream {
    /// If no connection ever had it.
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Events({} bytes waiting)",
            self.stream.shared.lock().bytes
        )
    }
}

impl fmt::Debug for EventSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "EventSender({} bytes waiting)",
            self.shared().lock().bytes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody() -> Waker {
        Arc::new(|| {})
    }

    #[test]
    fn no_line_of_the_data_can_pass_for_another_field() {
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
        let next = |events: &mut Events| events.stream.next(&nobody());
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
        assert!(matches!(events.stream.next(&nobody()), Piece::Data(_)));
        assert!(matches!(events.stream.next(&nobody()), Piece::End));
    }
}
