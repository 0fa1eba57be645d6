//! Bytes of an HDF5 file, as many as its metadata may ask for.
//!
//! Addresses in a file are untrusted: trees whose nodes have the same children, or chunks that are the same bytes, would be read for
//! ever. Reads are counted, and a file that asks for far more than it holds is damaged.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use hdf5_pure::{FormatError, Source};

/// Most reads of an open file: a second or two. Neighbouring chunks are one read.
const MAX_READS: u64 = 1 << 18;
/// Bytes that are read at most: so many times the file, and some for small files, whose headers are read several times.
const MAX_TIMES: u64 = 16;
const MIN_BYTES: u64 = 1 << 22;

/// An open file.
pub(crate) struct CountedFile {
    state: Mutex<State>,
    n_bytes: u64,
}

struct State {
    file: File,
    reads_left: u64,
    bytes_left: u64,
}

impl CountedFile {
    /// # Errors
    /// A file that cannot be opened.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let n_bytes = file.metadata()?.len();
        let bytes_left = n_bytes.saturating_mul(MAX_TIMES).saturating_add(MIN_BYTES);
        Ok(Self { state: Mutex::new(State { file, reads_left: MAX_READS, bytes_left }), n_bytes })
    }
}

impl Source for CountedFile {
    fn len(&self) -> u64 {
        self.n_bytes
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FormatError> {
        // No state is left half written by a panic.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let left = (state.reads_left.checked_sub(1), state.bytes_left.checked_sub(buffer.len() as u64));
        let (Some(reads_left), Some(bytes_left)) = left else {
            return Err(FormatError::Source("it refers to the same bytes again and again".into()));
        };
        (state.reads_left, state.bytes_left) = (reads_left, bytes_left);
        let read = state.file.seek(SeekFrom::Start(offset)).and_then(|_| state.file.read_exact(buffer));
        read.map_err(|error| FormatError::Source(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_not_read_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5");
        std::fs::write(&path, [1, 2, 3, 4]).unwrap();
        let file = CountedFile::open(&path).unwrap();
        let mut buffer = [0; 2];
        file.read_at(1, &mut buffer).unwrap();
        assert_eq!((buffer, file.len()), ([2, 3], 4));
        assert!(file.read_at(3, &mut buffer).is_err());
        let n = (2..).find(|_| file.read_at(0, &mut buffer).is_err()).unwrap();
        assert_eq!(n, MAX_READS, "{n} reads");
    }
}
