//! Uploads of web pages: `multipart/form-data` (RFC 7578), with the feature `multipart`.

mod head;
mod parameters;
mod scanner;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::io::Read;
use std::mem;

use bytes::Bytes;
use http::HeaderMap;
use http::StatusCode;
use http::header;

use self::head::NoBoundary;
use self::head::PartHead;
use self::scanner::After;
use self::scanner::Scanner;
use super::rejection::Rejection;
use super::request::Request;
use super::request_body::RequestBody;
use crate::escaped::Escaped;

/// The limits of a multipart body. The whole body is limited as any body, by
/// [`Config::body_bytes_max`](crate::Config::body_bytes_max) (2 MiB). What exceeds a
/// limit is refused with a 413 that says which.
///
/// ```
/// use farewell::MultipartLimits;
///
/// let mut limits = MultipartLimits::default();
/// limits.part_bytes_max = 10 << 20;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MultipartLimits {
    /// The most parts. Default: 64.
    pub parts_max: usize,
    /// The most bytes of the head of a part, with its line ends. A buffer has this size.
    /// A head has at most 32 fields. Default: 8 KiB.
    pub head_bytes_max: usize,
    /// The most bytes of a part, also of one that is not read. Default: `u64::MAX`, as
    /// many as the body may have.
    pub part_bytes_max: u64,
    /// The most bytes that [`Part::bytes`] and [`Part::text`] take into memory. Default:
    /// 64 KiB.
    pub text_bytes_max: usize,
}

impl Default for MultipartLimits {
    fn default() -> Self {
        Self {
            parts_max: 64,
            head_bytes_max: 8 * 1024,
            part_bytes_max: u64::MAX,
            text_bytes_max: 64 * 1024,
        }
    }
}

impl Request {
    /// Takes the body, to read it as the parts of a `multipart/form-data` (RFC 7578):
    /// what a web page sends for a form with files. Needs the feature `multipart`.
    ///
    /// # Errors
    ///
    /// 415: the `Content-Type` is another one, is missing, or has no boundary. 400: it is
    /// repeated, or its boundary is invalid. Nothing of the body is read then.
    ///
    /// ```
    /// use farewell::{MultipartLimits, Rejection, Request};
    ///
    /// fn upload(mut request: Request) -> Result<String, Rejection> {
    ///     let mut form = request.multipart(MultipartLimits::default())?;
    ///     let (mut comment, mut bytes) = (String::new(), 0);
    ///     while let Some(mut part) = form.next_part()? {
    ///         match part.name() {
    ///             "comment" => comment = part.text()?,
    ///             "file" => bytes += std::io::copy(&mut part, &mut std::io::sink())?,
    ///             _ => {} // the next call of `next_part` skips it
    ///         }
    ///     }
    ///     Ok(format!("{bytes} bytes: {comment}\n"))
    /// }
    /// # let _ = farewell::Router::new().post("/upload", upload);
    /// ```
    pub fn multipart(&mut self, limits: MultipartLimits) -> Result<Multipart, Rejection> {
        let content_type: Option<String> = self.header(header::CONTENT_TYPE)?;
        let boundary = head::boundary(&content_type.unwrap_or_default());
        let boundary = boundary.map_err(|problem| match problem {
            NoBoundary::Missing => Rejection::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "expected Content-Type: multipart/form-data, with a boundary",
            ),
            NoBoundary::Invalid => scanner::malformed("its boundary is not valid"),
        })?;
        let body = mem::replace(
            self.body_mut(),
            RequestBody::new(Bytes::new(), Some(0), None),
        );
        Ok(Multipart {
            scanner: Scanner::new(body, &boundary, limits.head_bytes_max),
            limits,
            parts: 0,
            part_bytes: 0,
            position: Position::Data,
        })
    }
}

/// The parts of a `multipart/form-data`, one after the other. Made by
/// [`Request::multipart`].
///
/// A part is read as it arrives, through a buffer of 32 KiB, so that a file of any size
/// can be written where it belongs. Parts come in the order of the body; a browser sends
/// the fields of a form in the order of its page.
///
/// The parser is strict, so that another one before the server reads the same parts: lines
/// end with CRLF, nothing follows a boundary on its line, each part has one
/// `Content-Disposition: form-data` with a name, and no parameter that is used is
/// repeated. Text before the first boundary and after the last is ignored.
pub struct Multipart {
    scanner: Scanner<RequestBody>,
    limits: MultipartLimits,
    parts: usize,
    /// The bytes of the current part that have been taken.
    part_bytes: u64,
    position: Position,
}

