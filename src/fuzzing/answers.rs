//! Parses the responses of a connection, as strictly as a client may.

/// What a client received.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// The statuses of the final responses that are complete.
    pub(super) statuses: Vec<u16>,
    /// The last response is incomplete.
    pub(super) broken_off: bool,
}

/// Parses the responses to requests with these methods. One refusal may follow them:
/// the method of its request is unknown.
///
/// # Panics
///
/// The bytes are not a sequence of responses.
pub(super) fn read(mut rest: &[u8], methods: &[String]) -> Answers {
    let mut answers = Answers::default();
    let mut asked_to_continue = false;
    while !rest.is_empty() {
        let method = methods.get(answers.statuses.len()).map(String::as_str);
        let Some(end) = find(rest, b"\r\n\r\n") else {
            answers.broken_off = true;
            return answers;
        };
        let head = std::str::from_utf8(&rest[..end]).expect("our heads are text");
        rest = &rest[end + 4..];
        let status = status(head);
        if status == 100 {
            assert!(!asked_to_continue, "two 100 Continue for one body");
            asked_to_continue = true;
            continue;
        }
        asked_to_continue = false;
        let body = match method {
            Some("HEAD") => Some(0),
            Some(_) => body(head, rest),
            // The refused request may be a HEAD; then no body follows.
            None if rest.is_empty() => Some(0),
            None => body(head, rest),
        };
        let Some(length) = body else {
            answers.broken_off = true;
            return answers;
        };
        rest = &rest[length..];
        answers.statuses.push(status);
        if field(head, "connection") == Some("close") {
            assert_eq!(rest, b"", "something follows the last response");
        }
    }
    assert!(!asked_to_continue, "no response follows a 100 Continue");
    answers
}

fn status(head: &str) -> u16 {
    let line = head.split("\r\n").next().unwrap_or_default();
    let status = line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|line| line.get(..3))
        .and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("{line:?} is not a status line"))
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut values = head
        .split("\r\n")
        .skip(1)
        .map(|line| line.split_once(": ").expect("a field has a name"))
        .filter(|(found, _)| *found == name)
        .map(|(_, value)| value);
    let value = values.next();
    assert_eq!(values.next(), None, "there are two fields {name}");
    value
}

/// The length of the body at the start of `rest`; `None` if it is incomplete.
fn body(head: &str, rest: &[u8]) -> Option<usize> {
    let coding = field(head, "transfer-encoding");
    match (field(head, "content-length"), coding) {
        (Some(length), None) => {
            let length: usize = length.parse().expect("a length is a number");
            (length <= rest.len()).then_some(length)
        }
        (None, Some("chunked")) => chunks(rest),
        (None, None) => {
            assert_eq!(
                field(head, "connection"),
                Some("close"),
                "{head} states neither a length nor a close"
            );
            Some(rest.len())
        }
        both => panic!("{both:?} states two framings"),
    }
}

fn chunks(rest: &[u8]) -> Option<usize> {
    let mut position = 0;
    loop {
        let line = find(&rest[position..], b"\r\n")?;
        let size = std::str::from_utf8(&rest[position..position + line]).expect("a size is text");
        let size = usize::from_str_radix(size, 16).expect("a size is a number");
        position += line + 2 + size;
        assert_eq!(rest.get(position..position + 2)?, b"\r\n");
        position += 2;
        if size == 0 {
            return Some(position);
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
