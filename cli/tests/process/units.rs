//! The units in `contrib/systemd/`, checked by systemd's own tool.

use std::fs;
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_farewell");

/// The highest exposure of the service, from 0 to 10 times 10, as `systemd-analyze security`
/// measures it.
const EXPOSURE_MAX: &str = "20";

/// Runs `systemd-analyze`. `None` if it is not installed.
fn analyze(arguments: &[&str], unit: &Path) -> Option<(bool, String)> {
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .arg(unit)
        .output();
    let Ok(output) = output else {
        println!("skipped: systemd-analyze is not installed");
        return None;
    };
    let text = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}

#[test]
fn systemd_accepts_the_units_and_finds_the_service_hardened() {
    let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/systemd");
    let folder = tempfile::tempdir().unwrap();
    for unit in ["farewell.service", "farewell.socket"] {
        let text = fs::read_to_string(contrib.join(unit)).unwrap();
        // The program is not installed there.
        let text = text.replace("/usr/local/bin/farewell", PROGRAM);
        fs::write(folder.path().join(unit), text).unwrap();
    }
    let service = folder.path().join("farewell.service");
    for unit in [&service, &folder.path().join("farewell.socket")] {
        let Some((accepted, text)) = analyze(&["verify"], unit) else {
            return;
        };
        assert!(accepted && text.is_empty(), "{text}");
    }
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    let arguments = ["security", "--offline=true", &threshold];
    let (hardened, text) = analyze(&arguments, &service).unwrap();
    assert!(hardened, "{text}");
}

#[test]
fn the_units_name_each_exit_code_of_a_stop_as_a_success() {
    let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/systemd");
    let service = fs::read_to_string(contrib.join("farewell.service")).unwrap();
    for line in [
        "Type=notify",
        "SuccessExitStatus=3 130",
        "RestartPreventExitStatus=2",
        "ExecReload=/bin/kill -USR2 $MAINPID",
    ] {
        assert!(service.lines().any(|found| found == line), "{line}");
    }
}
