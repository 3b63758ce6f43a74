//! What ends the waits of threads that wait for a socket of theirs.

use std::io;
use std::io::PipeReader;
use std::io::PipeWriter;
use std::sync::Mutex;
use std::sync::PoisonError;

/// A pipe that is closed to end every wait that looks at it, those that begin
/// later too.
#[derive(Debug)]
pub(crate) struct Interrupt {
    reader: PipeReader,
    writer: Mutex<Option<PipeWriter>>,
}

impl Interrupt {
    /// # Errors
    ///
    /// There is no file descriptor left.
    pub(crate) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self {
            reader,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// What a wait looks at.
    pub(crate) fn reader(&self) -> &PipeReader {
        &self.reader
    }

    /// Ends the waits.
    pub(crate) fn raise(&self) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        drop(writer.take());
    }
}
