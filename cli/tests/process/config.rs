//! `--config` and `--check`: which value counts, where it comes from, and what is said of a
//! wrong one.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::program::Ended;
use crate::program::Program;
use crate::program::command;
use crate::program::run;

/// A folder with `farewell.toml`.
struct Config {
    folder: TempDir,
}

impl Config {
    fn new(text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("farewell.toml"), text).unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("farewell.toml")
    }

    /// The program in another folder, with the file.
    fn command(&self, options: &[&str]) -> Command {
        let mut command = command(&["--config", self.path().to_str().unwrap()]);
        command.args(options).current_dir("/");
        command
    }

    /// Runs `--check`.
    fn check(&self, options: &[&str]) -> Ended {
        let mut command = self.command(options);
        command.arg("--check");
        run(command)
    }

    /// Expects `--check` and the start to fail with the same line, after the path of the
    /// file.
    fn rejects(&self, options: &[&str], expected: &str) {
        for check in [&[][..], &["--check"]] {
            let mut command = self.command(options);
            command.args(check);
            let ended = run(command);
            let line = ended.stderr.strip_prefix("farewell: ").unwrap();
            let line = line.replace(self.folder.path().to_str().unwrap(), "DIR");
            assert!(line.contains(expected), "{check:?}: {line}");
            assert_eq!(line.lines().count(), 1, "{line}");
            assert_eq!(ended.stdout, "");
            let code = ended.code.unwrap();
            assert!(code == 2 || check.is_empty() && code == 1, "{code}: {line}");
        }
    }
}

/// The line of a setting in the output of `--check`.
fn setting<'a>(ended: &'a Ended, name: &str) -> Vec<&'a str> {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let start = format!("{name} = ");
    let line = ended
        .stdout
        .lines()
        .find(|line| line.trim_start_matches("# ").starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("no {name}: {}", ended.stdout));
    line.split(" # ").map(str::trim).collect()
}

#[test]
fn the_command_line_comes_before_the_environment_and_the_environment_before_the_file() {
    let config = Config::new(
        "workers = 3\nlinger = '3s'\nlast-call = '3s'\nhidden = true\nno-listing = true\n",
    );
    let mut command = config.command(&["--check", ".", "--workers", "5", "--drain-timeout", "9s"]);
    command
        .env("FAREWELL_WORKERS", "4")
        .env("FAREWELL_LINGER", "4s")
        .env("FAREWELL_HIDDEN", "no");
    let ended = run(command);
    let place = |line| format!("{}:{line}", config.path().display());
    assert_eq!(setting(&ended, "workers"), ["workers = 5", "command line"]);
    assert_eq!(
        setting(&ended, "drain-timeout"),
        ["drain-timeout = \"9s\"", "command line"]
    );
    assert_eq!(
        setting(&ended, "linger"),
        ["linger = \"4s\"", "FAREWELL_LINGER"]
    );
    assert_eq!(
        setting(&ended, "hidden"),
        ["hidden = false", "FAREWELL_HIDDEN"]
    );
    assert_eq!(
        setting(&ended, "last-call"),
        ["last-call = \"3s\"", &place(3)]
    );
    assert_eq!(
        setting(&ended, "no-listing"),
        ["no-listing = true", &place(5)]
    );
    assert_eq!(
        setting(&ended, "idle-timeout"),
        ["# idle-timeout = \"1m\"", "default"]
    );
    assert_eq!(
        setting(&ended, "upload-max"),
        ["# upload-max = \"1GiB\"", "default"]
    );
    assert_eq!(
        setting(&ended, "connections-per-peer"),
        ["# connections-per-peer = no limit", "default"]
    );
    assert_eq!(
        setting(&ended, "listen"),
        ["# listen = \"127.0.0.1:8081\"", "default"]
    );
    assert_eq!(setting(&ended, "dir"), ["dir = \"/\"", "command line"]);
    assert_eq!(ended.stderr, "");
}

