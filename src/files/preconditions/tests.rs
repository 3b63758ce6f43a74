//! The conditions, field by field, and their order.

use proptest::prelude::*;

use super::Precondition::Failed;
use super::Precondition::Holds;
use super::Precondition::NotModified;
use super::*;

const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const FUTURE: &str = "Fri, 31 Dec 9999 23:59:59 GMT";
const SECOND: u64 = 784_111_777;

/// Values that are no HTTP-date.
const NO_DATES: &[&str] = &[
    "",
    "yesterday",
    "784111777",
    "Mon, 06 Nov 1994 08:49:38 GMT",
    "Sun, 06 Nov 1994 08:49:38",
    "Sun, 06 Nov 1994 08:49:38 UTC",
    "Sun, 06 Nov 1994 08:49:38 +0000",
    "Sun, 6 Nov 1994 08:49:38 GMT",
    "Sun, 31 Nov 1994 08:49:38 GMT",
    "1994-11-06T08:49:38Z",
    "Sun, 06 Nov +199 08:49:38 GMT",
    "Sun, 06 Nov 1994 08:49:38 GMT, Sun, 06 Nov 1994 08:49:38 GMT",
];

/// A file that was modified a little after its second began.
fn current() -> Validators {
    let modified = UNIX_EPOCH + Duration::new(SECOND, 999_999_999);
    let now = UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let mut validators = Validators::new(Some(modified), 1000, now);
    validators.etag.text = "\"a,b\"".to_owned();
    validators
}

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn with(method: Method, fields: &[(&str, &str)]) -> Precondition {
    check(&method, &headers(fields), Some(&current()))
}

fn get(fields: &[(&str, &str)]) -> Precondition {
    let got = with(Method::GET, fields);
    assert_eq!(with(Method::HEAD, fields), got, "HEAD {fields:?}");
    got
}

fn put(fields: &[(&str, &str)]) -> Precondition {
    let put = with(Method::PUT, fields);
    assert_eq!(with(Method::DELETE, fields), put, "DELETE {fields:?}");
    put
}

/// Whether the `Range` counts beside this `If-Range`.
fn applies(if_range: &str) -> bool {
    range_applies(&headers(&[("if-range", if_range)]), &current())
}

#[test]
fn no_condition_holds() {
    assert_eq!(get(&[]), Holds);
    assert_eq!(put(&[]), Holds);
    assert_eq!(check(&Method::PUT, &HeaderMap::new(), None), Holds);
}

#[test]
fn if_none_match_is_weak_and_gives_304_or_412() {
    for (value, names_it) in [
        ("*", true),
        (" * ", true),
        ("\"a,b\"", true),
        ("W/\"a,b\"", true),
        ("\"x\", \"a,b\"", true),
        ("\"x\",\"a,b\",\"y\"", true),
        (",, \"x\"\t,\t,W/\"a,b\" ,", true),
        ("\"\", \"a,b\"", true),
        ("\"\u{e9}\", \"a,b\"", true),
        ("\"*\"", false),
        ("\"a\", \"b\"", false),
        ("\"a\"", false),
        ("\"A,B\"", false),
        ("", false),
        (",", false),
    ] {
        let fields = &[("if-none-match", value)];
        let (for_get, for_put) = match names_it {
            true => (NotModified, Failed),
            false => (Holds, Holds),
        };
        assert_eq!(get(fields), for_get, "{value}");
        assert_eq!(put(fields), for_put, "{value}");
    }
}

#[test]
fn if_match_is_strong_and_gives_412() {
    for (value, expected) in [
        ("*", Holds),
        ("\"a,b\"", Holds),
        ("\"x\", \"a,b\"", Holds),
        ("W/\"a,b\"", Failed),
        ("W/\"a,b\", \"a,b\"", Holds),
        ("\"x\"", Failed),
        ("\"*\"", Failed),
        ("", Failed),
    ] {
        let fields = &[("if-match", value)];
        assert_eq!(get(fields), expected, "{value}");
        assert_eq!(put(fields), expected, "{value}");
    }
}

