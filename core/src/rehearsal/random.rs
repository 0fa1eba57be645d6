//! Buffers by chance: a plain draw, and the one that a stream allows.

use rand::RngExt;

use super::policy::{counts, without_clusters};
use super::{BufferPolicy, Selected, Work};
use crate::Result;
use crate::rng;

/// Each sample as likely as another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomPolicy {
    /// Kept samples per sample, at least one in all.
    pub buffer_ratio: f64,
}

impl BufferPolicy for RandomPolicy {
    fn select(&self, features: &[f32], width: usize, seed: u64, _: &mut Work<'_>) -> Result<Vec<Selected>> {
        let (n, n_kept) = counts(features, width, self.buffer_ratio)?;
        let mut generator = rng::keyed(seed, "random buffer", &[]);
        let mut rows: Vec<usize> = (0..n).collect();
        for place in 0..n_kept {
            rows.swap(place, generator.random_range(place..n));
        }
        rows.truncate(n_kept);
        Ok(without_clusters(rows, features, width))
    }
}

/// Algorithm R (Vitter, "Random sampling with a reservoir", ACM TOMS 1985): the samples come one after another, and each one seen so far
/// is as likely to be in the buffer as another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReservoirPolicy {
    /// Kept samples per sample, at least one in all.
    pub buffer_ratio: f64,
}

impl BufferPolicy for ReservoirPolicy {
    fn select(&self, features: &[f32], width: usize, seed: u64, _: &mut Work<'_>) -> Result<Vec<Selected>> {
        let (n, n_kept) = counts(features, width, self.buffer_ratio)?;
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
    use super::super::policy::no_work;
    use super::*;

    /// How often each of twenty rows is kept in so many draws of five, in units of the expected number.
    fn frequencies(policy: &dyn BufferPolicy, n_draws: u64) -> Vec<f64> {
        let features: Vec<f32> = (0..40).map(|value| value as f32).collect();
        let mut counts = [0.0; 20];
        for seed in 0..n_draws {
            let selected = policy.select(&features, 2, seed, &mut no_work()).unwrap();
            assert_eq!(selected.len(), 5);
            assert!(selected.is_sorted_by(|a, b| a.index < b.index));
            selected.iter().for_each(|selected| counts[selected.index] += 1.0);
        }
        counts.iter().map(|count| count / (n_draws as f64 / 4.0)).collect()
    }

    #[test]
    fn every_sample_is_as_likely_as_another() {
        for policy in
            [&RandomPolicy { buffer_ratio: 0.25 } as &dyn BufferPolicy, &ReservoirPolicy { buffer_ratio: 0.25 }]
        {
            // A share of 1/4 of 4,000 draws has a standard deviation of 2.7 %.
            for frequency in frequencies(policy, 4000) {
                assert!((frequency - 1.0).abs() < 0.12, "{frequency}");
            }
        }
    }
}
