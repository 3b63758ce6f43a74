//! The listing as a page: one document, without scripts and without anything to load.
//!
//! It links by relative references alone, so that it is right under any prefix, also one
//! that a proxy removes. End tags that HTML does not need are left out.

use http::HeaderValue;

use super::super::os;
use super::Listing;
use super::entry::Entry;
use super::entry::EntryKind;
use super::order::Direction;
use super::order::Key;
use super::order::Order;
use super::text;
use super::units;
use super::units::Utc;

/// The style of the page.
const STYLE: &str = include_str!("page.css");

/// The SHA-256 of [`STYLE`] in base 64, by which the policy allows this style alone. A test
/// compares it.
const STYLE_SHA_256: &str = "zCSi20sdcwAuJiRq7zDRs629sQJpbPjcrUyhwbGzmJw=";

/// What a row has besides twice its name, and what the page has besides its rows and its
/// style: about as many bytes.
const ROW_BYTES: usize = 180;
const FRAME_BYTES: usize = 4096;

/// The policy of the page (Content Security Policy Level 3): its style, and a form if it
/// has one. No script runs, nothing is loaded, and no other page shows this one in a frame.
pub(super) fn content_security_policy(takes_uploads: bool) -> HeaderValue {
    let form = match takes_uploads {
        true => "'self'",
        false => "'none'",
    };
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{STYLE_SHA_256}'; form-action {form}; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("it is visible ASCII")
}

impl Listing {
    pub(super) fn to_html(&self) -> String {
        let mut out = String::with_capacity(self.reserved());
        // Folders are listed in the order that this one is.
        let query = match self.order == Order::default() {
            true => String::new(),
            false => query(self.order.key, self.order.direction),
        };
        self.push_head(&mut out);
        out.push_str("<header>\n");
        self.push_breadcrumbs(&query, &mut out);
        if self.takes_uploads {
            out.push_str(
                "<form method=\"post\" action=\"./\" enctype=\"multipart/form-data\">\
                 <input type=\"file\" name=\"file\" aria-label=\"Files to upload\" multiple required>\
                 <button>Upload</button></form>\n",
            );
        }
        out.push_str("</header>\n<main>\n");
        self.push_table(&query, &mut out);
        self.push_omitted(&mut out);
        out.push_str("</main>\n</html>\n");
        out
    }

    /// About as many bytes as the page has.
    pub(super) fn reserved(&self) -> usize {
        let names = self.entries.iter().map(|entry| 2 * entry.name.len());
        let rows: usize = names.map(|bytes| bytes + ROW_BYTES).sum();
        STYLE.len() + FRAME_BYTES + rows
    }

    fn push_head(&self, out: &mut String) {
        out.push_str(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>/",
        );
        for name in &self.path {
            text::push_plain_name(name, out);
            out.push('/');
        }
        out.push_str("</title>\n<style>");
        out.push_str(STYLE);
        out.push_str("</style>\n");
    }

    /// The way from the served folder to this one, which is the heading.
    fn push_breadcrumbs(&self, query: &str, out: &mut String) {
        out.push_str("<nav aria-label=\"Breadcrumb\"><ol>");
        let home = [&b"Home"[..]].into_iter();
        let names = home.chain(self.path.iter().map(Vec::as_slice));
        for (depth, name) in names.enumerate() {
            let up = self.path.len() - depth;
            if up == 0 {
                out.push_str("<li><h1 aria-current=\"page\">");
                text::push_name(name, out);
                out.push_str("</h1>");
                break;
            }
            out.push_str("<li><a href=\"");
            out.extend((0..up).map(|_| "../"));
            out.push_str(query);
            out.push_str("\">");
            text::push_name(name, out);
            out.push_str("</a>");
        }
        out.push_str("</ol></nav>\n");
    }

    fn push_table(&self, query: &str, out: &mut String) {
        out.push_str("<table>\n<caption>");
        self.push_summary(out);
        out.push_str("</caption>\n<thead><tr>");
        for (key, class, label) in [
            (Key::Name, "name", "Name"),
            (Key::Size, "size", "Size"),
            (Key::Date, "date", "Modified (UTC)"),
        ] {
            self.push_column(key, class, label, out);
        }
        out.push_str("</thead>\n");
        let (folders, files) = self.groups();
        if !self.path.is_empty() || !folders.is_empty() {
            out.push_str("<tbody class=\"folders\">\n");
        }
        if !self.path.is_empty() {
            out.push_str("<tr class=\"up\"><th scope=\"row\"><a href=\"../");
            out.push_str(query);
            out.push_str("\">Parent folder</a><td><td></td>\n");
        }
        for folder in folders {
            push_row(folder, query, out);
        }
        if !files.is_empty() {
            out.push_str("<tbody>\n");
        }
        for file in files {
            push_row(file, query, out);
        }
        out.push_str("</table>\n");
    }

