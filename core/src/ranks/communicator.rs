//! What ranks need of the library that connects them: two collective operations on bytes.

use crate::Result;

/// Connection of this rank with all ranks. Both operations are collective: every rank calls them in the same order, with sizes that agree, and each
/// call returns after all ranks have called.
pub trait Communicator {
    /// Number of this rank, from 0.
    fn rank(&self) -> usize;

    /// Number of ranks, at least 1.
    fn n_ranks(&self) -> usize;

    /// The bytes of all ranks, one after another in the order of ranks. `sizes` are the numbers of bytes of each rank, `own.len()` among them.
    ///
    /// # Errors
    /// A connection that broke.
    fn all_gather(&self, own: &[u8], sizes: &[usize]) -> Result<Vec<u8>>;

    /// Sends a part of `own` to each rank and returns the parts that came from each, one after another in the order of ranks. `sent` and `received`
    /// are the numbers of bytes to and from each rank.
    ///
    /// # Errors
    /// A connection that broke.
    fn all_to_all(&self, own: &[u8], sent: &[usize], received: &[usize]) -> Result<Vec<u8>>;
}

/// A single rank.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl Communicator for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn n_ranks(&self) -> usize {
        1
    }

    fn all_gather(&self, own: &[u8], _: &[usize]) -> Result<Vec<u8>> {
        Ok(own.to_vec())
    }

    fn all_to_all(&self, own: &[u8], _: &[usize], _: &[usize]) -> Result<Vec<u8>> {
        Ok(own.to_vec())
    }
}
