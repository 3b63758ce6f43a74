//! `Files`: what it answers, and what it never serves.

mod answers;
#[cfg(unix)]
mod beneath;
#[cfg(unix)]
mod listing;
mod uploads;

use std::fs;
use std::path::Path;

use farewell::Bytes;
use farewell::Files;
use farewell::Handler;
use farewell::HeaderMap;
use farewell::Request;
use farewell::StatusCode;
use tempfile::TempDir;

/// A response that was read whole.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    fields: HeaderMap,
    body: Bytes,
}

impl Answer {
    /// The value of a field; empty if there is none.
    fn field(&self, name: &str) -> &str {
        let value = self.fields.get(name).map(|value| value.to_str().unwrap());
        value.unwrap_or_default()
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn files(folder: &impl AsRef<Path>) -> Files {
    Files::new(folder).unwrap()
}

/// Sends a request with these fields to the handler, without a socket.
fn send(files: &Files, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
    let mut request = http::Request::builder().method(method).uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let response = files.handle(Request::from_http(request.body(()).unwrap()));
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        fields: parts.headers,
        body: body.into_bytes(64 << 20).unwrap(),
    }
}

fn get(files: &Files, target: &str) -> Answer {
    send(files, "GET", target, &[])
}
