//! What `Files` answers to requests for files and folders.

use std::fs;
use std::fs::File;
use std::time::Duration;
use std::time::SystemTime;

use farewell::HeaderValue;
use farewell::Router;

use super::*;
use crate::support::TestServer;
use crate::support::config;

/// A time in the past, with a part of a second.
fn a_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_250)
}

/// `a_time`, as a date of HTTP.
const A_DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

#[test]
fn a_file_has_its_type_length_date_and_tag() {
    let folder = folder(&[("a.txt", "hello"), ("b", "x")]);
    let file = File::options()
        .append(true)
        .open(folder.path().join("a.txt"));
    file.unwrap().set_modified(a_time()).unwrap();
    let answer = get(&files(&folder), "/a.txt");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "hello");
    assert_eq!(answer.field("content-type"), "text/plain; charset=utf-8");
    assert_eq!(answer.field("last-modified"), A_DATE);
    assert_eq!(answer.field("accept-ranges"), "bytes");
    assert_eq!(answer.field("x-content-type-options"), "nosniff");
    let etag = answer.field("etag");
    assert!(
        etag.starts_with('"') && etag.ends_with('"') && etag.len() > 5,
        "{etag}"
    );
    let other = get(&files(&folder), "/b");
    assert_eq!(other.field("content-type"), "application/octet-stream");
    assert_ne!(other.field("etag"), etag);
}

#[test]
fn a_file_that_changes_gets_another_tag() {
    let folder = folder(&[("a", "12345")]);
    let files = files(&folder);
    let first = get(&files, "/a").field("etag").to_owned();
    assert_eq!(get(&files, "/a").field("etag"), first);
    let path = folder.path().join("a");
    let file = File::options().append(true).open(&path).unwrap();
    file.set_modified(a_time()).unwrap();
    let second = get(&files, "/a").field("etag").to_owned();
    assert_ne!(second, first, "the time has changed");
    fs::write(&path, "123456").unwrap();
    file.set_modified(a_time()).unwrap();
    assert_ne!(
        get(&files, "/a").field("etag"),
        second,
        "the length has changed"
    );
}

#[test]
fn conditions_and_ranges_are_answered_over_a_connection() {
    let content: String = (0..100_000)
        .map(|n| char::from(b'a' + (n % 23) as u8))
        .collect();
    let folder = folder(&[("big.txt", &content), ("small.txt", "0123456789")]);
    let server = TestServer::start(config(), files(&folder));
    let mut client = server.connect();
    for (path, content) in [("/big.txt", &*content), ("/small.txt", "0123456789")] {
        let whole = client.get(path);
        assert!(whole.status == 200, "{}", whole.head);
        assert_eq!(whole.body, content);
        let etag = whole.field("etag").to_owned();

        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nIf-None-Match: {etag}\r\n\r\n"
        ));
        let unchanged = client.response();
        assert!(unchanged.status == 304, "{}", unchanged.head);
        assert_eq!(unchanged.field("etag"), etag);
        assert!(unchanged.body.is_empty());

        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nRange: bytes=3-7\r\n\r\n"
        ));
        let part = client.response();
        assert!(part.status == 206, "{}", part.head);
        assert_eq!(part.body, &content[3..=7]);
        assert_eq!(
            part.field("content-range"),
            format!("bytes 3-7/{}", content.len())
        );
        assert_eq!(part.field("content-length"), "5");

        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nRange: bytes=-4,0-1\r\n\r\n"
        ));
        let parts = client.response();
        assert!(parts.status == 206, "{}", parts.head);
        let content_type = parts.field("content-type");
        assert!(
            content_type.starts_with("multipart/byteranges; boundary="),
            "{content_type}"
        );
        assert!(
            parts.body.contains(&content[content.len() - 4..]),
            "{}",
            parts.body
        );

        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nRange: bytes=100000-\r\n\r\n"
        ));
        let none = client.response();
        assert!(none.status == 416, "{}", none.head);
        assert_eq!(
            none.field("content-range"),
            format!("bytes */{}", content.len())
        );

        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nIf-Match: \"other\"\r\n\r\n"
        ));
        assert_eq!(client.response().status, 412);

        client.send(format!(
            "HEAD {path} HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1\r\n\r\n"
        ));
        let head = client.head_response();
        assert!(head.status == 200, "HEAD has no ranges: {}", head.head);
        assert_eq!(head.field("content-length"), content.len().to_string());
    }
    drop(client);
    server.stop.shutdown();
    server.join();
}

