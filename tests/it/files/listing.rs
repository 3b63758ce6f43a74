//! The page that lists a folder: what its links lead to, and what it is in a browser.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use farewell::Files;
use farewell::Uploads;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::Client;
use crate::support::TestServer;
use crate::support::browser::Browser;
use crate::support::client::Response;
use crate::support::config;

/// Names that a page, a link or a path could take for something else.
fn odd_names() -> Vec<Vec<u8>> {
    let names = [
        "plain.txt",
        "\"quotes\" and 'more'",
        "<script>document.title='ran'<",
        "<img src=x onerror=\"document.title='ran'\">",
        "<!--",
        "&lt;&amp;&#60;",
        "javascript:document.title='ran'",
        "a:b",
        "data:text",
        "  leading and trailing  ",
        "%2e",
        "%2e%2e",
        "%2E%2E%2F",
        "%",
        "100%",
        "#fragment",
        "?query=1",
        "a?b#c",
        "+plus&and=is;semicolon",
        "back\\slash",
        "..\\..",
        "...",
        "line\nbreak\rand\ttab",
        "\u{1b}[31mred",
        "\u{7f}\u{1}",
        "emoji 👩\u{200d}👧 🎉",
        "invoice\u{202e}fdp.exe",
        "\u{2066}isolated",
        "\u{feff}\u{200b}",
        "שלום.txt",
        "日本語",
        "e\u{301}",
        "é",
        "-",
        "~",
        "*",
        "index.htm",
    ];
    let mut names: Vec<Vec<u8>> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
    names.push(b"not UTF-8: \xff\xc3".to_vec());
    names.push(b"\x80".to_vec());
    names.push(vec![b'n'; 255]);
    names.push(vec![0xfe; 255]);
    names.retain(|name| name[0] != b'.');
    names
}

/// What the file of a name contains.
fn content(name: &[u8]) -> String {
    format!("the content of {}", name.escape_ascii())
}

/// The contents of the files of all names, sorted.
fn contents() -> Vec<String> {
    let mut contents: Vec<String> = odd_names().iter().map(|name| content(name)).collect();
    contents.sort_unstable();
    contents
}

/// The name of the file with this content.
fn name_of(found: &str) -> Vec<u8> {
    let mut names = odd_names().into_iter();
    names.find(|name| content(name) == found).unwrap()
}

/// A folder with a file of each odd name, and with `folders`, which has a folder of each
/// odd name with the file `inner`.
fn odd_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in odd_names() {
        let file = OsStr::from_bytes(&name);
        fs::write(folder.path().join(file), content(&name)).unwrap();
        let inner = folder.path().join("folders").join(file);
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("inner"), content(&name)).unwrap();
    }
    folder
}

fn serve(folder: &TempDir) -> TestServer {
    let files = Files::new(folder.path()).unwrap().listing(true);
    TestServer::start(config(), files)
}

fn get_as(client: &mut Client, target: &str, accept: &str) -> Response {
    client.send(format!(
        "GET {target} HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n"
    ));
    client.response()
}

/// The links of the rows, without that to the parent folder.
fn links(html: &str) -> Vec<String> {
    let rows = html.lines().filter(|line| line.starts_with("<tr>"));
    let link = |row: &str| {
        let (_, link) = row.split_once("<a href=\"").unwrap();
        link.split_once('"').unwrap().0.replace("&amp;", "&")
    };
    rows.map(link).collect()
}

#[test]
fn each_link_leads_to_the_file_of_its_name() {
    let folder = odd_folder();
    let server = serve(&folder);
    let mut client = server.connect();
    let page = get_as(&mut client, "/", "text/html");
    assert_eq!(page.status, 200);
    let mut found = Vec::new();
    for link in links(&page.body).iter().filter(|link| !link.ends_with('/')) {
        let target = link.strip_prefix('.').unwrap();
        let file = client.get(target);
        assert_eq!(file.status, 200, "{target}");
        found.push(file.body);
    }
    found.sort_unstable();
    assert_eq!(found, contents());

    let page = get_as(&mut client, "/folders/?sort=date&order=desc", "text/html");
    let mut found = Vec::new();
    for link in links(&page.body) {
        let (link, query) = link.split_once('?').unwrap();
        assert_eq!(query, "sort=date&order=desc");
        let target = format!("/folders{}", link.strip_prefix('.').unwrap());
        let page = client.get(&format!("{target}?{query}"));
        assert_eq!(page.status, 200, "{target}");
        assert_eq!(links(&page.body), ["./inner"]);
        found.push(client.get(&format!("{target}inner")).body);
    }
    found.sort_unstable();
    assert_eq!(found, contents());
    drop(client);
    server.stop.shutdown();
    server.join();
}

#[test]
fn json_has_the_same_entries() {
    let folder = odd_folder();
    let server = serve(&folder);
    let mut client = server.connect();
    let listing = get_as(&mut client, "/?sort=name&order=desc", "application/json");
    assert!(listing.has("content-type: application/json"));
    let listing: Value = serde_json::from_str(&listing.body).unwrap();
    assert_eq!(listing["omitted"], 0);
    let entries = listing["entries"].as_array().unwrap();
    assert_eq!(entries.len(), odd_names().len() + 1);
    for entry in entries {
        let url = entry["url"].as_str().unwrap();
        if entry["kind"] == "folder" {
            assert_eq!(url, "./folders/");
            continue;
        }
        let file = client.get(url.strip_prefix('.').unwrap());
        assert_eq!(file.body.len() as u64, entry["bytes"]);
        let name = name_of(&file.body);
        assert_eq!(
            String::from_utf8_lossy(&name),
            entry["name"].as_str().unwrap()
        );
    }
    drop(client);
    server.stop.shutdown();
    server.join();
}

