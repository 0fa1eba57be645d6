//! Reservoir sampling (Vitter, "Random sampling with a reservoir", ACM TOMS 1985): a random buffer from one pass over a stream.

use rand::RngExt;

use super::policy::{counts, without_clusters};
use super::{Selected, SelectionPolicy};
use crate::clustering::KMeansOptions;
use crate::{Result, rng};

/// Reservoir sampling by algorithm R: samples arrive one after another, and each sample seen so far is equally likely to be in the buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReservoirPolicy {
    /// Fraction of the samples that is kept; at least one sample.
    pub ratio: f64,
}

impl SelectionPolicy for ReservoirPolicy {
    fn select(&self, features: &[f32], width: usize, seed: u64, _: &mut KMeansOptions<'_>) -> Result<Vec<Selected>> {
        let (n, n_kept) = counts(features, width, self.ratio)?;
        let mut generator = rng::keyed(seed, "reservoir", &[]);
        let mut rows: Vec<usize> = (0..n_kept).collect();
        for row in n_kept..n {
            let place = generator.random_range(0..=row);
            if place < n_kept {
                rows[place] = row;
            }
        }
        Ok(without_clusters(rows, features, width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::random::tests::every_sample_is_equally_likely;

    #[test]
    fn every_sample_is_equally_likely_in_a_reservoir() {
        every_sample_is_equally_likely(&ReservoirPolicy { ratio: 0.25 });
    }
}
