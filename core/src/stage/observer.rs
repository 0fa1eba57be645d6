//! The observer of a running stage.

use std::time::Duration;

use crate::run::{EpochMetrics, StageState};

/// Report of a stage that starts.
#[derive(Debug, Clone, Copy)]
pub struct StageReport<'a> {
    /// Position in the run, from 1.
    pub stage: usize,
    /// Modality of the stage.
    pub modality: &'a str,
    /// Label of the modality's losses in the metrics.
    pub label: &'a str,
    /// Number of samples of the modality.
    pub n_samples: usize,
    /// Number of remaining epochs; 0 for a stage whose data a later stage learns.
    pub epochs: usize,
    /// Number of batches in an epoch, replay batches included.
    pub n_steps: usize,
}

/// Report of a training step.
#[derive(Debug, Clone, Copy)]
pub struct StepReport<'a> {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// Step within the epoch, counted from 1.
    pub step: usize,
    /// Number of samples in the batch.
    pub n_samples: usize,
    /// Label of the batch's losses in the metrics.
    pub label: &'a str,
    /// Objective of the batch: `pretext` or `distillation`.
    pub kind: &'static str,
    /// Loss of the batch.
    pub loss: f32,
}

/// Task after the last epoch, with progress by sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageEndTask {
    /// Estimation of the parameters' importance, sample by sample (`ewc`).
    Importance,
    /// Extraction of features for the selection of the buffer.
    Features,
    /// k-means clustering of the features.
    KMeans {
        /// Number of the iteration, counted from 1.
        iteration: usize,
    },
}

impl std::fmt::Display for StageEndTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Importance => f.write_str("importance of parameters from"),
            Self::Features => f.write_str("choosing the buffer: features of"),
            Self::KMeans { iteration } => write!(f, "choosing the buffer: iteration {iteration} of k-means moved"),
        }
    }
}

/// Observer of a running stage. Every method has a default.
pub trait Observer {
    /// Called when a stage starts.
    fn stage_started(&mut self, report: &StageReport<'_>) {
        let _ = report;
    }
    /// Called after a training step.
    fn step(&mut self, report: &StepReport<'_>) {
        let _ = report;
    }
    /// Called at the end of an epoch, with the time that training waited for the loader.
    fn waited(&mut self, time: Duration) {
        let _ = time;
    }
    /// Called after an epoch.
    fn epoch_finished(&mut self, metrics: &EpochMetrics) {
        let _ = metrics;
    }
    /// Called during the tasks after the last epoch, with the number of finished samples and the number of all samples.
    fn stage_end(&mut self, task: StageEndTask, done: usize, all: usize) {
        let _ = (task, done, all);
    }
    /// Called for the first failure of a sample to be read.
    fn invalid_sample(&mut self, modality: &str, id: &str, message: &str) {
        let _ = (modality, id, message);
    }
    /// Called with a warning; the stage continues.
    fn warning(&mut self, message: &str) {
        let _ = message;
    }
    /// Whether the user has asked to stop. The stage then finishes the current update, writes a checkpoint and ends with
    /// [`crate::Error::Interrupted`].
    fn stop_requested(&self) -> bool {
        false
    }
    /// Called when the stage is complete.
    fn stage_finished(&mut self, state: &StageState) {
        let _ = state;
    }
}

/// Observer that ignores all reports.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}
