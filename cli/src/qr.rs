//! `--qr`: a QR code on the terminal.

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

/// Black on white, whatever the colours of the terminal are, and back.
const BLACK_ON_WHITE: &str = "\x1b[38;5;16;48;5;231m";
const RESET: &str = "\x1b[0m";

/// The code of a text, two modules in a character. Without colours it is for a light text
/// on a dark ground. `None` if the text is too long.
pub(super) fn code(text: &str, in_colours: bool) -> Option<String> {
    let code = QrCode::new(text).ok()?;
    let mut renderer = code.render::<Dense1x2>();
    if !in_colours {
        renderer
            .dark_color(Dense1x2::Light)
            .light_color(Dense1x2::Dark);
    }
    let drawn = renderer.build();
    let lines = drawn.lines().map(|line| match in_colours {
        true => format!("{BLACK_ON_WHITE}{line}{RESET}\n"),
        false => format!("{line}\n"),
    });
    Some(lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_square_with_a_quiet_zone() {
        let code = code("http://192.168.100.100:8081/", false).unwrap();
        let lines: Vec<&str> = code.lines().collect();
        // Version 3 has 29 modules, and 4 stay light on each side.
        assert_eq!(lines.len(), 37_usize.div_ceil(2));
        assert!(
            lines.iter().all(|line| line.chars().count() == 37),
            "{code}"
        );
        assert!(lines[0].chars().all(|c| c == '\u{2588}'), "{code}");
    }

    #[test]
    fn colours_do_not_outlast_their_line() {
        let code = code("http://localhost/", true).unwrap();
        assert!(
            code.lines()
                .all(|line| line.starts_with(BLACK_ON_WHITE) && line.ends_with(RESET))
        );
        assert!(!code.contains('\u{2588}') || code.contains(' '));
    }

    #[test]
    fn a_text_that_is_too_long_has_no_code() {
        assert_eq!(code(&"x".repeat(10_000), false), None);
    }
}
