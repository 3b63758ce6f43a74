//! The example `files` beside nginx, with the same files.

use std::process::Command;

use crate::built::built;

/// What the script exits with where there is no nginx to compare with.
const SKIPPED: i32 = 77;

#[test]
fn files_answers_conditions_and_ranges_as_nginx_or_as_the_rfc_says() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/files.py");
    let program = built("files");
    let compared = Command::new("python3")
        .args(["-B", script, "--short"])
        .arg(program)
        .output();
    let Ok(compared) = compared else {
        eprintln!("skipped: python3 is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&compared.stdout);
    if compared.status.code() == Some(SKIPPED) {
        eprintln!("{said}");
        return;
    }
    let failures = String::from_utf8_lossy(&compared.stderr);
    assert!(compared.status.success(), "{said}\n{failures}");
    assert!(said.contains(" requests to each"), "{said}");
}
