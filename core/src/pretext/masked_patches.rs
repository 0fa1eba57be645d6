//! Masked patch reconstruction (He et al., "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022): mean
//! squared error on masked patches against their normalised pixels.

use burn::tensor::{Tensor, TensorData};

use super::mean_all;
use crate::data::PatchBatch;
use crate::model::{Head, Model};

/// The task for one family of a model.
pub struct MaskedPatches<'a> {
    /// The model.
    pub model: &'a Model,
    /// The family's position in the model.
    pub family: usize,
}

impl MaskedPatches<'_> {
    /// Loss over the masked tokens of `latents` `[B, 1 + V, D]`.
    pub fn loss(&self, latents: Tensor<3>, batch: &PatchBatch) -> Tensor<1> {
        let device = latents.device();
        let length = batch.n_tokens + 1;
        let n_masked = batch.n_tokens - batch.n_visible;
        let rows: Vec<i32> = batch
            .masked_index
            .iter()
            .enumerate()
            .map(|(at, &token)| (at / n_masked.max(1) * length) as i32 + 1 + token)
            .collect();
        let targets = TensorData::new(batch.targets.clone(), [rows.len(), batch.d_token]);
        let predicted = self.predict(latents, batch, &rows);
        let difference = predicted - Tensor::from_data(targets, &device);
        mean_all(difference.square())
    }

    /// Predictions for rows of the flattened decoder output `[B * (1 + N)]`: `[rows, d_token]`.
    fn predict(&self, latents: Tensor<3>, batch: &PatchBatch, rows: &[i32]) -> Tensor<2> {
        let Head::Patches(head) = self.model.head(self.family) else {
            panic!("family {} has discrete tokens", self.family);
        };
        let device = latents.device();
        let decoded =
            self.model.decoder().forward(latents, batch, head.positions(batch.n_tokens), self.model.precision());
        let [n, length, width] = decoded.dims();
        let rows = crate::model::indices(rows, &device);
        // Only the wanted rows go through the head: it is the widest layer of the decoder.
        head.forward(decoded.reshape([n * length, width]).select(0, rows), self.model.precision())
    }
}

/// Predicted values of all tokens, in the normalised space of the targets: `[B, N, d_token]`.
pub fn reconstruct(model: &Model, family: usize, latents: Tensor<3>, batch: &PatchBatch) -> Tensor<3> {
    let length = batch.n_tokens + 1;
    let rows: Vec<i32> = (0..batch.n * length).filter(|row| row % length != 0).map(|row| row as i32).collect();
    let predicted = MaskedPatches { model, family }.predict(latents, batch, &rows);
    predicted.reshape([batch.n, batch.n_tokens, batch.d_token])
}
