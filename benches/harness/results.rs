//! `benches/RESULTS.md`. Each bench replaces only the section between its own
//! markers.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use super::Result;
use super::top;

const FRONT: &str = "# Results\n\n\
    Each section is written by the bench that is named in it, and says what it was measured on.\n";

/// Replaces the section of a bench, or appends it.
///
/// # Errors
///
/// If the file cannot be read or written.
pub(crate) fn write(bench: &str, section: &str) -> Result<()> {
    let file = folder().join("RESULTS.md");
    let before = match fs::read_to_string(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => FRONT.to_owned(),
        read => read?,
    };
    fs::write(file, replaced(&before, bench, section))?;
    Ok(())
}

/// The path of a plot. Creates the folder.
///
/// # Errors
///
/// If the folder cannot be created.
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
