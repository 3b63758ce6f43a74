//! What clients store in a folder by `PUT` and by forms, and what they never store.

use std::sync::Arc;
use std::sync::Barrier;
use std::thread;

use farewell::Config;
use farewell::Uploads;

use super::*;
use crate::support::Client;
use crate::support::TestServer;
use crate::support::config;
use crate::support::short_drain;

fn uploads(folder: &TempDir, uploads: Uploads) -> Files {
    files(folder).uploads(uploads)
}

fn server(folder: &TempDir, uploads: Uploads) -> TestServer {
    TestServer::start(config(), files(folder).uploads(uploads))
}

/// Sends a request with a body to the handler, without a socket.
fn send_body(
    files: &Files,
    (method, target): (&str, &str),
    fields: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = http::Request::builder().method(method).uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(body.to_owned()).unwrap();
    let (parts, body) = files.handle(Request::from_http(request)).into_parts();
    Answer {
        status: parts.status,
        fields: parts.headers,
        body: body.into_bytes(1 << 20).unwrap(),
    }
}

fn put(files: &Files, target: &str, fields: &[(&str, &str)], body: &str) -> Answer {
    send_body(files, ("PUT", target), fields, body)
}

const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=AaB03x");

/// The body of a form with these files, and a field that is no file.
fn form(files: &[(&str, &str)]) -> String {
    let mut body = "--AaB03x\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhi".to_owned();
    for (name, content) in files {
        body += &format!(
            "\r\n--AaB03x\r\nContent-Disposition: form-data; name=\"file\"; \
             filename=\"{name}\"\r\n\r\n{content}"
        );
    }
    body + "\r\n--AaB03x--\r\n"
}

fn post(files: &Files, target: &str, fields: &[(&str, &str)], sent: &[(&str, &str)]) -> Answer {
    let fields = [&[FORM], fields].concat();
    send_body(files, ("POST", target), &fields, &form(sent))
}