#[test]
fn a_folder_is_redirected_to_its_slash_and_is_its_index() {
    let folder = folder(&[("docs/index.html", "<p>docs"), ("docs/a b/c", "c")]);
    let files = files(&folder);
    let moved = get(&files, "/docs?a=1&b=%20");
    assert_eq!(moved.status, 301);
    assert_eq!(moved.field("location"), "./docs/?a=1&b=%20");
    assert_eq!(get(&files, "/docs/a%20b").field("location"), "./a%20b/");
    let index = get(&files, "/docs/");
    assert_eq!((index.status.as_u16(), index.text()), (200, "<p>docs"));
    assert_eq!(index.field("content-type"), "text/html; charset=utf-8");
    assert_eq!(
        get(&files, "/docs/a%20b/").status,
        404,
        "folders are not listed"
    );
    assert_eq!(get(&files, "/docs/a%20b/c").text(), "c");
    assert_eq!(
        get(&files, "/docs/a%20b/c/").status,
        404,
        "a file is no folder"
    );
    assert_eq!(get(&files, "/").status, 404);
}

/// A client resolves the location of a redirect, also where a proxy has removed a prefix.
#[test]
fn a_redirect_is_relative_to_the_path_of_the_request() {
    let folder = folder(&[("a/b/c/x", "")]);
    let files = files(&folder);
    for (target, location) in [("/a", "./a/"), ("/a/b", "./b/"), ("/a/b/c?q", "./c/?q")] {
        assert_eq!(get(&files, target).field("location"), location);
    }
}

/// A path that a browser takes for another site is never in a `Location`.
#[test]
#[cfg(unix)]
fn a_redirect_stays_on_this_site() {
    let folder = folder(&[(r"\evil.example/x", ""), ("a:b/x", ""), ("é?#/x", "")]);
    let files = files(&folder);
    for (target, location) in [
        ("/%5Cevil.example", "./%5Cevil.example/"),
        ("/\\evil.example", "./%5Cevil.example/"),
        ("/a:b", "./a%3Ab/"),
        ("/%C3%A9%3F%23", "./%C3%A9%3F%23/"),
    ] {
        let Ok(uri) = target.parse::<http::Uri>() else {
            continue;
        };
        let moved = get(&files, &uri.to_string());
        assert_eq!(
            (moved.status.as_u16(), moved.field("location")),
            (301, location)
        );
    }
    for target in [
        "//evil.example",
        "//evil.example/",
        "/%2Fevil.example",
        "//%5Cevil.example",
    ] {
        let answer = get(&files, target);
        assert!(answer.status.is_client_error(), "{target}: {answer:?}");
        assert_eq!(answer.field("location"), "");
    }
}

#[test]
fn a_prefix_is_not_part_of_the_path_of_a_file() {
    let folder = folder(&[
        ("a.txt", "a"),
        ("d/index.html", "d"),
        ("static/a.txt", "inner"),
    ]);
    let files = files(&folder).under("/static");
    assert_eq!(get(&files, "/static/a.txt").text(), "a");
    assert_eq!(get(&files, "/static/static/a.txt").text(), "inner");
    assert_eq!(get(&files, "/static/d").field("location"), "./d/");
    assert_eq!(get(&files, "/static?q").field("location"), "./static/?q");
    let files = files.single_page(true);
    fs::write(folder.path().join("index.html"), "page").unwrap();
    fs::write(folder.path().join("404.html"), "lost").unwrap();
    assert_eq!(get(&files, "/static/x").text(), "page");
    for target in ["/a.txt", "/statica.txt", "/stati", "/", "/%73tatic/a.txt"] {
        let answer = get(&files, target);
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (404, "not found\n"),
            "{target}"
        );
    }
}

