//! Each example of the README works for a user who pastes it, together with
//! its `Cargo.toml` block, into a new package; and loses nothing when it is
//! stopped.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(unix)]

use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use serde_json::Value;

#[path = "../../tests/support/inherited.rs"]
#[allow(dead_code, reason = "the tests of the program use the rest")]
mod inherited;

/// An example of the README.
struct Example {
    /// Its number, from 1.
    number: usize,
    /// The block that belongs into `Cargo.toml`.
    dependencies: String,
    code: String,
}

/// Where the examples listen.
const ADDRESS: &str = "\"127.0.0.1:8081\"";

/// The folder of the README, and of the library.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The Rust blocks of a text in Markdown, each with the TOML block before it.
fn examples(markdown: &str) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut dependencies = None;
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|&line| line != "```").collect();
        let block = block.join("\n") + "\n";
        let language = info.split(',').next().unwrap();
        match language {
            "toml" => dependencies = Some(block),
            "rust" => {
                let number = examples.len() + 1;
                let dependencies = dependencies.take();
                examples.push(Example {
                    number,
                    dependencies: dependencies
                        .unwrap_or_else(|| panic!("example {number} has no toml block")),
                    code: block,
                });
            }
            _ => {}
        }
    }
    examples
}

impl Example {
    /// Makes the package, with this code, and builds it: the program.
    fn build(&self, name: &str, code: &str) -> PathBuf {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
        let package = home.join(name);
        // The version that the block names is the one that is here, which need
        // not be published.
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
             {}\n[patch.crates-io]\nfarewell = {{ path = '{}' }}\n\n[workspace]\n",
            self.dependencies,
            root().display(),
        );
        write(&package.join("Cargo.toml"), &manifest);
        write(&package.join("src/main.rs"), code);
        // The versions that are here already; what is not needed is left out.
        fs::copy(root().join("Cargo.lock"), package.join("Cargo.lock")).unwrap();

        let target = home.join("target");
        let build = |further: &[&str]| cargo_build(&package, &target, further);
        let mut output = build(&["--offline"]);
        if !output.status.success() {
            output = build(&[]);
        }
        assert!(
            output.status.success(),
            "example {}: {manifest}\n{code}\n{}",
            self.number,
            String::from_utf8_lossy(&output.stderr)
        );
        target.join("debug").join(name)
    }
}

/// Leaves a file alone that has this content, so that cargo builds nothing
/// again.
fn write(file: &Path, content: &str) {
    if fs::read_to_string(file).is_ok_and(|old| old == content) {
        return;
    }
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}

fn cargo_build(package: &Path, target: &Path, further: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO"));
    // What cargo says of the package of this test is not true of that one.
    for (variable, _) in env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&variable);
        }
    }
    command
        .args(["build", "--quiet", "--target-dir"])
        .arg(target)
        .args(further)
        .current_dir(package)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn every_example_builds_with_its_own_dependencies() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let examples = examples(&readme);
    assert!(!examples.is_empty());
    for example in examples {
        let name = format!("example-{}", example.number);
        example.build(&name, &example.code);
    }
}

#[test]
fn the_first_example_loses_nothing_when_it_is_stopped() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let example = examples(&readme).remove(0);
    // Only its address differs: the drill chooses a free port.
    assert_eq!(example.code.matches(ADDRESS).count(), 1);
    let argument = "std::env::args().nth(1).unwrap()";
    let server = example.build("drilled", &example.code.replace(ADDRESS, argument));

    inherited::begin_with_default_signals();
    for stop in ["TERM", "INT", "HUP"] {
        let output = Command::new(env!("CARGO_BIN_EXE_farewell"))
            .args(["drill", "--url", "http://127.0.0.1:{port}/", "--json"])
            .args(["--rounds", "2", "--clients", "16", "--stop", stop])
            .arg("--")
            .arg(&server)
            .arg("127.0.0.1:{port}")
            .env_clear()
            .output()
            .unwrap();
        let json: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(json["lost"], 0, "{stop}: {json}");
        assert_eq!(json["truncated"], 0, "{stop}: {json}");
        for round in json["rounds"].as_array().unwrap() {
            assert_eq!(round["exit_code"], 0, "{stop}: {json}");
        }
        assert_eq!(output.status.code(), Some(0), "{stop}: {json}");
    }
}

#[test]
#[should_panic(expected = "example 2 has no toml block")]
fn an_example_without_dependencies_is_an_error() {
    examples(
        "```toml\n[dependencies]\n```\n```rust,no_run\nfn main() {}\n```\n\
         ```sh\nls\n```\n```rust\nfn main() {}\n```\n",
    );
}
