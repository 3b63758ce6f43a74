//! `farewell DIR`: what is served, and how it stops.

use std::fs;
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::client::Client;
use crate::client::Response;
use crate::program::Program;
use crate::program::command;
use crate::program::run;

/// A folder with some files.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("note.txt", "hello\n"),
        (".secret", "hidden\n"),
        ("app.3f2a9c1b.js", "run();\n"),
        ("app.3f2a9c1b.js.gz", "compressed"),
        ("healthz", "a file\n"),
        ("shutdown", "a file\n"),
    ] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("sub/deep.txt"), "deep\n").unwrap();
    folder
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Serves the folder with these options.
pub(crate) fn serve(folder: &TempDir, options: &[&str]) -> Program {
    let arguments = [&[text(folder.path())], options].concat();
    Program::start(&arguments)
}

/// Sends a request with these lines after `Host`.
pub(crate) fn ask(client: &mut Client, method_and_path: &str, lines: &str) -> Response {
    client.send(format!(
        "{method_and_path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"
    ));
    client.response()
}

#[test]
fn a_folder_is_served_and_listed() {
    let folder = folder();
    let program = serve(&folder, &[]);
    let mut client = program.connect();
    let note = client.get("/note.txt");
    assert_eq!((note.status, &*note.body), (200, "hello\n"));
    assert!(
        note.has("content-type: text/plain; charset=utf-8"),
        "{note:?}"
    );
    assert_eq!(client.get("/sub").status, 301);
    let listing = client.get("/");
    assert_eq!(listing.status, 200, "{listing:?}");
    assert!(listing.body.contains("note.txt") && listing.body.contains("sub/"));
    assert!(!listing.body.contains(".secret"), "{}", listing.body);
    for nothing in ["/.secret", "/nothing", "/echo"] {
        assert_eq!(client.get(nothing).status, 404, "{nothing}");
    }
    // The library has tests of all ways out.
    for out in ["/../etc/passwd", "/%2e%2e/etc/passwd", "/..%2fetc/passwd"] {
        assert!(client.get(out).status >= 400, "{out}");
    }
}

#[test]
fn the_greeting_names_the_folder_and_its_urls() {
    let folder = folder();
    let program = serve(&folder, &[]);
    let (listening, serving) = program.greeting.split_once('\n').unwrap();
    let url = format!("http://{}", program.address);
    assert!(
        listening.ends_with(&format!(" listening on {url} (16 workers)")),
        "{listening}"
    );
    let expected = format!("serving {} at {url}/\n", folder.path().display());
    assert_eq!(serving, expected);
    program.signal(Signal::TERM);
    let ended = program.end();
    assert!(
        ended
            .stdout
            .starts_with(&format!("stop it with: curl {url}/shutdown"))
    );
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn a_name_of_a_command_is_a_folder_if_it_is_a_path() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("drill")).unwrap();
    fs::write(home.path().join("drill/a.txt"), "here").unwrap();
    for by_variable in [false, true] {
        let mut command = command(if by_variable { &[] } else { &["./drill"] });
        command.current_dir(home.path());
        if by_variable {
            command.env("FAREWELL_DIR", "drill");
        }
        let program = Program::spawn(command);
        assert_eq!(program.connect().get("/a.txt").body, "here");
    }
    let mut drill = command(&["drill", "--help"]);
    drill.current_dir(home.path()).env("FAREWELL_DIR", "drill");
    let ended = run(drill);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("--rounds"), "{}", ended.stdout);
}

#[test]
fn routes_of_the_stop_come_before_files_of_their_names() {
    let folder = folder();
    let program = serve(&folder, &["--no-shutdown-route"]);
    let mut client = program.connect();
    assert_ne!(client.get("/healthz").body, "a file\n");
    assert_eq!(client.get("/readyz").status, 200);
    assert_eq!(client.get("/shutdown").body, "a file\n");
    drop(client);

    let program = serve(&folder, &[]);
    let mut client = program.connect();
    assert!(client.get("/shutdown").body.starts_with("shutting down"));
    drop(client);
    assert_eq!(program.end().code, Some(0));
}