#[test]
fn the_program_serves_with_the_values_of_the_file() {
    let config = Config::new(
        "dir = 'site'\nlisten = '127.0.0.1:0'\nworkers = 3\nno-shutdown-route = true\nreport = 'json'\n\
         header = ['X-A: 1', 'X-B: 2']\naccess-log-file = 'access.log'\n",
    );
    let site = config.folder.path().join("site");
    fs::create_dir(&site).unwrap();
    fs::write(site.join("a.txt"), "hello").unwrap();
    let mut by_variable = command(&[]);
    by_variable
        .env("FAREWELL_CONFIG", config.path())
        .current_dir("/");
    let program = Program::spawn_as_is(by_variable);
    assert!(
        program.greeting.contains("(3 workers)"),
        "{}",
        program.greeting
    );
    let mut client = program.connect();
    let response = client.get("/a.txt");
    assert_eq!((response.status, &*response.body), (200, "hello"));
    assert!(
        response.has("x-a: 1") && response.has("x-b: 2"),
        "{response:?}"
    );
    assert_eq!(client.get("/shutdown").status, 404);
    drop(client);
    program.signal(Signal::TERM);
    let ended = program.end();
    assert_eq!(ended.report()["requests"]["begun"], 2);
    let lines = fs::read_to_string(config.folder.path().join("access.log")).unwrap();
    assert_eq!(lines.lines().count(), 2, "{lines}");
}

