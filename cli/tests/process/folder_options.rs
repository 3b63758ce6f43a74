//! The options of `farewell DIR`: wrong values, the environment, and `--open` and `--qr`.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use super::folder::folder;
use super::folder::serve;
use super::folder::text;
use super::output::rejects;
use super::output::rejects_variable;
use super::program::Program;
use super::program::command;
use super::program::command_of;
use super::program::run;

#[test]
fn a_folder_that_cannot_be_served_is_one_line() {
    let folder = folder();
    let file = folder.path().join("note.txt");
    rejects(
        &["/no/such/folder"],
        1,
        "cannot serve the folder /no/such/folder: ",
    );
    rejects(&[text(&file)], 1, "note.txt: Not a directory");
    rejects(&[""], 2, "DIR has no value");
    rejects(&["dril"], 2, "did you mean drill?");
    rejects(
        &["--workers", "2", "drill"],
        2,
        "a folder of this name is ./drill",
    );
    rejects(
        &[text(folder.path()), "/tmp"],
        2,
        "unexpected argument '/tmp'",
    );
    rejects(&[text(folder.path()), "drill"], 2, "drill must come first");
}

#[test]
fn an_option_that_contradicts_another_is_an_error() {
    let folder = folder();
    let dir = text(folder.path());
    for option in [
        &["--no-listing"][..],
        &["--hidden"],
        &["--follow"],
        &["--precompressed"],
        &["--spa"],
        &["--cache-control", "no-cache"],
        &["--immutable"],
        &["--cors"],
        &["--header", "A: b"],
        &["--auth-file", "users"],
        &["--upload"],
        &["--upload-overwrite"],
        &["--upload-max", "1MiB"],
        &["--open"],
        &["--qr"],
    ] {
        let text = format!(
            "{} is for a folder, and none is given: write farewell DIR",
            option[0]
        );
        rejects(option, 2, &text);
    }
    rejects_variable("FAREWELL_HIDDEN", "true", "is for a folder");
    rejects(
        &[dir, "--work", "1s"],
        2,
        "--work is for the service without a folder",
    );
    rejects(
        &[dir, "--upload-overwrite"],
        2,
        "--upload-overwrite needs --upload",
    );
    rejects(
        &[dir, "--upload-max", "1MiB"],
        2,
        "--upload-max needs --upload",
    );
    for option in ["--qr", "--open"] {
        let text = format!("{option} needs a URL, and unix:/run/a.sock has none");
        rejects(&[dir, option, "--listen", "unix:/run/a.sock"], 2, &text);
    }
}

#[test]
fn a_wrong_value_is_one_line_that_says_what_is_right() {
    let folder = folder();
    let dir = text(folder.path());
    for (option, text) in [
        ("--cache-control=", "max-age=3600"),
        ("--cache-control=a\nb", "max-age=3600"),
        ("--cors=nowhere", "https://example.org"),
        ("--cors=https://a.example/b", "https://example.org"),
        ("--header=X", "'Name: value'"),
        ("--header=X Y: z", "not the name of a field"),
        ("--header=X: a\rb", "control characters"),
        ("--header=Content-Length: 3", "frames its responses itself"),
        ("--header=date: today", "the server sends the time itself"),
        ("--header=Cache-Control: no-store", "use --cache-control"),
        ("--upload-max=2M", "write it in bytes"),
        ("--upload-max=0", "write a size, as in 1GiB"),
        ("--upload-max=0KiB", "or leave out --upload"),
        ("--hidden=true", "--hidden takes no value"),
        ("--hiden", "did you mean --hidden?"),
    ] {
        rejects(&[dir, option], 2, text);
    }
    for (variable, value, text) in [
        ("FAREWELL_HIDDEN", "maybe", "write true or false"),
        ("FAREWELL_CORS", "nowhere", "https://example.org"),
        ("FAREWELL_HEADER", "X", "'Name: value'"),
        ("FAREWELL_UPLOAD_MAX", "2M", "write it in bytes"),
        ("FAREWELL_CACHE_CONTROL", "", "max-age=3600"),
        ("FAREWELL_DIR", "/no/such/folder", ""),
    ] {
        let mut command = command(&[]);
        if variable != "FAREWELL_DIR" {
            command.arg(dir);
        }
        let ended = run({
            command.env(variable, value);
            command
        });
        assert_ne!(ended.code, Some(0));
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        let names = variable == "FAREWELL_DIR" || ended.stderr.contains(variable);
        assert!(names && ended.stderr.contains(text), "{}", ended.stderr);
    }
}

