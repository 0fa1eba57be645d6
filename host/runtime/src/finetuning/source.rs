//! Where a fine-tuned model comes from, and how its data are read.

use std::collections::BTreeMap;

use medcoss_core::evaluation::SegmentationClasses;
use serde::{Deserialize, Serialize};

use super::test_scores::TestScore;
use crate::plugins_lock::LockedPlugin;

/// What `model.json` says beside the model's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSource {
    /// Version of medcoss that made the model.
    pub medcoss: String,
    /// Modality that the model reads.
    pub modality: String,
    /// Options of its plugin.
    pub options: serde_json::Value,
    /// The plugin.
    pub plugin: LockedPlugin,
    /// Name of the run's folder; empty for a model that began with fresh parameters.
    pub run: String,
    /// Number of the stage after which the backbone was taken; 0 for the initial model or fresh parameters.
    pub stage: usize,
    /// Whether the backbone began with fresh parameters instead of the run's.
    pub from_scratch: bool,
    /// Name of the task, and SHA-256 of its file.
    pub task: String,
    /// SHA-256 of the tasks file.
    pub tasks_sha256: String,
    /// Seed of splits, head and training.
    pub seed: u64,
    /// Fraction of the training samples that were used.
    #[serde(default = "whole")]
    pub fraction: f64,
    /// Classes of a segmentation, with the labels that they have in masks.
    pub segmented: Option<SegmentationClasses>,
    /// Number of samples of each split.
    pub n_samples: BTreeMap<String, usize>,
    /// Epoch whose weights are kept, from 1.
    pub epoch: usize,
    /// Scores on the test split.
    pub scores: Vec<TestScore>,
}

/// The fraction of models that were made before it was kept.
fn whole() -> f64 {
    1.0
}
