//! A host and its port, in a target or in `Host` (RFC 3986 sections 3.2.2 and
//! 3.2.3, RFC 9110 section 4.2).

use core::net::Ipv6Addr;

use super::grammar::is_sub_delim;
use super::grammar::is_unreserved;

/// Whether `authority` is a host with an optional port. Userinfo is refused: it
/// can mislead a reader of the URI (RFC 9110 section 4.2.4).
pub(super) fn is_host_and_port(authority: &[u8]) -> bool {
    split(authority).is_some_and(|(host, port)| is_host(host) && port.is_none_or(is_port))
}

/// Like [`is_host_and_port`], but the port is required: the authority-form of a
/// target (RFC 9110 section 9.3.6).
pub(super) fn is_host_with_port(authority: &[u8]) -> bool {
    let port = split(authority).and_then(|(_, port)| port);
    port.is_some_and(|port| !port.is_empty()) && is_host_and_port(authority)
}

/// Whether `authority` is a simple name or an IPv4 address with an optional port.
/// Nearly every authority is, and this check is faster than [`is_host_and_port`].
pub(super) fn is_plain(authority: &[u8]) -> bool {
    let plain = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let name = authority.iter().take_while(plain).count();
    name > 0
        && match &authority[name..] {
            [] => true,
            [b':', port @ ..] => is_port(port),
            _ => false,
        }
}

/// Splits `authority` into the host and what follows the colon after it.
fn split(authority: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let end = match authority {
        [b'[', ..] => 1 + authority.iter().position(|&byte| byte == b']')?,
        _ => {
            let colon = authority.iter().position(|&byte| byte == b':');
            colon.unwrap_or(authority.len())
        }
    };
    match authority.split_at(end) {
        (host, []) => Some((host, None)),
        (host, [b':', port @ ..]) => Some((host, Some(port))),
        _ => None,
    }
}

/// RFC 3986 allows an empty name, but the host of an `http` URI is never empty
/// (RFC 9110 section 4.2.1).
fn is_host(host: &[u8]) -> bool {
    match host {
        [] => false,
        [b'[', address @ .., b']'] => is_ip_literal(address),
        name => is_name(name),
    }
}

/// `reg-name`, which includes IPv4 addresses.
fn is_name(mut name: &[u8]) -> bool {
    loop {
        name = match name {
            [] => return true,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest
            }
            [byte, rest @ ..] if is_unreserved(*byte) || is_sub_delim(*byte) => rest,
            _ => return false,
        }
    }
}

/// Whether `address` may stand between brackets. A zone (RFC 6874) may not: it
/// has a meaning only on the client's machine.
fn is_ip_literal(address: &[u8]) -> bool {
    if let [b'v' | b'V', future @ ..] = address {
        let dot = future.iter().position(|&byte| byte == b'.');
        return dot.is_some_and(|dot| {
            let (version, address) = (&future[..dot], &future[dot + 1..]);
            let fits = |&byte: &u8| is_unreserved(byte) || is_sub_delim(byte) || byte == b':';
            !version.is_empty()
                && version.iter().all(u8::is_ascii_hexdigit)
                && !address.is_empty()
                && address.iter().all(fits)
        });
    }
    let text = str::from_utf8(address);
    text.is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// Whether `port` is empty or a number up to 65535, the highest TCP port.
fn is_port(port: &[u8]) -> bool {
    let value = port.iter().try_fold(0, |value, &byte| {
        let value = value * 10 + char::from(byte).to_digit(10)?;
        (value <= 65_535).then_some(value)
    });
    value.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for fine in [
            "a",
            "a:",
            "a:0",
            "a:80",
            "a:65535",
            "a:000080",
            "a.b.",
            "a_b-c~d",
            "127.0.0.1:8081",
            "999.999.999.999",
            "a%41",
            "%c3%BC:1",
            "a,b;c=d!$&'()*+",
            "[::]",
            "[::1]:80",
            "[::1]:",
            "[1:2:3:4:5:6:7:8]",
            "[1:2:3:4:5:6:7::]",
            "[::ffff:127.0.0.1]",
            "[FEDC:BA98::3210]",
            "[v1.a]",
            "[vF0.a:b~!]:80",
            "[V1.1:2:3:4:5:6:7:8:9:10]",
        ] {
            assert!(is_host_and_port(fine.as_bytes()), "{fine}");
        }
        for wrong in [
            "",
            ":",
            ":80",
            "a:x",
            "a:-1",
            "a:+1",
            "a:65536",
            "a:99999999999999999999",
            "a:80:80",
            "a::80",
            "u@a",
            "u:p@a:80",
            "@a",
            "a@",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a\"b",
            "a%",
            "a%4",
            "a%zz",
            "%4g",
            "\u{fc}",
            "::1",
            "[]",
            "[]:80",
            "[zz]",
            "[::1",
            "::1]",
            "[::1]80",
            "[::1]a",
            "[[::1]]",
            "[127.0.0.1]",
            "[1:2:3:4:5:6:7]",
            "[1:2:3:4:5:6:7:8:9]",
            "[1::2::3]",
            "[::12345]",
            "[::01.2.3.4]",
            "[fe80::1%25eth0]",
            "[fe80::1%eth0]",
            "[v.a]",
            "[v1.]",
            "[v1]",
            "[vg.a]",
            "[v1.a%41]",
            "[v1.a@b]",
            "[v1.[]]",
        ] {
            assert!(!is_host_and_port(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn every_plain_authority_is_a_host_and_port() {
        for plain in ["a", "localhost:8081", "127.0.0.1", "a_b.c-d.", "a:"] {
            assert!(is_plain(plain.as_bytes()), "{plain}");
            assert!(is_host_and_port(plain.as_bytes()), "{plain}");
        }
        for other in ["", ":80", "a:65536", "a:x", "a%41", "[::1]"] {
            assert!(!is_plain(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn an_authority_form_has_a_port() {
        assert!(is_host_with_port(b"a:80"));
        assert!(is_host_with_port(b"[::1]:80"));
        for wrong in ["a", "a:", ":80", "[::1]", "a:x", "u@a:80", "/", "a:65536"] {
            assert!(!is_host_with_port(wrong.as_bytes()), "{wrong}");
        }
    }
}
