//! Checks that the compiler cannot make: layers, forbidden words, sizes of files.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// The modules of `src`, from the bottom up. A module imports only from its own folder
/// and from modules before it.
const LAYERS: &[&str] = &[
    // What every layer uses: threads, errors, text, calls of the application, the log.
    "sync",
    "waiting",
    "error",
    "address",
    "escaped",
    "isolate",
    "journal",
    // Values: the protocol, the limits, the phase and the counts.
    "http1",
    "config",
    "lifecycle",
    // What the application sees.
    "message",
    "route_table",
    "handler",
    "state",
    "router",
    // Handlers and layers that a program may use.
    "files",
    "auth",
    // The numbers, for people and programs that watch the server.
    "metrics",
    // Sockets, and the threads that serve them.
    "net",
    "engine",
    // Stopping, and assembly.
    "shutdown",
    "stop_routes",
    "signals",
    "server",
    "internals",
    "fuzzing",
    // Text for users.
    "guide",
    "lib",
];

/// Folders whose files may import from each other, because they are parts of one state
/// machine or of one type.
const ONE_MODULE: &[&str] = &["engine/connection", "engine/shard"];

/// The folders with Rust files.
const CODE: &[&str] = &["src", "tests", "benches", "examples", "cli", "drill"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An import of one module from another. Both paths begin at the root of the crate:
/// `["engine", "worker"]` imports `["engine", "connection", "Next"]`.
struct Import {
    by: Vec<String>,
    from: Vec<String>,
}

/// The imports of all modules of `src`, without their tests.
fn imports() -> Vec<Import> {
    let src = root().join("src");
    let mut imports = Vec::new();
    for path in sources(&src) {
        let name = path.strip_prefix(&src).unwrap().with_extension("");
        let by: Vec<String> = name
            .iter()
            .map(|part| part.to_str().unwrap().into())
            .collect();
        if by.last().unwrap() == "tests" {
            continue;
        }
        // The path of the module, without `mod` for a `mod.rs`.
        let own = match by.split_last().unwrap() {
            (last, parents) if last == "mod" => parents.to_vec(),
            _ => by.clone(),
        };
        let text = fs::read_to_string(&path).unwrap();
        let (code, _) = text
            .split_once("#[cfg(test)]\nmod tests {")
            .unwrap_or((&text, ""));
        for line in code.lines() {
            let line = line.trim_start();
            let import = line
                .strip_prefix("use ")
                .or_else(|| line.strip_prefix("pub(crate) use "))
                .or_else(|| line.strip_prefix("pub use "));
            let Some(import) = import else {
                continue;
            };
            let mut parts = import.trim_end_matches(';').split("::").peekable();
            let mut from = match parts.peek() {
                Some(&"crate") => Vec::new(),
                Some(&("self" | "super")) => own.clone(),
                _ => continue,
            };
            for part in parts {
                match part {
                    "crate" | "self" => {}
                    "super" => drop(from.pop().unwrap()),
                    name => from.push(name.to_owned()),
                }
            }
            let by = by.clone();
            imports.push(Import { by, from });
        }
    }
    imports
}

#[test]
fn imports_go_down() {
    let layer = |path: &[String]| {
        let layer = LAYERS.iter().position(|&layer| layer == path[0]);
        layer.unwrap_or_else(|| panic!("{path:?} has no layer: see tests/it/tidy.rs"))
    };
    let imports = imports();
    assert!(imports.len() > 500, "{}", imports.len());
    for Import { by, from } in imports {
        assert!(
            layer(&from) <= layer(&by),
            "{by:?} imports {from:?}, which is in a higher layer"
        );
    }
}

/// The files and folders in a folder of `src`, and from which of the others each imports.
/// `mod` stands for `mod.rs`.
fn imports_inside(folder: &[String], imports: &[Import]) -> BTreeMap<String, BTreeSet<String>> {
    let path = folder
        .iter()
        .fold(root().join("src"), |path, part| path.join(part));
    let modules = fs::read_dir(path).unwrap().map(|entry| {
        let name = entry.unwrap().path().with_extension("");
        name.file_name().unwrap().to_str().unwrap().to_owned()
    });
    let modules: BTreeSet<String> = modules.collect();
    let mut inside: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Import { by, from } in imports {
        let (Some([by, ..]), Some(from)) = (by.strip_prefix(folder), from.strip_prefix(folder))
        else {
            continue;
        };
        let from = match from.first() {
            Some(module) if modules.contains(module) => module.clone(),
            _ => "mod".to_owned(),
        };
        if from != *by {
            inside.entry(by.clone()).or_default().insert(from);
        }
    }
    inside
}

#[test]
fn no_modules_import_in_a_circle() {
    let imports = imports();
    let mut folders: BTreeSet<&[String]> = imports
        .iter()
        .flat_map(|import| (1..import.by.len()).map(|depth| &import.by[..depth]))
        .collect();
    folders.retain(|folder| !ONE_MODULE.contains(&&*folder.join("/")));
    assert!(folders.len() > 10, "{folders:?}");
    for folder in folders {
        let mut inside = imports_inside(folder, &imports);
        // Removes the modules that import from no remaining module, until none remains.
        while !inside.is_empty() {
            let before = inside.len();
            let left: BTreeSet<String> = inside.keys().cloned().collect();
            inside.retain(|_, from| from.iter().any(|module| left.contains(module)));
            assert!(
                inside.len() < before,
                "modules import in a circle in src/{}: {inside:?}",
                folder.join("/")
            );
        }
    }
}

#[test]
fn the_protocol_uses_no_socket_thread_clock_or_log() {
    for path in sources(&root().join("src/http1")) {
        let text = fs::read_to_string(&path).unwrap();
        for word in [
            "std::net",
            "std::thread",
            "std::time",
            "log::",
            "mio",
            "socket2",
        ] {
            assert!(!text.contains(word), "{} contains {word}", path.display());
        }
    }
}

/// The files of the library, except the files for tests and fuzzing.
fn library() -> Vec<(String, String)> {
    let src = root().join("src");
    let mut files = Vec::new();
    for path in sources(&src) {
        let name = path.strip_prefix(&src).unwrap().to_str().unwrap();
        if !name.starts_with("fuzzing") {
            files.push((name.to_owned(), fs::read_to_string(&path).unwrap()));
        }
    }
    files
}

#[test]
fn only_one_function_catches_panics() {
    for (name, text) in library() {
        let tests = "#[cfg(test)]\nmod tests {";
        let (code, _) = text.split_once(tests).unwrap_or((&text, ""));
        assert!(
            !code.contains("catch_unwind") || name == "isolate.rs",
            "{name} catches panics: use isolate()"
        );
    }
}

#[test]
fn no_thread_that_serves_or_stops_calls_the_logger() {
    // These log on the thread of the caller: before a server serves, when its handle is
    // dropped, or in a handler.
    let callers = [
        "journal.rs",
        "net/listener.rs",
        "server.rs",
        "server/spawned.rs",
        "message/rejection.rs",
        "message/rendering.rs",
        "stop_routes/shutdown.rs",
        "message/read_body.rs",
    ];
    for (name, text) in library() {
        for macro_name in ["error", "warn", "info", "debug", "trace", "log"] {
            assert!(
                !text.contains(&format!("log::{macro_name}!(")) || callers.contains(&&*name),
                "{name} calls the logger: write to the journal"
            );
        }
    }
}

#[test]
fn the_journal_lists_the_targets_of_its_lines() {
    let journal = fs::read_to_string(root().join("src/journal.rs")).unwrap();
    for (name, text) in library() {
        let module = name.trim_end_matches(".rs").trim_end_matches("/mod");
        let target = format!("\"farewell::{}\"", module.replace('/', "::"));
        assert!(
            !text.contains("note!(") || journal.contains(&target),
            "{target} is not in src/journal.rs"
        );
    }
}

#[test]
fn no_file_is_too_long() {
    for path in ["src", "benches", "cli/src", "cli/benches", "drill/src"]
        .map(|folder| sources(&root().join(folder)))
        .concat()
    {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 450, "{} has {lines} lines", path.display());
    }
}