#[test]
fn a_taken_port_is_one_line() {
    let folder = folder();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    rejects(
        &[text(folder.path()), "--listen", &address],
        1,
        "is another instance running?",
    );
}

#[test]
fn every_option_works_from_the_environment() {
    let folder = folder();
    let mut command = command(&[]);
    command
        .env("FAREWELL_DIR", folder.path())
        .env("FAREWELL_HIDDEN", "yes")
        .env("FAREWELL_IMMUTABLE", "false")
        .env("FAREWELL_CORS", "*")
        .env("FAREWELL_HEADER", "X-A: one\nX-B: two")
        .env("FAREWELL_UPLOAD", "true")
        .env("FAREWELL_UPLOAD_MAX", "1MiB");
    let program = Program::spawn(command);
    let mut client = program.connect();
    let secret = client.get("/.secret");
    assert_eq!(secret.body, "hidden\n");
    for line in ["x-a: one", "x-b: two", "access-control-allow-origin: *"] {
        assert!(secret.has(line), "{secret:?}");
    }
    assert!(!client.get("/app.3f2a9c1b.js").head.contains("immutable"));
}

#[test]
fn the_demonstration_ignores_options_of_a_folder_that_are_off() {
    let mut command = command(&[]);
    command.env("FAREWELL_HIDDEN", "false");
    let program = Program::spawn(command);
    assert_eq!(
        program.connect().get("/a").body,
        "Hello, you requested /a\n"
    );
}

#[test]
fn a_qr_code_is_printed_only_when_it_is_asked_for() {
    let folder = folder();
    for asks in [false, true] {
        let program = serve(&folder, if asks { &["--qr"] } else { &[] });
        program.signal(Signal::TERM);
        let ended = program.end();
        assert_eq!(ended.stdout.contains('\u{2588}'), asks, "{}", ended.stdout);
        // A phone cannot connect to a loopback address.
        let warns = ended
            .stderr
            .contains("--qr shows a URL of this machine alone");
        assert_eq!(warns, asks, "{}", ended.stderr);
        // The report stays the last line.
        assert_eq!(ended.report()["abort"], serde_json::Value::Null);
    }
}

#[test]
fn the_browser_gets_the_url_and_the_server_does_not_wait_for_it() {
    let (folder, bin) = (folder(), tempfile::tempdir().unwrap());
    let opened = bin.path().join("opened");
    assert_eq!(
        run(command_of("mkfifo", &[text(&opened)])).code,
        Some(0),
        "mkfifo is there"
    );
    // This browser runs until the test has read what it was given.
    let script = format!("#!/bin/sh\necho \"$1\" > {}\n", opened.display());
    let browser = bin.path().join("xdg-open");
    fs::write(&browser, script).unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = command(&[text(folder.path()), "--open"]);
    command.env("PATH", bin.path());
    let program = Program::spawn(command);
    assert_eq!(program.connect().get("/note.txt").body, "hello\n");
    let url = fs::read_to_string(&opened).unwrap();
    assert_eq!(url, format!("http://{}/\n", program.address));
}

#[test]
fn a_browser_that_does_not_open_is_one_warning() {
    let (folder, bin) = (folder(), tempfile::tempdir().unwrap());
    let mut without = command(&[text(folder.path()), "--open"]);
    without.env("PATH", bin.path());
    let program = Program::spawn(without);
    program.wait_logged("cannot open a browser: xdg-open does not start");

    let browser = bin.path().join("xdg-open");
    fs::write(&browser, "#!/bin/sh\nexit 3\n").unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
    let mut failing = command(&[text(folder.path()), "--open"]);
    failing.env("PATH", bin.path());
    let program = Program::spawn(failing);
    program.wait_logged("cannot open a browser: xdg-open failed (exit status: 3)");
    assert_eq!(program.connect().get("/note.txt").status, 200);
}
