//! Buffered file with cheap short seeks. A header is scanned element by element, and each seek of a plain buffered
//! reader would discard the buffer.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

const BUFFER_BYTES: usize = 1 << 14;

/// A buffered file and its position.
pub(crate) struct BufferedFile {
    file: BufReader<File>,
    at: u64,
}

impl BufferedFile {
    /// Starts at the beginning of the file.
    pub(crate) fn new(file: File) -> Self {
        Self { file: BufReader::with_capacity(BUFFER_BYTES, file), at: 0 }
    }

    /// Length of the file in bytes.
    pub(crate) fn len(&self) -> io::Result<u64> {
        Ok(self.file.get_ref().metadata()?.len())
    }
}

impl Read for BufferedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for BufferedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(to) => {
                // Both are positions in a file, which has less than 2^63 bytes.
                self.file.seek_relative(to.wrapping_sub(self.at) as i64)?;
                to
            }
            other => self.file.seek(other)?,
        };
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_after_any_seek_equal_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let content: Vec<u8> = (0..100_000_u32).map(|at| ((at * 7919) >> 5) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let mut file = BufferedFile::new(File::open(&path).unwrap());
        assert_eq!(file.len().unwrap(), 100_000);
        let mut at = 5_usize;
        for turn in 0..500 {
            at = (at * 31 + turn * 17) % 99_000;
            // Short and long seeks, forwards and backwards.
            for place in [at, at + 20, at + 3, (at + 50_000) % 99_000] {
                assert_eq!(file.seek(SeekFrom::Start(place as u64)).unwrap(), place as u64);
                let mut found = [0; 11];
                file.read_exact(&mut found).unwrap();
                assert_eq!(found, content[place..place + 11], "at {place}");
                assert_eq!(file.stream_position().unwrap(), place as u64 + 11);
            }
        }
        assert_eq!(file.seek(SeekFrom::End(-1)).unwrap(), 99_999);
        file.seek(SeekFrom::Start(200_000)).unwrap();
        assert_eq!(file.read(&mut [0; 4]).unwrap(), 0);
    }
}