#[test]
fn every_rule_of_the_protocol_has_its_test() {
    let mut tests = String::new();
    for folder in ["src", "tests/it"] {
        for path in sources(&root().join(folder)) {
            tests += &fs::read_to_string(path).unwrap();
        }
    }
    let table = fs::read_to_string(root().join("src/http1/mod.rs")).unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("//! | "));
    let mut rules = 0;
    for row in rows.filter(|row| !row.starts_with("section")) {
        let shown_by = row.rsplit('|').nth(1).unwrap();
        for test in shown_by.split(',') {
            let name = test.trim().trim_matches('`');
            let found = tests.contains(&format!("#[test]\nfn {name}()"))
                || tests.contains(&format!("#[test]\n    fn {name}()"));
            assert!(found, "{row:?} names {name:?}, which is not a test");
        }
        rules += 1;
    }
    assert!(rules > 40, "{rules}");
}

#[test]
fn nothing_is_left_for_later() {
    let words = [
        "TODO",
        "FIXME",
        "XXX",
        "HACK",
        "todo!",
        "unimplemented!",
        "#[ignore",
    ];
    let this = Path::new(file!()).file_name().unwrap();
    for folder in CODE {
        for path in sources(&root().join(folder)) {
            if path.file_name() == Some(this) {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for word in words {
                assert!(!text.contains(word), "{}: {word}", path.display());
            }
        }
    }
}

#[test]
fn docs_give_a_reason_for_every_dependency() {
    let manifests = ["Cargo.toml", "cli/Cargo.toml", "drill/Cargo.toml"]
        .map(|manifest| fs::read_to_string(root().join(manifest)).unwrap())
        .join("\n");
    let reasons = fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let mut in_dependencies = false;
    for line in manifests.lines() {
        if line.starts_with('[') {
            in_dependencies = line.ends_with("dependencies]");
        } else if in_dependencies && let Some((key, _)) = line.split_once(" = ") {
            let name = key.trim_end_matches(".workspace");
            assert!(
                reasons.contains(&format!("`{name}`")),
                "{name} has no reason"
            );
        }
    }
}

#[test]
fn ci_runs_the_test_command_of_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    let command = "cargo test";
    assert!(
        readme
            .lines()
            .any(|line| line.trim_start().starts_with(&format!("{command}  ")))
    );
    assert!(ci.lines().any(|line| line == format!("step {command}")));
}
