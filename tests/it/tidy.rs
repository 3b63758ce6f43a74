//! What the compiler cannot check: layers, and words that do not belong.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// The layers of `src`, from the bottom up. A file imports only from its own
/// layer or from one below.
const LAYERS: &[&[&str]] = &[
    &[
        "error",
        "isolate",
        "journal",
        "escaped",
        "pace",
        "sync",
        "waiting",
        "lifecycle",
    ],
    &["http1"],
    &["config", "message", "handler", "router"],
    &["net"],
    &["engine"],
    &["shutdown"],
    &["server", "signals", "fuzzing", "internals"],
    &["lib"],
];

/// The folders with code of ours.
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

/// The layer of a module path, such as `engine/lot`.
fn layer(module: &str) -> usize {
    LAYERS
        .iter()
        .position(|modules| {
            modules.iter().any(|&known| {
                module == known
                    || module
                        .strip_prefix(known)
                        .is_some_and(|rest| rest.starts_with('/'))
            })
        })
        .unwrap_or_else(|| panic!("{module} has no layer: see tests/it/tidy.rs"))
}

#[test]
fn imports_go_down() {
    let src = root().join("src");
    for path in sources(&src) {
        let module = path.strip_prefix(&src).unwrap().with_extension("");
        let module = module.to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines() {
            let line = line.trim_start();
            let Some(import) = line.strip_prefix("use crate::") else {
                continue;
            };
            let import = import.trim_end_matches(';').replace("::", "/");
            let from = import
                .rsplit_once('/')
                .map_or(import.as_str(), |(module, _)| module);
            assert!(
                layer(from) <= layer(module),
                "{module} imports {import}, which lies above it"
            );
        }
    }
}

/// The modules of `src/engine` that each of them imports from. A folder is one.
fn engine_imports() -> BTreeMap<String, BTreeSet<String>> {
    let engine = root().join("src/engine");
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in sources(&engine) {
        let file = path.strip_prefix(&engine).unwrap().to_str().unwrap();
        let module = file.split('/').next().unwrap().trim_end_matches(".rs");
        if file.ends_with("/tests.rs") {
            continue;
        }
        let in_folder = file.contains('/');
        let text = fs::read_to_string(&path).unwrap();
        let (code, _) = text
            .split_once("#[cfg(test)]\nmod tests {")
            .unwrap_or((&text, ""));
        for line in code.lines() {
            let line = line.trim_start().trim_start_matches("pub(crate) ");
            let Some(import) = line.strip_prefix("use ") else {
                continue;
            };
            let up = if file.ends_with("/mod.rs") || !in_folder {
                "super::"
            } else {
                "super::super::"
            };
            let own = if file == "mod.rs" { "self::" } else { up };
            let Some(import) = import
                .strip_prefix("crate::engine::")
                .or_else(|| import.strip_prefix(own))
            else {
                continue;
            };
            let from = import.trim_end_matches(';').split("::").next().unwrap();
            // A type of the engine itself: it is in `mod.rs`.
            let from = if from.starts_with(char::is_uppercase) {
                "mod"
            } else {
                from
            };
            if from != module {
                imports
                    .entry(module.to_owned())
                    .or_default()
                    .insert(from.to_owned());
            }
        }
    }
    imports
}

#[test]
fn no_module_of_the_engine_imports_from_itself_by_way_of_others() {
    let mut imports = engine_imports();
    assert!(imports["worker"].contains("mod") && imports["mod"].contains("connection"));
    // Takes away what imports from nothing that is left, until nothing is.
    loop {
        let before = imports.len();
        let left: BTreeSet<String> = imports.keys().cloned().collect();
        imports.retain(|_, from| from.iter().any(|module| left.contains(module)));
        if imports.is_empty() {
            return;
        }
        assert!(
            imports.len() < before,
            "a circle in src/engine: {imports:?}"
        );
    }
}

#[test]
fn the_protocol_knows_no_socket_thread_clock_or_log() {
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
            assert!(!text.contains(word), "{} speaks of {word}", path.display());
        }
    }
}

/// The files of the library, without those that only tests and fuzzing use.
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
fn one_function_catches_the_panics_of_the_application() {
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
    // On the thread of the caller: before a server serves, when its handle is
    // dropped, in a handler.
    let callers = [
        "journal.rs",
        "net/listener.rs",
        "server.rs",
        "message/json.rs",
        "message/rejection.rs",
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
fn the_journal_knows_the_targets_of_its_lines() {
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
fn files_are_of_a_size_to_be_read() {
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
            assert!(found, "{row:?} names {name:?}, which is no test");
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
fn the_readme_gives_a_reason_for_every_dependency() {
    let manifests = ["Cargo.toml", "cli/Cargo.toml", "drill/Cargo.toml"]
        .map(|manifest| fs::read_to_string(root().join(manifest)).unwrap())
        .join("\n");
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, reasons) = readme.split_once("## Dependencies").unwrap();
    let (reasons, _) = reasons.split_once("\n## ").unwrap();
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
