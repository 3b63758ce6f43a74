//! Tests of the listing: reading, the page, JSON, and the response.

use std::fs::File;
use std::time::Duration;
use std::time::SystemTime;

use cap_std::ambient_authority;
use http::StatusCode;
use tempfile::TempDir;

use super::entry::EntryKind;
use super::*;

/// Reads a folder as it is served alone: links lead to what is beneath it.
fn read(folder: &TempDir, options: Options) -> Listing {
    let open = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
    let target = |name: &OsStr| open.open(name).ok()?.into_std().metadata().ok();
    let mut listing = Listing::read(&open, Vec::new(), options, target).unwrap();
    listing.order.sort(&mut listing.entries);
    listing
}

fn names(listing: &Listing) -> Vec<&str> {
    let names = listing.entries.iter().map(|entry| entry.name.to_str());
    names.map(Option::unwrap).collect()
}

fn file(name: &str, bytes: u64, seconds: u64) -> Entry {
    Entry {
        name: name.into(),
        kind: EntryKind::File,
        bytes,
        modified: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
    }
}

fn folder(name: &str) -> Entry {
    let kind = EntryKind::Folder;
    Entry {
        kind,
        ..file(name, 0, 86_400)
    }
}

fn listing(path: &[&str], entries: Vec<Entry>) -> Listing {
    let path = path.iter().map(|name| name.as_bytes().to_vec());
    Listing {
        path: path.collect(),
        entries,
        omitted: 0,
        omitted_is_exact: true,
        order: Order::default(),
        takes_uploads: false,
    }
}

fn rows(html: &str) -> Vec<&str> {
    let rows = html.lines().filter(|line| line.starts_with("<tr>"));
    rows.collect()
}

fn accepting(accept: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())])
}

