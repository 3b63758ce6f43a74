//! Each example of the README and of `docs/` works when it is pasted,
//! together with its `Cargo.toml` block, into a new package. The first one of the README
//! loses nothing when it is stopped, and the second answers as its comments say. `docs/`
//! names every option and every outcome.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(unix)]

use std::env;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use farewell::ConnectionOutcome;
use farewell::Outcome;
use farewell::RequestOutcome;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value;

#[path = "../../tests/support/client.rs"]
#[allow(dead_code, reason = "the other test binaries use the rest")]
mod client;
#[path = "../../tests/support/inherited.rs"]
#[allow(dead_code, reason = "the tests of the program use the rest")]
mod inherited;

/// An example of a page.
struct Example {
    /// Its number in the page, from 1.
    number: usize,
    /// The block that belongs into `Cargo.toml`.
    dependencies: String,
    code: String,
}

/// An example that runs. A test that failed leaves no process behind.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }
}

/// Where the examples listen.
const ADDRESS: &str = "\"127.0.0.1:8081\"";

/// The folder of the README, and of the library.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The Rust blocks of a text in Markdown, each with the TOML block before it.
/// Those that are to be ignored are excerpts of `examples/`.
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
        match info {
            "toml" => dependencies = Some(block),
            "rust" | "rust,no_run" => {
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
        // The package of a reader lies next to the checkout.
        let checkout = format!("path = '{}'", root().display());
        let dependencies = self
            .dependencies
            .replace("path = \"../farewell\"", &checkout);
        assert_ne!(
            dependencies, self.dependencies,
            "no path to farewell, which is not published"
        );
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
             {dependencies}\n[workspace]\n",
        );
        write(&package.join("Cargo.toml"), &manifest);
        write(&package.join("src/main.rs"), code);
        // The versions that are here already; what is not needed is left out.
        fs::copy(root().join("Cargo.lock"), package.join("Cargo.lock")).unwrap();

        // The folder of this build has most dependencies already.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let build = |further: &[&str]| cargo_build(&package, target, further);
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

/// The pages for users: each with a name for a package, and its text.
fn pages() -> Vec<(String, String)> {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let mut pages: Vec<(String, String)> = docs
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .chain([root().join("README.md")])
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_lowercase();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    pages.sort();
    pages
}

/// The text of one of the pages of `docs/`.
fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

#[test]
fn every_example_builds_with_its_own_dependencies() {
    let mut count = 0;
    for (page, text) in pages() {
        for example in examples(&text) {
            let name = format!("{page}-{}", example.number);
            example.build(&name, &example.code);
            count += 1;
        }
    }
    assert!(count >= 2, "{count} examples are found");
}

/// Without indentation.
fn flat(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.join("\n")
}

#[test]
fn every_excerpt_is_part_of_an_example() {
    let sources = fs::read_dir(root().join("examples")).unwrap();
    let sources = sources.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let sources: Vec<String> = sources.map(|source| flat(&source)).collect();
    let mut count = 0;
    for (page, text) in pages() {
        for excerpt in text.split("```rust,ignore\n").skip(1) {
            let (excerpt, _) = excerpt.split_once("```").unwrap();
            let is_part_of = |source: &String| {
                let mut parts = excerpt.split("// ...\n");
                parts.all(|part| source.contains(flat(part).trim()))
            };
            assert!(
                sources.iter().any(is_part_of),
                "{page}: no example has this:\n{excerpt}"
            );
            count += 1;
        }
    }
    assert!(count > 0, "no excerpt is found");
}

#[test]
fn every_page_is_linked_from_the_readme_and_every_link_leads_to_a_file() {
    let pages = pages();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for (name, text) in &pages {
        let folder = if name == "readme" { "" } else { "docs" };
        assert!(
            name == "readme" || readme.contains(&format!("](docs/{name}.md)")),
            "the README has no link to docs/{name}.md"
        );
        for link in text.split("](").skip(1) {
            let (link, _) = link.split_once(')').unwrap();
            let is_file = !link.starts_with("http");
            let file = link.split('#').next().unwrap();
            let target = root().join(folder).join(file);
            assert!(!is_file || target.exists(), "{name} links to {link}");
        }
    }
}

#[test]
fn docs_name_every_option() {
    for (arguments, page) in [
        (&["--help"][..], page("operating.md")),
        (&["drill", "--help"], page("drill.md")),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_farewell"))
            .args(arguments)
            .env_clear()
            .output()
            .unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let options = help.lines().filter_map(|line| {
            let option = line.trim_start().split_once("--")?;
            let is_first = option.0.is_empty();
            // As in `--cors[=<ORIGIN>]` and `--linger <DURATION>`.
            is_first.then(|| option.1.split([' ', '[']).next())?
        });
        let mut count = 0;
        for option in options {
            assert!(
                page.contains(&format!("| `--{option}` |")),
                "the page has no --{option}"
            );
            count += 1;
        }
        assert!(count > 10, "{count} options are found");
    }
}

/// Forms that store files are refused if `Origin`, which has the port, is not `Host`. In
/// nginx, `$host` has no port.
#[test]
fn the_proxy_of_the_docs_forwards_host_with_its_port() {
    assert!(page("files.md").contains("proxy_set_header Host $http_host;"));
    for (name, text) in pages() {
        assert!(!text.contains("Host $host;"), "{name}");
    }
}

#[test]
fn docs_explain_every_outcome() {
    let page = page("operating.md");
    let requests = RequestOutcome::ALL.iter().map(|outcome| outcome.name());
    let connections = ConnectionOutcome::ALL.iter().map(|outcome| outcome.name());
    for outcome in requests.chain(connections) {
        assert!(
            page.contains(&format!("\n| {outcome} | ")),
            "the page does not explain {outcome}"
        );
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
fn the_second_example_answers_as_its_comments_say_and_prints_the_report() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let example = examples(&readme).remove(1);
    assert_eq!(example.code.matches(ADDRESS).count(), 1);
    let code = example.code.replace(ADDRESS, "\"127.0.0.1:0\"");
    inherited::begin_with_default_signals();
    let program = Command::new(example.build("notes", &code))
        .env("TOKEN", "open-sesame")
        .stdout(Stdio::piped())
        .spawn();
    let mut program = Program(program.unwrap());
    let mut stdout = BufReader::new(program.0.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let address = line
        .trim_end()
        .strip_prefix("listening on http://")
        .unwrap();
    let mut client = client::Client::connect(address);

    let token = "Authorization: Bearer open-sesame\r\n";
    let long = format!("\"{}\"", "x".repeat(64 << 10));
    for (token, path, body, status) in [
        ("", "1", "\"milk\"", 401),
        (token, "1", "\"milk\"", 204),
        (token, "x", "\"milk\"", 400),
        (token, "1", "{}", 422),
        (token, "1", &long, 413),
    ] {
        let length = body.len();
        client.send(format!(
            "PUT /notes/{path} HTTP/1.1\r\nHost: a\r\n{token}Content-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ));
        let response = client.response();
        assert_eq!(response.status, status, "{path} {token} {response:?}");
    }
    let mut client = client::Client::connect(address);
    assert_eq!(client.get("/notes/1").body, "\"milk\"");
    assert_eq!(client.get("/notes/2").status, 404);
    drop(client);

    kill_process(Pid::from_child(&program.0), Signal::TERM).unwrap();
    let mut report = String::new();
    stdout.read_to_string(&mut report).unwrap();
    assert_eq!(program.0.wait().unwrap().code(), Some(0), "{report}");
    assert!(report.contains("\n  7 requests in all: "), "{report}");
}

#[test]
#[should_panic(expected = "example 2 has no toml block")]
fn an_example_without_dependencies_is_an_error() {
    examples(
        "```toml\n[dependencies]\n```\n```rust,no_run\nfn main() {}\n```\n\
         ```sh\nls\n```\n```rust\nfn main() {}\n```\n",
    );
}
