//! Decodes the body of a request (RFC 9112 sections 6.2 and 7.1).
//!
//! ```text
//!           +------------------- CR LF <----------------+
//!           v                                           |
//! chunked: Size --CR LF--> Data of that size --> DataEnd
//!           |  \                   ^
//!           |   +-----> Extension -+
//!           +-- size 0 --> Trailers --empty line--> Done
//! ```
//!
//! [`extension`] has the states within an extension.

mod extension;
#[cfg(test)]
mod tests;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::header;

use self::extension::Extension;
use super::Refusal;
use super::fields::HEADERS_CAP;
use super::framing::Framing;
use super::head::Limits;

/// The most bytes of chunk extensions in one body. The server ignores them; without
/// a limit they could cost more than the body.
pub(crate) const EXTENSIONS_MAX: usize = 16 * 1024;

/// The hexadecimal digits of a `u64`.
const SIZE_DIGITS_MAX: u8 = 16;

/// Extracts a body from its framing. The input may arrive in pieces of any size.
#[derive(Debug)]
pub(crate) struct Decoder {
    position: Position,
    /// How many more bytes the chunks may hold.
    allowance: u64,
    extension_bytes: usize,
    limits: Limits,
    trailers: Option<Box<HeaderMap>>,
}

#[derive(Debug)]
enum Position {
    /// This many bytes are left of a body whose length is stated.
    Length(u64),
    /// In the digits of a chunk's size.
    Size {
        value: u64,
        digits: u8,
    },
    Extension {
        value: u64,
        at: Extension,
    },
    SizeLineFeed {
        value: u64,
    },
    Data {
        left: u64,
    },
    /// The CR and the LF behind a chunk's data.
    DataEnd {
        carriage_return: bool,
    },
    /// The part of the trailer section that has arrived.
    Trailers(Vec<u8>),
    Done,
}

/// The result of decoding a piece of input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded<'a> {
    /// How many bytes of the input the decoder has consumed.
    pub(crate) used: usize,
    /// The last of these bytes: the ones that belong to the body.
    pub(crate) data: &'a [u8],
}

pub(crate) const TOO_LARGE: Refusal =
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "request body is too large");

impl Decoder {
    /// A decoder for a body of at most `max` bytes. `limits` bound the trailers.
    ///
    /// A stated length beyond `max` is refused here, before the body arrives.
    pub(crate) fn new(framing: Framing, max: u64, limits: Limits) -> Result<Self, Refusal> {
        let position = match framing {
            Framing::Length(length) if length > max => return Err(TOO_LARGE),
            Framing::Length(0) => Position::Done,
            Framing::Length(length) => Position::Length(length),
            Framing::Chunked => Position::SIZE,
        };
        Ok(Self {
            position,
            allowance: max,
            extension_bytes: 0,
            limits,
            trailers: None,
        })
    }

