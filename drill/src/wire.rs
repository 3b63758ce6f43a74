//! Where an answer ends: bytes in, values out.
//!
//! RFC 9112 section 6.3, for the requests that the drill sends: none of them is
//! a HEAD or a CONNECT. The parser is the drill's own and a strict one, so that
//! it shares no mistake with a server's. A body whose end is the end of the
//! connection cannot be told complete: a FIN counts as its end.

/// An answer's head may be as large as this.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A line among chunks may be as long as this.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// A final answer, complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Whether the connection stays for further requests, by RFC 9112 section
    /// 9.3. If not, the server has said so: requests that were sent after this
    /// one were not processed.
    pub(super) persists: bool,
}

/// What cannot be an answer, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// Reads one answer.
///
/// ```text
/// Head --1xx--> Head
///   +--> Sized ------------------------------------------> complete
///   +--> ChunkSize --> ChunkData --> ChunkEnd --> ChunkSize
///   |        +--0--> Trailers ---------------------------> complete
///   +--> UntilClose --FIN--------------------------------> complete
/// ```
#[derive(Debug)]
pub(super) struct Reader {
    state: State,
    /// Of the head, once it is read.
    answer: Option<Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Sized { left: u64 },
    ChunkSize,
    ChunkData { left: u64 },
    ChunkEnd,
    Trailers,
    UntilClose,
    Complete,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            state: State::Head,
            answer: None,
        }
    }

    /// Takes this answer's bytes from the front of the buffer, as far as they
    /// are there. What follows the answer is left in it.
    pub(super) fn advance(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Answer>, Malformed> {
        loop {
            let before = (self.state, buffer.len());
            match self.state {
                State::Head => self.head(buffer)?,
                State::Sized { left } => {
                    let left = left - take(buffer, left);
                    self.state = match left {
                        0 => State::Complete,
                        left => State::Sized { left },
                    };
                }
                State::ChunkSize => self.chunk_size(buffer)?,
                State::ChunkData { left } => {
                    let left = left - take(buffer, left);
                    self.state = match left {
                        0 => State::ChunkEnd,
                        left => State::ChunkData { left },
                    };
                }
                State::ChunkEnd => match line(buffer)? {
                    Some(line) if !line.is_empty() => {
                        return Err(Malformed("a chunk is longer than it says"));
                    }
                    Some(_) => self.state = State::ChunkSize,
                    None if buffer.iter().zip(b"\r\n").any(|(is, ought)| is != ought) => {
                        return Err(Malformed("a chunk is longer than it says"));
                    }
                    None => {}
                },
                State::Trailers => match line(buffer)? {
                    Some(line) if line.is_empty() => self.state = State::Complete,
                    Some(line) => _ = field(&line)?,
                    None => {}
                },
                State::UntilClose => buffer.clear(),
                State::Complete => return Ok(self.answer),
            }
            if (self.state, buffer.len()) == before || self.state == State::UntilClose {
                return Ok(None);
            }
        }
    }

    /// Whether bytes of a final answer are there: the connection's end now
    /// would truncate it.
    pub(super) fn has_begun(&self, buffer: &[u8]) -> bool {
        self.state != State::Head || !buffer.is_empty()
    }

    /// The answer, if the connection's orderly end completes it.
    pub(super) fn at_eof(&self) -> Option<Answer> {
        self.answer.filter(|_| self.state == State::UntilClose)
    }

    fn head(&mut self, buffer: &mut Vec<u8>) -> Result<(), Malformed> {
        let end = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let Some(end) = end else {
            if buffer.len() > HEAD_BYTES_MAX {
                return Err(Malformed("its head is too large"));
            }
            return Ok(());
        };
        let head = Head::parse(&buffer[..end])?;
        buffer.drain(..end + 4);
        if head.status == 101 {
            return Err(Malformed("it switches protocols, unasked"));
        }
        if head.status >= 200 {
            self.state = head.body()?;
            self.answer = Some(Answer {
                status: head.status,
                persists: head.persists() && self.state != State::UntilClose,
            });
        }
        Ok(())
    }

    fn chunk_size(&mut self, buffer: &mut Vec<u8>) -> Result<(), Malformed> {
        let Some(line) = line(buffer)? else {
            return Ok(());
        };
        let digits = line
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let rest = line[digits..].trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(b";") {
            return Err(Malformed("a chunk's size is no number"));
        }
        let size = std::str::from_utf8(&line[..digits]).ok();
        self.state = match size.and_then(|size| u64::from_str_radix(size, 16).ok()) {
            Some(0) => State::Trailers,
            Some(left) => State::ChunkData { left },
            None => return Err(Malformed("a chunk's size is no number")),
        };
        Ok(())
    }
}

