//! The page: one document with its style and its script, and nothing to load.

use std::sync::LazyLock;

use farewell::Html;
use farewell::IntoResponse;
use farewell::Response;
use http::HeaderValue;
use http::header;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const BODY: &str = include_str!("page.html");

/// The SHA-256 of [`STYLE`] and [`SCRIPT`] in base 64, by which the policy allows these
/// alone. A test compares them.
const STYLE_SHA_256: &str = "51aX+aHSKpc6lrTTdho4FWXuGyI4m3gyqMF/GTou940=";
const SCRIPT_SHA_256: &str = "E9IOr2glpafSGFeBsTYRWN9AWcFeNvfXi4H2p/4jnSo=";

static PAGE: LazyLock<String> =
    LazyLock::new(|| document(&format!("{BODY}<script>{SCRIPT}</script>\n")));

/// The policy of the page (Content Security Policy Level 3): its style and its script, and
/// requests to the server that it comes from. Nothing else runs or is loaded, and no other
/// page shows this one in a frame.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{STYLE_SHA_256}'; \
         script-src 'sha256-{SCRIPT_SHA_256}'; connect-src 'self'; img-src data:; \
         form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("it is visible ASCII")
});

/// A document in the style of the page.
pub(in super::super) fn document(body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>farewell</title>\n\
         <style>{STYLE}</style>\n{body}</html>\n"
    )
}

/// The policy for [`document`].
pub(in super::super) fn policy() -> HeaderValue {
    POLICY.clone()
}

pub(super) fn response() -> Response {
    let mut response = Html(PAGE.as_str()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy());
    // With `no-referrer`, a browser posts with `Origin: null`, and the stop is refused.
    let same_origin = HeaderValue::from_static("same-origin");
    headers.insert(header::REFERRER_POLICY, same_origin);
    response
}

#[cfg(test)]
mod tests {
    use sha2::Digest;
    use sha2::Sha256;

    use super::*;

    /// Base 64 (RFC 4648 section 4) of 32 bytes.
    fn base_64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let group = |group: &[u8]| {
            let byte = |at| u32::from(*group.get(at).unwrap_or(&0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            let digit = |at: usize| match at <= group.len() {
                true => char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]),
                false => '=',
            };
            [0, 1, 2, 3].map(digit)
        };
        bytes.chunks(3).flat_map(group).collect()
    }

    #[test]
    fn the_policy_allows_the_style_and_the_script_of_the_page() {
        assert_eq!(base_64(&Sha256::digest(STYLE)), STYLE_SHA_256);
        assert_eq!(base_64(&Sha256::digest(SCRIPT)), SCRIPT_SHA_256);
        // The end tag would end them for the browser.
        assert!(!STYLE.contains("</style") && !SCRIPT.contains("</script"));
    }

    #[test]
    fn the_page_loads_nothing() {
        for text in [
            "http:", "https:", "src=", "@import", "url(", "onclick", "eval(",
        ] {
            assert!(!PAGE.contains(text), "{text}");
        }
    }
}
