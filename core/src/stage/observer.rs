//! The observer of a running stage.

use std::time::Duration;

use crate::run::{EpochMetrics, StageState};

/// A stage that begins.
#[derive(Debug, Clone, Copy)]
pub struct StageReport<'a> {
    /// Position in the run, from 1.
    pub stage: usize,
    /// Modality.
    pub modality: &'a str,
    /// As its losses are named in the metrics.
    pub label: &'a str,
    /// Its samples.
    pub n_samples: usize,
    /// Epochs to go; 0 of a stage whose data a later one learns.
    pub epochs: usize,
    /// Batches in an epoch, rehearsal included.
    pub n_steps: usize,
}

/// A batch that was learned.
#[derive(Debug, Clone, Copy)]
pub struct StepReport<'a> {
    /// From 1.
    pub epoch: usize,
    /// Within the epoch, from 1.
    pub step: usize,
    /// Samples in the batch.
    pub n_samples: usize,
    /// Modality of the batch, as losses are named in the metrics.
    pub label: &'a str,
    /// `pretext` or `distillation`.
    pub kind: &'static str,
    /// Its loss.
    pub loss: f32,
}

/// What is done with samples after the last epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageEndTask {
    /// The importance of parameters is estimated from them, one by one (`ewc`).
    Importance,
    /// They are encoded, for the choice of the buffer.
    Features,
    /// They are clustered by k-means.
    KMeans {
        /// Number of the iteration, from 1.
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

/// Watches a stage. Every method may be left out.
pub trait Observer {
    /// A stage begins.
    fn stage_started(&mut self, report: &StageReport<'_>) {
        let _ = report;
    }
    /// A batch was learned.
    fn step(&mut self, report: &StepReport<'_>) {
        let _ = report;
    }
    /// In the epoch that ends, learning stood still for so long because a batch was not loaded yet.
    fn waited(&mut self, time: Duration) {
        let _ = time;
    }
    /// An epoch is over.
    fn epoch_finished(&mut self, metrics: &EpochMetrics) {
        let _ = metrics;
    }
    /// After the last epoch, so many of all samples are done.
    fn stage_end(&mut self, task: StageEndTask, done: usize, all: usize) {
        let _ = (task, done, all);
    }
    /// A sample could not be read, for the first time.
    fn invalid_sample(&mut self, modality: &str, id: &str, message: &str) {
        let _ = (modality, id, message);
    }
    /// Something the user should know although the work goes on.
    fn warning(&mut self, message: &str) {
        let _ = message;
    }
    /// True once someone has asked to stop. The stage then finishes the update it is in, writes a checkpoint and ends with
    /// [`crate::Error::Interrupted`].
    fn stop_requested(&self) -> bool {
        false
    }
    /// The stage is complete.
    fn stage_finished(&mut self, state: &StageState) {
        let _ = state;
    }
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}