/// What a head says about framing.
#[derive(Debug, Default)]
struct Head {
    minor_version: u8,
    status: u16,
    content_length: Option<u64>,
    /// The transfer codings, in order, in lower case.
    codings: Vec<String>,
    close: bool,
    keep_alive: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split("\r\n");
        let mut head = Self::default();
        head.status_line(lines.next().unwrap_or_default())?;
        for line in lines {
            let (name, value) = field(line.as_bytes())?;
            head.field(&name, &value)?;
        }
        Ok(head)
    }

    fn status_line(&mut self, line: &str) -> Result<(), Malformed> {
        const WRONG: Malformed = Malformed("it begins with no status line");

        let rest = line.strip_prefix("HTTP/1.").ok_or(WRONG)?;
        let (version, rest) = rest.split_once(' ').ok_or(WRONG)?;
        let status = rest.split(' ').next().unwrap_or_default();
        self.minor_version = match version {
            "0" => 0,
            "1" => 1,
            _ => return Err(WRONG),
        };
        let is_number = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
        self.status = status.parse().map_err(|_| WRONG)?;
        if !is_number || self.status < 100 || line.bytes().any(is_control) {
            return Err(WRONG);
        }
        Ok(())
    }

    fn field(&mut self, name: &str, value: &str) -> Result<(), Malformed> {
        let items = value
            .split(',')
            .map(|item| item.trim().to_ascii_lowercase());
        match name {
            "content-length" => {
                for item in items {
                    let digits = !item.is_empty() && item.bytes().all(|byte| byte.is_ascii_digit());
                    let length = item.parse().ok().filter(|_| digits);
                    let length = length.ok_or(Malformed("its length is no number"))?;
                    if self.content_length.is_some_and(|other| other != length) {
                        return Err(Malformed("it has two lengths"));
                    }
                    self.content_length = Some(length);
                }
            }
            "transfer-encoding" => self.codings.extend(items.filter(|item| !item.is_empty())),
            "connection" => {
                for item in items {
                    self.close |= item == "close";
                    self.keep_alive |= item == "keep-alive";
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// How the body that follows is read.
    fn body(&self) -> Result<State, Malformed> {
        if matches!(self.status, 204 | 304) {
            return Ok(State::Complete);
        }
        if self.codings.iter().any(|coding| coding == "chunked") {
            if self.minor_version == 0 {
                return Err(Malformed("it is chunked in HTTP/1.0"));
            }
            let last = self.codings.iter().position(|coding| coding == "chunked");
            return match last {
                Some(place) if place + 1 == self.codings.len() => Ok(State::ChunkSize),
                _ => Err(Malformed("it is chunked before another coding")),
            };
        }
        match self.content_length {
            _ if !self.codings.is_empty() => Ok(State::UntilClose),
            Some(0) => Ok(State::Complete),
            Some(left) => Ok(State::Sized { left }),
            None => Ok(State::UntilClose),
        }
    }

    fn persists(&self) -> bool {
        !self.close && (self.minor_version == 1 || self.keep_alive)
    }
}

/// Takes at most so many bytes from the front.
fn take(buffer: &mut Vec<u8>, count: u64) -> u64 {
    let taken = usize::try_from(count)
        .unwrap_or(usize::MAX)
        .min(buffer.len());
    buffer.drain(..taken);
    taken as u64
}

/// Takes a line from the front, without its end.
fn line(buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Malformed> {
    let Some(end) = buffer.windows(2).position(|bytes| bytes == b"\r\n") else {
        if buffer.len() > LINE_BYTES_MAX {
            return Err(Malformed("a line among its chunks is too long"));
        }
        return Ok(None);
    };
    let line = buffer[..end].to_vec();
    buffer.drain(..end + 2);
    Ok(Some(line))
}

/// A field's name, in lower case, and its value.
fn field(line: &[u8]) -> Result<(String, String), Malformed> {
    const WRONG: Malformed = Malformed("a line of its head is no field");

    let line = String::from_utf8_lossy(line);
    let (name, value) = line.split_once(':').ok_or(WRONG)?;
    let is_token = |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) || value.bytes().any(is_control) {
        return Err(WRONG);
    }
    Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
}

/// A bare CR or LF, say, which some would take for the end of a line.
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

#[cfg(test)]
mod tests;
