//! Options of the loading of samples: parallelism, and the limit of invalid samples.

use crate::{Result, SettingError};

/// Maximum number of worker threads: more than any machine has cores.
const MAX_WORKERS: usize = 1024;

/// Options of the loading of samples.
#[derive(Debug, Clone, Copy)]
pub struct LoaderOptions {
    /// Number of worker threads that decode samples.
    pub num_workers: usize,
    /// Largest fraction of a dataset's samples that may be invalid, in [0, 1]: see [`LoaderOptions::allows`].
    pub max_invalid_fraction: f64,
}

impl LoaderOptions {
    /// Whether a dataset may have so many invalid samples: their fraction is at most `max_invalid_fraction`. Nothing is rounded, so that at 1 % a
    /// dataset of fewer than 100 samples may have none. Training, features, evaluation, embedding, plans and the check of data have this one rule.
    pub fn allows(&self, n_invalid: usize, n_samples: usize) -> bool {
        n_invalid == 0 || n_invalid as f64 / n_samples as f64 <= self.max_invalid_fraction
    }

    /// These options for `n_part` samples of a dataset of `n_all`: the part may have as many invalid samples as the whole dataset.
    #[must_use]
    pub fn for_part(self, n_part: usize, n_all: usize) -> Self {
        let fraction = self.max_invalid_fraction * n_all as f64 / n_part.max(1) as f64;
        Self { max_invalid_fraction: fraction.min(1.0), ..self }
    }

    /// Checks that the fraction of invalid samples is in [0, 1], and that there are worker threads.
    ///
    /// # Errors
    /// The first option that is out of range.
    pub fn check(&self) -> Result<()> {
        if !(1..=MAX_WORKERS).contains(&self.num_workers) {
            let expected = format!("1 to {MAX_WORKERS}");
            return Err(SettingError::out_of_range("data.num_workers", self.num_workers, expected).into());
        }
        let fraction = self.max_invalid_fraction;
        if !(0.0..=1.0).contains(&fraction) {
            return Err(SettingError::out_of_range("data.max_invalid_fraction", fraction, "0.0 to 1.0").into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_of_invalid_samples_is_compared_and_never_rounded() {
        let options = |max_invalid_fraction| LoaderOptions { num_workers: 1, max_invalid_fraction };
        for (fraction, n_invalid, n_samples, is_allowed) in [
            (0.01, 0, 1, true),
            (0.01, 0, 0, true),
            (0.01, 1, 48, false),
            (0.01, 1, 99, false),
            (0.01, 1, 100, true),
            (0.01, 2, 100, false),
            (0.01, 7, 700, true),
            (0.01, 8, 700, false),
            (0.07, 7, 100, true),
            (0.0, 1, 1_000_000_000, false),
            (0.5, 1, 1, false),
            (1.0, 5, 5, true),
        ] {
            assert_eq!(options(fraction).allows(n_invalid, n_samples), is_allowed, "{n_invalid} of {n_samples}");
        }
        // A part of 24 samples of 1000 may have 10, as the whole dataset.
        assert!(options(0.01).for_part(24, 1000).allows(10, 24) && !options(0.01).for_part(24, 1000).allows(11, 24));
        assert!(options(0.01).for_part(24, 100).allows(1, 24) && !options(0.01).for_part(24, 99).allows(1, 24));
    }
}