#[test]
fn options_decide_what_is_served() {
    let folder = folder();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("far.txt"), "far\n").unwrap();
    symlink(outside.path(), folder.path().join("out")).unwrap();

    let plain = serve(&folder, &[]);
    let mut client = plain.connect();
    assert_eq!(client.get("/out/far.txt").status, 404);
    let script = ask(
        &mut client,
        "GET /app.3f2a9c1b.js",
        "Accept-Encoding: gzip\r\n",
    );
    assert_eq!(script.body, "run();\n");
    assert!(!script.head.contains("cache-control"), "{script:?}");

    let options = ["--hidden", "--follow", "--precompressed", "--immutable"];
    let more = ["--cache-control", "no-cache", "--no-listing"];
    let program = serve(&folder, &[&options[..], &more].concat());
    let mut client = program.connect();
    assert_eq!(client.get("/.secret").body, "hidden\n");
    assert_eq!(client.get("/out/far.txt").body, "far\n");
    let script = ask(
        &mut client,
        "GET /app.3f2a9c1b.js",
        "Accept-Encoding: gzip\r\n",
    );
    assert_eq!(script.body, "compressed");
    assert!(script.has("content-encoding: gzip"), "{script:?}");
    let for_ever = "cache-control: max-age=31536000, immutable";
    assert!(script.has(for_ever), "{script:?}");
    assert!(client.get("/note.txt").has("cache-control: no-cache"));
    assert_eq!(client.get("/").status, 404);
}

#[test]
fn an_application_of_one_page_gets_its_page_for_every_path() {
    let folder = folder();
    fs::write(folder.path().join("index.html"), "<p>page").unwrap();
    let program = serve(&folder, &["--spa"]);
    let mut client = program.connect();
    for path in ["/", "/users/7"] {
        let page = ask(&mut client, &format!("GET {path}"), "Accept: text/html\r\n");
        assert_eq!((page.status, &*page.body), (200, "<p>page"), "{path}");
    }
    assert_eq!(client.get("/missing.js").status, 404);
}

#[test]
fn pages_of_other_origins_may_read_with_cors() {
    let folder = folder();
    let program = serve(&folder, &[]);
    let origin = "Origin: https://a.example\r\n";
    let preflight = format!("{origin}Access-Control-Request-Method: GET\r\n");
    let mut client = program.connect();
    let response = ask(&mut client, "GET /note.txt", origin);
    assert!(!response.head.contains("access-control"), "{response:?}");

    for (option, allowed) in [
        ("--cors", "*"),
        ("--cors=https://A.example", "https://a.example"),
    ] {
        let program = serve(&folder, &[option]);
        let mut client = program.connect();
        let allowed = format!("access-control-allow-origin: {allowed}");
        let range = format!("{origin}Range: bytes=0-1\r\n");
        let part = ask(&mut client, "GET /note.txt", &range);
        assert_eq!((part.status, &*part.body), (206, "he"));
        let exposed = "access-control-expose-headers: accept-ranges, content-length, \
                       content-range, etag";
        assert!(part.has(&allowed) && part.has(exposed), "{part:?}");
        assert!(ask(&mut client, "GET /nothing", origin).has(&allowed));

        let response = ask(&mut client, "OPTIONS /note.txt", &preflight);
        assert_eq!(response.status, 204);
        assert!(response.has(&allowed), "{response:?}");
        assert!(response.has("access-control-allow-methods: get, head"));
        assert!(response.head.contains("range"), "{response:?}");
        let plain = ask(&mut client, "OPTIONS /note.txt", "");
        assert!(plain.has("allow: get, head, options"), "{plain:?}");
    }
}

