//! `state.json`: the state of a stage, finished or in a checkpoint.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::checksum::CHECKSUM_PLACEHOLDER;
use super::document::FORMAT;
use super::metrics::LossSums;
use crate::data::InvalidSamples;
use crate::model::ModelConfig;

/// What a stage knows of itself; `state.json`. Paths in it, if any, are relative.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageState {
    /// Version of the file's layout.
    pub format: u32,
    /// The file's own checksum, where it stands in the file; else zeros.
    pub checksum: String,
    /// Position in the run, from 1.
    pub stage: usize,
    /// Modality that was learned.
    pub modality: String,
    /// Its token family.
    pub family: String,
    /// Sizes and families of the model.
    pub model: ModelConfig,
    /// Seed of the run.
    pub seed: u64,
    /// Epochs that are done.
    pub epochs_done: usize,
    /// Epochs that were asked for.
    pub epochs: usize,
    /// Batches seen.
    pub steps: u64,
    /// The epoch that was left in its middle; only in checkpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<EpochSoFar>,
    /// Samples of the modality.
    pub n_samples: usize,
    /// Fingerprint of the data.
    pub fingerprint: String,
    /// Samples that could not be read, with the reason.
    pub invalid_samples: InvalidSamples,
    /// SHA-256 of the files beside this one; complete once the stage has finished.
    pub checksums: BTreeMap<String, String>,
}

/// An epoch that has begun and is not done.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EpochSoFar {
    /// Batches seen.
    pub steps: usize,
    /// Pretext losses.
    pub pretext: LossSums,
    /// Distillation losses.
    pub distillation: LossSums,
    /// At the latest update.
    pub learning_rate: f64,
}

impl StageState {
    /// A state as it stands in files of this version.
    pub(crate) fn stamped(mut self) -> Self {
        self.format = FORMAT;
        self.checksum = CHECKSUM_PLACEHOLDER.into();
        self
    }
}
