//! Selection policies: they map the features of a stage's samples to the samples that are kept.

use crate::clustering::KMeansOptions;
use crate::{DataError, Result};

/// A selection policy of the rehearsal buffer. A new policy is a file with an implementation and a name in [`super::BufferSelection`].
pub trait SelectionPolicy {
    /// Selects samples by their `features` `[n, width]`, row-major. Only `seed` decides random draws: callers give each
    /// stage another one. Clusterings report their progress to `options`.
    ///
    /// # Errors
    /// Features from which nothing can be chosen, an error of `options.progress`.
    fn select(
        &self,
        features: &[f32],
        width: usize,
        seed: u64,
        options: &mut KMeansOptions<'_>,
    ) -> Result<Vec<Selected>>;
}

/// A selected sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Selected {
    /// Row of the features.
    pub index: usize,
    /// Cluster of the sample; 0 where a policy has no clusters.
    pub cluster: usize,
    /// Euclidean distance to the centre of that cluster; to the mean of all samples where a policy has no clusters.
    pub distance: f64,
    /// True where the sample is not among the nearest to its centre but fills a place that a small cluster left free.
    pub backfilled: bool,
}

/// Number of rows of `features`, and number of rows that `ratio` keeps.
pub(super) fn counts(features: &[f32], width: usize, ratio: f64) -> Result<(usize, usize)> {
    match features.len() / width.max(1) {
        0 => Err(DataError::NoFeatures.into()),
        n => Ok((n, n_of(n, ratio))),
    }
}

/// The integer part of `ratio * n`, as in the reference, and at least one.
pub(super) fn n_of(n: usize, ratio: f64) -> usize {
    ((n as f64 * ratio) as usize).clamp(1, n.max(1))
}

/// Mean of the rows of `features` `[n, width]`.
pub(super) fn mean_of(features: &[f32], width: usize) -> Vec<f64> {
    let mut mean = vec![0.0; width];
    for row in features.chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += f64::from(*value));
    }
    let n = (features.len() / width).max(1) as f64;
    mean.iter_mut().for_each(|mean| *mean /= n);
    mean
}

/// Squared Euclidean distance of a row to a point.
pub(super) fn squared_distance(row: &[f32], point: &[f64]) -> f64 {
    row.iter().zip(point).map(|(value, other)| (f64::from(*value) - other).powi(2)).sum()
}

/// Rows as selected samples in ascending order, for a policy without clusters.
pub(super) fn without_clusters(mut rows: Vec<usize>, features: &[f32], width: usize) -> Vec<Selected> {
    rows.sort_unstable();
    let mean = mean_of(features, width);
    let selected = |index: usize| {
        let distance = squared_distance(&features[index * width..][..width], &mean).sqrt();
        Selected { index, cluster: 0, distance, backfilled: false }
    };
    rows.into_iter().map(selected).collect()
}

/// Options for tests of policies that do not cluster.
#[cfg(test)]
pub(super) fn no_options() -> KMeansOptions<'static> {
    let device = Box::leak(Box::new(burn::tensor::Device::flex()));
    let max_iterations = KMeansOptions::MAX_ITERATIONS;
    KMeansOptions { device, max_iterations, tolerance: 0.0, progress: Box::leak(Box::new(|_, _| Ok(()))) }
}