    /// Whether the body has ended. The bytes behind it are the next request.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.position, Position::Done)
    }

    /// How many bytes are left; `None` if the length is not stated.
    pub(crate) fn left(&self) -> Option<u64> {
        match self.position {
            Position::Length(left) => Some(left),
            Position::Done => Some(0),
            _ => None,
        }
    }

    /// The trailers of a chunked body, once it has ended.
    pub(crate) fn take_trailers(&mut self) -> Option<Box<HeaderMap>> {
        self.trailers.take()
    }

    /// Consumes input until there is a piece of the body, the input is used up, or
    /// the body ends.
    pub(crate) fn decode<'a>(&mut self, input: &'a [u8]) -> Result<Decoded<'a>, Refusal> {
        let mut used = 0;
        while used < input.len() {
            let rest = &input[used..];
            let taken = match &mut self.position {
                Position::Length(left) | Position::Data { left } => {
                    let count =
                        usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                    *left -= count as u64;
                    if *left == 0 {
                        self.position = match self.position {
                            Position::Length(_) => Position::Done,
                            _ => Position::DataEnd {
                                carriage_return: false,
                            },
                        };
                    }
                    return Ok(Decoded {
                        used: used + count,
                        data: &rest[..count],
                    });
                }
                Position::Trailers(section) => {
                    let (taken, ended) = extend_trailers(section, rest, &self.limits)?;
                    if ended {
                        self.trailers = parse_trailers(section, &self.limits)?;
                        self.position = Position::Done;
                    }
                    taken
                }
                Position::Done => break,
                _ => {
                    self.position = self.step(rest[0])?;
                    1
                }
            };
            used += taken;
        }
        Ok(Decoded { used, data: &[] })
    }

    /// Consumes one byte of the framing.
    fn step(&mut self, byte: u8) -> Result<Position, Refusal> {
        match (&self.position, byte) {
            (&Position::Size { value, digits }, _) if byte.is_ascii_hexdigit() => {
                if digits == SIZE_DIGITS_MAX {
                    return Err(LONG_SIZE);
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                Ok(Position::Size {
                    value: value << 4 | u64::from(digit),
                    digits: digits + 1,
                })
            }
            (Position::Size { digits: 0, .. }, _) => Err(BAD_SIZE),
            (&Position::Size { value, .. }, b'\r') => Ok(Position::SizeLineFeed { value }),
            (&Position::Size { value, .. }, b' ' | b'\t' | b';') => {
                self.extension(value, Extension::Blank, byte)
            }
            (Position::Size { .. }, _) => Err(BAD_SIZE_END),
            (&Position::Extension { value, at }, b'\r') if at.may_end() => {
                Ok(Position::SizeLineFeed { value })
            }
            (&Position::Extension { value, at }, _) => self.extension(value, at, byte),
            (&Position::SizeLineFeed { value }, b'\n') => self.begin_chunk(value),
            (
                Position::DataEnd {
                    carriage_return: false,
                },
                b'\r',
            ) => Ok(Position::DataEnd {
                carriage_return: true,
            }),
            (
                Position::DataEnd {
                    carriage_return: true,
                },
                b'\n',
            ) => Ok(Position::SIZE),
            (Position::DataEnd { .. }, _) => Err(Refusal::bad_request(
                "chunk data is longer than the chunk size, or not followed by CR LF",
            )),
            _ => Err(Refusal::bad_request(
                "chunk size line does not end with CR LF",
            )),
        }
    }

    /// Consumes one byte of a chunk's extensions.
    fn extension(&mut self, value: u64, at: Extension, byte: u8) -> Result<Position, Refusal> {
        let at = at.next(byte)?;
        self.extension_bytes += 1;
        if self.extension_bytes > EXTENSIONS_MAX {
            return Err(Refusal::bad_request("chunk extensions are too large"));
        }
        Ok(Position::Extension { value, at })
    }

    fn begin_chunk(&mut self, size: u64) -> Result<Position, Refusal> {
        self.allowance = self.allowance.checked_sub(size).ok_or(TOO_LARGE)?;
        Ok(match size {
            0 => Position::Trailers(Vec::new()),
            left => Position::Data { left },
        })
    }
}

impl Position {
    /// The start of a chunk.
    const SIZE: Self = Self::Size {
        value: 0,
        digits: 0,
    };
}

const BAD_SIZE: Refusal = Refusal::bad_request("chunk size is not a hexadecimal number");

const LONG_SIZE: Refusal = Refusal::bad_request("chunk size has too many digits");

const BAD_SIZE_END: Refusal =
    Refusal::bad_request("chunk size is followed by neither CR LF nor an extension");

/// Appends `rest` to the trailer section, up to the empty line that ends the
/// section. Returns how many bytes it has appended, and whether the section ends.
fn extend_trailers(
    section: &mut Vec<u8>,
    rest: &[u8],
    limits: &Limits,
) -> Result<(usize, bool), Refusal> {
    for (index, &byte) in rest.iter().enumerate() {
        if byte == b'\n' && section.last() != Some(&b'\r') {
            return Err(Refusal::bad_request("trailer line does not end with CR LF"));
        }
        if section.len() == limits.head_bytes {
            return Err(Refusal::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "trailer fields too large",
            ));
        }
        section.push(byte);
        if section == b"\r\n" || section.ends_with(b"\r\n\r\n") {
            return Ok((index + 1, true));
        }
    }
    Ok((rest.len(), false))
}

fn parse_trailers(section: &[u8], limits: &Limits) -> Result<Option<Box<HeaderMap>>, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_CAP];
    let parsed = httparse::parse_headers(section, &mut fields[..limits.headers]);
    let fields = match parsed {
        Ok(httparse::Status::Complete((_, fields))) => fields,
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "too many trailer fields",
            ));
        }
        Ok(httparse::Status::Partial) | Err(_) => return Err(BAD_TRAILER),
    };
    if fields.is_empty() {
        return Ok(None);
    }
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| BAD_TRAILER)?;
        if is_forbidden_in_trailers(&name) {
            return Err(Refusal::bad_request(
                "a trailer field is allowed only in the request head",
            ));
        }
        let value = HeaderValue::from_bytes(field.value).map_err(|_| BAD_TRAILER)?;
        trailers.append(name, value);
    }
    Ok(Some(Box::new(trailers)))
}

const BAD_TRAILER: Refusal = Refusal::bad_request("invalid trailer field");

/// Whether a field frames or routes its message. In a trailer it comes too late
/// for that (RFC 9110 section 6.5.1).
fn is_forbidden_in_trailers(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONTENT_LENGTH
            | header::TRANSFER_ENCODING
            | header::HOST
            | header::CONNECTION
            | header::TRAILER
            | header::UPGRADE
            | header::EXPECT
            | header::TE
    )
}