#[test]
fn fields_are_sent_with_every_response_of_the_folder() {
    let folder = folder();
    let fields = [
        "--header",
        "X-Frame-Options: DENY",
        "--header",
        "Link: </a>",
    ];
    let program = serve(
        &folder,
        &[&fields[..], &["--header", "Link: </b>"]].concat(),
    );
    let mut client = program.connect();
    let range = "Range: bytes=9-\r\n";
    let mut responses = vec![
        client.get("/note.txt"),
        client.get("/nothing"),
        client.get("/sub"),
        ask(&mut client, "GET /note.txt", range),
        ask(&mut client, "PROPFIND /", "Depth: 1\r\n"),
    ];
    client.send("HEAD /note.txt HTTP/1.1\r\nHost: a\r\n\r\n");
    responses.push(client.head_response());
    let status: Vec<u16> = responses.iter().map(|response| response.status).collect();
    assert_eq!(status, [200, 404, 301, 416, 405, 200]);
    for response in responses {
        assert!(response.has("x-frame-options: deny"), "{response:?}");
        assert!(
            response.has("link: </a>") && response.has("link: </b>"),
            "{response:?}"
        );
    }
    assert!(!client.get("/healthz").has("x-frame-options: deny"));
}

#[test]
fn webdav_gets_a_405_with_the_methods() {
    let folder = folder();
    let program = serve(&folder, &[]);
    let mut client = program.connect();
    for method in ["PROPFIND", "MKCOL", "LOCK", "DELETE", "PUT", "POST"] {
        let response = ask(
            &mut client,
            &format!("{method} /note.txt"),
            "Content-Length: 0\r\n",
        );
        assert_eq!(response.status, 405, "{method}");
        assert!(response.has("allow: get, head, options"), "{response:?}");
    }
    assert_eq!(client.get("/note.txt").body, "hello\n");
}

#[test]
fn files_are_uploaded_as_the_options_say() {
    let folder = folder();
    let put = |client: &mut Client, name: &str, body: &str| {
        let length = body.len();
        client.send(format!(
            "PUT /{name} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        client.response().status
    };
    let content = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();

    let program = serve(&folder, &["--upload", "--body-bytes-max", "10"]);
    let mut client = program.connect();
    assert_eq!(put(&mut client, "new.txt", "larger than ten bytes"), 201);
    assert_eq!(content("new.txt"), "larger than ten bytes");
    assert_eq!(put(&mut client, "note.txt", "changed"), 409);
    assert_eq!(content("note.txt"), "hello\n");

    let options = ["--upload", "--upload-overwrite", "--upload-max", "1KiB"];
    let program = serve(&folder, &options);
    let mut client = program.connect();
    assert_eq!(put(&mut client, "note.txt", "changed"), 204);
    assert_eq!(content("note.txt"), "changed");
    assert_eq!(
        put(&mut program.connect(), "big.txt", &"x".repeat(1024)),
        201
    );
    assert_eq!(
        put(&mut program.connect(), "bigger.txt", &"x".repeat(1025)),
        413
    );
    assert!(!folder.path().join("bigger.txt").exists());
}

#[test]
fn a_download_in_progress_arrives_whole_before_the_stop() {
    const LENGTH: u64 = 64 << 20;

    let folder = folder();
    let large = File::create(folder.path().join("large.bin")).unwrap();
    large.set_len(LENGTH).unwrap();
    let program = serve(&folder, &["--drain-timeout", "50s"]);
    let mut client = program.connect();
    client.request("/large.bin");
    let head = client.head();
    assert!(
        head.contains(&format!("content-length: {LENGTH}\r\n")),
        "{head}"
    );
    // The sockets hold far less than the file: it is in progress.
    program.signal(Signal::TERM);
    program.wait_logged("draining");
    let mut left = LENGTH;
    while left > 0 {
        let piece = left.min(1 << 20);
        assert!(client.raw(piece as usize).iter().all(|&byte| byte == 0));
        left -= piece;
    }
    drop(client);
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.count("requests", "answered"), 1);
    ended.assert_balanced();
}
