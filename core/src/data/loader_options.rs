//! Options of the loading of samples: parallelism, and the limit of invalid samples.

/// Options of the loading of samples.
#[derive(Debug, Clone, Copy)]
pub struct LoaderOptions {
    /// Number of worker threads that decode samples.
    pub num_workers: usize,
    /// Fraction of a dataset's samples that may be invalid, in [0, 1].
    pub max_invalid_fraction: f64,
}

impl LoaderOptions {
    /// Maximum number of invalid samples in a dataset of `n_samples`: the fraction `max_invalid_fraction`, rounded up.
    pub(crate) fn n_invalid_allowed(&self, n_samples: usize) -> usize {
        (n_samples as f64 * self.max_invalid_fraction).ceil() as usize
    }
}