#[test]
fn files_are_a_fallback_of_routes_and_a_nested_router() {
    let folder = folder(&[("a.txt", "a"), ("api/b", "file")]);
    let nested = Router::new().fallback(files(&folder).under("/static"));
    let routes = Router::new()
        .get("/api/b", |_: Request| "route")
        .nest("/static", nested)
        .fallback(files(&folder))
        .build()
        .unwrap();
    let get = |target: &str| {
        let request = http::Request::get(target).body(()).unwrap();
        let body = routes.handle(Request::from_http(request)).into_body();
        String::from_utf8(body.into_bytes(100).unwrap().to_vec()).unwrap()
    };
    assert_eq!(get("/a.txt"), "a");
    assert_eq!(get("/api/b"), "route");
    assert_eq!(get("/static/a.txt"), "a");
    assert_eq!(get("/static/b.txt"), "not found\n");
}

#[test]
fn other_methods_get_a_405_that_lists_those_that_are_allowed() {
    let folder = folder(&[("a", "a")]);
    let files = files(&folder);
    for method in [
        "POST", "PUT", "DELETE", "PATCH", "PROPFIND", "MKCOL", "LOCK", "TRACE",
    ] {
        let answer = send(&files, method, "/a", &[]);
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.field("allow"), "GET, HEAD, OPTIONS");
        assert!(answer.text().contains("GET, HEAD, OPTIONS"), "{answer:?}");
    }
    let options = send(&files, "OPTIONS", "/a", &[]);
    assert_eq!(
        (options.status.as_u16(), options.field("allow")),
        (204, "GET, HEAD, OPTIONS")
    );
}

/// Not a 413, which would say that a smaller file could be stored.
#[test]
fn a_large_upload_where_there_are_none_is_a_405_before_its_body() {
    let folder = folder(&[("a", "a")]);
    let server = TestServer::start(config(), files(&folder));
    let mut client = server.connect();
    client.send("PUT /new HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n");
    let response = client.response();
    assert_eq!(response.status, 405);
    assert_eq!(response.field("allow"), "get, head, options");
    drop(client);
    server.stop.shutdown();
    server.join();
}

#[test]
fn a_404_has_the_content_of_404_html() {
    let folder = folder(&[("404.html", "<p>lost"), ("d/a", "a")]);
    let files = files(&folder);
    for target in ["/x", "/d/x.js", "/d/", "/.hidden"] {
        let answer = get(&files, target);
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (404, "<p>lost"),
            "{target}"
        );
        assert_eq!(answer.field("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.field("etag"), "", "an error is not to be kept");
        assert_eq!(answer.field("x-content-type-options"), "nosniff");
    }
    assert_eq!(get(&files, "/404.html").status, 200);
}

#[test]
fn a_single_page_is_served_to_clients_that_ask_for_a_page() {
    let folder = folder(&[("index.html", "<p>app"), ("app.js", "js")]);
    let files = files(&folder).single_page(true);
    let html = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    for (target, fields) in [
        ("/", &[][..]),
        ("/users/7", &[][..]),
        ("/users/john.doe", &html[..]),
        ("/a/b/", &[][..]),
    ] {
        let answer = send(&files, "GET", target, fields);
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (200, "<p>app"),
            "{target}"
        );
    }
    let page = send(&files, "GET", "/missing.js", &html);
    assert_eq!((page.status.as_u16(), page.field("vary")), (200, "accept"));
    let missing = get(&files, "/missing.js");
    assert_eq!(
        (missing.status.as_u16(), missing.field("vary")),
        (404, "accept")
    );
    assert_eq!(
        send(&files, "GET", "/x.png", &[("accept", "image/*")]).status,
        404
    );
    let refused = [("accept", "text/html;q=0, image/png")];
    assert_eq!(send(&files, "GET", "/x.png", &refused).status, 404);
    assert_eq!(get(&files, "/app.js").text(), "js");
    assert_eq!(
        get(&files, "/%00").status,
        400,
        "a path that is wrong stays wrong"
    );
}

