//! Settings of the rehearsal buffer: selection, number and storage of the buffer samples.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::policy::n_of;
use super::{
    BufferInitialisation, HerdingPolicy, KCentrePolicy, KMeansPolicy, RandomPolicy, ReservoirPolicy, SelectionPolicy,
};
use crate::clustering::KMeansOptions;
use crate::data::Sampling;
use crate::ranges::{check_count, check_not_negative};
use crate::{Result, SettingError};

/// Largest number of clusterings that are compared.
const MAX_STARTS: usize = 1000;

/// Buffer settings: the table `[buffer]` of a configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BufferConfig {
    /// Selection method of the buffer samples.
    pub selection: BufferSelection,
    /// Fraction of a stage's samples that is kept, in (0, 1].
    pub ratio: f64,
    /// Number of k-means clusters as a fraction of a stage's samples, in (0, 1], at most `ratio`.
    pub cluster_ratio: f64,
    /// Method that draws the first centres of k-means.
    pub initialisation: BufferInitialisation,
    /// Number of k-means clusterings from different first centres, at least 1; the one with the least inertia is taken.
    pub n_starts: usize,
    /// Squared shift of the centres, relative to the mean variance of the features, at which k-means ends, at least 0; 0 for the fixed point.
    pub tolerance: f64,
    /// Maximum number of iterations of k-means, at least 1.
    pub max_iterations: usize,
    /// Mode of the model that computes the features.
    pub feature_mode: FeatureMode,
    /// Whether the mean over a text's tokens contains padding.
    pub pool_padding: bool,
    /// Fill places that clusters leave free, because they are small or do not divide the number, with the samples that are next nearest to their
    /// centres. The reference leaves them free.
    pub backfill: bool,
    /// Storage of the buffer samples.
    pub store: Store,
    /// Sampling of the batches of stages that rehearse buffers. A stage on its own data alone draws without replacement.
    pub sampling: Sampling,
    /// Whether a buffer smaller than a batch is left out, instead of giving one batch of its size.
    pub drop_last: bool,
}

/// Mode of the model that computes the features of the selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureMode {
    /// No stochastic depth, and the first temporal position.
    #[default]
    Evaluation,
    /// Stochastic depth, and a random temporal position for every 128 samples in their order, as in the reference.
    Training,
}

/// Selection method of a rehearsal buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BufferSelection {
    /// The nearest samples to the centres of k-means clusters (the paper's).
    #[default]
    KMeans,
    /// The nearest samples to the centres of mini-batch k-means clusters (Sculley, WWW 2010), for datasets on which one iteration of k-means would
    /// take too long.
    MiniBatchKMeans,
    /// A random sample.
    Random,
    /// The samples whose mean is nearest to the mean of all (Welling, ICML 2009, as in iCaRL).
    Herding,
    /// A random sample, drawn in one pass over a stream (Vitter, 1985).
    Reservoir,
    /// The samples that leave no other far from a kept one (greedy k-centre; Gonzalez, 1985).
    KCentre,
}

/// Storage of the buffer samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// The run holds their ids: later stages read the samples from the stage's own data.
    #[default]
    Reference,
    /// The run holds their files, in a form that the plugin chooses: later stages do not need the stage's data.
    Materialised,
}

impl Default for BufferConfig {
    /// The paper's settings: 5 % of the samples, around as many k-means centres as 1 % of the samples.
    fn default() -> Self {
        Self {
            selection: BufferSelection::default(),
            ratio: 0.05,
            cluster_ratio: 0.01,
            initialisation: BufferInitialisation::default(),
            n_starts: 1,
            tolerance: 0.0,
            max_iterations: KMeansOptions::MAX_ITERATIONS,
            feature_mode: FeatureMode::default(),
            pool_padding: false,
            backfill: true,
            store: Store::default(),
            sampling: Sampling::default(),
            drop_last: false,
        }
    }
}

impl BufferConfig {
    /// Number of buffer samples out of `n_samples`: at least one. A buffer has fewer samples where a small cluster
    /// leaves places free.
    pub fn n_kept(&self, n_samples: usize) -> usize {
        match self.selection {
            BufferSelection::KMeans | BufferSelection::MiniBatchKMeans if !self.backfill => {
                self.k_means().counts(n_samples).into_iter().product()
            }
            _ => n_of(n_samples, self.ratio),
        }
    }

    /// The settings as a selection by k-means.
    pub(super) fn k_means(&self) -> KMeansPolicy {
        KMeansPolicy {
            cluster_ratio: self.cluster_ratio,
            ratio: self.ratio,
            backfill: self.backfill,
            mini_batches: self.selection == BufferSelection::MiniBatchKMeans,
            initialisation: self.initialisation,
            n_starts: self.n_starts,
        }
    }

    /// Options of the clusterings of these settings.
    pub fn k_means_options<'a>(
        &self,
        device: &'a Device,
        progress: &'a mut dyn FnMut(usize, usize) -> Result<()>,
    ) -> KMeansOptions<'a> {
        KMeansOptions { device, max_iterations: self.max_iterations, tolerance: self.tolerance, progress }
    }

    /// The selection policy of these settings.
    pub fn policy(&self) -> Box<dyn SelectionPolicy> {
        let ratio = self.ratio;
        match self.selection {
            BufferSelection::KMeans | BufferSelection::MiniBatchKMeans => Box::new(self.k_means()),
            BufferSelection::Random => Box::new(RandomPolicy { ratio }),
            BufferSelection::Herding => Box::new(HerdingPolicy { ratio }),
            BufferSelection::Reservoir => Box::new(ReservoirPolicy { ratio }),
            BufferSelection::KCentre => Box::new(KCentrePolicy { ratio }),
        }
    }

    /// Checks that the ratios are in range and fit together.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn check(&self) -> Result<()> {
        for (name, ratio) in [("ratio", self.ratio), ("cluster_ratio", self.cluster_ratio)] {
            if !(ratio > 0.0 && ratio <= 1.0) {
                return Err(SettingError::out_of_range(format!("buffer.{name}"), ratio, "above 0.0 to 1.0").into());
            }
        }
        check_count("buffer.n_starts", self.n_starts, 1, MAX_STARTS)?;
        check_count("buffer.max_iterations", self.max_iterations, 1, usize::MAX)?;
        check_not_negative("buffer.tolerance", self.tolerance)?;
        let clusters = matches!(self.selection, BufferSelection::KMeans | BufferSelection::MiniBatchKMeans);
        if clusters && self.cluster_ratio > self.ratio {
            return Err(SettingError::out_of_range(
                "buffer.cluster_ratio",
                self.cluster_ratio,
                format!("at most buffer.ratio ({}), since every cluster keeps at least one sample", self.ratio),
            )
            .into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_out_of_range_are_refused_by_name() {
        let fault = |config: BufferConfig| config.check().unwrap_err().to_string();
        assert!(fault(BufferConfig { ratio: 1.5, ..BufferConfig::default() }).contains("buffer.ratio is 1.5"));
        assert!(fault(BufferConfig { cluster_ratio: 0.0, ..BufferConfig::default() }).contains("buffer.cluster_ratio"));
        let more_clusters = BufferConfig { cluster_ratio: 0.2, ..BufferConfig::default() };
        assert!(fault(more_clusters.clone()).contains("expected at most buffer.ratio (0.05)"));
        BufferConfig { selection: BufferSelection::Herding, ..more_clusters }.check().unwrap();
    }
}
