//! Parsers for the values of options. Their errors say how to write the value.

use std::time::Duration;

const SIZES: &str = "write it in bytes, or as 64KiB, 2MiB or 1GiB";
const DURATIONS: &str = "write it as 500ms, 10s or 1m";

/// Parses a whole number of 1 or more.
pub(super) fn count(text: &str) -> Result<usize, String> {
    text.parse()
        .map_err(|_| number_problem(text, "it must be a whole number, 1 or more"))
}

/// Parses a number of bytes. `M` and `MB` are rejected: some users mean 10^6 by
/// them, and others 2^20.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let (number, unit) = units
        .iter()
        .find_map(|&(name, unit)| Some((text.strip_suffix(name)?, unit)))
        .unwrap_or((text, 1));
    let number: u64 = number.parse().map_err(|_| number_problem(number, SIZES))?;
    number
        .checked_mul(unit)
        .ok_or_else(|| "it is too large".to_owned())
}

/// Parses a duration.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| DURATIONS.to_owned())
}

/// Parses the value of an environment variable for an option without a value.
pub(super) fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("write true or false (yes, no, on, off, 1 and 0 mean the same)".to_owned()),
    }
}

fn number_problem(text: &str, otherwise: &str) -> String {
    match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => "it is too large".to_owned(),
        false => otherwise.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_in_bytes_or_has_a_binary_unit() {
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!(bytes("1500"), Ok(1500));
        assert_eq!(bytes("64KiB"), Ok(65_536));
        assert_eq!(bytes("2MiB"), Ok(2_097_152));
        assert_eq!(bytes("1GiB"), Ok(1_073_741_824));
        for wrong in [
            "2M", "2MB", "2mib", "2 MiB", "MiB", "1.5MiB", "", "-1", "-1KiB",
        ] {
            assert_eq!(bytes(wrong), Err(SIZES.to_owned()), "{wrong}");
        }
        for large in ["18446744073709551616", "17179869184GiB"] {
            assert_eq!(bytes(large), Err("it is too large".to_owned()));
        }
    }

    #[test]
    fn a_flag_takes_the_words_that_its_error_lists() {
        let reason = flag("maybe").unwrap_err();
        for (text, value) in [
            ("true", true),
            ("yes", true),
            ("on", true),
            ("1", true),
            ("false", false),
            ("no", false),
            ("off", false),
            ("0", false),
        ] {
            assert_eq!(flag(text), Ok(value));
            assert_eq!(flag(&text.to_uppercase()), Ok(value));
            assert!(reason.contains(text), "{reason}");
        }
        assert!(flag("").is_err() && flag("y").is_err());
    }

    #[test]
    fn a_count_must_be_a_whole_number() {
        assert_eq!(count("16"), Ok(16));
        for wrong in ["-1", "many", "", "1.5", "0x10"] {
            assert!(
                count(wrong).unwrap_err().contains("whole number"),
                "{wrong}"
            );
        }
        assert!(
            count("99999999999999999999999")
                .unwrap_err()
                .contains("too large")
        );
    }

    #[test]
    fn a_duration_must_have_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["5", "", "-1s", "soon", "99999999999999999999s"] {
            assert_eq!(duration(wrong), Err(DURATIONS.to_owned()), "{wrong}");
        }
    }
}
