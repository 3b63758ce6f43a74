//! `farewell completions` and `farewell man`.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::output::rejects;
use crate::program::command;
use crate::program::command_of;
use crate::program::run;

fn is_installed(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .unwrap();
    if !found.status.success() {
        println!("skipped: {program} is not installed");
    }
    found.status.success()
}

fn completions(shell: &str) -> String {
    let ended = run(command(&["completions", shell]));
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    ended.stdout
}

#[test]
fn bash_completes_options_and_commands() {
    if !is_installed("bash") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("farewell");
    fs::write(&script, completions("bash")).unwrap();
    let complete = |words: &str| {
        let line = format!(
            "source '{}'; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _farewell farewell \"${{COMP_WORDS[$COMP_CWORD]}}\" \"${{COMP_WORDS[$((COMP_CWORD - 1))]}}\"; \
             echo \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let ended = run(command_of("/usr/bin/env", &["bash", "-c", &line]));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout.trim_end().to_owned()
    };
    assert_eq!(complete("farewell --drain"), "--drain-timeout");
    assert_eq!(complete("farewell --report js"), "json");
    assert_eq!(complete("farewell comp"), "completions");
    assert_eq!(complete("farewell drill --round"), "--rounds");
}

#[test]
fn zsh_and_fish_accept_their_scripts() {
    let folder = TempDir::new().unwrap();
    for shell in ["zsh", "fish"] {
        let script = folder.path().join(shell);
        fs::write(&script, completions(shell)).unwrap();
        if is_installed(shell) {
            let script = script.to_str().unwrap();
            let ended = run(command_of("/usr/bin/env", &[shell, "-n", script]));
            assert_eq!(ended.code, Some(0), "{shell}: {}", ended.stderr);
            assert_eq!(ended.stderr, "", "{shell}");
        }
    }
}

#[test]
fn every_shell_has_completions_and_another_is_named() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = completions(shell);
        assert!(script.contains("drain-timeout"), "{shell}");
    }
    let ended = run(command(&["completions", "tcsh"]));
    assert_eq!(ended.code, Some(2));
    assert_eq!(
        ended.stderr,
        "farewell completions: <SHELL> is 'tcsh': use one of bash, elvish, fish, powershell, zsh \
         (see farewell completions --help)\n"
    );
}

#[test]
fn the_manual_page_has_every_option_and_section() {
    let page = run(command(&["man"])).stdout;
    assert!(
        page.starts_with(".ie ") || page.contains(".TH farewell 1"),
        "{page}"
    );
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "ROUTES",
        "SIGNALS",
        "\"EXIT CODES\"",
    ] {
        assert!(page.contains(&format!("\n.SH {section}\n")), "{section}");
    }
    assert!(page.contains("\\-\\-drain\\-timeout"), "{page}");
    assert!(page.contains("FAREWELL_DRAIN_TIMEOUT"), "{page}");
    assert!(!page.contains("farewell\\-help"), "{page}");
    let drill = run(command(&["man", "drill"])).stdout;
    assert!(drill.contains("\\-\\-rounds"), "{drill}");
    let ended = run(command(&["man", "dril"]));
    assert_eq!(ended.code, Some(2));
    assert_eq!(
        ended.stderr,
        "farewell man: unknown command 'dril'; did you mean drill?\n"
    );
}

#[test]
fn groff_formats_the_manual_pages_without_a_warning() {
    if !is_installed("groff") {
        return;
    }
    let folder = TempDir::new().unwrap();
    for arguments in [&["man"][..], &["man", "drill"]] {
        let file = folder.path().join("page.1");
        fs::write(&file, run(command(arguments)).stdout).unwrap();
        let options = [
            "groff",
            "-man",
            "-ww",
            "-Tutf8",
            "-rLL=100n",
            file.to_str().unwrap(),
        ];
        let mut groff = command_of("/usr/bin/env", &options);
        groff.env("PATH", "/usr/bin:/bin");
        let ended = run(groff);
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{arguments:?}");
        assert!(ended.stdout.contains("[OPTIONS]"), "{}", ended.stdout);
    }
}

#[test]
fn a_command_must_come_first_and_a_folder_of_its_name_has_a_path() {
    rejects(&["--workers", "2", "man"], 2, "man must come first");
    rejects(
        &["--", "completions"],
        2,
        "a folder of this name is ./completions",
    );
    rejects(&["./man"], 1, "cannot serve the folder ./man");
    rejects(&["mann"], 2, "did you mean man?");
}
