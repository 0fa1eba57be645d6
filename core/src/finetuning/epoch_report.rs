//! What is said of an epoch, in `metrics.jsonl` and in checkpoints.

use serde::{Deserialize, Serialize};

/// Report of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Learning rate of the head in the last update.
    pub learning_rate: f64,
    /// Mean loss of the training samples, as they were learned from.
    pub loss: f64,
    /// Mean over updates of the L2 norm of all gradients, before clipping.
    pub gradient_norm: f64,
    /// Mean loss of the validation samples.
    pub validation_loss: Option<f64>,
    /// Metric of the validation samples.
    pub metric: Option<f64>,
}
