//! Large bodies of every kind, by path.

use std::fs::File;
use std::io;
use std::io::Seek;
use std::io::Write;
use std::sync::LazyLock;
use std::thread;

use farewell::Body;
use farewell::BodyWriter;

/// More than fits into the sockets' buffers.
pub(crate) const LARGE: usize = 8 << 20;

/// The pattern shows a wrong order.
static BYTES: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..LARGE).map(|index| (index % 127) as u8).collect());

pub(crate) fn large() -> Vec<u8> {
    BYTES.clone()
}

/// A temporary file with this content.
pub(crate) fn file(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file.rewind().unwrap();
    file
}

fn chunks() -> impl Iterator<Item = &'static [u8]> + Send {
    BYTES.chunks(100_000)
}

fn write_large(writer: &mut BodyWriter) -> io::Result<()> {
    chunks().try_for_each(|chunk| writer.write_all(chunk))
}

/// A body of the kind that the path names.
pub(crate) fn body(path: &str) -> Body {
    match path {
        "/bytes" => large().into(),
        "/file" => Body::from_file(file(&large())).unwrap(),
        "/reader" => Body::from_reader(file(&large())),
        "/sized" => Body::from_reader_sized(file(&large()), LARGE as u64),
        "/chunks" => Body::from_chunks(chunks()),
        "/from_writer" => Body::from_writer(write_large),
        "/writer" => {
            let (mut writer, body) = Body::writer();
            thread::spawn(move || {
                write_large(&mut writer)?;
                writer.finish()
            });
            body
        }
        _ => "small".into(),
    }
}

pub(crate) const KINDS: [&str; 7] = [
    "/bytes",
    "/file",
    "/reader",
    "/sized",
    "/chunks",
    "/from_writer",
    "/writer",
];
