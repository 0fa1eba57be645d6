//! What a buffer policy is: from the features of a stage's samples to the ones that are kept. A new policy joins as a
//! file beside [`super::KMeansPolicy`] and a name in [`Sampler`].

use super::{
    HerdingPolicy, KCentrePolicy, KMeansPolicy, RandomPolicy, RehearsalConfig, ReservoirPolicy, Sampler, Work,
};
use crate::{Error, Result};

/// Chooses the samples of a buffer.
pub trait BufferPolicy {
    /// Chooses from `features` `[n, width]`, row-major, without chance other than `seed`. What takes long tells of its work.
    ///
    /// # Errors
    /// Features from which nothing can be chosen, a request to stop.
    fn select(&self, features: &[f32], width: usize, seed: u64, work: &mut Work<'_>) -> Result<Vec<Selected>>;
}

/// A chosen sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Selected {
    /// Its row.
    pub index: usize,
    /// Cluster it belongs to; 0 where a policy has no clusters.
    pub cluster: usize,
    /// Euclidean distance to the centre of that cluster; to the mean of all samples where there are no clusters.
    pub distance: f64,
    /// True when it is not among its centre's nearest but fills the buffer up.
    pub filled_up: bool,
}

/// The policy that settings ask for.
pub fn policy_of(config: &RehearsalConfig) -> Box<dyn BufferPolicy> {
    let buffer_ratio = config.buffer_ratio;
    match config.sampler {
        Sampler::KMeans | Sampler::MiniBatchKMeans => Box::new(KMeansPolicy {
            centre_ratio: config.centre_ratio,
            buffer_ratio,
            fill_up: config.fill_up,
            mini_batches: config.sampler == Sampler::MiniBatchKMeans,
        }),
        Sampler::Random => Box::new(RandomPolicy { buffer_ratio }),
        Sampler::Herding => Box::new(HerdingPolicy { buffer_ratio }),
        Sampler::Reservoir => Box::new(ReservoirPolicy { buffer_ratio }),
        Sampler::KCentre => Box::new(KCentrePolicy { buffer_ratio }),
    }
}

/// Number of rows of `features`, and how many of them a ratio keeps: at least one.
pub(super) fn counts(features: &[f32], width: usize, ratio: f64) -> Result<(usize, usize)> {
    match features.len() / width.max(1) {
        0 => Err(Error::Data("no features to choose from".into())),
        n => Ok((n, ((n as f64 * ratio).round() as usize).clamp(1, n))),
    }
}

/// Mean of the rows.
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

/// Rows as chosen samples, in the order of the rows, of a policy that has no clusters.
pub(super) fn without_clusters(mut rows: Vec<usize>, features: &[f32], width: usize) -> Vec<Selected> {
    rows.sort_unstable();
    let mean = mean_of(features, width);
    let selected = |index: usize| {
        let distance = squared_distance(&features[index * width..][..width], &mean).sqrt();
        Selected { index, cluster: 0, distance, filled_up: false }
    };
    rows.into_iter().map(selected).collect()
}

/// For tests of policies that need no help.
#[cfg(test)]
pub(super) fn no_work() -> Work<'static> {
    let device = Box::leak(Box::new(burn::tensor::Device::flex()));
    Work { device, most_steps: Work::STEPS, progress: Box::leak(Box::new(|_, _| Ok(()))) }
}
