//! Parses responses: bytes in, values out.
//!
//! It follows RFC 9112 section 6.3 for requests other than HEAD and CONNECT,
//! which the drill does not send. It is strict, and it shares no code with a
//! server. If the end of the connection ends a body, a FIN counts as a complete
//! response: the client has no other sign of it.

/// Largest head of a response.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Longest line in a chunked body.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// A complete final response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    /// Whether the connection persists, by RFC 9112 section 9.3. If it does
    /// not, the server did not process requests that were sent after this one.
    pub(super) persists: bool,
}

/// Why bytes are not a valid response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// Reads one response.
///
/// ```text
/// Head --1xx--> Head
///   +--> Sized ------------------------------------------> complete
///   +--> ChunkSize --> ChunkData --> ChunkEnd --> ChunkSize
///   |        +--0--> Trailers ---------------------------> complete
///   +--> UntilClose --FIN--------------------------------> complete
/// ```
#[derive(Debug)]
pub(super) struct ResponseReader {
    part: Part,
    /// Known once the head is complete.
    response: Option<Response>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Head,
    Sized { left: u64 },
    ChunkSize,
    ChunkData { left: u64 },
    ChunkEnd,
    Trailers,
    UntilClose,
    Complete,
}

impl ResponseReader {
    pub(super) fn new() -> Self {
        Self {
            part: Part::Head,
            response: None,
        }
    }

    /// Takes the bytes of this response from the front of the buffer, as far as
    /// they have come. Later bytes stay in the buffer.
    pub(super) fn advance(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Response>, Malformed> {
        loop {
            let before = (self.part, buffer.len());
            match self.part {
                Part::Head => self.head(buffer)?,
                Part::Sized { left } => {
                    let left = left - take(buffer, left);
                    self.part = match left {
                        0 => Part::Complete,
                        left => Part::Sized { left },
                    };
                }
                Part::ChunkSize => self.chunk_size(buffer)?,
                Part::ChunkData { left } => {
                    let left = left - take(buffer, left);
                    self.part = match left {
                        0 => Part::ChunkEnd,
                        left => Part::ChunkData { left },
                    };
                }
                Part::ChunkEnd => match line(buffer)? {
                    Some(line) if !line.is_empty() => {
                        return Err(Malformed("a chunk is longer than its size line says"));
                    }
                    Some(_) => self.part = Part::ChunkSize,
                    None if buffer.iter().zip(b"\r\n").any(|(is, ought)| is != ought) => {
                        return Err(Malformed("a chunk is longer than its size line says"));
                    }
                    None => {}
                },
                Part::Trailers => match line(buffer)? {
                    Some(line) if line.is_empty() => self.part = Part::Complete,
                    Some(line) => _ = field(&line)?,
                    None => {}
                },
                Part::UntilClose => buffer.clear(),
                Part::Complete => return Ok(self.response),
            }
            if (self.part, buffer.len()) == before || self.part == Part::UntilClose {
                return Ok(None);
            }
        }
    }

    /// Whether bytes of a final response have come, so that the end of the
    /// connection would truncate it.
    pub(super) fn has_begun(&self, buffer: &[u8]) -> bool {
        self.part != Part::Head || !buffer.is_empty()
    }

    /// The response, if an orderly end of the connection completes it.
    pub(super) fn at_eof(&self) -> Option<Response> {
        self.response.filter(|_| self.part == Part::UntilClose)
    }

    fn head(&mut self, buffer: &mut Vec<u8>) -> Result<(), Malformed> {
        let end = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let Some(end) = end else {
            if buffer.len() > HEAD_BYTES_MAX {
                return Err(Malformed("the head is too large"));
            }
            return Ok(());
        };
        let head = Head::parse(&buffer[..end])?;
        buffer.drain(..end + 4);
        if head.status == 101 {
            return Err(Malformed(
                "status 101 without a request to switch protocols",
            ));
        }
        if head.status >= 200 {
            self.part = head.body()?;
            self.response = Some(Response {
                status: head.status,
                persists: head.persists() && self.part != Part::UntilClose,
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
            return Err(Malformed("a chunk size is not a number"));
        }
        let size = std::str::from_utf8(&line[..digits]).ok();
        self.part = match size.and_then(|size| u64::from_str_radix(size, 16).ok()) {
            Some(0) => Part::Trailers,
            Some(left) => Part::ChunkData { left },
            None => return Err(Malformed("a chunk size is not a number")),
        };
        Ok(())
    }
}

/// The fields of a head that determine the framing.
#[derive(Debug, Default)]
struct Head {
    minor_version: u8,
    status: u16,
    content_length: Option<u64>,
    /// The transfer codings, in order and in lower case.
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
        const WRONG: Malformed = Malformed("the first line is not a status line");

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
                    let length = length.ok_or(Malformed("Content-Length is not a number"))?;
                    if self.content_length.is_some_and(|other| other != length) {
                        return Err(Malformed("Content-Length has two different values"));
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

    /// The part that follows the head.
    fn body(&self) -> Result<Part, Malformed> {
        if matches!(self.status, 204 | 304) {
            return Ok(Part::Complete);
        }
        if self.codings.iter().any(|coding| coding == "chunked") {
            if self.minor_version == 0 {
                return Err(Malformed("Transfer-Encoding is not allowed in HTTP/1.0"));
            }
            let last = self.codings.iter().position(|coding| coding == "chunked");
            return match last {
                Some(place) if place + 1 == self.codings.len() => Ok(Part::ChunkSize),
                _ => Err(Malformed("chunked is not the last transfer coding")),
            };
        }
        match self.content_length {
            _ if !self.codings.is_empty() => Ok(Part::UntilClose),
            Some(0) => Ok(Part::Complete),
            Some(left) => Ok(Part::Sized { left }),
            None => Ok(Part::UntilClose),
        }
    }

    fn persists(&self) -> bool {
        !self.close && (self.minor_version == 1 || self.keep_alive)
    }
}

/// Removes up to `count` bytes from the front.
fn take(buffer: &mut Vec<u8>, count: u64) -> u64 {
    let taken = usize::try_from(count)
        .unwrap_or(usize::MAX)
        .min(buffer.len());
    buffer.drain(..taken);
    taken as u64
}

/// Removes a line from the front and returns it without its CRLF.
fn line(buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Malformed> {
    let Some(end) = buffer.windows(2).position(|bytes| bytes == b"\r\n") else {
        if buffer.len() > LINE_BYTES_MAX {
            return Err(Malformed("a line of the chunked body is too long"));
        }
        return Ok(None);
    };
    let line = buffer[..end].to_vec();
    buffer.drain(..end + 2);
    Ok(Some(line))
}

/// The name of a field, in lower case, and its value.
fn field(line: &[u8]) -> Result<(String, String), Malformed> {
    const WRONG: Malformed = Malformed("a line is not a header field");

    let line = String::from_utf8_lossy(line);
    let (name, value) = line.split_once(':').ok_or(WRONG)?;
    let is_token = |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) || value.bytes().any(is_control) {
        return Err(WRONG);
    }
    Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
}

/// Control characters are not valid in a field. Some parsers take a bare CR or
/// LF for the end of a line.
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

#[cfg(test)]
mod tests;
