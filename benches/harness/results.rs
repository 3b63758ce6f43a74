//! `benches/RESULTS.md`: each bench owns the section between its markers, and
//! replaces no other.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use super::Result;
use super::top;

const FRONT: &str = "# Results\n\n\
    Each section is written by the bench that is named in it, and says what it was measured on.\n";

/// Puts a section in the place of the bench's last one, or at the end.
///
/// # Errors
///
/// When the file cannot be read or written.
pub(crate) fn write(bench: &str, section: &str) -> Result<()> {
    let file = folder().join("RESULTS.md");
    let before = match fs::read_to_string(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => FRONT.to_owned(),
        read => read?,
    };
    fs::write(file, replaced(&before, bench, section))?;
    Ok(())
}

/// Where a plot of that name goes; the folder is there then.
///
/// # Errors
///
/// When the folder cannot be made.
pub(crate) fn plot(name: &str) -> Result<PathBuf> {
    let folder = folder().join("results");
    fs::create_dir_all(&folder)?;
    Ok(folder.join(name))
}

fn replaced(text: &str, bench: &str, section: &str) -> String {
    let (start, end) = (
        format!("<!-- {bench} -->\n"),
        format!("<!-- /{bench} -->\n"),
    );
    let section = format!("{start}\n{}\n\n{end}", section.trim());
    let around = text.split_once(&start).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&end)?;
        Some((before, after))
    });
    match around {
        Some((before, after)) => format!("{before}{section}{after}"),
        None => format!("{}\n\n{section}", text.trim_end()),
    }
}

fn folder() -> PathBuf {
    top().join("benches")
}
