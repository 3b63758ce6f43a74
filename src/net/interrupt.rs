//! Interrupts threads that wait for a socket.

use std::io;
use std::io::PipeReader;
use std::io::PipeWriter;
use std::sync::Mutex;
use std::sync::PoisonError;

/// A pipe whose close ends every wait that polls it, also waits that begin later.
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

    /// The end that a wait polls.
    pub(crate) fn reader(&self) -> &PipeReader {
        &self.reader
    }

    /// Ends every wait.
    pub(crate) fn raise(&self) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        drop(writer.take());
    }
}
