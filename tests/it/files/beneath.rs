//! Nothing outside the folder is ever served: every way that is known to lead out of one.

use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use farewell::RequestOutcome;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::RenameFlags;
use rustix::fs::mknodat;
use rustix::fs::renameat_with;
use rustix::process::geteuid;

use super::*;
use crate::support::TestServer;
use crate::support::client::Loss;
use crate::support::config;
use crate::support::short_drain;

/// The content of every file that must not be served.
const SECRET: &str = "the secret outside";

/// A folder `secret.txt` lies beside, and in it `public/` with `open.txt`.
fn guarded() -> (TempDir, PathBuf) {
    let outer = folder(&[
        ("secret.txt", SECRET),
        ("other/secret.txt", SECRET),
        ("public-not/secret.txt", SECRET),
        ("public/open.txt", "open"),
        ("public/d/open.txt", "open"),
        ("public/.hidden", SECRET),
        ("public/.git/config", SECRET),
    ]);
    let public = outer.path().join("public");
    (outer, public)
}

#[test]
fn no_spelling_of_dots_leads_out() {
    let (_outer, public) = guarded();
    let dots = [
        "..",
        "%2e%2e",
        "%2E%2E",
        ".%2e",
        "%2e.",
        "%252e%252e",
        "..;",
        "..%00",
        "..%20",
        "...",
        "....",
        "%c0%ae%c0%ae",
        "%e0%80%ae%e0%80%ae",
        "%uff0e%uff0e",
        "..%c0%af",
        "\u{ff0e}\u{ff0e}",
        "%2e%2e%2f",
        "..%2f",
        "..%5c",
        "..\\",
        "%5c..",
        ".",
        "%2e",
        "x/..",
        "d/../..",
    ];
    let slashes = [
        "/", "//", "/./", "%2f", "%2F", "%252f", "%5c", "\\", "/%2f", "%c0%af",
    ];
    let server = TestServer::start(config(), files(&public).listing(true));
    let mut client = server.connect();
    let mut asked = 0;
    for first in ["/", "/d/", "//", "/d/open.txt/"] {
        for dot in dots {
            for slash in slashes {
                for target in [
                    "secret.txt",
                    "other/secret.txt",
                    "public-not/secret.txt",
                    "",
                ] {
                    let path = format!("{first}{dot}{slash}{dot}{slash}{target}");
                    // A single dot is the folder itself, which is listed.
                    let is_here = [".", "%2e"].contains(&dot);
                    client.request(&path);
                    let response = client.response();
                    asked += 1;
                    assert!(
                        !response.body.contains("secret"),
                        "{path}: {}",
                        response.body
                    );
                    assert!(
                        (400..500).contains(&response.status) || is_here,
                        "{path}: {}",
                        response.head
                    );
                    if response.closes() {
                        client = server.connect();
                    }
                }
            }
        }
    }
    assert!(asked > 3000, "{asked}");
    assert_eq!(client.get("/open.txt").body, "open");
    drop(client);
    server.stop.shutdown();
    server.join();
}

#[test]
fn an_absolute_path_is_beneath_the_folder() {
    let (outer, public) = guarded();
    let files = files(&public);
    let secret = outer.path().join("secret.txt");
    let secret = secret.to_str().unwrap();
    for target in [
        secret.to_owned(),
        format!("/{secret}"),
        secret.replace('/', "%2f"),
    ] {
        let target = match target.starts_with('/') {
            true => target,
            false => format!("/{target}"),
        };
        let answer = get(&files, &target);
        assert!(answer.status.is_client_error(), "{target}");
        assert!(!answer.text().contains(SECRET));
    }
}

#[test]
fn hidden_names_are_as_if_they_did_not_exist() {
    let (_outer, public) = guarded();
    let closed = files(&public);
    for target in [
        "/.hidden",
        "/%2ehidden",
        "/.git/config",
        "/.git",
        "/.git/",
        "/d/.x",
    ] {
        let answer = get(&closed, target);
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (404, "not found\n"),
            "{target}"
        );
    }
    let open = files(&public).hidden(true);
    assert_eq!(get(&open, "/.git/config").text(), SECRET);
    assert_eq!(get(&open, "/.git/../open.txt").status, 400);
}

