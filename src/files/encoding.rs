//! Which codings a request accepts: `Accept-Encoding` (RFC 9110 section 12.5.3).

use http::HeaderMap;
use http::header;

/// A content coding that a file may be stored in, beside the file itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

impl Coding {
    /// All, in the order in which they are sent if the client prefers none.
    const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// The value of `Content-Encoding`.
    pub(super) fn token(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// What stands behind the name of the file, without a dot.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Zstd => "zst",
            Self::Brotli => "br",
            Self::Gzip => "gz",
        }
    }
}

/// The codings that the client takes at least as gladly as the file itself, the best first.
///
/// Without the field there are none: every coding is allowed then, but a client that can
/// decode one says so. A coding that is listed is preferred to a file that is not, whatever
/// its weight. If the client refuses `identity`, and no coding is there, the server sends
/// the file all the same: 12.5.3 leaves that to it, and the client can read a file.
///
/// A malformed member counts as not there, and of several members with the same coding the
/// first counts.
pub(super) fn acceptable(headers: &HeaderMap) -> impl Iterator<Item = Coding> {
    let weights = Weights::of(headers);
    // Unless it is named, the file itself is acceptable and comes last.
    let identity = weights.identity.or(weights.rest).unwrap_or(0);
    let mut codings = Coding::ALL.map(|coding| {
        let weight = weights.coding(coding).unwrap_or(0);
        (coding, weight)
    });
    // Stable: at the same weight the order of `ALL` stays.
    codings.sort_by_key(|&(_, weight)| std::cmp::Reverse(weight));
    codings
        .into_iter()
        .filter(move |&(_, weight)| weight > 0 && weight >= identity)
        .map(|(coding, _)| coding)
}

/// The weights that the client gives, in thousandths.
#[derive(Debug, Default)]
struct Weights {
    zstd: Option<u16>,
    brotli: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    /// Of `*`: all that is not named.
    rest: Option<u16>,
}

impl Weights {
    fn of(headers: &HeaderMap) -> Self {
        let mut weights = Self::default();
        // Several lines are one list (5.2).
        for line in headers.get_all(header::ACCEPT_ENCODING) {
            let members = line.as_bytes().split(|&byte| byte == b',');
            for (coding, weight) in members.filter_map(member) {
                if let Some(place) = weights.place(coding) {
                    place.get_or_insert(weight);
                }
            }
        }
        weights
    }

    /// The names of codings are case-insensitive (8.4.1).
    fn place(&mut self, coding: &[u8]) -> Option<&mut Option<u16>> {
        let is = |name: &str| coding.eq_ignore_ascii_case(name.as_bytes());
        if is("gzip") || is("x-gzip") {
            Some(&mut self.gzip)
        } else if is("br") {
            Some(&mut self.brotli)
        } else if is("zstd") {
            Some(&mut self.zstd)
        } else if is("identity") {
            Some(&mut self.identity)
        } else if is("*") {
            Some(&mut self.rest)
        } else {
            None
        }
    }

    fn coding(&self, coding: Coding) -> Option<u16> {
        let named = match coding {
            Coding::Zstd => self.zstd,
            Coding::Brotli => self.brotli,
            Coding::Gzip => self.gzip,
        };
        named.or(self.rest)
    }
}

/// A coding with its weight. `None` for a member that is empty or malformed.
fn member(text: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = text.splitn(2, |&byte| byte == b';').map(<[u8]>::trim_ascii);
    let coding = parts.next().filter(|coding| !coding.is_empty())?;
    let weight = match parts.next() {
        None => 1000,
        Some([b'q' | b'Q', b'=', weight @ ..]) => thousandths(weight)?,
        Some(_) => return None,
    };
    Some((coding, weight))
}

