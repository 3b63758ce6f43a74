//! Serves the same stream with hyper, in memory and without a runtime. Every read and
//! every write is ready at once, so a number of polls suffices.

use std::cell::RefCell;
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use farewell::fuzzing::HandledRequest;
use hyper::Request;
use hyper::Response;
use hyper::body::Body;
use hyper::body::Bytes;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::body::SizeHint;
use hyper::rt::Read;
use hyper::rt::ReadBufCursor;
use hyper::rt::Write;
use hyper::server::conn::http1;
use hyper::service::service_fn;

/// The largest number of polls of a connection. After each poll that does not end the
/// connection, hyper has asked for another one.
const POLLS_MAX: usize = 10_000;

/// What hyper found in the stream.
pub struct Second {
    /// The complete requests, in order.
    pub exchanges: Vec<HandledRequest>,
    pub end: End,
}

/// How the connection ended.
pub enum End {
    /// At the end of the stream, or after a last response.
    Closed,
    /// At bytes that are not a request. Why.
    Refused(String),
}

pub fn serve(stream: &[u8]) -> Second {
    let exchanges = Rc::new(RefCell::new(Vec::new()));
    let refused = Rc::new(RefCell::new(None));
    let service = service_fn(|mut request: Request<Incoming>| {
        let (exchanges, refused) = (Rc::clone(&exchanges), Rc::clone(&refused));
        async move {
            match read_body(request.body_mut()).await {
                Ok(body) => exchanges.borrow_mut().push(HandledRequest::new(
                    request.method(),
                    request.uri(),
                    request.headers(),
                    body,
                )),
                Err(error) => *refused.borrow_mut() = Some(format!("body: {error:?}")),
            }
            Ok::<_, Infallible>(Response::new(Short(Some(Bytes::from_static(b"ok")))))
        }
    });
    let socket = Memory {
        rest: stream.to_vec().into(),
        position: 0,
    };
    let mut connection = pin!(
        http1::Builder::new()
            .half_close(true)
            .header_read_timeout(None)
            .serve_connection(socket, service)
    );
    let mut context = Context::from_waker(Waker::noop());
    let mut polls = 0;
    let ended = loop {
        polls += 1;
        assert!(polls < POLLS_MAX, "hyper waits for something");
        if let Poll::Ready(ended) = connection.as_mut().poll(&mut context) {
            break ended;
        }
    };
    let problem = ended.err().map(|error| match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    });
    let end = match refused.take().or(problem) {
        Some(why) => End::Refused(why),
        None => End::Closed,
    };
    Second {
        exchanges: exchanges.take(),
        end,
    }
}

async fn read_body(body: &mut Incoming) -> Result<Vec<u8>, hyper::Error> {
    let mut whole = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
        if let Ok(data) = frame?.into_data() {
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole)
}

/// A body of one piece.
struct Short(Option<Bytes>);

impl Body for Short {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, Bytes::len) as u64)
    }
}

/// A socket with the whole stream in it, and room for every answer.
struct Memory {
    rest: Box<[u8]>,
    position: usize,
}

impl Read for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.rest[self.position..];
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        self.position += count;
        Poll::Ready(Ok(()))
    }
}

impl Write for Memory {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