/// ```text
///  Data (the preamble) --> Data (of a part) --> ... --> End
///    |                       |
///    +-------> Failed <------+
/// ```
enum Position {
    /// In the data of a part, or in the preamble if there was no part.
    Data,
    /// Behind the closing boundary.
    End,
    Failed(Rejection),
}

impl Multipart {
    /// The next part; `None` after the last. What is left of the part before is skipped.
    ///
    /// # Errors
    ///
    /// A [`Rejection`], which a handler can return as its response. Every further call
    /// returns it again.
    ///
    /// - 400: the body is malformed, a part has no name or a name that is not UTF-8, or
    ///   the body ends before its closing boundary.
    /// - 413: a limit is exceeded.
    /// - Those of [`Request::bytes`].
    pub fn next_part(&mut self) -> Result<Option<Part<'_>>, Rejection> {
        let head = self.advance();
        let head = head.inspect_err(|rejection| self.fail(rejection))?;
        Ok(head.map(|head| Part {
            multipart: self,
            head,
        }))
    }

    /// The next part with this name; `None` if no further part has it. The parts before it
    /// are skipped, and cannot be read any more.
    ///
    /// # Errors
    ///
    /// Those of [`next_part`](Self::next_part), also for a part that is skipped.
    ///
    /// ```
    /// use farewell::{MultipartLimits, Rejection, Request};
    ///
    /// fn upload(mut request: Request) -> Result<String, Rejection> {
    ///     let mut form = request.multipart(MultipartLimits::default())?;
    ///     let mut bytes = 0;
    ///     while let Some(mut file) = form.next_part_named("file")? {
    ///         bytes += std::io::copy(&mut file, &mut std::io::sink())?;
    ///     }
    ///     Ok(format!("{bytes} bytes\n"))
    /// }
    /// # let _ = farewell::Router::new().post("/upload", upload);
    /// ```
    pub fn next_part_named(&mut self, name: &str) -> Result<Option<Part<'_>>, Rejection> {
        loop {
            let head = self.advance();
            let head = head.inspect_err(|rejection| self.fail(rejection))?;
            let Some(head) = head else {
                return Ok(None);
            };
            if head.name == name {
                let multipart = self;
                return Ok(Some(Part { multipart, head }));
            }
        }
    }

    fn advance(&mut self) -> Result<Option<PartHead>, Rejection> {
        match &self.position {
            Position::Data => {}
            Position::End => return Ok(None),
            Position::Failed(rejection) => return Err(rejection.clone()),
        }
        loop {
            let skipped = self.scanner.data()?.len();
            if skipped == 0 {
                break;
            }
            if self.parts > 0 {
                self.check_part(skipped)?;
            }
            self.scanner.take(skipped);
        }
        if self.scanner.take_delimiter()? == After::End {
            self.scanner.drain()?;
            self.position = Position::End;
            return Ok(None);
        }
        if self.parts == self.limits.parts_max {
            let message = format!("multipart body has more than {} parts", self.parts);
            return Err(scanner::too_large(message));
        }
        self.parts += 1;
        self.part_bytes = 0;
        let lines = self.scanner.take_head()?;
        let head = PartHead::parse(&lines).map_err(scanner::malformed)?;
        Ok(Some(head))
    }

    /// Counts further bytes of the current part.
    fn check_part(&mut self, further: usize) -> Result<(), Rejection> {
        self.part_bytes = self.part_bytes.saturating_add(further as u64);
        let max = self.limits.part_bytes_max;
        match self.part_bytes > max {
            true => Err(scanner::too_large(format!(
                "part {} of the multipart body is larger than {max} bytes",
                self.parts
            ))),
            false => Ok(()),
        }
    }

    /// Takes some data of the current part, at most `max` bytes, and gives it to `f`.
    /// Returns how many bytes that were; 0 at the end of the part.
    fn take(&mut self, max: usize, f: impl FnOnce(&[u8])) -> Result<usize, Rejection> {
        if let Position::Failed(rejection) = &self.position {
            return Err(rejection.clone());
        }
        let count = self.scanner.data()?.len().min(max);
        self.check_part(count)?;
        f(&self.scanner.data()?[..count]);
        self.scanner.take(count);
        Ok(count)
    }

    fn fail(&mut self, rejection: &Rejection) {
        self.position = Position::Failed(rejection.clone());
    }
}

