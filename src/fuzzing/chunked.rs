//! Chunked bodies: the result does not depend on how the input is cut, and the
//! limits hold.

use super::cuts;
use crate::http1::body::Decoder;
use crate::http1::framing::Framing;
use crate::http1::head::Limits;

/// The length of the plan at the start of an input, which says how the rest is cut.
pub const CHUNKED_PLAN_BYTES: usize = 2;

/// Small enough for a fuzzer to reach.
const LIMITS: Limits = Limits {
    head_bytes: 256,
    headers: 4,
    target_bytes: 64,
};

const BODY_MAX: u64 = 1000;

/// The result of decoding an input.
#[derive(Debug, PartialEq, Eq)]
struct Decoding {
    body: Vec<u8>,
    /// The position where the body ends, if it ends, or the status of the refusal.
    end: Result<Option<usize>, u16>,
    trailers: Option<String>,
}

/// Decodes the chunked body behind the plan in `input`. Returns the body and the
/// position where it ends; `None` if it does not end or is refused.
///
/// # Panics
///
/// The result depends on how the input is cut, or the body exceeds its limit.
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
        Decoder::new(Framing::Chunked, BODY_MAX, LIMITS).expect("only a length can be refused");
    let mut body = Vec::new();
    let mut position = 0;
    let mut refused = None;
    'pieces: for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() && !decoder.is_done() {
            match decoder.decode(rest) {
                Ok(decoded) => {
                    assert!(decoded.used > 0, "the decoder consumed no input");
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
