//! Random selection: every sample is equally likely.

use rand::RngExt;

use super::policy::{counts, without_clusters};
use super::{Selected, SelectionPolicy};
use crate::clustering::KMeansOptions;
use crate::{Result, rng};

/// Random selection: draws samples without replacement; every sample is equally likely.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomPolicy {
    /// Fraction of the samples that is kept; at least one sample.
    pub ratio: f64,
}

impl SelectionPolicy for RandomPolicy {
    fn select(&self, features: &[f32], width: usize, seed: u64, _: &mut KMeansOptions<'_>) -> Result<Vec<Selected>> {
        let (n, n_kept) = counts(features, width, self.ratio)?;
        let mut generator = rng::keyed(seed, "random buffer", &[]);
        let mut rows: Vec<usize> = (0..n).collect();
        for place in 0..n_kept {
            rows.swap(place, generator.random_range(place..n));
        }
        rows.truncate(n_kept);
        Ok(without_clusters(rows, features, width))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::buffer::policy::no_options;

    /// How often a policy keeps each of twenty rows, relative to the expected number, in 4,000 draws of five rows. A share of 1/4 of 4,000 draws has a
    /// standard deviation of 2.7 %.
    pub fn every_sample_is_equally_likely(policy: &dyn SelectionPolicy) {
        let features: Vec<f32> = (0..40).map(|value| value as f32).collect();
        let mut counts = [0.0; 20];
        for seed in 0..4000 {
            let selected = policy.select(&features, 2, seed, &mut no_options()).unwrap();
            assert_eq!(selected.len(), 5);
            assert!(selected.is_sorted_by(|a, b| a.index < b.index));
            selected.iter().for_each(|selected| counts[selected.index] += 1.0 / 1000.0);
        }
        for frequency in counts {
            assert!((frequency - 1.0f64).abs() < 0.12, "{frequency}");
        }
    }

    #[test]
    fn every_sample_is_equally_likely_in_a_random_buffer() {
        every_sample_is_equally_likely(&RandomPolicy { ratio: 0.25 });
    }
}
