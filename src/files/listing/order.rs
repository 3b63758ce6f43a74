//! The order of a listing: folders first, then by name, size or date.

use std::cmp::Reverse;

use super::super::os;
use super::entry::Entry;
use super::entry::EntryKind;

/// What the entries are sorted by, and in which direction. Folders come first in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) key: Key,
    pub(super) direction: Direction,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Key {
    /// Natural and without case: digits count as a number, so that `img2` comes before
    /// `Img10`. Letters are compared by their code points, not by the rules of a language.
    #[default]
    Name,
    /// Folders have no size, and stay in the order of their names.
    Size,
    Date,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Direction {
    #[default]
    Ascending,
    Descending,
}

impl Key {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Size => "size",
            Self::Date => "date",
        }
    }
}

impl Direction {
    /// The value of `order` in a query.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ascending => "asc",
            Self::Descending => "desc",
        }
    }

    pub(super) fn reversed(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }
}

impl Order {
    /// The order that `sort=name|size|date` and `order=asc|desc` ask for. What is missing
    /// or unknown is by name, ascending. Of a repeated parameter the last counts.
    pub(super) fn of_query(query: &str) -> Self {
        let mut order = Self::default();
        for parameter in query.split('&') {
            match parameter {
                "sort=name" => order.key = Key::Name,
                "sort=size" => order.key = Key::Size,
                "sort=date" => order.key = Key::Date,
                "order=asc" => order.direction = Direction::Ascending,
                "order=desc" => order.direction = Direction::Descending,
                _ => {}
            }
        }
        order
    }

    /// Sorts the entries. Those of equal size or date are in ascending order of their
    /// names, in both directions.
    pub(super) fn sort(self, entries: &mut [Entry]) {
        entries.sort_by_cached_key(|entry| (entry.kind, natural_key(&os::name_bytes(&entry.name))));
        let (folders, files) = entries.split_at_mut(folders(entries));
        for group in [folders, files] {
            match (self.key, self.direction) {
                (Key::Name, Direction::Ascending) => {}
                (Key::Name, Direction::Descending) => group.reverse(),
                (Key::Size, Direction::Ascending) => group.sort_by_key(|entry| entry.bytes),
                (Key::Size, Direction::Descending) => {
                    group.sort_by_key(|entry| Reverse(entry.bytes));
                }
                (Key::Date, Direction::Ascending) => group.sort_by_key(|entry| entry.modified),
                (Key::Date, Direction::Descending) => {
                    group.sort_by_key(|entry| Reverse(entry.modified));
                }
            }
        }
    }
}

/// How many of the entries are folders, which come first.
pub(super) fn folders(entries: &[Entry]) -> usize {
    entries.partition_point(|entry| entry.kind == EntryKind::Folder)
}

/// Bytes whose order is the natural order of names. Names that differ have keys that
/// differ.
fn natural_key(name: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(2 * name.len() + 8);
    let mut rest = name;
    while let [first, ..] = rest {
        let class = Class::of(*first);
        let end = rest.iter().position(|&byte| Class::of(byte) != class);
        let (run, behind) = rest.split_at(end.unwrap_or(rest.len()));
        match class {
            Class::Digit => push_number(run, &mut key),
            Class::Ascii => key.extend(run.iter().map(u8::to_ascii_lowercase)),
            Class::Other => push_folded(run, &mut key),
        }
        rest = behind;
    }
    // Names that are equal but for their case or zeros at the front of a number.
    key.push(0);
    key.extend_from_slice(name);
    key
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Digit,
    Ascii,
    Other,
}

impl Class {
    fn of(byte: u8) -> Self {
        match byte {
            b'0'..=b'9' => Self::Digit,
            0x80.. => Self::Other,
            _ => Self::Ascii,
        }
    }
}