#[test]
fn a_list_with_a_malformed_member_names_nothing() {
    for value in [
        "a,b",
        "\"a,b",
        "a,b\"",
        "\"a,b\" \"x\"",
        "\"a,b\"x",
        "\"a,b\", x",
        "\"a,b\", *",
        "*, \"a,b\"",
        "**",
        "*, *",
        "w/\"a,b\"",
        "W/ \"a,b\"",
        "W\"a,b\"",
        "\"a,b\"; \"x\"",
        "\"a b\", \"a,b\"",
        "'a,b'",
    ] {
        assert_eq!(get(&[("if-none-match", value)]), Holds, "{value}");
        assert_eq!(put(&[("if-none-match", value)]), Holds, "{value}");
        assert_eq!(get(&[("if-match", value)]), Failed, "{value}");
        assert_eq!(put(&[("if-match", value)]), Failed, "{value}");
    }
}

#[test]
fn several_lines_are_one_list() {
    let two = |name, first, second| get(&[(name, first), (name, second)]);
    let tag = "\"a,b\"";
    assert_eq!(two("if-none-match", "\"x\"", tag), NotModified);
    assert_eq!(two("if-match", "\"x\"", tag), Holds);
    assert_eq!(two("if-match", "\"x\"", "\"y\""), Failed);
    // A tag does not go on in the next line, and `*` is alone.
    assert_eq!(two("if-none-match", "\"a", "b\""), Holds);
    assert_eq!(two("if-none-match", "*", "*"), Holds);
    assert_eq!(two("if-match", "*", tag), Failed);
}

#[test]
fn if_modified_since_compares_whole_seconds() {
    for (date, expected) in [
        (BEFORE, Holds),
        (SAME, NotModified),
        (AFTER, NotModified),
        (FUTURE, NotModified),
        ("Sunday, 06-Nov-94 08:49:37 GMT", NotModified),
        ("Sun Nov  6 08:49:37 1994", NotModified),
        ("Thu, 01 Jan 1970 00:00:00 GMT", Holds),
        ("Mon, 01 Jan 1900 00:00:00 GMT", Holds),
    ] {
        let fields = &[("if-modified-since", date)];
        assert_eq!(get(fields), expected, "{date}");
        assert_eq!(put(fields), Holds, "{date}");
    }
}

#[test]
fn if_unmodified_since_compares_whole_seconds() {
    for (date, expected) in [
        (BEFORE, Failed),
        (SAME, Holds),
        (AFTER, Holds),
        (FUTURE, Holds),
        ("Sunday, 06-Nov-94 08:49:36 GMT", Failed),
        ("Thu, 01 Jan 1970 00:00:00 GMT", Failed),
        // Valid, though httpdate does not take it.
        ("Mon, 01 Jan 1900 00:00:00 GMT", Failed),
        ("Wed, 31 Dec 1969 23:59:59 GMT", Failed),
    ] {
        let fields = &[("if-unmodified-since", date)];
        assert_eq!(get(fields), expected, "{date}");
        assert_eq!(put(fields), expected, "{date}");
    }
}

#[test]
fn an_invalid_date_is_ignored() {
    for date in NO_DATES {
        assert_eq!(get(&[("if-modified-since", date)]), Holds, "{date}");
        assert_eq!(get(&[("if-unmodified-since", date)]), Holds, "{date}");
        assert_eq!(put(&[("if-unmodified-since", date)]), Holds, "{date}");
        assert!(!applies(date), "{date}");
    }
    let mut headers = HeaderMap::new();
    let date = HeaderValue::from_bytes(b"Sun, 06 Nov\xff1994 08:49:36 GMT").unwrap();
    headers.insert(header::IF_UNMODIFIED_SINCE, date);
    assert_eq!(check(&Method::GET, &headers, Some(&current())), Holds);
}

#[test]
fn two_dates_are_ignored() {
    let twice = |name, date| get(&[(name, date), (name, date)]);
    assert_eq!(twice("if-modified-since", SAME), Holds);
    assert_eq!(twice("if-unmodified-since", BEFORE), Holds);
}

