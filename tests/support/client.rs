//! A client that shares no code with the server. It sends literal bytes, and has a small
//! parser of its own for responses.

use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::net::ToSocketAddrs;
use std::time::Duration;

/// Turns a hang into a failure. No test that passes waits so long.
const TOO_LONG: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    unused: Vec<u8>,
    /// How the connection ended, once it has.
    end: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The header lines in lower case, without the status line.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn has(&self, line: &str) -> bool {
        self.head.lines().any(|found| found == line)
    }

    /// The value of a field, in lower case; empty if there is none.
    #[allow(dead_code, reason = "not every test binary reads fields")]
    pub(crate) fn field(&self, name: &str) -> &str {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut values = fields.filter(|(found, _)| *found == name);
        values.next().map_or("", |(_, value)| value)
    }

    pub(crate) fn closes(&self) -> bool {
        self.has("connection: close")
    }
}

/// How a response was lost.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// No byte of it arrived.
    Lost,
    /// The connection ended in the middle of it.
    Truncated,
}

impl Client {
    pub(crate) fn connect(address: impl ToSocketAddrs) -> Self {
        Self::try_connect(address).expect("the server listens")
    }

    pub(crate) fn try_connect(address: impl ToSocketAddrs) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Self::over(stream)
    }

    /// A client of a unix socket.
    #[cfg(unix)]
    pub(crate) fn try_connect_unix(path: impl AsRef<std::path::Path>) -> io::Result<Self> {
        let stream = std::os::unix::net::UnixStream::connect(path)?;
        // The calls that read, write and close are the same.
        Self::over(std::os::fd::OwnedFd::from(stream).into())
    }

    pub(crate) fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(TOO_LONG))?;
        stream.set_write_timeout(Some(TOO_LONG))?;
        Ok(Self {
            stream,
            unused: Vec::new(),
            end: None,
        })
    }

    /// A second handle of the connection, to send while this one reads.
    pub(crate) fn try_clone(&self) -> Self {
        Self {
            stream: self.stream.try_clone().unwrap(),
            unused: Vec::new(),
            end: None,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the server reads");
    }

    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends a plain GET, and leaves the connection open.
    pub(crate) fn request(&mut self, path: &str) {
        self.send(get(path));
    }

    /// Waits until there are bytes to read, without reading them.
    pub(crate) fn wait_readable(&self) {
        self.stream.peek(&mut [0]).expect("bytes to read");
    }

    /// Sends a plain GET, and reads its response.
    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.request(path);
        self.response()
    }

    pub(crate) fn response(&mut self) -> Response {
        self.whole_response(false)
    }

    /// Reads the response to a HEAD. It has no body, whatever its header fields say.
    pub(crate) fn head_response(&mut self) -> Response {
        self.whole_response(true)
    }

    fn whole_response(&mut self, to_head: bool) -> Response {
        let response = self.try_response(to_head);
        response.unwrap_or_else(|loss| {
            let (here, end) = (self.stream.local_addr(), &self.end);
            panic!("no complete response at {here:?}: {loss:?}, {end:?}")
        })
    }

    pub(crate) fn try_response(&mut self, to_head: bool) -> Result<Response, Loss> {
        let head = self.try_head()?;
        let (status_line, head) = head.split_once("\r\n").unwrap();
        let status = status_line.strip_prefix("http/1.1 ").unwrap()[..3]
            .parse()
            .unwrap();
        let value = |name: &str| {
            head.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let body = if to_head || status == 204 || status == 304 {
            Vec::new()
        } else if let Some(length) = value("content-length") {
            self.exactly(length.parse().unwrap())?
        } else if value("transfer-encoding") == Some("chunked") {
            self.chunks()?
        } else {
            while self.read_more() {}
            std::mem::take(&mut self.unused)
        };
        let body = String::from_utf8(body).unwrap();
        Ok(Response {
            status,
            head: head.to_owned(),
            body,
        })
    }

    /// Reads one chunk of a chunked body. The chunk is empty at the end of the body.
    pub(crate) fn chunk(&mut self) -> Result<Vec<u8>, Loss> {
        let size = loop {
            if let Some(at) = find(&self.unused, b"\r\n") {
                let line: Vec<u8> = self.unused.drain(..at + 2).collect();
                let line = std::str::from_utf8(&line[..at]).unwrap();
                break usize::from_str_radix(line, 16).unwrap();
            }
            if !self.read_more() {
                return Err(Loss::Truncated);
            }
        };
        let chunk = self.exactly(size)?;
        assert_eq!(self.exactly(2)?, b"\r\n");
        Ok(chunk)
    }

    /// Reads the head of a response. [`chunk`](Self::chunk) can read its body.
    pub(crate) fn head(&mut self) -> String {
        self.try_head().expect("a response")
    }

    pub(crate) fn try_head(&mut self) -> Result<String, Loss> {
        loop {
            if let Some(at) = find(&self.unused, b"\r\n\r\n") {
                let head: Vec<u8> = self.unused.drain(..at + 4).collect();
                return Ok(String::from_utf8(head).unwrap().to_ascii_lowercase());
            }
            if !self.read_more() {
                let nothing = self.unused.is_empty();
                return Err(if nothing { Loss::Lost } else { Loss::Truncated });
            }
        }
    }

    /// Reads so many bytes of any protocol.
    pub(crate) fn raw(&mut self, count: usize) -> Vec<u8> {
        self.try_raw(count).expect("so many bytes")
    }

    pub(crate) fn try_raw(&mut self, count: usize) -> Result<Vec<u8>, Loss> {
        self.exactly(count)
    }

    /// Expects that the server closes its side, without a reset and without another byte.
    pub(crate) fn expect_eof(&mut self) {
        assert!(self.unused.is_empty(), "unexpected: {:?}", self.unused);
        let mut byte = [0];
        let read = self.stream.read(&mut byte);
        assert_eq!(read.unwrap(), 0, "unexpected: {byte:?}");
    }

    /// Expects that the server closes or resets the connection. Ignores the bytes before.
    pub(crate) fn expect_end(&mut self) {
        while self.read_more() {}
    }

    /// Expects that the server resets the connection. Ignores the bytes before.
    pub(crate) fn expect_reset(&mut self) {
        while self.read_more() {}
        let end = self.end.as_deref().unwrap_or_default();
        assert!(end.contains("reset"), "not reset: {end}, {:?}", self.unused);
    }

    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    fn chunks(&mut self) -> Result<Vec<u8>, Loss> {
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Ok(body);
            }
            body.extend(chunk);
        }
    }

    fn exactly(&mut self, count: usize) -> Result<Vec<u8>, Loss> {
        while self.unused.len() < count {
            if !self.read_more() {
                return Err(Loss::Truncated);
            }
        }
        Ok(self.unused.drain(..count).collect())
    }

    /// Reads once. Returns `false` at the end of the connection, however it ended.
    fn read_more(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.end = Some("EOF".to_owned());
                    return false;
                }
                Ok(count) => {
                    self.unused.extend_from_slice(&buffer[..count]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    let hung = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                    assert!(!hung, "the server is silent; so far: {:?}", self.unused);
                    self.end = Some(error.to_string());
                    return false;
                }
            }
        }
    }
}

/// The bytes of a plain GET.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
