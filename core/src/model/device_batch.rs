//! Batch as tensors on a device: uploaded once a step, and used by student, teacher, pretext loss and distillation.
//!
//! On a device with gradients the tensors are constants of the graph. [`DeviceBatch::inner`] gives a teacher the same tensors without the
//! graph; no data are copied.

use std::sync::Arc;

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use crate::data::{GridLayout, HostBatch, PatchBatch, TokenBatch};
use crate::device::indices;

/// Batch of one modality as tensors on a device.
#[derive(Debug, Clone)]
pub enum DeviceBatch {
    /// Batch of continuous tokens.
    Patches(PatchTensors),
    /// Batch of discrete tokens.
    Tokens(TokenTensors),
}

/// Tensors of continuous tokens: visible tokens and reconstruction targets. `M = N - V` tokens of a sample are masked.
#[derive(Debug, Clone)]
pub struct PatchTensors {
    /// Number of tokens in a whole sample, `N`.
    pub n_tokens: usize,
    /// Values of the visible tokens, `[B, V, d_token]`.
    pub visible: Tensor<3>,
    /// Positions of the visible tokens in their sample, `[B * V]`.
    pub visible_index: Tensor<1, Int>,
    /// Restore order, `[B * (1 + N)]` (`ids_restore` of the masked autoencoder): for each decoder token the row of the `[B * (1 + V)]` latents, or
    /// the row after the last for a mask token.
    pub restore_order: Tensor<1, Int>,
    /// Masked tokens and their targets; none in evaluation and in distillation.
    pub masked: Option<MaskedTensors>,
    /// Which tokens exist; none where all do.
    pub validity: Option<Box<ValidityTensors>>,
    /// Grid of the tokens, where the dataset knows it.
    pub layout: Option<Arc<GridLayout>>,
}

/// Tensors that say which continuous tokens exist. The class token always does.
#[derive(Debug, Clone)]
pub struct ValidityTensors {
    /// True where a latent must not be seen, `[B, 1, 1, 1 + V]`.
    pub hidden_latents: Tensor<4, Bool>,
    /// True where a decoder token must not be seen, `[B, 1, 1, 1 + N]`.
    pub hidden_tokens: Tensor<4, Bool>,
    /// Rows of the flattened `[B * (1 + V)]` latents that exist, ascending.
    pub latent_rows: Tensor<1, Int>,
    /// Weights of a mean over latents, `[B, 1 + V, 1]`: one over their number in the sample, 0 where there is nothing.
    pub mean_weights: Tensor<3>,
}

/// Tensors of masked continuous tokens.
#[derive(Debug, Clone)]
pub struct MaskedTensors {
    /// Rows of the masked tokens that exist in the decoder's `[B * (1 + N)]` outputs, up to `B * M`.
    pub rows: Tensor<1, Int>,
    /// Reconstruction targets of these rows, `[rows, d_target]`.
    pub targets: Tensor<2>,
}

/// Tensors of discrete tokens: ids, padding and prediction targets.
#[derive(Debug, Clone)]
pub struct TokenTensors {
    /// Token ids, `[B, N]`.
    pub ids: Tensor<2, Int>,
    /// Padding mask, `[B, N]`, true at padding.
    pub padding: Tensor<2, Bool>,
    /// Rows of the flattened `[B * N]` that are no padding, ascending.
    pub attended_rows: Tensor<1, Int>,
    /// Weights of a mean over tokens, `[B, N, 1]`: one over the sample's number of tokens, 0 at padding.
    pub mean_weights: Tensor<3>,
    /// Rows of the flattened `[B * N]` whose ids are to be predicted, ascending.
    pub target_rows: Tensor<1, Int>,
    /// Ids to predict at `target_rows`, on the host, where the kernel of the cross-entropy reads them.
    pub target_ids: Vec<i32>,
}

impl DeviceBatch {
    /// Uploads a batch.
    pub fn new(batch: HostBatch, device: &Device) -> Self {
        match batch {
            HostBatch::Patches(batch) => Self::Patches(PatchTensors::new(batch, device)),
            HostBatch::Tokens(batch) => Self::Tokens(TokenTensors::new(batch, device)),
        }
    }

    /// Number of samples in the batch.
    pub fn n(&self) -> usize {
        match self {
            Self::Patches(batch) => batch.visible.dims()[0],
            Self::Tokens(batch) => batch.ids.dims()[0],
        }
    }

    /// The batch on the device without gradients.
    pub fn inner(&self) -> Self {
        match self.clone() {
            Self::Patches(batch) => Self::Patches(PatchTensors {
                n_tokens: batch.n_tokens,
                visible: batch.visible.inner(),
                visible_index: batch.visible_index.inner(),
                restore_order: batch.restore_order.inner(),
                masked: batch
                    .masked
                    .map(|masked| MaskedTensors { rows: masked.rows.inner(), targets: masked.targets.inner() }),
                layout: batch.layout,
                validity: batch.validity.map(|validity| {
                    Box::new(ValidityTensors {
                        hidden_latents: validity.hidden_latents.inner(),
                        hidden_tokens: validity.hidden_tokens.inner(),
                        latent_rows: validity.latent_rows.inner(),
                        mean_weights: validity.mean_weights.inner(),
                    })
                }),
            }),
            Self::Tokens(batch) => Self::Tokens(TokenTensors {
                ids: batch.ids.inner(),
                padding: batch.padding.inner(),
                attended_rows: batch.attended_rows.inner(),
                mean_weights: batch.mean_weights.inner(),
                target_rows: batch.target_rows.inner(),
                target_ids: batch.target_ids,
            }),
        }
    }
}

