//! How a dataset is read: parallelism and tolerance.

/// How samples are loaded.
#[derive(Debug, Clone, Copy)]
pub struct LoaderOptions {
    /// Threads that decode samples.
    pub num_workers: usize,
    /// Fraction of a dataset's samples that may be invalid, in [0, 1].
    pub max_invalid_fraction: f64,
}

impl LoaderOptions {
    /// Invalid samples that a dataset of `n_samples` may have: the fraction of its samples, rounded up.
    pub(crate) fn n_invalid_allowed(&self, n_samples: usize) -> usize {
        (n_samples as f64 * self.max_invalid_fraction).ceil() as usize
    }
}