#[test]
fn symbolic_links_work_inside_the_folder_and_never_lead_out() {
    let (outer, public) = guarded();
    let link = |to: &str, name: &str| symlink(to, public.join(name)).unwrap();
    link("open.txt", "inside");
    link("d", "folder");
    link("d/../open.txt", "dots-inside");
    link("../secret.txt", "relative");
    link(
        outer.path().join("secret.txt").to_str().unwrap(),
        "absolute",
    );
    link("/etc/passwd", "passwd");
    link("..", "parent");
    link("/", "root");
    link("relative", "twice");
    link("../public/open.txt", "out-and-in");
    link("loop", "loop");
    link("nothing", "broken");
    link("/proc/self/cwd", "cwd");
    link("/proc/self/root/etc/passwd", "magic");
    let files = files(&public);
    for target in ["/inside", "/folder/open.txt", "/dots-inside"] {
        assert_eq!(get(&files, target).text(), "open", "{target}");
    }
    assert_eq!(get(&files, "/folder").field("location"), "./folder/");
    for target in [
        "/relative",
        "/absolute",
        "/passwd",
        "/parent/secret.txt",
        "/parent",
        "/root/etc/passwd",
        "/root",
        "/twice",
        "/out-and-in",
        "/loop",
        "/broken",
        "/cwd/Cargo.toml",
        "/magic",
        "/parent/public/open.txt",
    ] {
        let answer = get(&files, target);
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (404, "not found\n"),
            "{target}"
        );
    }
    let followed = files.follow_symlinks(true);
    for target in ["/relative", "/absolute", "/twice", "/parent/secret.txt"] {
        assert_eq!(get(&followed, target).text(), SECRET, "{target}");
    }
    for target in ["/out-and-in", "/inside"] {
        assert_eq!(get(&followed, target).text(), "open", "{target}");
    }
    for target in ["/loop", "/broken", "/../secret.txt", "/%2e%2e/secret.txt"] {
        assert!(get(&followed, target).status.is_client_error(), "{target}");
    }
    assert_eq!(
        get(&followed.follow_symlinks(false), "/relative").status,
        404
    );
}

/// The folder is open, wherever links may lead.
#[test]
fn a_followed_folder_that_is_renamed_is_still_served() {
    let (outer, public) = guarded();
    symlink("../secret.txt", public.join("out")).unwrap();
    let files = files(&public).follow_symlinks(true).listing(true);
    fs::rename(&public, outer.path().join("renamed")).unwrap();
    fs::create_dir(&public).unwrap();
    fs::write(public.join("open.txt"), SECRET).unwrap();
    assert_eq!(get(&files, "/open.txt").text(), "open");
    assert_eq!(get(&files, "/out").text(), SECRET);
    assert!(get(&files, "/").text().contains("./out"));
}

/// A program that writes to a FIFO waits until a reader opens it.
#[test]
fn a_listing_opens_no_fifo() {
    let (_outer, public) = guarded();
    let fifo = public.join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
    symlink("fifo", public.join("link")).unwrap();
    for follows in [false, true] {
        let files = files(&public).listing(true).follow_symlinks(follows);
        let (sender, opened) = std::sync::mpsc::channel();
        let writer = fifo.clone();
        let writer = thread::spawn(move || {
            File::options().write(true).open(writer).unwrap();
            sender.send(()).unwrap();
        });
        // The writer may not wait yet at the first listings.
        for _ in 0..100 {
            let text = get(&files, "/").text().to_owned();
            assert!(
                !text.contains("./link") && !text.contains("./fifo"),
                "{text}"
            );
        }
        assert!(opened.try_recv().is_err(), "the writer still waits");
        File::open(&fifo).unwrap();
        writer.join().unwrap();
    }
}

/// A folder that may be entered, but not read.
#[test]
fn the_index_of_a_folder_that_cannot_be_read_is_served() {
    let folder = folder(&[("d/index.html", "index")]);
    fs::set_permissions(folder.path().join("d"), fs::Permissions::from_mode(0o311)).unwrap();
    assert_eq!(get(&files(&folder), "/d/").text(), "index");
}

/// A file and a link that leads out change places all the time.
#[test]
#[cfg(target_os = "linux")]
fn a_file_that_is_swapped_for_a_link_never_leads_out() {
    let (_outer, public) = guarded();
    symlink("../secret.txt", public.join("link")).unwrap();
    symlink("..", public.join("up")).unwrap();
    fs::create_dir(public.join("folder")).unwrap();
    fs::write(public.join("folder/secret.txt"), "open").unwrap();
    let files = files(&public);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let path = |name: &str| public.join(name);
            while !stop.load(SeqCst) {
                for (one, two) in [("open.txt", "link"), ("folder", "up")] {
                    let (one, two) = (path(one), path(two));
                    renameat_with(CWD, one, CWD, two, RenameFlags::EXCHANGE).unwrap();
                }
            }
        });
        let mut served = 0;
        let mut refused = 0;
        // Both have to happen, however the threads are scheduled.
        while served < 500 || refused < 500 {
            for target in ["/open.txt", "/folder/secret.txt"] {
                let answer = get(&files, target);
                match answer.status.as_u16() {
                    200 => served += 1,
                    404 => refused += 1,
                    _ => panic!("{answer:?}"),
                }
                assert!(!answer.text().contains(SECRET), "{target}");
            }
        }
        stop.store(true, SeqCst);
    });
}