#[test]
fn the_page_has_a_form_where_uploads_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    for takes_uploads in [false, true] {
        let mut files = Files::new(&folder).unwrap().listing(true);
        if takes_uploads {
            files = files.uploads(Uploads::new());
        }
        let page = super::get(&files, "/");
        assert_eq!(page.text().contains("<form"), takes_uploads);
        let policy = page.field("content-security-policy");
        assert_eq!(policy.contains("form-action 'self'"), takes_uploads);
    }
}

/// The `href` of every row as the browser resolves it, with the text that it shows.
const LINKS: &str = "Object.fromEntries(Array.from(
    document.querySelectorAll('tbody:not(.folders) th a'), link => [link.href, link.innerText]))";

#[test]
fn in_a_browser_no_name_is_more_than_text_and_a_link() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let folder = odd_folder();
    let server = serve(&folder);
    let origin = format!("http://{}", server.address());
    browser.resize(1000, "light");
    browser.open(&format!("{origin}/"));
    assert_eq!(browser.console(), Vec::<&Value>::new());
    assert_eq!(browser.evaluate("document.title"), "/");
    assert_eq!(browser.evaluate("document.scripts.length"), 0);
    let elements = "[...new Set(Array.from(document.all, it => it.localName))].sort().join(' ')";
    assert_eq!(
        browser.evaluate(elements),
        "a body caption code h1 head header html li main meta nav ol style table tbody td th \
         thead time title tr"
    );
    let shown: BTreeMap<String, String> = serde_json::from_value(browser.evaluate(LINKS)).unwrap();
    assert_eq!(shown.len(), odd_names().len());
    let mut client = server.connect();
    for (url, text) in &shown {
        let target = url.strip_prefix(&origin).expect("the link stays here");
        let file = client.get(target);
        assert_eq!(file.status, 200, "{target}");
        let name = name_of(&file.body);
        // What is neither visible nor UTF-8 is shown by its number.
        if let Ok(name) = str::from_utf8(&name)
            && !text.contains("U+")
        {
            assert_eq!(text, name);
        } else {
            assert!(text.contains("U+") || text.contains("\\x"), "{text}");
        }
    }
    // A click is not a script either, whatever the name says.
    let click =
        "Array.from(document.links).find(it => it.innerText.startsWith('javascript:')).click()";
    browser.evaluate(click);
    let has_left = "location.pathname.startsWith('/javascript') || document.title == '/'";
    assert_eq!(browser.evaluate(has_left), true);
    drop((client, browser));
    server.stop.shutdown();
    server.join();
}

#[test]
fn in_a_browser_the_page_sorts_and_fits_a_phone() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (name, length) in [("b10", 1), ("b9", 2048), ("A", 30)] {
        let file = fs::File::create(folder.path().join(name)).unwrap();
        file.set_len(length).unwrap();
    }
    fs::create_dir(folder.path().join("folder")).unwrap();
    fs::write(folder.path().join("w".repeat(255)), "").unwrap();
    let server = serve(&folder);
    browser.open(&format!("http://{}/", server.address()));
    let wide = "w".repeat(255);
    let names = |browser: &mut Browser| {
        let names =
            "Array.from(document.querySelectorAll('tbody a'), it => it.innerText).join(' ')";
        browser
            .evaluate(names)
            .as_str()
            .unwrap()
            .replace(&wide, "wide")
    };
    let sorted = |browser: &mut Browser| {
        browser.evaluate("document.querySelector('[aria-sort]').ariaSort + ' ' + document.querySelector('[aria-sort]').className")
    };
    assert_eq!(names(&mut browser), "folder/ A b9 b10 wide");
    assert_eq!(sorted(&mut browser), "ascending name");
    for (column, expected, sort) in [
        ("name", "folder/ wide b10 b9 A", "descending name"),
        ("size", "folder/ b9 A b10 wide", "descending size"),
        ("size", "folder/ wide b10 A b9", "ascending size"),
        ("name", "folder/ A b9 b10 wide", "ascending name"),
    ] {
        let link = format!("document.querySelector('thead .{column} a').href");
        let link = browser.evaluate(&link);
        browser.open(link.as_str().unwrap());
        assert_eq!(names(&mut browser), expected);
        assert_eq!(sorted(&mut browser), sort);
    }
    for (width, scheme) in [(320, "dark"), (360, "light"), (1400, "dark")] {
        browser.resize(width, scheme);
        browser.open(&format!("http://{}/", server.address()));
        let scrolls = "document.documentElement.scrollWidth > innerWidth";
        assert_eq!(browser.evaluate(scrolls), false, "{width}");
        let background = browser.evaluate("getComputedStyle(document.body).backgroundColor");
        assert_eq!(background == "rgb(255, 255, 255)", scheme == "light");
        // The layout of a narrow screen leaves the table one.
        for (role, count) in [
            ("table", 1),
            ("row", 6),
            ("columnheader", 3),
            ("rowheader", 5),
            ("navigation", 1),
        ] {
            assert_eq!(browser.count(role), count, "{role} at {width}");
        }
    }
    drop(browser);
    server.stop.shutdown();
    server.join();
}
