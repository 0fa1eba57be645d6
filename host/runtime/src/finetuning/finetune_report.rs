//! What a fine-tuning gave.

use std::collections::BTreeMap;

use medcoss_core::finetuning::EpochReport;
use serde::Serialize;

use super::test_scores::TestScore;

/// What a fine-tuning gave.
#[derive(Debug, Clone, Serialize)]
pub struct FinetuneReport {
    /// Name of the task.
    pub task: String,
    /// Kind of the target.
    pub target: &'static str,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Number of samples of each split.
    pub n_samples: BTreeMap<String, usize>,
    /// Number of parameters that learned.
    pub n_learned: usize,
    /// Epoch whose weights are kept, from 1.
    pub epoch: usize,
    /// Metric by which it was chosen.
    pub criterion: String,
    /// Reports of all epochs.
    pub epochs: Vec<EpochReport>,
    /// Scores on the test split.
    pub scores: Vec<TestScore>,
}