#[test]
fn the_output_of_check_is_a_file_with_the_same_effect() {
    let config = Config::new(
        "dir = 'a \"folder\"'\nlisten = 'unix:sock'\nworkers = 0x20\nbody-bytes-max = '4MiB'\nrate-min = 5\n\
         lame_duck = '1m 30s'\ncors = true\nheader = ['X-A: \"\\', 'X-B: 2']\nhidden = true\nupload = true\n\
         auth-file = 'users'\nshutdown-token-file = 'token'\naccess-log-file = 'access.log'\naccess-log-format = 'json'\n",
    );
    let at = |name: &str| config.folder.path().join(name);
    fs::create_dir(at("a \"folder\"")).unwrap();
    fs::write(
        at("users"),
        "a:$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe\n",
    )
    .unwrap();
    fs::write(at("token"), "0123456789abcdef0123456789abcdef\n").unwrap();
    for file in ["users", "token"] {
        fs::set_permissions(at(file), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let first = config.check(&[]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert!(!at("access.log").exists(), "it creates no file");
    assert_eq!(setting(&first, "cors")[0], "cors = \"*\"");
    assert_eq!(setting(&first, "workers")[0], "workers = 32");
    assert_eq!(
        setting(&first, "header")[0],
        r#"header = ["X-A: \"\\", "X-B: 2"]"#
    );
    let listen = format!("listen = \"unix:{}\"", at("sock").display());
    assert_eq!(setting(&first, "listen")[0], listen);

    let again = Config::new(&first.stdout);
    let second = again.check(&[]);
    let settings = |ended: &Ended| -> Vec<String> {
        let lines = ended
            .stdout
            .lines()
            .filter_map(|line| line.split_once(" = "));
        lines
            .map(|(name, rest)| format!("{name} = {}", rest.rsplit_once(" # ").unwrap().0.trim()))
            .collect()
    };
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert!(settings(&first).len() > 30, "{}", first.stdout);
    assert_eq!(settings(&first), settings(&second));
}

#[test]
fn check_shows_every_option() {
    let help = run(command(&["--help"])).stdout;
    let options = help.lines().filter_map(|line| {
        let (before, after) = line.trim_start().split_once("--")?;
        before.is_empty().then(|| after.split([' ', '[']).next())?
    });
    let ended = run(command(&["--check"]));
    let mut count = 0;
    for option in options.filter(|option| !["check", "config"].contains(option)) {
        assert_eq!(setting(&ended, option)[1], "default");
        count += 1;
    }
    assert!(count > 30, "{count}");
}

#[test]
fn a_token_is_not_shown() {
    let mut command = command(&["--check"]);
    command.env(
        "FAREWELL_SHUTDOWN_TOKEN",
        "0123456789abcdef0123456789abcdef",
    );
    let ended = run(command);
    assert_eq!(ended.code, Some(0));
    assert!(
        ended.stdout.contains("FAREWELL_SHUTDOWN_TOKEN"),
        "{}",
        ended.stdout
    );
    assert!(!ended.stdout.contains("abcdef"), "{}", ended.stdout);
}

#[test]
fn what_is_wrong_is_one_line_with_its_place() {
    let reject = |text: &str, expected: &str| Config::new(text).rejects(&[], expected);
    reject(
        "\nlinger = 5\n",
        "DIR/farewell.toml:2: linger is '5': write it as 500ms, 10s or 1m",
    );
    reject(
        "drain-timout = '1s'",
        "DIR/farewell.toml:1: unknown option 'drain-timout'; did you mean drain-timeout?",
    );
    reject("linger = 1s", "DIR/farewell.toml:1: not valid TOML: ");
    reject("\n[a]\n", "DIR/farewell.toml:2: unknown table 'a'");
    reject("token = 'a'", "DIR/farewell.toml:1: token is a secret");
    // Found after the file was read.
    reject(
        "\nworkers = 5000",
        "workers (DIR/farewell.toml:2) is 5000: it must be from 1 to 4096",
    );
    reject(
        "lame-duck = '1s'\ndrain-timeout = '0s'",
        "drain-timeout (DIR/farewell.toml:2) is zero, but lame-duck (DIR/farewell.toml:1) is not",
    );
    reject(
        "listen = 'nowhere'",
        "write listen (DIR/farewell.toml:1) as 127.0.0.1:8081",
    );
    reject("listen = 'unix:no/a.sock'", "No such file or directory");
    reject(
        "hidden = true",
        "hidden (DIR/farewell.toml:1) is for a folder, and none is given",
    );
    reject(
        "dir = '.'\nwork = '1s'",
        "work (DIR/farewell.toml:2) is for the service without a folder: remove it, or dir (DIR/farewell.toml:1)",
    );
    reject(
        "listen = ':8080'\nadmin = '127.0.0.1:8080'",
        "admin (DIR/farewell.toml:2) is '127.0.0.1:8080', where listen (DIR/farewell.toml:1) listens already",
    );
    reject("dir = 'nowhere'", "DIR/nowhere");
    reject("dir = '.'\nauth-file = 'users'", "DIR/users");
    reject(
        "shutdown-token-file = 'token'",
        "shutdown-token-file (DIR/farewell.toml:1)",
    );
    reject(
        "access-log-file = 'no/access.log'",
        "cannot open the access log DIR/no/access.log (access-log-file (DIR/farewell.toml:1))",
    );
    reject(
        "access-log-format = 'json'",
        "access-log-format (DIR/farewell.toml:1) needs --access-log or --access-log-file",
    );
    let fine = Config::new("workers = 3");
    fine.rejects(&["--linger", "x"], "--linger is 'x'");
    let folder = fine.folder.path().to_str().unwrap();
    fine.rejects(&["--access-log-file", folder], "directory");
}

#[test]
fn a_taken_address_of_the_file_is_named_by_its_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = Config::new(&format!("listen = '{address}'"));
    let ended = run(config.command(&[]));
    assert_eq!(ended.code, Some(1));
    let advice = format!("with listen ({}:1)", config.path().display());
    assert!(ended.stderr.contains(&advice), "{}", ended.stderr);
    // `--check` does not listen.
    assert_eq!(config.check(&[]).code, Some(0));
}

#[test]
fn a_file_that_cannot_be_read_is_one_line() {
    let folder = TempDir::new().unwrap();
    let large = folder.path().join("large");
    fs::write(&large, "#".repeat((1 << 20) + 1)).unwrap();
    for (path, expected) in [
        (folder.path().join("missing"), "No such file"),
        (folder.path().to_owned(), "directory"),
        (large, "larger than 1 MiB"),
    ] {
        let ended = run(command(&["--config", path.to_str().unwrap()]));
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        let expected_start = format!(
            "farewell: cannot read the configuration {} (--config): ",
            path.display()
        );
        assert!(
            ended.stderr.starts_with(&expected_start),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
}

#[test]
fn a_file_that_every_user_can_change_causes_a_warning() {
    let config = Config::new("workers = 3\n");
    let warning = "every user of this machine can change";
    for (mode, warns) in [(0o644, false), (0o666, true)] {
        fs::set_permissions(config.path(), fs::Permissions::from_mode(mode)).unwrap();
        let ended = config.check(&[]);
        assert_eq!(ended.code, Some(0));
        assert_eq!(ended.stderr.contains(warning), warns, "{}", ended.stderr);
    }
}

#[test]
fn the_file_of_the_docs_is_accepted() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, block) = page.split_once("```toml\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let block = block
        .replace("/srv/www", ".")
        .replace("/var/log/farewell/", "");
    let config = Config::new(&block);
    fs::write(
        config.folder.path().join("token"),
        "0123456789abcdef0123456789abcdef",
    )
    .unwrap();
    let ended = config.check(&[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn commands_do_not_read_the_file() {
    let config = Config::new("nonsense");
    let mut command = command(&["man"]);
    command.env("FAREWELL_CONFIG", config.path());
    assert_eq!(run(command).code, Some(0));
}
