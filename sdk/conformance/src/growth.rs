//! Measured growth of memory, threads and open files.

/// Figures before the first measured round and after each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Growth {
    /// Resident memory in bytes.
    pub(crate) memory: Vec<f64>,
    pub(crate) threads: Vec<f64>,
    pub(crate) files: Vec<f64>,
    /// Calls of `fill` in all measured rounds.
    pub(crate) n_calls: usize,
}
