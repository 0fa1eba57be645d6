//! Numbers of an HDF5 dataset from front to back, some rows at a time. A row is what lies behind one index of the first axis.
//!
//! Rows are read as the dataset's chunks divide them, so that each chunk is decompressed once and a dataset is never in memory as a whole,
//! unless one chunk is. Small ones are read together, since each read looks into the headers.

use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use hdf5_pure::Dataset;

/// Bytes of rows that are read at a time, where chunks are not larger.
const ROWS_BYTES: u64 = 1 << 20;
/// Most bytes of rows that are read at a time, where chunks are larger.
pub(crate) const MAX_ROWS_BYTES: u64 = 1 << 29;

/// The numbers of a dataset.
pub(crate) struct Hdf5Rows {
    dataset: Dataset,
    row_bytes: u64,
    n_rows: u64,
    rows_at_a_time: u64,
    /// Next byte.
    at: u64,
    /// The rows that were read last, and the byte at which they begin.
    rows: Vec<u8>,
    rows_begin: u64,
}

impl Hdf5Rows {
    /// `chunk_rows`: rows of a chunk, of a dataset in chunks. `row_bytes` is at least 1.
    pub(crate) fn new(dataset: Dataset, n_rows: u64, row_bytes: u64, chunk_rows: Option<u64>) -> Self {
        let chunk_rows = chunk_rows.unwrap_or(1).clamp(1, (MAX_ROWS_BYTES / row_bytes).max(1));
        let rows_at_a_time = chunk_rows * (ROWS_BYTES / row_bytes / chunk_rows).max(1);
        Self { dataset, row_bytes, n_rows, rows_at_a_time, at: 0, rows: Vec::new(), rows_begin: 0 }
    }

    /// Skips bytes; those beyond the end are missed by the next read.
    pub(crate) fn skip(&mut self, n_bytes: u64) {
        self.at = self.at.saturating_add(n_bytes);
    }

    /// The rows at the next byte that were read, from that byte on.
    fn known(&self) -> Option<&[u8]> {
        let from = usize::try_from(self.at.checked_sub(self.rows_begin)?).ok()?;
        self.rows.get(from..).filter(|rest| !rest.is_empty())
    }

    fn load(&mut self) -> io::Result<()> {
        let first = self.at / self.row_bytes / self.rows_at_a_time * self.rows_at_a_time;
        let n = self.rows_at_a_time.min(self.n_rows - first);
        // The old rows make room first.
        self.rows = Vec::new();
        let damaged = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        // The bytes are untrusted, and a panic of the library would not name the file. The library only reads.
        let read = catch_unwind(AssertUnwindSafe(|| self.dataset.read_raw_rows(first, n)));
        let rows = read
            .map_err(|_| damaged("its chunks cannot be decoded".into()))?
            .map_err(|error| damaged(error.to_string()))?;
        if rows.len() as u64 != n * self.row_bytes {
            return Err(damaged(format!("{} bytes of {n} rows are {}", n * self.row_bytes, rows.len())));
        }
        (self.rows, self.rows_begin) = (rows, first * self.row_bytes);
        Ok(())
    }
}

impl Read for Hdf5Rows {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at / self.row_bytes >= self.n_rows || buffer.is_empty() {
            return Ok(0);
        }
        if self.known().is_none() {
            self.load()?;
        }
        let known = self.known().unwrap_or_default();
        let n = known.len().min(buffer.len());
        buffer[..n].copy_from_slice(&known[..n]);
        self.at += n as u64;
        Ok(n)
    }
}