#[test]
fn a_date_before_1970_is_counted_from_then() {
    let date = |text| only_date(&headers(&[("if-range", text)]), header::IF_RANGE);
    assert_eq!(date("Wed, 31 Dec 1969 23:59:59 GMT"), Some(-1));
    assert_eq!(date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
    assert_eq!(date("Mon, 01 Jan 1601 00:00:00 GMT"), Some(-11_644_473_600));
    assert_eq!(date("Tue, 01 Jan 1601 00:00:00 GMT"), None);
    assert_eq!(date(SAME), Some(SECOND.try_into().unwrap()));
}

#[test]
fn entity_tags_come_before_dates() {
    let (same, other) = ("\"a,b\"", "\"x\"");
    for (fields, for_get, for_put) in [
        // `If-Unmodified-Since` is ignored beside `If-Match`.
        (
            [("if-match", same), ("if-unmodified-since", BEFORE)],
            Holds,
            Holds,
        ),
        (
            [("if-match", other), ("if-unmodified-since", AFTER)],
            Failed,
            Failed,
        ),
        // `If-Modified-Since` is ignored beside `If-None-Match`.
        (
            [("if-none-match", other), ("if-modified-since", SAME)],
            Holds,
            Holds,
        ),
        (
            [("if-none-match", same), ("if-modified-since", BEFORE)],
            NotModified,
            Failed,
        ),
        (
            [("if-none-match", "x"), ("if-modified-since", SAME)],
            Holds,
            Holds,
        ),
        // The 412 of the first pair comes before the 304 of the second.
        (
            [("if-match", other), ("if-none-match", same)],
            Failed,
            Failed,
        ),
        (
            [("if-match", same), ("if-none-match", same)],
            NotModified,
            Failed,
        ),
        (
            [("if-match", same), ("if-modified-since", SAME)],
            NotModified,
            Holds,
        ),
        (
            [("if-unmodified-since", BEFORE), ("if-none-match", same)],
            Failed,
            Failed,
        ),
        (
            [("if-unmodified-since", AFTER), ("if-none-match", same)],
            NotModified,
            Failed,
        ),
        (
            [("if-unmodified-since", SAME), ("if-modified-since", SAME)],
            NotModified,
            Holds,
        ),
        (
            [("if-unmodified-since", "x"), ("if-none-match", other)],
            Holds,
            Holds,
        ),
    ] {
        assert_eq!(get(&fields), for_get, "GET {fields:?}");
        assert_eq!(put(&fields), for_put, "PUT {fields:?}");
    }
}

#[test]
fn methods_that_select_nothing_have_no_conditions() {
    for method in [Method::OPTIONS, Method::TRACE, Method::CONNECT] {
        assert_eq!(
            with(method, &[("if-match", "\"x\""), ("if-none-match", "*")]),
            Holds
        );
    }
    let propfind = Method::from_bytes(b"PROPFIND").unwrap();
    assert_eq!(with(propfind, &[("if-none-match", "*")]), Failed);
}

#[test]
fn what_does_not_exist_matches_nothing() {
    let put = |name, value| check(&Method::PUT, &headers(&[(name, value)]), None);
    assert_eq!(put("if-none-match", "*"), Holds);
    assert_eq!(put("if-none-match", "\"a,b\""), Holds);
    assert_eq!(put("if-match", "*"), Failed);
    assert_eq!(put("if-match", "\"a,b\""), Failed);
    assert_eq!(put("if-unmodified-since", BEFORE), Holds);
}

#[test]
fn a_file_without_a_date_has_no_conditions_on_it() {
    let now = UNIX_EPOCH + Duration::from_secs(SECOND);
    let before_1970 = UNIX_EPOCH - Duration::from_nanos(1);
    let after_9999 = UNIX_EPOCH + Duration::from_secs(LAST_DATE + 1);
    for modified in [None, Some(before_1970), Some(after_9999)] {
        let current = Validators::new(modified, 10, now);
        assert_eq!(current.last_modified(now), None);
        for name in ["if-modified-since", "if-unmodified-since"] {
            let headers = headers(&[(name, SAME)]);
            assert_eq!(check(&Method::GET, &headers, Some(&current)), Holds);
        }
        assert!(!range_applies(&headers(&[("if-range", SAME)]), &current));
        let own_tag = current.etag.to_string();
        assert!(range_applies(&headers(&[("if-range", &own_tag)]), &current));
    }
}

#[test]
fn if_range_is_strong_and_exact() {
    assert!(range_applies(&HeaderMap::new(), &current()));
    for (value, expected) in [
        ("\"a,b\"", true),
        (SAME, true),
        ("Sun Nov  6 08:49:37 1994", true),
        ("W/\"a,b\"", false),
        ("\"x\"", false),
        ("\"x\", \"a,b\"", false),
        ("\"a,b\", \"a,b\"", false),
        ("\"a,b", false),
        ("\"", false),
        ("W/", false),
        ("*", false),
        ("", false),
        (BEFORE, false),
        (AFTER, false),
        (FUTURE, false),
    ] {
        assert_eq!(applies(value), expected, "{value}");
    }
    let twice = headers(&[("if-range", "\"a,b\""), ("if-range", "\"a,b\"")]);
    assert!(!range_applies(&twice, &current()));
}

#[test]
fn a_date_is_weak_within_its_second() {
    let headers = headers(&[("if-range", SAME)]);
    let at = |millis| UNIX_EPOCH + Duration::from_secs(SECOND) + Duration::from_millis(millis);
    for (now, expected) in [(at(10), false), (at(999), false), (at(1000), true)] {
        let current = Validators::new(Some(at(5)), 10, now);
        assert_eq!(range_applies(&headers, &current), expected, "{now:?}");
    }
}

#[test]
fn last_modified_is_never_in_the_future() {
    let now = UNIX_EPOCH + Duration::new(SECOND, 5);
    let value = |modified| {
        Validators::new(Some(modified), 10, now)
            .last_modified(now)
            .unwrap()
    };
    assert_eq!(value(now), SAME);
    assert_eq!(value(now + Duration::from_secs(100)), SAME);
    assert_eq!(value(now - Duration::from_secs(1)), BEFORE);
}

#[test]
fn the_tag_changes_with_the_time_the_length_and_the_coding() {
    let time = UNIX_EPOCH + Duration::new(SECOND, 1);
    let tag = EntityTag::new(time, 0x3e8);
    assert_eq!(tag.to_string(), "\"ae1b981bc490a01-3e8\"");
    assert_eq!(tag.value(), "\"ae1b981bc490a01-3e8\"");
    assert_ne!(tag, EntityTag::new(time + Duration::from_nanos(1), 0x3e8));
    assert_ne!(tag, EntityTag::new(time, 0x3e9));
    let br = tag.clone().with_suffix("br");
    assert_eq!(br.to_string(), "\"ae1b981bc490a01-3e8-br\"");
    let before = EntityTag::new(UNIX_EPOCH - Duration::from_nanos(255), 0);
    assert_eq!(before.to_string(), "\"-ff-0\"");
}

#[test]
fn a_file_without_a_time_never_matches_a_later_response() {
    let now = UNIX_EPOCH + Duration::from_secs(SECOND);
    let then = Validators::new(None, 10, now);
    let later = Validators::new(None, 10, now + Duration::from_millis(1));
    assert_ne!(then.etag, later.etag);
}

proptest! {
    #[test]
    fn a_list_of_tags_is_read_as_it_was_written(
        tags in prop::collection::vec((any::<bool>(), "[!#-~\u{80}-\u{ff}]{0,6}"), 0..6),
        gap in "[ \t,]{0,2},[ \t,]{0,2}",
    ) {
        let written: Vec<_> = tags.iter()
            .map(|(is_weak, text)| format!("{}\"{text}\"", if *is_weak { "W/" } else { "" }))
            .collect();
        let list = written.join(&gap);
        let read: Result<Vec<_>, _> = Tags { rest: list.as_bytes() }.collect();
        let read: Vec<_> = read.unwrap().iter()
            .map(|tag| (tag.is_weak, str::from_utf8(tag.opaque).unwrap().trim_matches('"').to_owned()))
            .collect();
        prop_assert_eq!(read, tags);
    }

    #[test]
    fn no_value_panics(value in "[W/\"*, a-c:0-9GMT\u{80}]{0,40}") {
        for name in [
            "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range",
        ] {
            let headers = headers(&[(name, &value)]);
            check(&Method::GET, &headers, Some(&current()));
            range_applies(&headers, &current());
        }
    }
}
