//! What keeps earlier modalities: a small buffer chosen after each stage, and distillation on mixups of it.

mod buffer;
mod distillation;
mod kmeans;
mod policy;

pub use buffer::{BufferEntry, RehearsalBuffer};
pub use distillation::{FeatureMatching, Teacher};
pub use kmeans::{Clusters, KMeansPolicy, Start};
pub use policy::{BufferPolicy, Selected};

use serde::{Deserialize, Serialize};

use crate::data::Sampling;
use crate::{Error, Result};

/// Rehearsal settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RehearsalConfig {
    /// Share of a stage's samples that is kept, in (0, 1].
    pub buffer_ratio: f64,
    /// Number of k-means centres as a share of a stage's samples, in (0, 1].
    pub centre_ratio: f64,
    /// Mix buffer samples inside a batch before they are distilled.
    pub mixup: bool,
    /// How samples are drawn for batches.
    pub sampling: Sampling,
    /// How the kept samples are kept.
    pub store: Store,
    /// Fill places that small clusters leave free in the buffer with the next nearest samples; the reference leaves them free.
    pub fill_up: bool,
    /// Distil text at padding positions too, as the reference does.
    pub distil_padding: bool,
    /// Leave stochastic depth on in the teacher, as the reference does.
    pub teacher_depth: bool,
}

/// How the samples of a buffer are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// By their ids: later stages read them from the stage's own data.
    #[default]
    Reference,
    /// As files in the run, in a form that the plugin chooses: the stage's data are no longer needed.
    Materialised,
}

impl Default for RehearsalConfig {
    /// The paper's: 5 % kept around 1 % centres, with mixup.
    fn default() -> Self {
        Self {
            buffer_ratio: 0.05,
            centre_ratio: 0.01,
            mixup: true,
            sampling: Sampling::default(),
            store: Store::default(),
            fill_up: true,
            distil_padding: false,
            teacher_depth: false,
        }
    }
}

impl RehearsalConfig {
    /// Ratios in range.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn check(&self) -> Result<()> {
        for (name, ratio) in [("buffer_ratio", self.buffer_ratio), ("centre_ratio", self.centre_ratio)] {
            if !(ratio > 0.0 && ratio <= 1.0) {
                return Err(Error::Setting(format!("rehearsal.{name} is {ratio}, not in above 0.0 to 1.0")));
            }
        }
        if self.centre_ratio > self.buffer_ratio {
            return Err(Error::Setting(format!(
                "rehearsal.centre_ratio ({}) is larger than rehearsal.buffer_ratio ({}): every centre keeps at least one sample",
                self.centre_ratio, self.buffer_ratio
            )));
        }
        Ok(())
    }
}
