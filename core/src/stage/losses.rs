//! Losses that stay on the device for several steps. Host and device wait for each other at each reading; reading several losses together costs this
//! wait once.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::{DeviceError, Error, Result};

/// Batch that a loss belongs to.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct LossOf {
    /// Number of the batch in the stage.
    pub item: usize,
    /// Number of samples in the batch.
    pub n_samples: usize,
    /// Whether the loss is a strategy's auxiliary loss.
    pub auxiliary: bool,
}

/// Loss of a batch, as the host has read it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct BatchLoss {
    pub of: LossOf,
    pub value: f32,
}

/// Losses that the host has not read yet, in the order of their batches.
#[derive(Default)]
pub(super) struct UnreadLosses {
    losses: Vec<(LossOf, Tensor<1>)>,
}

impl UnreadLosses {
    /// Keeps a scalar loss, without its graph.
    pub fn push(&mut self, of: LossOf, loss: &Tensor<1>) {
        self.losses.push((of, loss.clone().inner()));
    }

    /// Reads and removes all losses.
    ///
    /// # Errors
    /// A device that does not give them.
    pub fn read(&mut self) -> Result<Vec<BatchLoss>> {
        let (of, losses): (Vec<_>, Vec<_>) = self.losses.drain(..).unzip();
        if losses.is_empty() {
            return Ok(Vec::new());
        }
        let values = Tensor::cat(losses, 0)
            .try_into_vec_as::<f32>()
            .map_err(|error| Error::from(DeviceError::read_back("losses", error)))?;
        Ok(of.into_iter().zip(values).map(|(of, value)| BatchLoss { of, value }).collect())
    }
}
