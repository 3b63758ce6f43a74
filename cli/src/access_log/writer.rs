//! Writes whole lines, and finishes a line that the file took in part.

use std::io;
use std::io::Write;
use std::mem;

/// Most bytes in one write, unless a line is longer. A write ends at the end of a line:
/// after a restart without a gap, two processes append to the same file for a while, and the
/// kernel keeps each of their writes together.
const WRITE_MAX: usize = 64 * 1024;

/// What has the file. Only one thread uses it.
pub(super) struct Writer<F> {
    file: F,
    /// The rest of a line that the file took in part, when the disk became full.
    torn: Vec<u8>,
}

/// What became of lines.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// How many lines are in the file as a whole.
    pub(super) whole: u64,
    /// How many lines will never be there.
    pub(super) lost: u64,
    /// Why lines are lost, or why one is torn.
    pub(super) error: Option<io::Error>,
}

impl<F: Write> Writer<F> {
    pub(super) fn new(file: F) -> Self {
        Self {
            file,
            torn: Vec::new(),
        }
    }

    /// Writes these lines, however long that takes. Calls `progress` whenever the file has
    /// taken bytes. After an error, further lines are lost, except the rest of one that the
    /// file took in part: the next call begins with it.
    pub(super) fn write(&mut self, mut lines: &[u8], progress: impl Fn()) -> Written {
        let mut written = self.finish_torn(&progress);
        if written.error.is_some() {
            written.lost = count(lines);
            return written;
        }
        while !lines.is_empty() {
            let (piece, rest) = lines.split_at(piece_length(lines));
            let (taken, error) = write_all(&mut self.file, piece, &progress);
            let whole = past_last_line_end(&piece[..taken]);
            written.whole += count(&piece[..whole]);
            if error.is_some() {
                let is_torn = taken > whole;
                if is_torn {
                    let mut rest = piece[taken..].split_inclusive(|&byte| byte == b'\n');
                    self.torn = rest.next().unwrap_or_default().to_vec();
                }
                written.lost = count(&lines[whole..]) - u64::from(is_torn);
                written.error = error;
                return written;
            }
            lines = rest;
        }
        written
    }

    /// Writes to another file from now on. A torn line that the old file still does not take
    /// is lost.
    pub(super) fn switch_to(&mut self, file: F) -> Written {
        let mut written = self.finish_torn(&|| ());
        if !mem::take(&mut self.torn).is_empty() {
            written.lost = 1;
        }
        self.file = file;
        written
    }

    fn finish_torn(&mut self, progress: &impl Fn()) -> Written {
        let mut written = Written::default();
        if !self.torn.is_empty() {
            let (taken, error) = write_all(&mut self.file, &self.torn, progress);
            self.torn.drain(..taken);
            written.whole = u64::from(self.torn.is_empty());
            written.error = error;
        }
        written
    }
}

/// Returns how many bytes the file has taken, and the error if these are not all.
fn write_all(
    file: &mut impl Write,
    bytes: &[u8],
    progress: &impl Fn(),
) -> (usize, Option<io::Error>) {
    let mut taken = 0;
    while taken < bytes.len() {
        match file.write(&bytes[taken..]) {
            Ok(0) => return (taken, Some(io::ErrorKind::WriteZero.into())),
            Ok(count) => {
                taken += count;
                progress();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (taken, Some(error)),
        }
    }
    (taken, None)
}

/// The length of the lines that one write takes, at least one.
fn piece_length(lines: &[u8]) -> usize {
    if lines.len() <= WRITE_MAX {
        return lines.len();
    }
    match past_last_line_end(&lines[..WRITE_MAX]) {
        0 => {
            let end = lines.iter().position(|&byte| byte == b'\n');
            end.map_or(lines.len(), |at| at + 1)
        }
        length => length,
    }
}

fn past_last_line_end(bytes: &[u8]) -> usize {
    let end = bytes.iter().rposition(|&byte| byte == b'\n');
    end.map_or(0, |at| at + 1)
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|&&byte| byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for some bytes.
    struct Disk {
        content: Vec<u8>,
        room: usize,
        longest_write: usize,
    }

    impl Disk {
        fn with_room(room: usize) -> Writer<Self> {
            Writer::new(Self {
                content: Vec::new(),
                room,
                longest_write: 0,
            })
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.longest_write = self.longest_write.max(bytes.len());
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.content.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn counts(written: &Written) -> (u64, u64, bool) {
        (written.whole, written.lost, written.error.is_some())
    }

    #[test]
    fn a_line_that_a_full_disk_took_in_part_is_finished_first() {
        for room in 0..9 {
            let mut writer = Disk::with_room(room);
            let written = writer.write(b"aa\nbb\ncc\n", || ());
            let torn = u64::from(room % 3 > 0);
            let whole = room as u64 / 3;
            assert_eq!(counts(&written), (whole, 3 - whole - torn, true), "{room}");
            // Still full.
            let written = writer.write(b"dd\n", || ());
            assert_eq!(counts(&written), (0, 1, true));
            writer.file.room = 100;
            let written = writer.write(b"ee\n", || ());
            assert_eq!(counts(&written), (1 + torn, 0, false));
            let lines = ["aa\n", "bb\n", "cc\n"];
            let expected = lines[..(whole + torn) as usize].concat() + "ee\n";
            assert_eq!(writer.file.content, expected.as_bytes(), "{room}");
        }
    }

    #[test]
    fn a_torn_line_is_lost_if_the_file_is_replaced_before_the_disk_has_room() {
        let mut writer = Disk::with_room(1);
        assert_eq!(counts(&writer.write(b"aa\n", || ())), (0, 0, true));
        let full = writer.switch_to(Disk::with_room(100).file);
        assert_eq!(counts(&full), (0, 1, true));
        assert_eq!(counts(&writer.write(b"bb\n", || ())), (1, 0, false));
        assert_eq!(writer.file.content, b"bb\n");
    }

    #[test]
    fn a_write_ends_at_the_end_of_a_line() {
        let mut writer = Disk::with_room(usize::MAX);
        let short = "x".repeat(99) + "\n";
        let long = "y".repeat(2 * WRITE_MAX) + "\n";
        let lines = short.repeat(2000) + &long + &short;
        let written = writer.write(lines.as_bytes(), || ());
        assert_eq!(counts(&written), (2002, 0, false));
        assert_eq!(writer.file.content, lines.as_bytes());
        assert_eq!(writer.file.longest_write, long.len());
        assert_eq!(piece_length(lines.as_bytes()), WRITE_MAX / 100 * 100);
    }
}