impl fmt::Debug for Multipart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multipart")
            .field("limits", &self.limits)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

/// A part of a [`Multipart`]: a field of a form, or a file.
///
/// It is read whole by [`text`](Self::text) or [`bytes`](Self::bytes), or as a [`Read`],
/// whose errors contain a [`Rejection`] that `?` returns
/// ([`From<io::Error>`](Rejection#impl-From<Error>-for-Rejection)).
///
/// Everything in a part is what the client claims: its type may be wrong, its name any
/// text.
#[derive(Debug)]
pub struct Part<'m> {
    multipart: &'m mut Multipart,
    head: PartHead,
}

impl Part<'_> {
    /// The name of the field in the form. It is not empty. Browsers send a quote in it as
    /// `%22`, and line ends as `%0D` and `%0A`; it is not decoded. Names may be repeated.
    pub fn name(&self) -> &str {
        &self.head.name
    }

    /// The name of the file; `None` if the part is no file. It is empty if the user has
    /// chosen no file.
    ///
    /// Of a path only what stands behind the last `/` or `\` is left (RFC 7578 section
    /// 4.2), and nothing of `.` and `..`. It is still any text: it may begin with a dot,
    /// name a device on Windows, or be that of a file that exists. Better do not use it to
    /// open files.
    ///
    /// `filename*` is ignored, as RFC 7578 section 4.2 says.
    pub fn file_name(&self) -> Option<&str> {
        self.head.file_name.as_deref()
    }

    /// The value of `Content-Type`, as the client claims; `None` if there is none, or if
    /// it is not visible ASCII. Browsers send it for files alone.
    pub fn content_type(&self) -> Option<&str> {
        self.head.headers.get(header::CONTENT_TYPE)?.to_str().ok()
    }

    /// The header fields of the part. The data is as the client sent it, whatever
    /// `Content-Transfer-Encoding` says (RFC 7578 section 4.7).
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// Reads the rest of the part into memory.
    ///
    /// # Errors
    ///
    /// Those of [`Multipart::next_part`], and 413 if the part is larger than
    /// [`MultipartLimits::text_bytes_max`].
    pub fn bytes(mut self) -> Result<Bytes, Rejection> {
        self.read_all().map(Bytes::from)
    }

    /// Reads the rest of the part into memory, as UTF-8.
    ///
    /// # Errors
    ///
    /// Those of [`bytes`](Self::bytes), and 400 if the part is not UTF-8.
    pub fn text(mut self) -> Result<String, Rejection> {
        let bytes = self.read_all()?;
        String::from_utf8(bytes).map_err(|_| {
            let message = format!("field \"{}\" is not valid UTF-8", Escaped(self.name()));
            Rejection::new(StatusCode::BAD_REQUEST, message)
        })
    }

    fn read_all(&mut self) -> Result<Vec<u8>, Rejection> {
        let max = self.multipart.limits.text_bytes_max;
        let mut whole = Vec::new();
        while self.take(usize::MAX, |data| whole.extend_from_slice(data))? > 0 {
            if whole.len() > max {
                let name = Escaped(self.name());
                let message = format!("field \"{name}\" is larger than {max} bytes");
                let rejection = scanner::too_large(message);
                self.multipart.fail(&rejection);
                return Err(rejection);
            }
        }
        Ok(whole)
    }

    fn take(&mut self, max: usize, f: impl FnOnce(&[u8])) -> Result<usize, Rejection> {
        let taken = self.multipart.take(max, f);
        taken.inspect_err(|rejection| self.multipart.fail(rejection))
    }
}

impl Read for Part<'_> {
    /// Errors contain a [`Rejection`].
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let max = buffer.len();
        self.take(max, |data| buffer[..data.len()].copy_from_slice(data))
            .map_err(io::Error::other)
    }
}
