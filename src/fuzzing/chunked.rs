//! Chunked bodies: cutting makes no difference, and the limit holds.

use super::cuts;
use crate::http1::body::Decoder;
use crate::http1::framing::Framing;
use crate::http1::head::Limits;

/// How many bytes at the start of an input say how the rest is cut.
pub const CHUNKED_PLAN_BYTES: usize = 2;

/// Small enough for a fuzzer to reach.
const LIMITS: Limits = Limits {
    head_bytes: 256,
    headers: 4,
    target_bytes: 64,
};

const BODY_MAX: u64 = 1000;

/// What became of an input.
#[derive(Debug, PartialEq, Eq)]
struct Decoding {
    body: Vec<u8>,
    /// Where the body ended, if it did, or the status that refuses it.
    end: Result<Option<usize>, u16>,
    trailers: Option<String>,
}

/// Decodes the chunked body at the start of `input`, behind the bytes that say
/// how it is cut. Gives the body and where it ended; `None` if it did not end
/// or is refused.
///
/// # Panics
///
/// Another cut has another result, or the body exceeds its limit.
pub fn chunked(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (&[rule, seed], coded) = input.split_first_chunk::<CHUNKED_PLAN_BYTES>()?;
    let whole = decode(&[coded]);
    assert_eq!(decode(&cuts::pieces(b'1', 0, coded)), whole, "byte by byte");
    assert_eq!(decode(&cuts::pieces(rule, seed, coded)), whole, "in pieces");
    match whole.end {
        Ok(Some(end)) => Some((whole.body, end)),
        Ok(None) | Err(_) => None,
    }
}

fn decode(pieces: &[&[u8]]) -> Decoding {
    let mut decoder =
        Decoder::new(Framing::Chunked, BODY_MAX, LIMITS).expect("nothing was said of a length");
    let mut body = Vec::new();
    let mut position = 0;
    let mut refused = None;
    'pieces: for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() && !decoder.is_done() {
            match decoder.decode(rest) {
                Ok(decoded) => {
                    assert!(decoded.used > 0, "input was there and nothing was done");
                    assert!(decoded.data.len() <= decoded.used);
                    body.extend_from_slice(decoded.data);
                    rest = &rest[decoded.used..];
                    position += decoded.used;
                }
                Err(refusal) => {
                    refused = Some(refusal.status.as_u16());
                    break 'pieces;
                }
            }
        }
    }
    assert!(body.len() as u64 <= BODY_MAX, "the body exceeds its limit");
    let trailers = decoder.take_trailers();
    if let Some(trailers) = &trailers {
        assert!(decoder.is_done(), "trailers before the end");
        assert!(trailers.len() <= LIMITS.headers, "too many trailers");
    }
    Decoding {
        body,
        end: match refused {
            Some(status) => Err(status),
            None => Ok(decoder.is_done().then_some(position)),
        },
        trailers: trailers.map(|fields| format!("{fields:?}")),
    }
}
