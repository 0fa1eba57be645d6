//! State of a stage, finished or in a checkpoint: `state.json`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::checksum::CHECKSUM_PLACEHOLDER;
use super::document::FORMAT;
use super::metrics::LossSums;
use crate::data::{DataAccount, InvalidSamples};
use crate::model::ModelConfig;

/// State of a stage: `state.json`. Paths in the state, if any, are relative.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageState {
    /// Version of the run format.
    pub format: u32,
    /// SHA-256 of the file itself, where it stands in the file; otherwise zeros.
    pub checksum: String,
    /// Position in the run, from 1.
    pub stage: usize,
    /// Modality of the stage.
    pub modality: String,
    /// Token family of the modality.
    pub family: String,
    /// Sizes and families of the model.
    pub model: ModelConfig,
    /// Seed of the run.
    pub seed: u64,
    /// Number of finished epochs.
    pub epochs_done: usize,
    /// Number of configured epochs.
    pub epochs: usize,
    /// Number of batches so far.
    pub steps: u64,
    /// Unfinished epoch, of a checkpoint within an epoch; none otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<EpochSoFar>,
    /// Number of samples of the modality.
    pub n_samples: usize,
    /// Fingerprint of the data.
    pub fingerprint: String,
    /// Files that were used and left out, where the dataset knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<DataAccount>,
    /// Samples that could not be read: reason by sample id.
    pub invalid_samples: InvalidSamples,
    /// Paths of the parameters that had a gradient so far, of a running stage that counts missing gradients as zero.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub updated_parameters: BTreeSet<String>,
    /// SHA-256 of the files in the stage's folder, by name; complete once the stage has finished.
    pub checksums: BTreeMap<String, String>,
}

/// Progress of an unfinished epoch.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EpochSoFar {
    /// Number of batches so far in the epoch.
    pub steps: usize,
    /// Sums of the pretext losses.
    pub pretext: LossSums,
    /// Sums of the distillation losses.
    pub distillation: LossSums,
    /// Learning rate of the latest update.
    pub learning_rate: f64,
    /// Number of drawn samples that had nothing to learn.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub n_skipped: usize,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl StageState {
    /// The state with the format version and the checksum placeholder of this version.
    pub(crate) fn stamped(mut self) -> Self {
        self.format = FORMAT;
        self.checksum = CHECKSUM_PLACEHOLDER.into();
        self
    }
}
