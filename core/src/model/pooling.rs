//! One vector a sample from the encoder's outputs.

use burn::tensor::{Tensor, TensorData};

use crate::data::HostBatch;

/// Mean over a sample's tokens, class token included and padding excluded: `[B, T, D]` to `[B, 1, D]`.
pub(crate) fn mean_over_tokens(encoded: Tensor<3>, batch: &HostBatch) -> Tensor<3> {
    match batch {
        HostBatch::Patches(_) => encoded.mean_dim(1),
        HostBatch::Tokens(batch) => {
            let weights = batch.attended.chunks(batch.length).flat_map(|sample| {
                let share = 1.0 / sample.iter().filter(|attended| **attended).count().max(1) as f32;
                sample.iter().map(move |&attended| if attended { share } else { 0.0 })
            });
            let weights = TensorData::new(weights.collect::<Vec<f32>>(), [batch.n, batch.length, 1]);
            let device = encoded.device();
            (encoded * Tensor::from_data(weights, &device)).sum_dim(1)
        }
    }
}