/// A number, at the place of the character `0` among the others: how many digits it has,
/// then the digits.
fn push_number(digits: &[u8], key: &mut Vec<u8>) {
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    let digits = &digits[zeros..];
    key.push(b'0');
    let mut length = digits.len();
    while length >= 255 {
        key.push(255);
        length -= 255;
    }
    key.push(u8::try_from(length).expect("it is below 255"));
    key.extend_from_slice(digits);
}

/// Characters beyond ASCII in lower case, and bytes that are not UTF-8.
fn push_folded(run: &[u8], key: &mut Vec<u8>) {
    for chunk in run.utf8_chunks() {
        for character in chunk.valid().chars().flat_map(char::to_lowercase) {
            key.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        key.extend_from_slice(chunk.invalid());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::SystemTime;

    use super::*;

    fn entry(name: &str, kind: EntryKind, bytes: u64, modified: Option<u64>) -> Entry {
        Entry {
            name: name.into(),
            kind,
            bytes,
            modified: modified.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
        }
    }

    fn names(entries: &[Entry]) -> Vec<&str> {
        let names = entries.iter().map(|entry| entry.name.to_str().unwrap());
        names.collect()
    }

    #[test]
    fn names_are_in_natural_order_without_case() {
        let long = [
            "9".repeat(254),
            "9".repeat(255),
            "9".repeat(256),
            "9".repeat(511),
        ];
        let mut sorted = vec![" a", "#", "-", "0", "00", "01", "1", "2", "10", "0010b"];
        sorted.extend(long.iter().map(String::as_str));
        sorted.extend([
            "_",
            "A",
            "a",
            "A b",
            "a.txt",
            "A01b",
            "a1b",
            "a2",
            "a10",
            "a10a",
            "B",
            "b",
            "ba",
            "img1.png",
            "IMG2.png",
            "img10.png",
            "img99999999999999999999.png",
            "img100000000000000000000.png",
            "z",
            "Ä",
            "ä",
            "ä1",
            "Äb",
            "Ö2",
        ]);
        let entries = sorted
            .iter()
            .rev()
            .map(|name| entry(name, EntryKind::File, 0, None));
        let mut entries: Vec<Entry> = entries.collect();
        Order::default().sort(&mut entries);
        assert_eq!(names(&entries), sorted);
        Order::of_query("order=desc").sort(&mut entries);
        sorted.reverse();
        assert_eq!(names(&entries), sorted);
    }

    #[test]
    fn bytes_that_are_not_utf_8_have_a_place() {
        let names = [
            &b"a\xff1"[..],
            b"a\xff2",
            b"a\xff10",
            b"b\xc3",
            b"b\xc3\xa4",
        ];
        let keys = names.map(natural_key);
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{keys:?}");
    }

    #[test]
    fn folders_come_first_and_equal_entries_stay_in_the_order_of_their_names() {
        let mut entries = vec![
            entry("c", EntryKind::File, 5, Some(9)),
            entry("old", EntryKind::Folder, 0, Some(1)),
            entry("b", EntryKind::File, 5, Some(7)),
            entry("New", EntryKind::Folder, 0, Some(2)),
            entry("a", EntryKind::File, 1 << 40, None),
            entry("d", EntryKind::File, 0, Some(9)),
        ];
        for (query, expected) in [
            ("", "New old a b c d"),
            ("sort=name&order=asc", "New old a b c d"),
            ("sort=name&order=desc", "old New d c b a"),
            ("order=desc", "old New d c b a"),
            ("sort=size", "New old d b c a"),
            ("sort=size&order=desc", "New old a b c d"),
            ("sort=date&order=asc", "old New a b c d"),
            ("order=desc&sort=date", "New old c d b a"),
            ("sort=size&sort=name", "New old a b c d"),
            ("sort=colour&order=&&=&x", "New old a b c d"),
        ] {
            Order::of_query(query).sort(&mut entries);
            assert_eq!(names(&entries).join(" "), expected, "{query}");
        }
        assert_eq!(folders(&entries), 2);
        Order::default().sort(&mut []);
    }
}