impl PatchTensors {
    /// Uploads continuous tokens.
    pub fn new(batch: PatchBatch, device: &Device) -> Self {
        let restore_order = indices(restore_order(&batch), device);
        let validity = (!batch.valid.is_empty()).then(|| Box::new(ValidityTensors::new(&batch, device)));
        let masked = if batch.targets.is_empty() {
            None
        } else {
            let rows = masked_rows(&batch);
            let d_target = batch.targets.len() / rows.len();
            let targets = TensorData::new(batch.targets, [rows.len(), d_target]);
            Some(MaskedTensors { rows: indices(rows, device), targets: Tensor::from_data(targets, device) })
        };
        let shape = [batch.n, batch.n_visible, batch.d_token];
        Self {
            n_tokens: batch.n_tokens,
            visible: Tensor::from_data(TensorData::new(batch.visible, shape), device),
            visible_index: indices(batch.visible_index, device),
            restore_order,
            masked,
            validity,
            layout: batch.layout,
        }
    }
}

impl ValidityTensors {
    fn new(batch: &PatchBatch, device: &Device) -> Self {
        let (n, n_latents) = (batch.n, batch.n_visible + 1);
        let exists = latents_that_exist(batch);
        let rows = (0..exists.len()).filter(|row| exists[*row]).map(|row| row as i32).collect();
        let hidden: Vec<bool> = exists.iter().map(|exists| !exists).collect();
        let of_sample = |sample: usize| {
            std::iter::once(false).chain((0..batch.n_tokens).map(move |token| !batch.exists(sample, token)))
        };
        let hidden_tokens: Vec<bool> = (0..n).flat_map(of_sample).collect();
        let weights = TensorData::new(shares(&exists, n_latents), [n, n_latents, 1]);
        Self {
            hidden_latents: Tensor::from_data(TensorData::new(hidden, [n, 1, 1, n_latents]), device),
            hidden_tokens: Tensor::from_data(TensorData::new(hidden_tokens, [n, 1, 1, batch.n_tokens + 1]), device),
            latent_rows: indices(rows, device),
            mean_weights: Tensor::from_data(weights, device),
        }
    }
}

impl TokenTensors {
    /// Uploads discrete tokens.
    pub fn new(batch: TokenBatch, device: &Device) -> Self {
        let shape = [batch.n, batch.length];
        let attended_rows = (0..batch.attended.len()).filter(|at| batch.attended[*at]).map(|at| at as i32).collect();
        let mean_weights = TensorData::new(shares(&batch.attended, batch.length), [batch.n, batch.length, 1]);
        let padding: Vec<bool> = batch.attended.iter().map(|attended| !attended).collect();
        Self {
            ids: indices(batch.ids, device).reshape(shape),
            padding: Tensor::from_data(TensorData::new(padding, shape), device),
            attended_rows: indices(attended_rows, device),
            mean_weights: Tensor::from_data(mean_weights, device),
            target_rows: indices(batch.target_index, device),
            target_ids: batch.target_ids,
        }
    }
}

/// Row of `[B * (1 + V) + 1]` for each of the `[B, 1 + N]` decoder tokens.
fn restore_order(batch: &PatchBatch) -> Vec<i32> {
    let (n_latents, length) = (batch.n_visible + 1, batch.n_tokens + 1);
    let masked = (batch.n * n_latents) as i32;
    let mut order = vec![masked; batch.n * length];
    for sample in 0..batch.n {
        order[sample * length] = (sample * n_latents) as i32;
        for visible in 0..batch.n_visible {
            let position = batch.visible_index[sample * batch.n_visible + visible] as usize;
            order[sample * length + 1 + position] = (sample * n_latents + 1 + visible) as i32;
        }
    }
    order
}

/// Row of `[B * (1 + N)]` for each masked token that exists.
fn masked_rows(batch: &PatchBatch) -> Vec<i32> {
    let (length, n_masked) = (batch.n_tokens + 1, (batch.n_tokens - batch.n_visible).max(1));
    let row = |(at, &token): (usize, &i32)| {
        let sample = at / n_masked;
        batch.exists(sample, token as usize).then_some((sample * length) as i32 + 1 + token)
    };
    batch.masked_index.iter().enumerate().filter_map(row).collect()
}

/// Whether each of the `[B, 1 + V]` latents exists; the class token does.
fn latents_that_exist(batch: &PatchBatch) -> Vec<bool> {
    let of_sample = |sample: usize| {
        let tokens = &batch.visible_index[sample * batch.n_visible..][..batch.n_visible];
        std::iter::once(true).chain(tokens.iter().map(move |&token| batch.exists(sample, token as usize)))
    };
    (0..batch.n).flat_map(of_sample).collect()
}

/// Weights of a mean over the tokens that count, `length` of them a sample: one over the sample's number of them, and 0 elsewhere.
fn shares(counts: &[bool], length: usize) -> Vec<f32> {
    let of_sample = |sample: &[bool]| {
        let share = 1.0 / sample.iter().filter(|counts| **counts).count().max(1) as f32;
        sample.iter().map(|&counts| if counts { share } else { 0.0 }).collect::<Vec<_>>()
    };
    counts.chunks(length).flat_map(of_sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_tokens_return_to_their_places_and_the_rest_are_mask_tokens() {
        let batch = PatchBatch {
            n: 2,
            n_tokens: 3,
            n_visible: 1,
            visible_index: vec![2, 0],
            masked_index: vec![0, 1, 1, 2],
            ..PatchBatch::default()
        };
        assert_eq!(restore_order(&batch), [0, 4, 4, 1, 2, 3, 4, 4]);
        assert_eq!(masked_rows(&batch), [1, 2, 6, 7]);
    }

    #[test]
    fn padding_has_no_share_in_the_mean() {
        assert_eq!(shares(&[true, false, true, true], 2), [1.0, 0.0, 0.5, 0.5]);
    }
}
