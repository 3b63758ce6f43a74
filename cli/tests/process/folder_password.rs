//! `--auth-file`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread;

use rustix::process::Signal;
use tempfile::TempDir;

use super::client::Client;
use super::folder::ask;
use super::folder::folder;
use super::folder::serve;
use super::folder::text;
use super::output::rejects;

/// Of `open sesame`, as `htpasswd -nBC 5` and `openssl passwd -6` make them.
const BCRYPT: &str = "$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW";
const SHA_512: &str = "$6$pepperandsalt$K2pUsOBHq0zjRfQHQpv0qX84IRsBbH4vr8YSX3HlfWTBnHsPblIuaX0WDgMxgs9sFTNP/T5X7C0v/fZv5iAed/";

/// `Authorization` with `ali:open sesame`, `ben:open sesame` and `ali:wrong`.
const ALI: &str = "Authorization: Basic YWxpOm9wZW4gc2VzYW1l\r\n";
const BEN: &str = "Authorization: Basic YmVuOm9wZW4gc2VzYW1l\r\n";
const WRONG: &str = "Authorization: Basic YWxpOndyb25n\r\n";

/// A file with these lines that only its owner can read.
fn users(lines: &str) -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("users");
    fs::write(&file, lines).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    (home, file)
}

#[test]
fn the_folder_needs_a_password_and_health_does_not() {
    let (_home, file) = users(&format!("# two\nali:{BCRYPT}\nben:{SHA_512}\n"));
    let folder = folder();
    let program = serve(&folder, &["--auth-file", text(&file), "--upload"]);
    let mut client = program.connect();
    let challenge = "www-authenticate: basic realm=\"farewell\", charset=\"utf-8\"";
    for lines in ["", WRONG, "Authorization: Bearer abc\r\n"] {
        for request in ["GET /note.txt", "GET /nothing", "GET /", "PUT /new.txt"] {
            let response = ask(&mut client, request, lines);
            assert_eq!(response.status, 401, "{request} {lines}");
            assert!(response.has(challenge), "{response:?}");
        }
    }
    assert!(!folder.path().join("new.txt").exists());
    for lines in [ALI, BEN, ALI, BEN] {
        assert_eq!(ask(&mut client, "GET /note.txt", lines).body, "hello\n");
        assert_eq!(ask(&mut client, "GET /nothing", lines).status, 404);
        // What was right before does not help what is wrong.
        assert_eq!(ask(&mut client, "GET /note.txt", WRONG).status, 401);
    }
    assert_eq!(
        ask(&mut client, "GET /note.txt", &[ALI, ALI].concat()).status,
        400
    );
    assert_eq!(client.get("/healthz").status, 200);
    assert_eq!(client.get("/readyz").status, 200);
    assert!(client.get("/shutdown").body.starts_with("shutting down"));
    drop(client);
    let ended = program.end();
    assert_eq!(ended.code, Some(0));
    assert!(!ended.stderr.contains("WARN"), "{}", ended.stderr);
}

#[test]
fn a_preflight_needs_no_password() {
    let (_home, file) = users(&format!("ali:{BCRYPT}\n"));
    let folder = folder();
    let fields = ["--header", "X-A: b"];
    let options = [&["--auth-file", text(&file), "--cors"], &fields[..]].concat();
    let program = serve(&folder, &options);
    let mut client = program.connect();
    let lines = "Origin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n\
                 Access-Control-Request-Headers: authorization\r\n";
    let preflight = ask(&mut client, "OPTIONS /note.txt", lines);
    assert_eq!(preflight.status, 204);
    assert!(preflight.head.contains("authorization"), "{preflight:?}");
    let refused = ask(
        &mut client,
        "GET /note.txt",
        "Origin: https://a.example\r\n",
    );
    assert_eq!(refused.status, 401);
    assert!(refused.has("access-control-allow-origin: *") && refused.has("x-a: b"));
    assert_eq!(ask(&mut client, "OPTIONS /note.txt", "").status, 401);
}

#[test]
fn guesses_leave_workers_for_clients_with_the_right_password() {
    // A guess takes a while.
    let slow = BCRYPT.replacen("$05$", "$10$", 1);
    let (_home, file) = users(&format!("ali:{slow}\nben:{SHA_512}\n"));
    let folder = folder();
    let program = serve(&folder, &["--auth-file", text(&file), "--workers", "4"]);
    let mut ben = program.connect();
    assert_eq!(ask(&mut ben, "GET /note.txt", BEN).status, 200);
    let address = program.address;
    let statuses = thread::scope(|scope| {
        let guesses: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(move || {
                    ask(&mut Client::connect(address), "GET /note.txt", WRONG).status
                })
            })
            .collect();
        // As long as guesses are made, these requests are answered.
        while guesses.iter().any(|guess| !guess.is_finished()) {
            assert_eq!(ask(&mut ben, "GET /note.txt", BEN).body, "hello\n");
        }
        let statuses = guesses.into_iter().map(|guess| guess.join().unwrap());
        statuses.collect::<Vec<_>>()
    });
    assert!(
        statuses.iter().all(|status| [401, 503].contains(status)),
        "{statuses:?}"
    );
    assert!(statuses.contains(&401), "{statuses:?}");
}

#[test]
fn a_file_that_others_see_is_a_warning() {
    let (_home, file) = users(&format!("ali:{BCRYPT}\n"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let folder = folder();
    let program = serve(&folder, &["--auth-file", text(&file)]);
    program.signal(Signal::TERM);
    let ended = program.end();
    assert!(
        ended
            .stderr
            .contains("can be read by every user of this machine")
    );

    let inside = folder.path().join("users");
    fs::copy(&file, &inside).unwrap();
    let program = serve(&folder, &["--auth-file", text(&inside)]);
    program.signal(Signal::TERM);
    let ended = program.end();
    assert!(
        ended.stderr.contains("is in the folder that is served"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_wrong_file_is_one_line_without_its_content() {
    let folder = folder();
    let dir = text(folder.path());
    let missing = ["--auth-file", "/no/such/file"];
    rejects(
        &[&[dir], &missing[..]].concat(),
        1,
        "cannot read the users in /no/such/file",
    );
    for (lines, problem) in [
        ("", "there are none"),
        ("ali\n", "line 1: write it as NAME:HASH"),
        (
            "ali:open sesame\n",
            "line 1: a hash is needed, not the password itself: make it with htpasswd -nB",
        ),
        ("ali:$apr1$abc$def\n", "MD5 and SHA-1 are too fast"),
        ("ali:$2y$05$abc\n", "line 1: the hash is malformed"),
    ] {
        let (_home, file) = users(lines);
        rejects(&[dir, "--auth-file", text(&file)], 2, problem);
    }
}
