//! Losses that stay on the device for some steps. To read one the host waits until the device has computed it, and the device then waits for
//! the host's next orders; read together, they cost that once.

use burn::tensor::Tensor;

use crate::{DeviceError, Error, Result};

/// What a loss is of.
#[derive(Debug, Clone, Copy)]
pub(super) struct LossOf {
    /// Number of the batch in the stage.
    pub item: usize,
    /// Samples in the batch.
    pub n_samples: usize,
    /// Whether it came beside the batch's own loss.
    pub auxiliary: bool,
}

/// In the order of their batches.
#[derive(Default)]
pub(super) struct UnreadLosses {
    losses: Vec<(LossOf, Tensor<1>)>,
}

impl UnreadLosses {
    /// Keeps a scalar, without the graph that it ends.
    pub fn push(&mut self, of: LossOf, loss: &Tensor<1>) {
        self.losses.push((of, loss.clone().inner()));
    }

    /// All of them with their values; none are left.
    ///
    /// # Errors
    /// A device that does not give them.
    pub fn read(&mut self) -> Result<Vec<(LossOf, f32)>> {
        let (of, losses): (Vec<_>, Vec<_>) = self.losses.drain(..).unzip();
        if losses.is_empty() {
            return Ok(Vec::new());
        }
        let values = Tensor::cat(losses, 0)
            .try_into_vec_as::<f32>()
            .map_err(|error| Error::from(DeviceError::read_back("losses", error)))?;
        Ok(of.into_iter().zip(values).collect())
    }
}
