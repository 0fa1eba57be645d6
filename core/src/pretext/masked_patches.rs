//! Masked patch reconstruction (He et al., "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022): mean
//! squared error on masked patches against their normalised pixels, or against targets that the dataset gives.

use burn::tensor::{Int, Tensor, TensorData};

use super::mean_all;
use crate::model::{Head, Model, PatchTensors};

/// Masked patch reconstruction for one family of a model.
pub struct MaskedPatches<'a> {
    /// The model.
    pub model: &'a Model,
    /// Position of the family in the model.
    pub family: usize,
}

impl MaskedPatches<'_> {
    /// Reconstruction loss over the masked tokens of `latents` `[B, 1 + V, D]`; NaN for a batch without masked tokens.
    pub fn loss(&self, latents: Tensor<3>, batch: &PatchTensors) -> Tensor<1> {
        let Some(masked) = &batch.masked else {
            return latents.sum_dim(2).sum().mul_scalar(f32::NAN);
        };
        let predicted = self.predict(latents, batch, masked.rows.clone());
        mean_all((predicted - masked.targets.clone()).square())
    }

    /// Predictions for rows of the flattened decoder output `[B * (1 + N)]`: `[rows, d_target]`.
    fn predict(&self, latents: Tensor<3>, batch: &PatchTensors, rows: Tensor<1, Int>) -> Tensor<2> {
        let Head::Patches(head) = self.model.head(self.family) else {
            panic!("family {} has discrete tokens", self.family);
        };
        let decoded = self.model.decoder().forward(latents, batch, head.positions(batch), self.model.precision());
        let [n, length, width] = decoded.dims();
        // Only the selected rows pass the head, which is the widest layer of the decoder.
        head.forward(decoded.reshape([n * length, width]).select(0, rows), self.model.precision())
    }
}

/// Predicted values of all tokens, in the normalised space of the targets: `[B, N, d_token]`.
pub fn reconstruct(model: &Model, family: usize, latents: Tensor<3>, batch: &PatchTensors) -> Tensor<3> {
    let ([n, _, d_token], length) = (batch.visible.dims(), batch.n_tokens + 1);
    let rows: Vec<i32> = (0..n * length).filter(|row| row % length != 0).map(|row| row as i32).collect();
    let rows = TensorData::new(rows, [n * batch.n_tokens]);
    let rows = Tensor::from_data(rows, &latents.device());
    MaskedPatches { model, family }.predict(latents, batch, rows).reshape([n, batch.n_tokens, d_token])
}
