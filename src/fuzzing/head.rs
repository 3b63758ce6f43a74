//! Heads: the result depends on the bytes, not on how they are split.

use http::HeaderMap;
use http::Method;
use http::Uri;
use http::Version;

use crate::http1::framing::Framing;
use crate::http1::framing::expects_continue;
use crate::http1::head::Head;
use crate::http1::head::Limits;
use crate::http1::head::Parsed;
use crate::http1::head::parse;
use crate::http1::persist::Persist;

/// Small enough for a fuzzer to reach.
const LIMITS: Limits = Limits {
    head_bytes: 512,
    headers: 8,
    target_bytes: 64,
};

/// The result of parsing an input, in values that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ParsedHead {
    Partial,
    /// The head, and its length.
    Complete(Box<(Method, Uri, Version, HeaderMap)>, usize),
    /// The status and the text of the refusal.
    Refused(u16, &'static str),
}

fn answer(input: &[u8]) -> ParsedHead {
    match parse(input, &LIMITS) {
        Ok(Parsed::Partial) => ParsedHead::Partial,
        Ok(Parsed::Complete { head, length }) => {
            check(&head, &input[..length]);
            let headers = head.headers().clone();
            let parts = (head.method, head.uri, head.version, headers);
            ParsedHead::Complete(Box::new(parts), length)
        }
        Err(refusal) => ParsedHead::Refused(refusal.status.as_u16(), refusal.reason),
    }
}

/// Parses the head at the start of `input`: the whole, and prefixes of it.
///
/// # Panics
///
/// A prefix has another result than the whole, or the head is not valid.
pub fn head(input: &[u8]) {
    let whole = answer(input);
    if let ParsedHead::Complete(_, length) = whole {
        assert_eq!(
            answer(&input[..length]),
            whole,
            "the bytes of the head alone have another result"
        );
    }
    let mut so_far = ParsedHead::Partial;
    for end in prefixes(input) {
        let now = answer(&input[..end]);
        if so_far != ParsedHead::Partial {
            assert_eq!(now, so_far, "{end} bytes change the result of fewer");
        }
        so_far = now;
    }
    if so_far != ParsedHead::Partial {
        assert_eq!(whole, so_far, "the whole differs from its prefix");
    }
}

/// The lengths of the prefixes to parse: those that end at the border of a word, all
/// near the limit, and every 16th.
fn prefixes(input: &[u8]) -> impl Iterator<Item = usize> {
    let word = |at: usize| match input.get(at) {
        None | Some(b'\r' | b'\n' | b' ' | b':') => None,
        Some(byte) => Some(byte.is_ascii_alphanumeric()),
    };
    (0..=input.len()).filter(move |&end| {
        let in_the_middle = end > 0 && word(end).is_some() && word(end - 1) == word(end);
        !in_the_middle || end % 16 == 0 || end.abs_diff(LIMITS.head_bytes) < 2
    })
}

/// Checks `head` by a second, simpler parser of `bytes`.
fn check(head: &Head, bytes: &[u8]) {
    assert!(bytes.len() <= LIMITS.head_bytes, "a head beyond the limit");
    let text = String::from_utf8_lossy(bytes);
    let lines = text
        .strip_suffix("\r\n\r\n")
        .expect("a head ends with an empty line")
        .trim_start_matches("\r\n");
    assert_eq!(
        lines.matches("\r\n").count(),
        lines.matches(['\r', '\n']).count() / 2,
        "a CR or an LF is not part of a CR LF"
    );
    assert!(!lines.contains("\r\n\r\n"), "the head has an empty line");

    let mut lines = lines.split("\r\n");
    let line: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, version] = line[..] else {
        panic!("the request line is not three words: {line:?}");
    };
    assert_eq!(head.method.as_str(), method);
    assert!(
        target.len() <= LIMITS.target_bytes,
        "a target beyond the limit"
    );
    assert_eq!(format!("{:?}", head.version), version);

    let fields = lines
        .inspect(|line| assert!(line.contains(':'), "{line:?} is not a field"))
        .count();
    // The host of the target may have added a field that the client did not send.
    let added = head.headers().len() - fields;
    assert!(added <= usize::from(!target.starts_with('/')));
    assert!(fields <= LIMITS.headers, "more fields than the limit");

    // What the server computes from a head must not panic either.
    let _ = Framing::of(head.version, head.headers());
    let _ = expects_continue(head.version, head.headers());
    let _ = Persist::asked(head.version, head.headers());
}