fn text(response: Response) -> String {
    let bytes = response.into_body().into_bytes(1 << 24).unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_folder_is_read_without_names_that_begin_with_a_dot() {
    let temporary = tempfile::tempdir().unwrap();
    let root = temporary.path();
    File::create(root.join("b")).unwrap().set_len(7).unwrap();
    File::create(root.join(".hidden")).unwrap();
    fs::create_dir(root.join("a")).unwrap();
    let listing = read(&temporary, Options::default());
    assert_eq!(names(&listing), ["a", "b"]);
    assert_eq!(listing.entries[0].kind, EntryKind::Folder);
    assert_eq!(listing.entries[0].bytes, 0);
    assert_eq!(listing.entries[1].kind, EntryKind::File);
    assert_eq!(listing.entries[1].bytes, 7);
    let modified = fs::metadata(root.join("b")).unwrap().modified();
    assert_eq!(listing.entries[1].modified, modified.ok());
    let options = Options {
        shows_hidden: true,
        ..Options::default()
    };
    assert_eq!(names(&read(&temporary, options)), ["a", ".hidden", "b"]);
}

#[cfg(unix)]
#[test]
fn links_are_what_they_lead_to_and_what_is_not_served_is_left_out() {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;

    let temporary = tempfile::tempdir().unwrap();
    let root = temporary.path();
    File::create(root.join("file")).unwrap().set_len(9).unwrap();
    fs::create_dir(root.join("folder")).unwrap();
    symlink("file", root.join("to-file")).unwrap();
    symlink("folder", root.join("to-folder")).unwrap();
    symlink("/etc/passwd", root.join("out")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("nothing", root.join("dangling")).unwrap();
    symlink("circle", root.join("circle")).unwrap();
    nix::unistd::mkfifo(&root.join("fifo"), Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let listing = read(&temporary, Options::default());
    assert_eq!(names(&listing), ["folder", "to-folder", "file", "to-file"]);
    assert_eq!(listing.entries[3].bytes, 9);
    assert_eq!(listing.bytes(), 18);
}

#[test]
fn entries_beyond_the_limit_are_counted() {
    let temporary = tempfile::tempdir().unwrap();
    for number in 0..12 {
        File::create(temporary.path().join(format!("{number}"))).unwrap();
    }
    for (entries_max, omitted, text) in [
        (12, 0, None),
        (11, 1, Some("<p>1 more entry not shown.</p>")),
        (10, 2, Some("<p>2 more entries not shown.</p>")),
        (0, 12, Some("<p>12 more entries not shown.</p>")),
    ] {
        let options = Options {
            entries_max,
            ..Options::default()
        };
        let mut listing = read(&temporary, options);
        assert_eq!(listing.entries.len(), entries_max);
        assert_eq!((listing.omitted, listing.omitted_is_exact), (omitted, true));
        let html = listing.to_html();
        assert_eq!(html.contains("not shown"), text.is_some());
        assert!(html.contains(text.unwrap_or_default()));
        listing.omitted_is_exact = false;
        let inexact = listing.to_html();
        assert_eq!(inexact.contains("<p>At least "), omitted > 0);
        let may_be_more = "<p>There may be more entries, not shown.</p>";
        assert_eq!(inexact.contains(may_be_more), omitted == 0);
    }
}

/// Whether a link is served is known only when it is followed, which omitted ones are not.
#[cfg(unix)]
#[test]
fn omitted_links_leave_the_count_inexact() {
    use std::os::unix::fs::symlink;

    let temporary = tempfile::tempdir().unwrap();
    let root = temporary.path();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    File::create(root.join("file")).unwrap();
    fs::create_dir(root.join("folder")).unwrap();
    let options = Options {
        entries_max: 0,
        ..Options::default()
    };
    let omitted = |listing: Listing| (listing.omitted, listing.omitted_is_exact);
    assert_eq!(omitted(read(&temporary, options)), (2, true));
    symlink("nothing", root.join("dangling")).unwrap();
    assert_eq!(omitted(read(&temporary, options)), (2, false));
    assert_eq!(omitted(read(&temporary, Options::default())), (0, true));
}

#[test]
fn a_row_has_link_name_size_and_time() {
    let photo = file("a b.jpg", 1_234_567, 1_700_000_000);
    let html = listing(&[], vec![folder("c:d"), photo]).to_html();
    assert_eq!(
        rows(&html),
        [
            "<tr><th scope=\"row\"><a href=\"./c%3Ad/\">c:d/</a><td><td>\
             <time datetime=\"1970-01-02T00:00:00Z\">1970-01-02 00:00</time>",
            "<tr><th scope=\"row\"><a href=\"./a%20b.jpg\">a b.jpg</a>\
             <td title=\"1,234,567 bytes\">1.2 MiB<td>\
             <time datetime=\"2023-11-14T22:13:20Z\">2023-11-14 22:13</time>",
        ]
    );
    assert!(html.contains("<caption>1 folder, 1 file, 1.2 MiB</caption>"));
    let mut dateless = file("x", 0, 0);
    dateless.modified = None;
    let html = listing(&[], vec![dateless]).to_html();
    assert!(rows(&html)[0].ends_with("<td title=\"0 bytes\">0 B<td></td>"));
}

#[test]
fn an_empty_folder_says_so() {
    let html = listing(&[], Vec::new()).to_html();
    assert!(html.contains("<caption>This folder is empty</caption>"));
    assert!(!html.contains("<tbody"));
}

#[test]
fn the_way_up_is_relative_and_escaped() {
    let html = listing(&["a&b", "<i>", "now"], Vec::new()).to_html();
    assert!(html.contains("<title>/a&amp;b/&lt;i&gt;/now/</title>"));
    for part in [
        "<li><a href=\"../../../\">Home</a>",
        "<li><a href=\"../../\">a&amp;b</a>",
        "<li><a href=\"../\">&lt;i&gt;</a>",
        "<li><h1 aria-current=\"page\">now</h1></ol>",
        "<a href=\"../\">Parent folder</a>",
    ] {
        assert!(html.contains(part), "{part}");
    }
    let html = listing(&[], Vec::new()).to_html();
    assert!(html.contains("<ol><li><h1 aria-current=\"page\">Home</h1></ol>"));
    assert!(!html.contains("Parent folder"));
}

#[test]
fn folders_are_opened_in_the_order_that_is_chosen() {
    let entries = || vec![folder("b"), folder("c"), file("a", 1, 0)];
    let page = |query: &str| {
        let response = listing(&["up"], entries()).respond(Some(query), &HeaderMap::new());
        text(response)
    };
    let html = page("sort=size&order=desc");
    let suffix = "?sort=size&amp;order=desc\">";
    for link in ["../", "./b/", "./c/"] {
        let link = format!("<a href=\"{link}{suffix}");
        assert!(html.contains(&link), "{link}");
    }
    assert!(html.contains("<a href=\"./a\">a</a>"));
    assert!(html.contains(
        "class=\"size\" aria-sort=\"descending\"><a href=\"./?sort=size&amp;order=asc\">Size</a>"
    ));
    assert!(html.contains("class=\"name\"><a href=\"./?sort=name&amp;order=asc\">Name</a>"));
    assert!(html.contains("class=\"date\"><a href=\"./?sort=date&amp;order=desc\">Modified"));
    assert_eq!(html.matches("\" aria-sort=\"").count(), 1);
    let html = page("");
    assert!(html.contains(
        "class=\"name\" aria-sort=\"ascending\"><a href=\"./?sort=name&amp;order=desc\""
    ));
    assert!(html.contains("<a href=\"./b/\">"));
}

#[test]
fn the_response_is_a_page_or_json_with_the_fields_of_both() {
    for (accept, content_type, has_policy) in [
        ("*/*", "text/html; charset=utf-8", true),
        ("application/json", "application/json", false),
    ] {
        let response = listing(&[], vec![file("a", 1, 0)]).respond(None, &accepting(accept));
        assert_eq!(response.status(), StatusCode::OK);
        let fields = response.headers();
        assert_eq!(fields[header::CONTENT_TYPE], content_type);
        assert_eq!(fields[header::VARY], "accept");
        assert_eq!(fields[header::CACHE_CONTROL], "no-cache");
        assert_eq!(fields[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        // Nothing reaches other sites, and the form is posted with the page's origin.
        assert_eq!(fields[header::REFERRER_POLICY], "same-origin");
        let policy = fields.contains_key(header::CONTENT_SECURITY_POLICY);
        assert_eq!(policy, has_policy);
    }
}

#[test]
fn json_has_every_byte_of_a_name() {
    let mut entries = vec![folder("x:"), file("a\n\"", 5, 1_700_000_000)];
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;

        let mut odd = file("", 1, 0);
        odd.name = OsStr::from_bytes(b"\xff\xfe").to_owned();
        odd.modified = None;
        entries.push(odd);
    }
    let mut listing = listing(&[], entries);
    listing.omitted = 3;
    let found: serde_json::Value = serde_json::from_slice(&listing.to_json()).unwrap();
    let mut expected = serde_json::json!({
        "entries": [
            { "name": "x:", "kind": "folder", "bytes": null,
              "modified": "1970-01-02T00:00:00Z", "url": "./x%3A/" },
            { "name": "a\n\"", "kind": "file", "bytes": 5,
              "modified": "2023-11-14T22:13:20Z", "url": "./a%0A%22" },
        ],
        "omitted": 3,
        "omitted_is_exact": true,
    });
    if cfg!(unix) {
        expected["entries"]
            .as_array_mut()
            .unwrap()
            .push(serde_json::json!({
                "name": "\u{fffd}\u{fffd}", "kind": "file", "bytes": 1, "modified": null,
                "url": "./%FF%FE",
            }));
    }
    assert_eq!(found, expected);
}

#[test]
fn a_page_posts_only_where_uploads_are_taken() {
    for takes_uploads in [false, true] {
        let mut listing = listing(&[], Vec::new());
        listing.takes_uploads = takes_uploads;
        let response = listing.respond(None, &HeaderMap::new());
        let policy = &response.headers()[header::CONTENT_SECURITY_POLICY];
        let policy = policy.to_str().unwrap().to_owned();
        let html = text(response);
        assert_eq!(html.contains("<form"), takes_uploads);
        assert_eq!(policy.contains("form-action 'self';"), takes_uploads);
        assert_eq!(policy.contains("form-action 'none';"), !takes_uploads);
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
        assert!(policy.ends_with("base-uri 'none'; frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"));
    }
}

#[test]
fn a_page_is_written_into_what_it_reserves() {
    let entry = |number: u64| file(&format!("file {number}.txt"), number << 30, number << 20);
    let listing = listing(&["a", "b"], (0..1000).map(entry).collect());
    let html = listing.to_html();
    assert_eq!(html.capacity(), listing.reserved());
    assert_eq!(rows(&html).len(), 1000);
}
