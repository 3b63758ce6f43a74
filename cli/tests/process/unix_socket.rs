//! The program on a unix socket.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;

use crate::client::Client;
use crate::program::command;
use crate::program::run;

#[test]
fn the_program_serves_and_stops_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("farewell.sock");
    let listen = format!("unix:{}", path.display());
    let mut token = tempfile::NamedTempFile::new().unwrap();
    token.write_all(b"open-sesame\n").unwrap();
    let token = token.path().to_str().unwrap();
    let mut child = command(&["--listen", &listen, "--shutdown-token-file", token])
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut greeting = String::new();
    stdout.read_line(&mut greeting).unwrap();
    stdout.read_line(&mut greeting).unwrap();
    let (listening, stop) = greeting.split_once('\n').unwrap();
    let expected = format!(" listening on {listen} (16 workers)");
    assert!(listening.ends_with(&expected), "{greeting}");
    let curl = format!(
        "stop it with: curl -H 'Authorization: Bearer TOKEN' \
         --unix-socket {} http://localhost/shutdown  or Ctrl+C",
        path.display()
    );
    assert!(stop.starts_with(&curl), "{greeting}");

    let second = run(command(&["--listen", &listen]));
    assert_eq!(second.code, Some(1));
    let text = format!(
        "farewell: cannot listen on {listen}: another server listens there; \
         is another instance running? choose another path with --listen\n"
    );
    assert_eq!(second.stderr, text);

    let connect = || Client::try_connect_unix(&path).unwrap();
    let mut client = connect();
    assert_eq!(client.get("/a").body, "Hello, you requested /a\n");
    assert_eq!(client.get("/shutdown").status, 401);
    client.send(
        "GET /shutdown HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer open-sesame\r\n\r\n",
    );
    let response = client.response();
    assert_eq!(response.status, 200, "{}", response.body);
    drop(client);
    let mut report = String::new();
    stdout.read_to_string(&mut report).unwrap();
    assert!(report.contains("by a request from unix socket"), "{report}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn without_a_token_no_request_over_a_unix_socket_stops_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("farewell.sock");
    let listen = format!("unix:{}", path.display());
    let mut child = command(&["--listen", &listen]).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut greeting = String::new();
    stdout.read_line(&mut greeting).unwrap();
    stdout.read_line(&mut greeting).unwrap();
    let stop = "\nstop it with: Ctrl+C; twice to stop at once \
                (on this address, /shutdown needs --shutdown-token-file)\n";
    assert!(greeting.ends_with(stop), "{greeting}");

    let mut client = Client::try_connect_unix(&path).unwrap();
    let refused = client.get("/shutdown");
    assert_eq!(refused.status, 403);
    assert!(
        refused.body.contains("no token is configured"),
        "{refused:?}"
    );
    assert_eq!(client.get("/healthz").status, 200);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_wrong_path_is_one_line_with_advice() {
    let long = format!("unix:/tmp/{}", "x".repeat(200));
    let missing = "unix:/no/such/folder/farewell.sock";
    for (listen, code, advice) in [
        (&*long, 2, "; write --listen as unix:/run/farewell.sock\n"),
        ("unix:", 2, "; write --listen as unix:/run/farewell.sock\n"),
        (missing, 1, "; choose another path with --listen\n"),
    ] {
        let ended = run(command(&["--listen", listen]));
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        let start = format!("farewell: cannot listen on {listen}: ");
        assert!(ended.stderr.starts_with(&start), "{}", ended.stderr);
        assert!(ended.stderr.ends_with(advice), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}
