//! Pretext tasks, by which a stage learns its own modality. A new task is a file and a branch in [`pretext_loss`].

mod masked_patches;
mod masked_tokens;
mod reconstruction;

use burn::tensor::Tensor;

pub use masked_patches::{MaskedPatches, reconstruct};
pub use masked_tokens::MaskedTokens;
pub use reconstruction::{
    PredictedTokens, Prediction, ReconstructedContent, ReconstructedPatches, Reconstruction, reconstruct_samples,
};

use crate::model::{DeviceBatch, Model};

/// Pretext loss of a batch, a scalar: masked patch reconstruction or masked language modelling, from its encoder outputs `[B, T, D]`
/// ([`Model::encode`]).
pub fn pretext_loss(model: &Model, family: usize, batch: &DeviceBatch, encoded: Tensor<3>) -> Tensor<1> {
    match batch {
        DeviceBatch::Patches(batch) => MaskedPatches { model, family }.loss(encoded, batch),
        DeviceBatch::Tokens(batch) => MaskedTokens { model, family }.loss(encoded, batch),
    }
}

/// Mean over all elements, with the same digits in every run: a sum of four million values or more is split among threads by chance, a sum along one
/// axis first is not.
pub(crate) fn mean_all<const D: usize>(values: Tensor<D>) -> Tensor<1> {
    let [rows, columns]: [usize; 2] = {
        let dims = values.dims();
        let columns = dims[D - 1].max(1);
        [dims.iter().product::<usize>() / columns, columns]
    };
    values.reshape([rows, columns]).sum_dim(1).sum().div_scalar((rows * columns) as f32)
}
