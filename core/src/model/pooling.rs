//! Pooling of a sample's encoder outputs into one vector.

use burn::tensor::Tensor;

use super::device_batch::DeviceBatch;

/// Mean over a sample's tokens, class token included, padding and tokens that do not exist excluded: `[B, T, D]` to `[B, 1, D]`.
pub(crate) fn mean_over_tokens(encoded: Tensor<3>, batch: &DeviceBatch) -> Tensor<3> {
    match batch {
        DeviceBatch::Patches(batch) => match &batch.validity {
            None => encoded.mean_dim(1),
            Some(validity) => (encoded * validity.mean_weights.clone()).sum_dim(1),
        },
        DeviceBatch::Tokens(batch) => (encoded * batch.mean_weights.clone()).sum_dim(1),
    }
}
