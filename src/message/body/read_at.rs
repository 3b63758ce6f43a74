//! Reading from a position of a file.

use std::fs::File;
use std::io;

#[cfg(not(unix))]
pub(crate) use portable::read_at;

/// Reads from a position of the file.
#[cfg(unix)]
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(any(test, not(unix)))]
mod portable {
    use std::fs::File;
    use std::io;
    use std::io::Read;
    use std::io::Seek;
    use std::io::SeekFrom;

    /// Moves the file's own position, which other handles may share.
    pub(crate) fn read_at(mut file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.seek(SeekFrom::Start(offset))?;
        file.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_from_any_position() {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, b"0123456789").unwrap();
        for read_at in [read_at, portable::read_at] {
            let mut buffer = [0; 4];
            assert_eq!(read_at(&file, &mut buffer, 3).unwrap(), 4);
            assert_eq!(&buffer, b"3456");
            assert_eq!(read_at(&file, &mut buffer, 9).unwrap(), 1);
        }
    }
}
