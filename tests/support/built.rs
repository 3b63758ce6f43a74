//! Finds the programs of the examples.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// The program of an example. `cargo test` builds the examples first; with `--test` it
/// does not.
///
/// # Panics
///
/// The example is not built, or its sources are newer.
pub(crate) fn built(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let profile = this.ancestors().nth(2).unwrap();
    let program = profile.join("examples").join(name);
    assert!(
        is_fresh(&program),
        "{name} is not built or not up to date: run cargo build --examples"
    );
    program
}

/// Whether a program is newer than its sources, which cargo lists in a file beside it.
fn is_fresh(program: &Path) -> bool {
    let changed = |file: &Path| fs::metadata(file).and_then(|metadata| metadata.modified());
    let Ok(built) = changed(program) else {
        return false;
    };
    let rule = fs::read_to_string(program.with_extension("d")).unwrap();
    let (_, sources) = rule.trim_end().split_once(": ").unwrap();
    // A space in a path has a backslash before it.
    let sources = sources.replace("\\ ", "\0");
    sources.split(' ').all(|source| {
        let source = source.replace('\0', " ");
        changed(Path::new(&source)).is_ok_and(|changed| changed <= built)
    })
}