#[test]
fn devices_fifos_and_sockets_are_not_served_and_hold_nothing_up() {
    let (_outer, public) = guarded();
    let mode = Mode::from_raw_mode(0o666);
    mknodat(CWD, public.join("fifo"), FileType::Fifo, mode, 0).unwrap();
    let _listener = UnixListener::bind(public.join("socket")).unwrap();
    let mut odd = vec!["/fifo", "/socket"];
    // `/dev/zero`, which has no end.
    let zero = rustix::fs::makedev(1, 5);
    if geteuid().is_root()
        && mknodat(
            CWD,
            public.join("zero"),
            FileType::CharacterDevice,
            mode,
            zero,
        )
        .is_ok()
    {
        odd.push("/zero");
    }
    symlink("/dev/null", public.join("null")).unwrap();
    let closed = files(&public);
    for target in &odd {
        assert_eq!(get(&closed, target).status, 404, "{target}");
        assert_eq!(get(&closed, &format!("{target}/")).status, 404, "{target}");
    }
    let followed = files(&public).follow_symlinks(true);
    odd.push("/null");
    for target in odd {
        assert_eq!(get(&followed, target).status, 404, "{target}");
    }
}

#[test]
fn names_of_any_bytes_are_served_and_names_of_any_length_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let longest = "n".repeat(255);
    let names: [&[u8]; 12] = [
        b"\xff\xfe",
        b"a\\b",
        b"a b",
        b"a\nb",
        b"100%",
        b"%41",
        b"trailing.",
        b"trailing ",
        b"a?b#c",
        "\u{202e}gpj.exe".as_bytes(),
        b"~",
        longest.as_bytes(),
    ];
    for name in names {
        fs::write(folder.path().join(OsStr::from_bytes(name)), name).unwrap();
    }
    let files = files(&folder);
    for name in names {
        let encoded: String = name.iter().map(|byte| format!("%{byte:02x}")).collect();
        let answer = get(&files, &format!("/{encoded}"));
        assert_eq!(
            (answer.status.as_u16(), &answer.body[..]),
            (200, name),
            "{encoded}"
        );
    }
    for target in [
        format!("/{}", "n".repeat(256)),
        format!("/{}", "n".repeat(5000)),
        "/n".repeat(2500),
        "/A".to_owned(),
        "/trailing".to_owned(),
        "/trailing..".to_owned(),
        "/trailing.%20".to_owned(),
    ] {
        assert_eq!(get(&files, &target).status, 404, "{target}");
    }
    for target in ["/a%00", "/%00", "/a%2fb", "/%", "/%4", "/a%zz"] {
        assert_eq!(get(&files, target).status, 400, "{target}");
    }
}

/// A reader without privileges, because root may read everything.
#[test]
fn what_the_program_may_not_read_is_a_403_without_detail() {
    let (_outer, public) = guarded();
    fs::write(public.join("closed.txt"), SECRET).unwrap();
    fs::create_dir(public.join("closed")).unwrap();
    fs::write(public.join("closed/index.html"), SECRET).unwrap();
    for name in ["closed.txt", "closed"] {
        fs::set_permissions(public.join(name), fs::Permissions::from_mode(0o000)).unwrap();
    }
    if File::open(public.join("closed.txt")).is_ok() {
        println!("skipped: this user may read every file");
        return;
    }
    let files = files(&public);
    for target in ["/closed.txt", "/closed/", "/closed/index.html", "/closed/x"] {
        let answer = get(&files, target);
        assert_eq!(answer.status, 403, "{target}");
        assert_eq!(answer.text(), "reading this is not permitted\n");
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big");
    File::create(&path).unwrap().set_len(64 << 20).unwrap();
    let server = TestServer::start(short_drain(), files(&folder));
    let mut client = server.connect();
    client.request("/big");
    let head = client.head();
    assert!(head.contains("content-length: 67108864"), "{head}");
    // More than the kernel takes at once is not read yet, so the file is still sent.
    client.raw(1000);
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(1000)
        .unwrap();
    assert_eq!(client.try_raw((64 << 20) - 1000), Err(Loss::Truncated));
    drop(client);
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(
        report.requests.count(RequestOutcome::BodyFailed),
        1,
        "{report}"
    );
}

#[test]
fn a_file_that_grows_or_is_replaced_while_it_is_sent_keeps_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big");
    let content = vec![b'x'; 16 << 20];
    fs::write(&path, &content).unwrap();
    let server = TestServer::start(config(), files(&folder));
    let mut client = server.connect();
    client.request("/big");
    client.head();
    let first = client.raw(1000);
    File::options()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(b"more")
        .unwrap();
    fs::write(folder.path().join("new"), "new").unwrap();
    fs::rename(folder.path().join("new"), &path).unwrap();
    let rest = client.raw(content.len() - 1000);
    assert!(first.iter().chain(&rest).all(|&byte| byte == b'x'));
    // The connection is in step: the next response is whole.
    assert_eq!(client.get("/big").body, "new");
    drop(client);
    server.stop.shutdown();
    server.join();
}

#[test]
fn a_file_that_is_removed_while_it_is_sent_arrives_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big");
    File::create(&path).unwrap().set_len(16 << 20).unwrap();
    let server = TestServer::start(config(), files(&folder));
    let mut client = server.connect();
    client.request("/big");
    client.head();
    client.raw(1000);
    fs::remove_file(&path).unwrap();
    assert_eq!(client.raw((16 << 20) - 1000).len(), (16 << 20) - 1000);
    assert_eq!(client.get("/big").status, 404);
    drop(client);
    server.stop.shutdown();
    server.join();
}