    /// The heading of a column, a link that sorts by it. By size and by date the largest
    /// and the newest come first at first.
    fn push_column(&self, key: Key, class: &str, label: &str, out: &mut String) {
        out.push_str("<th scope=\"col\" class=\"");
        out.push_str(class);
        out.push('"');
        let is_sorted = key == self.order.key;
        if is_sorted {
            out.push_str(match self.order.direction {
                Direction::Ascending => " aria-sort=\"ascending\"",
                Direction::Descending => " aria-sort=\"descending\"",
            });
        }
        let direction = match key {
            _ if is_sorted => self.order.direction.reversed(),
            Key::Name => Direction::Ascending,
            Key::Size | Key::Date => Direction::Descending,
        };
        out.push_str("><a href=\"./");
        out.push_str(&query(key, direction));
        out.push_str("\">");
        out.push_str(label);
        out.push_str("</a>");
    }

    /// `2 folders, 10 files, 1.5 MiB`.
    fn push_summary(&self, out: &mut String) {
        let (folders, files) = self.groups();
        if self.entries.is_empty() && self.omitted == 0 {
            out.push_str("This folder is empty");
            return;
        }
        if !folders.is_empty() {
            push_count(folders.len(), ["folder", "folders"], out);
        }
        if !files.is_empty() {
            if !folders.is_empty() {
                out.push_str(", ");
            }
            push_count(files.len(), ["file", "files"], out);
            out.push_str(", ");
            units::push_size(self.bytes(), out);
        }
    }

    fn push_omitted(&self, out: &mut String) {
        out.push_str(match (self.omitted, self.omitted_is_exact) {
            (0, true) => return,
            (0, false) => {
                out.push_str("<p>There may be more entries, not shown.</p>\n");
                return;
            }
            (_, true) => "<p>",
            (_, false) => "<p>At least ",
        });
        push_count(self.omitted, ["more entry", "more entries"], out);
        out.push_str(" not shown.</p>\n");
    }
}

/// The query for an order, as HTML.
fn query(key: Key, direction: Direction) -> String {
    format!("?sort={}&amp;order={}", key.word(), direction.word())
}

fn push_count(count: usize, [one, several]: [&str; 2], out: &mut String) {
    units::push_grouped(count as u64, out);
    out.push(' ');
    out.push_str(if count == 1 { one } else { several });
}

fn push_row(entry: &Entry, query: &str, out: &mut String) {
    let name = os::name_bytes(&entry.name);
    out.push_str("<tr><th scope=\"row\"><a href=\"");
    text::push_link(&name, out);
    if entry.kind == EntryKind::Folder {
        out.push('/');
        out.push_str(query);
    }
    out.push_str("\">");
    text::push_name(&name, out);
    match entry.kind {
        EntryKind::Folder => out.push_str("/</a><td><td>"),
        EntryKind::File => {
            out.push_str("</a><td title=\"");
            units::push_grouped(entry.bytes, out);
            out.push_str(if entry.bytes == 1 {
                " byte\">"
            } else {
                " bytes\">"
            });
            units::push_size(entry.bytes, out);
            out.push_str("<td>");
        }
    }
    // The line end is no part of a cell that is empty: the style looks for such.
    let Some(utc) = entry.modified.and_then(Utc::of) else {
        out.push_str("</td>\n");
        return;
    };
    out.push_str("<time datetime=\"");
    utc.push_rfc3339(out);
    out.push_str("\">");
    utc.push_date(out);
    out.push(' ');
    utc.push_minutes(out);
    out.push_str("</time>\n");
}

#[cfg(test)]
mod tests {
    use sha2::Digest;
    use sha2::Sha256;

    use super::*;

    fn base_64(bytes: &[u8]) -> String {
        let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = String::new();
        for chunk in bytes.chunks(3) {
            let byte = |place| u32::from(chunk.get(place).copied().unwrap_or_default());
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for place in 0..4 {
                let digit = digits[(bits >> (18 - 6 * place) & 63) as usize];
                out.push(if place > chunk.len() {
                    '='
                } else {
                    char::from(digit)
                });
            }
        }
        out
    }

    #[test]
    fn the_policy_allows_the_style() {
        assert_eq!(
            STYLE_SHA_256,
            base_64(&Sha256::digest(STYLE)),
            "of page.css"
        );
    }

    #[test]
    fn the_style_loads_nothing_and_does_not_end_its_element() {
        for part in ["url(", "@import", "</"] {
            assert!(!STYLE.contains(part), "{part}");
        }
    }
}