/// Every file beneath the folder, hidden ones too, and its content.
fn stored(folder: &TempDir) -> Vec<(String, String)> {
    fn add(folder: &Path, prefix: &str, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => add(&entry.path(), &format!("{name}/"), found),
                kind if kind.is_file() => {
                    found.push((name, fs::read_to_string(entry.path()).unwrap()));
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    add(folder.path(), "", &mut found);
    found.sort();
    found
}

fn pairs(files: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |&(name, content): &(&str, &str)| (name.to_owned(), content.to_owned());
    files.iter().map(owned).collect()
}

#[test]
fn without_uploads_both_methods_are_a_405() {
    let folder = folder(&[("a", "a")]);
    let files = files(&folder);
    for method in ["PUT", "POST", "DELETE", "PATCH", "MKCOL", "PROPFIND"] {
        let answer = send_body(&files, (method, "/b"), &[], "b");
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.field("allow"), "GET, HEAD, OPTIONS");
    }
    assert_eq!(stored(&folder), pairs(&[("a", "a")]));
}

/// The path that a relative reference leads to from this path (RFC 3986 section 5.2).
fn resolved(base: &str, reference: &str) -> String {
    let (path, _) = base.split_once('?').unwrap_or((base, ""));
    let (folder, _) = path.rsplit_once('/').unwrap();
    format!("{folder}/{}", reference.strip_prefix("./").unwrap())
}

#[test]
fn a_put_creates_a_file_that_can_be_read_at_its_location() {
    let folder = folder(&[("sub/x", "x")]);
    let files = uploads(&folder, Uploads::new());
    for (target, location, path) in [
        ("/a.txt", "./a.txt", "a.txt"),
        ("/sub/b%20%C3%BC.txt", "./b%20%C3%BC.txt", "sub/b ü.txt"),
        ("/c+%2B%23?x=y", "./c%2B%2B%23", "c++#"),
        ("/data:a%3Fb", "./data%3Aa%3Fb", "data:a?b"),
    ] {
        let answer = put(&files, target, &[], "hello");
        assert_eq!(answer.status, 201, "{target}: {}", answer.text());
        assert_eq!(answer.field("location"), location);
        assert_eq!(
            fs::read_to_string(folder.path().join(path)).unwrap(),
            "hello"
        );
        let read = get(&files, &resolved(target, location));
        assert_eq!(read.text(), "hello");
        assert_eq!(read.field("etag"), answer.field("etag"));
        assert_eq!(read.field("last-modified"), answer.field("last-modified"));
        assert_ne!(read.field("etag"), "");
    }
    assert_eq!(put(&files, "/empty", &[], "").status, 201);
    assert_eq!(stored(&folder).len(), 6);
    let under = Files::new(&folder)
        .unwrap()
        .under("/f")
        .uploads(Uploads::new());
    assert_eq!(put(&under, "/f/d", &[], "d").field("location"), "./d");
    for target in ["/d", "/f", "/fd"] {
        assert_eq!(put(&under, target, &[], "d").status, 409, "{target}");
    }
}

#[test]
fn a_put_replaces_a_file_only_where_that_is_asked_for() {
    let folder = folder(&[("a", "old")]);
    let careful = uploads(&folder, Uploads::new());
    let answer = put(&careful, "/a", &[], "new");
    assert_eq!(answer.status, 409);
    assert_eq!(answer.text(), "there is a file of this name\n");
    assert_eq!(stored(&folder), pairs(&[("a", "old")]));
    let bold = uploads(&folder, Uploads::new().overwrite(true));
    let answer = put(&bold, "/a", &[], "new");
    assert_eq!((answer.status, answer.text()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(answer.field("location"), "");
    assert_eq!(answer.field("etag"), get(&bold, "/a").field("etag"));
    assert_eq!(put(&bold, "/b", &[], "b").status, 201);
    assert_eq!(stored(&folder), pairs(&[("a", "new"), ("b", "b")]));
}

#[test]
fn conditions_protect_what_a_client_has_not_seen() {
    let folder = folder(&[("a", "old")]);
    let files = uploads(&folder, Uploads::new().overwrite(true));
    let etag = get(&files, "/a").field("etag").to_owned();
    for (target, field) in [
        ("/a", ("if-none-match", "*")),
        ("/a", ("if-none-match", &*etag)),
        ("/a", ("if-match", "\"other\"")),
        (
            "/a",
            ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ),
        ("/b", ("if-match", "*")),
        ("/b", ("if-match", &*etag)),
    ] {
        let answer = put(&files, target, &[field], "new");
        assert_eq!(answer.status, 412, "{target} {field:?}");
    }
    assert_eq!(stored(&folder), pairs(&[("a", "old")]));
    assert_eq!(
        put(&files, "/a", &[("if-match", &etag)], "newer").status,
        204
    );
    assert_eq!(
        put(&files, "/a", &[("if-match", &etag)], "lost").status,
        412
    );
    assert_eq!(
        put(&files, "/b", &[("if-none-match", "*")], "b").status,
        201
    );
    assert_eq!(
        put(&files, "/b", &[("if-none-match", "*")], "c").status,
        412
    );
    assert_eq!(stored(&folder), pairs(&[("a", "newer"), ("b", "b")]));
    // A request that is refused without its conditions is refused as without them.
    let careful = uploads(&folder, Uploads::new());
    assert_eq!(
        put(&careful, "/a", &[("if-none-match", "*")], "c").status,
        409
    );
    assert_eq!(
        put(&careful, "/c", &[("if-none-match", "*")], "c").status,
        201
    );
}

#[test]
fn what_cannot_be_stored_has_its_status_and_leaves_nothing() {
    let folder = folder(&[("sub/x", "x"), ("file", "f")]);
    let long = format!("/{}", "n".repeat(256));
    let range = &[("content-range", "bytes 0-4/5")][..];
    let gzip = &[("content-encoding", "gzip")][..];
    for overwrites in [false, true] {
        let files = uploads(&folder, Uploads::new().overwrite(overwrites));
        for (target, fields, status) in [
            ("/nothing/a", &[][..], 409),
            ("/file/a", &[], 409),
            ("/", &[], 405),
            ("/sub", &[], 405),
            ("/sub/", &[], 405),
            ("/new/", &[], 405),
            ("/.hidden", &[], 403),
            ("/sub/.hidden", &[], 403),
            ("/.git/hooks/post-update", &[], 403),
            ("/../a", &[], 400),
            ("/%2e%2e/a", &[], 400),
            ("/sub/..%2f..%2fa", &[], 400),
            ("/%2fetc%2fpasswd", &[], 400),
            ("/a%00", &[], 400),
            ("/a%0A", &[], 400),
            ("/sub/%1B%5B31m", &[], 400),
            ("/a%C2%85", &[], 400),
            ("/a%zz", &[], 400),
            ("//a", &[], 400),
            (&*long, &[], 400),
            ("/a", range, 400),
            ("/a", gzip, 415),
        ] {
            let answer = put(&files, target, fields, "hello");
            assert_eq!(answer.status, status, "{target}: {}", answer.text());
        }
        assert_eq!(
            put(&files, "/sub", &[], "").field("allow"),
            "GET, HEAD, OPTIONS, POST"
        );
        assert_eq!(
            put(&files, "/a", gzip, "").field("accept-encoding"),
            "identity"
        );
    }
    assert_eq!(stored(&folder), pairs(&[("file", "f"), ("sub/x", "x")]));
    let hidden = files(&folder).hidden(true).uploads(Uploads::new());
    assert_eq!(put(&hidden, "/.hidden", &[], "").status, 201);
    assert_eq!(
        put(&hidden, "/.farewell-0123456789abcdef.part", &[], "").status,
        403
    );
}

#[cfg(unix)]
#[test]
fn nothing_is_stored_outside_or_through_a_link_and_no_device_is_opened() {
    use std::os::unix::fs::symlink;

    let outside = folder(&[("secret", "secret")]);
    let folder = folder(&[("in/x", "x")]);
    let at = |name: &str| folder.path().join(name);
    symlink(outside.path(), at("out")).unwrap();
    symlink(outside.path().join("secret"), at("secret")).unwrap();
    symlink(outside.path().join("new"), at("new")).unwrap();
    symlink("in", at("link")).unwrap();
    let fifo = std::process::Command::new("mkfifo")
        .arg(at("fifo"))
        .status();
    assert!(fifo.unwrap().success());
    for overwrites in [false, true] {
        let files = uploads(&folder, Uploads::new().overwrite(overwrites));
        assert_eq!(put(&files, "/out/a", &[], "a").status, 409);
        assert_eq!(put(&files, "/fifo", &[], "a").status, 409);
        assert_eq!(put(&files, "/link", &[], "a").status, 405);
        let inside = format!("/link/{overwrites}");
        assert_eq!(put(&files, &inside, &[], "a").status, 201);
        assert_eq!(post(&files, "/out/", &[], &[("a", "a")]).status, 404);
        for link in ["/out", "/secret", "/new"] {
            assert_eq!(get(&files, link).status, 404, "{link}");
            let answer = put(&files, link, &[], "a");
            // There was nothing to replace (RFC 9110 section 9.3.4).
            let expected = if overwrites { 201 } else { 409 };
            assert_eq!(answer.status, expected, "{link}");
            let location = if overwrites {
                format!(".{link}")
            } else {
                String::new()
            };
            assert_eq!(answer.field("location"), location);
        }
        // A link to a file leads to a representation, which is replaced.
        symlink("in/x", at("inner")).unwrap();
        let expected = if overwrites { 204 } else { 409 };
        assert_eq!(put(&files, "/inner", &[], "a").status, expected);
        fs::remove_file(at("inner")).unwrap();
        // A link that was replaced by a file.
        let expected = if overwrites { 405 } else { 404 };
        assert_eq!(post(&files, "/out", &[], &[("a", "a")]).status, expected);
    }
    assert_eq!(stored(&outside), pairs(&[("secret", "secret")]));
    let expected = [
        ("in/false", "a"),
        ("in/true", "a"),
        ("in/x", "x"),
        ("new", "a"),
        ("out", "a"),
        ("secret", "a"),
    ];
    assert_eq!(stored(&folder), pairs(&expected));
}

#[test]
fn a_form_stores_each_of_its_files() {
    let folder = folder(&[("sub/x", "x")]);
    let files = uploads(&folder, Uploads::new());
    let answer = post(
        &files,
        "/sub/",
        &[],
        &[("a.txt", "1"), ("C:\\dir\\b c", "2"), ("", "")],
    );
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.text(), "./a.txt\n./b%20c\n");
    assert_eq!(answer.field("location"), "./");
    let json = [("accept", "application/json")];
    let answer = post(&files, "/", &json, &[("../../c", "3")]);
    assert_eq!(answer.text(), r#"{"stored":["./c"]}"#);
    assert_eq!(answer.field("content-type"), "application/json");
    assert_eq!(answer.field("location"), "./c");
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let answer = post(&files, "/sub?order=size", &browser, &[("d", "4")]);
    assert_eq!(answer.status, 303);
    assert_eq!(answer.field("location"), "./sub/?order=size");
    let answer = post(&files, "/sub/?order=size", &browser, &[("e", "5")]);
    assert_eq!(answer.field("location"), "./?order=size");
    let answer = post(&files, "/sub", &[], &[("f", "6")]);
    assert_eq!(answer.text(), "./sub/f\n");
    assert_eq!(resolved("/sub", answer.field("location")), "/sub/f");
    let expected = [
        ("c", "3"),
        ("sub/a.txt", "1"),
        ("sub/b c", "2"),
        ("sub/d", "4"),
        ("sub/e", "5"),
        ("sub/f", "6"),
        ("sub/x", "x"),
    ];
    assert_eq!(stored(&folder), pairs(&expected));
}

#[test]
fn the_response_to_a_form_is_of_the_type_that_accept_prefers() {
    let folder = folder(&[]);
    let files = uploads(&folder, Uploads::new());
    let text = "text/plain; charset=utf-8";
    for (number, (accept, status, content_type)) in [
        ("", 201, text),
        ("*/*", 201, text),
        ("text/html;q=0, */*", 201, text),
        ("application/jsonp, x-text/html", 201, text),
        ("Application/JSON", 201, "application/json"),
        ("application/json;q=0", 201, text),
        ("application/json, text/html;q=0.5", 201, "application/json"),
        ("application/json, text/html", 303, ""),
        ("text/html;q=0.5", 303, ""),
    ]
    .into_iter()
    .enumerate()
    {
        let name = number.to_string();
        let answer = post(&files, "/", &[("accept", accept)], &[(&name, "")]);
        assert_eq!(answer.status, status, "{accept}");
        if status == 201 {
            assert_eq!(answer.field("content-type"), content_type, "{accept}");
        }
    }
}

#[test]
fn a_form_with_a_file_that_cannot_be_stored_stores_none() {
    let folder = folder(&[("sub/x", "x"), ("file", "f")]);
    let files = uploads(&folder, Uploads::new().bytes_max(5).files_max(2));
    let long = "n".repeat(256);
    for (target, name, content, status, text) in [
        (
            "/",
            "file",
            "2",
            409,
            "there is a file of this name: file\n",
        ),
        (
            "/",
            "sub",
            "2",
            409,
            "there is a folder of this name: sub\n",
        ),
        (
            "/",
            "first",
            "2",
            400,
            "the form has two files of this name: first\n",
        ),
        (
            "/",
            ".hidden",
            "2",
            403,
            "names that begin with a dot are not stored: .hidden\n",
        ),
        ("/", "a\x07", "2", 400, ""),
        ("/", &*long, "2", 400, ""),
        (
            "/",
            "a",
            "123456",
            413,
            "the file is larger than the server takes: a\n",
        ),
        ("/nothing/", "a", "2", 404, ""),
        ("/file", "a", "2", 405, ""),
        ("/..%2f", "a", "2", 400, ""),
        ("/.git/", "a", "2", 403, ""),
    ] {
        let answer = post(&files, target, &[], &[("first", "1"), (name, content)]);
        assert_eq!(answer.status, status, "{target} {name}: {}", answer.text());
        assert!(answer.text().ends_with(text), "{}", answer.text());
        let allow = if status == 405 {
            "GET, HEAD, OPTIONS, PUT"
        } else {
            ""
        };
        assert_eq!(answer.field("allow"), allow, "{target} {name}");
    }
    let bold = uploads(&folder, Uploads::new().overwrite(true));
    let answer = post(&bold, "/", &[], &[("first", "1"), ("sub", "2")]);
    assert_eq!((answer.status.as_u16(), answer.field("allow")), (409, ""));
    let answer = post(&files, "/", &[], &[("1", "1"), ("2", "2"), ("3", "3")]);
    assert_eq!(
        (answer.status, answer.text()),
        (
            StatusCode::PAYLOAD_TOO_LARGE,
            "the form has more than 2 files\n"
        )
    );
    assert_eq!(
        post(&files, "/", &[], &[("", "")]).text(),
        "the form has no file\n"
    );
    let not_a_form = send_body(
        &files,
        ("POST", "/"),
        &[("content-type", "text/plain")],
        "x",
    );
    assert_eq!(not_a_form.status, 415);
    let cut = form(&[("first", "1"), ("second", "2")]);
    let cut = send_body(&files, ("POST", "/"), &[FORM], &cut[..cut.len() - 5]);
    assert_eq!(cut.status, 400);
    assert_eq!(stored(&folder), pairs(&[("file", "f"), ("sub/x", "x")]));
}

#[test]
fn a_page_of_another_site_stores_nothing() {
    let folder = folder(&[]);
    let files = uploads(&folder, Uploads::new());
    let host = ("host", "127.0.0.1:8080");
    for field in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "http://evil.example"),
        ("origin", "http://127.0.0.1:8081"),
        ("origin", "null"),
    ] {
        assert_eq!(
            put(&files, "/a", &[host, field], "a").status,
            403,
            "{field:?}"
        );
        let form = post(&files, "/", &[host, field], &[("a", "a")]);
        assert_eq!(form.status, 403, "{field:?}");
    }
    assert_eq!(stored(&folder), pairs(&[]));
    for (name, field) in [
        ("1", ("sec-fetch-site", "same-origin")),
        ("2", ("sec-fetch-site", "none")),
        ("3", ("origin", "http://127.0.0.1:8080")),
        ("4", ("origin", "https://127.0.0.1:8080")),
        ("5", ("accept", "*/*")),
    ] {
        let form = post(&files, "/", &[host, field], &[(name, "a")]);
        assert_eq!(form.status, 201, "{field:?}");
    }
}

/// A browser sends `Sec-Fetch-Site` only to a loopback address or with TLS, so elsewhere
/// `Origin` decides.
#[test]
fn the_form_of_a_page_on_a_lan_address_is_taken() {
    let folder = folder(&[]);
    let files = uploads(&folder, Uploads::new()).listing(true);
    // Of the policies that tell other sites nothing, only `same-origin` lets a browser post
    // the form with an origin other than `null`.
    let page = get(&files, "/");
    assert!(page.text().contains("<form"));
    assert_eq!(page.field("referrer-policy"), "same-origin");
    let host = ("host", "192.0.2.2:9702");
    let own = ("origin", "http://192.0.2.2:9702");
    let html = ("accept", "text/html,*/*;q=0.8");
    let answer = post(&files, "/", &[host, own, html], &[("a", "a")]);
    assert_eq!(answer.status, 303, "{}", answer.text());
    let none = ("origin", "null");
    let answer = post(&files, "/", &[host, none, html], &[("b", "b")]);
    assert_eq!(answer.status, 403);
    assert_eq!(stored(&folder), pairs(&[("a", "a")]));
}

#[test]
fn allow_says_what_a_path_takes() {
    let folder = folder(&[("sub/x", "x")]);
    let files = uploads(&folder, Uploads::new());
    for (target, allowed) in [
        ("/sub/", "GET, HEAD, OPTIONS, POST"),
        ("/sub", "GET, HEAD, OPTIONS, POST"),
        ("/", "GET, HEAD, OPTIONS, POST"),
        ("/sub/x", "GET, HEAD, OPTIONS, PUT"),
        ("/new", "GET, HEAD, OPTIONS, PUT"),
        ("*", "GET, HEAD, OPTIONS, POST, PUT"),
    ] {
        let answer = send(&files, "OPTIONS", target, &[]);
        assert_eq!(
            (answer.status.as_u16(), answer.field("allow")),
            (204, allowed),
            "{target}"
        );
        let answer = send(&files, "DELETE", target, &[]);
        assert_eq!(
            (answer.status.as_u16(), answer.field("allow")),
            (405, allowed),
            "{target}"
        );
    }
    assert_eq!(
        post(&files, "/sub/x", &[], &[("a", "a")]).field("allow"),
        "GET, HEAD, OPTIONS, PUT"
    );
}

#[cfg(unix)]
#[test]
fn the_permissions_of_a_stored_file_are_those_of_the_umask() {
    use std::os::unix::fs::PermissionsExt;

    let folder = folder(&[("usual", "")]);
    let files = uploads(&folder, Uploads::new().overwrite(true));
    for name in ["/new", "/new"] {
        assert!(put(&files, name, &[], "x").status.is_success());
        let mode = |name| {
            fs::metadata(folder.path().join(name))
                .unwrap()
                .permissions()
                .mode()
        };
        assert_eq!(mode("new"), mode("usual"));
    }
}

/// A file of some bytes that do not repeat soon, of this letter.
fn content(letter: char, count: usize) -> String {
    let lines = (0..).map(|line| format!("{letter}{line:07}\n"));
    lines.take(count / 9).collect()
}

fn head(target: &str, length: usize) -> String {
    format!(
        "PUT {target} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// Begins an upload, of which the handler has asked for the rest.
fn begin(server: &TestServer, target: &str, length: usize) -> Client {
    let mut client = server.connect();
    client.send(head(target, length));
    assert!(client.head().starts_with("http/1.1 100 "));
    client
}

#[test]
fn a_server_takes_bodies_as_large_as_the_uploads_say_and_refuses_others_unread() {
    let folder = folder(&[("taken", "old")]);
    let server = server(&folder, Uploads::new().bytes_max(5 << 20).files_max(2));
    let large = content('a', 5 << 20);
    // Larger than the body that a server takes by default.
    assert!(large.len() as u64 > Config::default().body_bytes_max);
    let mut client = begin(&server, "/large", large.len());
    client.send(&large);
    assert_eq!(client.response().status, 201);
    client.send("PUT /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in large.as_bytes().chunks(100_000) {
        client.send(format!("{:x}\r\n", chunk.len()));
        client.send(chunk);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().status, 201);
    assert_eq!(client.get("/chunked").body, large);
    // Without a 100 (Continue), so nothing of these is read.
    for (target, length, status) in [
        ("/too-large", (5 << 20) + 1, 413),
        ("/too-large", usize::MAX >> 1, 413),
        ("/taken", 5, 409),
        ("/nothing/a", 5, 409),
    ] {
        let mut client = server.connect();
        client.send(head(target, length));
        let response = client.response();
        assert_eq!(response.status, status, "{target} {length}: {response:?}");
    }
    let mut client = server.connect();
    client.send("PUT /endless HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = "x".repeat(1 << 20);
    for _ in 0..6 {
        // The server may have refused and closed.
        let _ = client.try_send(format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    }
    assert_eq!(client.response().status, 413);
    drop(client);
    server.stop.shutdown();
    server.join();
    let expected = [("chunked", &*large), ("large", &large), ("taken", "old")];
    assert!(stored(&folder) == pairs(&expected));
}

#[test]
fn a_client_that_disconnects_and_a_stop_that_cuts_leave_nothing() {
    let folder = folder(&[("a", "old")]);
    let files = files(&folder).uploads(Uploads::new().overwrite(true));
    let server = TestServer::start(short_drain(), files);
    let content = content('a', 1 << 20);
    for target in ["/a", "/b"] {
        let mut client = begin(&server, target, content.len());
        client.send(&content[..content.len() - 1]);
        drop(client);
        server.wait_in_progress(0);
    }
    let mut client = begin(&server, "/c", content.len());
    client.send(&content[..content.len() - 1]);
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.cut.len(), 1, "{report:?}");
    drop(client);
    assert_eq!(stored(&folder), pairs(&[("a", "old")]));
}

/// Sends the contents of uploads whose heads are answered, all at a time. Returns the
/// statuses, each with its content.
fn finish_at_a_time(uploads: Vec<(Client, String)>) -> Vec<(u16, String)> {
    let barrier = Arc::new(Barrier::new(uploads.len()));
    let finish = |(mut client, content): (Client, String)| {
        let barrier = Arc::clone(&barrier);
        thread::spawn(move || {
            barrier.wait();
            client.send(&content);
            (client.response().status, content)
        })
    };
    let clients: Vec<_> = uploads.into_iter().map(finish).collect();
    let answers = clients.into_iter().map(|client| client.join().unwrap());
    answers.collect()
}

#[test]
fn of_uploads_to_one_name_at_a_time_one_is_stored_whole() {
    let folder = folder(&[]);
    let mut config = config();
    config.workers = 16;
    let server = TestServer::start(config, files(&folder).uploads(Uploads::new()));
    let uploads = ('a'..='h').map(|letter| {
        let content = content(letter, 1 << 20);
        // All have passed the check that the name is free.
        (begin(&server, "/name", content.len()), content)
    });
    let answers = finish_at_a_time(uploads.collect()).into_iter();
    let (won, lost): (Vec<_>, Vec<_>) = answers.partition(|(status, _)| *status == 201);
    assert_eq!(won.len(), 1);
    assert!(
        lost.iter().all(|(status, _)| *status == 409),
        "{:?}",
        lost.len()
    );
    assert!(stored(&folder) == pairs(&[("name", &won[0].1)]));
}

#[test]
fn of_uploads_with_one_condition_at_a_time_one_replaces_the_file() {
    let folder = folder(&[("name", "old")]);
    let files = files(&folder).uploads(Uploads::new().overwrite(true));
    let etag = get(&files, "/name").field("etag").to_owned();
    let mut config = config();
    config.workers = 16;
    let server = TestServer::start(config, files);
    let uploads = (1..=8).map(|number| {
        let content = content('x', 9000 * number);
        let head = head("/name", content.len());
        let head = head.replacen("\r\n", &format!("\r\nIf-Match: {etag}\r\n"), 1);
        let mut client = server.connect();
        client.send(head);
        assert!(client.head().starts_with("http/1.1 100 "));
        (client, content)
    });
    let answers = finish_at_a_time(uploads.collect()).into_iter();
    let (won, lost): (Vec<_>, Vec<_>) = answers.partition(|(status, _)| *status == 204);
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|(status, _)| *status == 412));
    assert!(stored(&folder) == pairs(&[("name", &won[0].1)]));
}