/// A weight (RFC 9110 section 12.4.2): 0 to 1, with at most three decimals.
pub(super) fn thousandths(weight: &[u8]) -> Option<u16> {
    let (one, decimals) = match weight {
        [one] => (one, &[][..]),
        [one, b'.', decimals @ ..] if decimals.len() <= 3 => (one, decimals),
        _ => return None,
    };
    if !matches!(one, b'0' | b'1') || !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |byte: &u8| u16::from(byte - b'0');
    let of_decimals = [100, 10, 1].iter().zip(decimals);
    let of_decimals: u16 = of_decimals.map(|(unit, byte)| unit * digit(byte)).sum();
    let weight = 1000 * digit(one) + of_decimals;
    (weight <= 1000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn accepted(lines: &[&str]) -> Vec<&'static str> {
        let mut headers = HeaderMap::new();
        for line in lines {
            let line = HeaderValue::from_str(line).unwrap();
            headers.append(header::ACCEPT_ENCODING, line);
        }
        acceptable(&headers).map(Coding::token).collect()
    }

    #[test]
    fn a_request_without_the_field_gets_the_file_itself() {
        assert!(accepted(&[]).is_empty());
        assert!(accepted(&[""]).is_empty());
    }

    #[test]
    fn the_heaviest_comes_first_and_at_the_same_weight_the_smallest() {
        for (field, expected) in [
            ("gzip", &["gzip"][..]),
            ("gzip, deflate, br, zstd", &["zstd", "br", "gzip"]),
            ("gzip;q=1.0, br;q=0.5, zstd;q=0.75", &["gzip", "zstd", "br"]),
            (
                "gzip;q=0.501, br;q=0.5, zstd;q=0.499",
                &["gzip", "br", "zstd"],
            ),
            ("br;q=0.001", &["br"]),
            ("br;q=1.000, gzip;q=1.", &["br", "gzip"]),
            ("compress, deflate, dcb", &[]),
        ] {
            assert_eq!(accepted(&[field]), expected, "{field}");
        }
    }

    #[test]
    fn a_weight_of_zero_refuses() {
        assert_eq!(accepted(&["gzip;q=0, br;q=0.000, zstd"]), ["zstd"]);
        assert_eq!(accepted(&["*, br;q=0"]), ["zstd", "gzip"]);
        assert!(accepted(&["*;q=0"]).is_empty());
        assert_eq!(accepted(&["*;q=0, gzip"]), ["gzip"]);
    }

    #[test]
    fn the_list_stops_where_the_file_itself_is_preferred() {
        for (field, expected) in [
            ("identity", &[][..]),
            ("identity, gzip;q=0.5", &[]),
            ("identity;q=0.5, gzip;q=0.5", &["gzip"]),
            ("identity;q=0.5, gzip;q=0.4, br;q=0.6", &["br"]),
            ("identity;q=0, gzip;q=0.1", &["gzip"]),
            ("identity;q=0", &[]),
            ("gzip;q=0.1", &["gzip"]),
            ("*;q=0.5, gzip;q=0.4", &["zstd", "br"]),
            ("*;q=0.5, identity", &[]),
            ("*", &["zstd", "br", "gzip"]),
        ] {
            assert_eq!(accepted(&[field]), expected, "{field}");
        }
    }

    #[test]
    fn names_are_case_insensitive_and_x_gzip_is_gzip() {
        assert_eq!(accepted(&["GZip;Q=0.5, BR"]), ["br", "gzip"]);
        assert_eq!(accepted(&["x-gzip"]), ["gzip"]);
        assert!(accepted(&["IDENTITY, X-Gzip;q=0.9"]).is_empty());
    }

    #[test]
    fn lines_are_one_list_and_blanks_and_empty_members_are_ignored() {
        assert_eq!(accepted(&["gzip", "br;q=0.5"]), ["gzip", "br"]);
        assert_eq!(
            accepted(&[",, gzip\t;\tq=0.5 ,, br ;q=0.6,"]),
            ["br", "gzip"]
        );
    }

    #[test]
    fn a_malformed_member_counts_as_not_there() {
        for field in [
            "br;q=2",
            "br;q=1.001",
            "br;q=0.1234",
            "br;q=",
            "br;q",
            "br;",
            "br;q=-1",
            "br;q=.5",
            "br;q=0,5",
            "br;q=1;q=1",
            "br;q = 1",
            "br;level=1",
            "br;q=0.5;x",
            "br br",
            "\"br\"",
            ";q=1",
            "br;q=x",
        ] {
            let field = format!("{field}, gzip");
            let found = accepted(&[&field]);
            // The comma within a weight leaves a weight of 0.
            assert_eq!(found, ["gzip"], "{field}");
        }
        assert_eq!(accepted(&["br;q=9, *;q=0.5"]), ["zstd", "br", "gzip"]);
        let mut headers = HeaderMap::new();
        let field = HeaderValue::from_bytes(b"g\xe9zip, br").unwrap();
        headers.insert(header::ACCEPT_ENCODING, field);
        assert!(acceptable(&headers).eq([Coding::Brotli]));
    }

    #[test]
    fn the_first_of_several_counts() {
        assert!(accepted(&["gzip;q=0, gzip"]).is_empty());
        assert_eq!(accepted(&["x-gzip, gzip;q=0"]), ["gzip"]);
    }

    proptest! {
        #[test]
        fn every_weight_of_three_decimals_is_read(weight in 0..=1000_u16) {
            let text = format!("{}.{:03}", weight / 1000, weight % 1000);
            prop_assert_eq!(thousandths(text.as_bytes()), Some(weight));
        }

        #[test]
        fn no_text_panics(field in "[a-z*;,=q.0-9 \t-]{0,60}") {
            prop_assert!(accepted(&[&field]).len() <= 3);
        }
    }
}
