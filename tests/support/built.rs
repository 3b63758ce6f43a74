//! Where cargo puts the examples.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// `cargo test` builds the examples first; with `--test` it does not.
pub(crate) fn built(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let profile = this.ancestors().nth(2).unwrap();
    let program = profile.join("examples").join(name);
    assert!(
        is_fresh(&program),
        "{name} is to be built: cargo build --examples"
    );
    program
}

/// Whether a program is younger than its sources, which cargo lists beside it.
fn is_fresh(program: &Path) -> bool {
    let changed = |file: &Path| fs::metadata(file).and_then(|metadata| metadata.modified());
    let Ok(built) = changed(program) else {
        return false;
    };
    let rule = fs::read_to_string(program.with_extension("d")).unwrap();
    let (_, sources) = rule.trim_end().split_once(": ").unwrap();
    // A space that belongs to a path has a backslash before it.
    let sources = sources.replace("\\ ", "\0");
    sources.split(' ').all(|source| {
        let source = source.replace('\0', " ");
        changed(Path::new(&source)).is_ok_and(|changed| changed <= built)
    })
}