#[test]
fn a_precompressed_sibling_is_sent_to_clients_that_accept_it() {
    let folder = folder(&[
        ("a.js", "plain"),
        ("a.js.gz", "gz"),
        ("a.js.br", "br"),
        ("b.js", "plain"),
    ]);
    let plain = get(&files(&folder), "/a.js");
    let files = files(&folder).precompressed(true);
    for (accept, content, coding) in [
        ("gzip", "gz", "gzip"),
        ("gzip, br", "br", "br"),
        ("gzip;q=1, br;q=0.5", "gz", "gzip"),
        ("zstd, gzip", "gz", "gzip"),
        ("br;q=0", "plain", ""),
        ("identity", "plain", ""),
    ] {
        let answer = send(&files, "GET", "/a.js", &[("accept-encoding", accept)]);
        assert_eq!(answer.text(), content, "{accept}");
        assert_eq!(answer.field("content-encoding"), coding, "{accept}");
        assert_eq!(
            answer.field("content-type"),
            "text/javascript; charset=utf-8"
        );
        assert_eq!(answer.field("vary"), "accept-encoding");
        assert_eq!(
            answer.field("etag") == plain.field("etag"),
            coding.is_empty()
        );
    }
    let none = send(&files, "GET", "/b.js", &[("accept-encoding", "gzip")]);
    assert_eq!((none.text(), none.field("content-encoding")), ("plain", ""));
    assert_eq!(none.field("vary"), "accept-encoding");
    assert_eq!(get(&files, "/a.js").text(), "plain");
    assert_eq!(
        get(&files, "/a.js.gz").field("content-encoding"),
        "",
        "asked for by name"
    );
}

#[test]
fn cache_control_is_as_asked_for() {
    let folder = folder(&[("a.js", "a"), ("app.3f2a9c1b.js", "hashed")]);
    assert_eq!(get(&files(&folder), "/a.js").field("cache-control"), "");
    let files = files(&folder)
        .cache_control(HeaderValue::from_static("no-cache"))
        .immutable_if_hashed(true);
    let answer = get(&files, "/a.js");
    assert_eq!(answer.field("cache-control"), "no-cache");
    let tag = answer.field("etag");
    let unchanged = send(&files, "GET", "/a.js", &[("if-none-match", tag)]);
    assert_eq!(unchanged.status, 304);
    assert_eq!(unchanged.field("cache-control"), "no-cache");
    let hashed = get(&files, "/app.3f2a9c1b.js");
    assert!(hashed.field("cache-control").contains("immutable"));
}

#[test]
fn a_folder_that_cannot_be_served_is_named() {
    let folder = folder(&[("file", "")]);
    for path in ["missing", "file"] {
        let path = folder.path().join(path);
        let error = Files::new(&path).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("cannot serve the folder /"), "{text}");
        assert!(text.contains(path.to_str().unwrap()), "{text}");
        assert!(error.io_error().is_some());
    }
}

/// The folder is open, so a new name of it changes nothing.
#[test]
#[cfg(unix)]
fn a_folder_that_is_renamed_is_still_served() {
    let outer = folder(&[("old/a", "a")]);
    let files = files(&outer.path().join("old"));
    fs::rename(outer.path().join("old"), outer.path().join("new")).unwrap();
    assert_eq!(get(&files, "/a").text(), "a");
}
