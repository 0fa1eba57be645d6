//! The light decoder of masked image modelling, shared by the continuous families and made afresh in every stage.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;

use super::block::{Block, BlockConfig};
use super::config::Dimensions;
use super::indices;
use super::init::Initialiser;
use super::norm::Norm;
use super::precision::Precision;
use crate::data::PatchBatch;

/// Linear to the decoder's width, mask tokens, positions, blocks, norm.
#[derive(Module, Debug)]
pub struct Decoder {
    embed: Linear,
    /// `[1, D_decoder]`.
    mask_token: Param<Tensor<2>>,
    blocks: Vec<Block>,
    norm: Norm,
}

impl Decoder {
    pub(super) fn new(dims: &Dimensions, init: &mut Initialiser<'_>) -> Self {
        let block = BlockConfig {
            width: dims.decoder_width,
            n_heads: dims.decoder_heads,
            mlp_width: 4 * dims.decoder_width,
            epsilon: 1e-6,
            layer_scale: None,
        };
        Self {
            embed: init.linear(dims.width, dims.decoder_width),
            mask_token: init.normal([1, dims.decoder_width], 0.02),
            blocks: (0..dims.decoder_layers).map(|_| Block::new(&block, init)).collect(),
            norm: Norm::new(dims.decoder_width, 1e-6, init),
        }
    }

    /// Puts mask tokens where tokens were masked and decodes the whole sequence.
    ///
    /// `latents` `[B, 1 + V, D]`, class token first; `positions` `[1 + N, D_decoder]`. Returns `[B, 1 + N, D_decoder]`.
    pub fn forward(
        &self,
        latents: Tensor<3>,
        batch: &PatchBatch,
        positions: Tensor<2>,
        precision: Precision,
    ) -> Tensor<3> {
        let device = latents.device();
        let rows = precision.linear(&self.embed, latents);
        let [n, n_latents, width] = rows.dims();
        // The last row stands for every masked token.
        let rows = Tensor::cat(vec![rows.reshape([n * n_latents, width]), self.mask_token.val()], 0);
        let order = indices(&restore_order(batch), &device);
        let mut tokens = rows.select(0, order).reshape([n, batch.n_tokens + 1, width]) + positions.unsqueeze::<3>();
        for block in &self.blocks {
            tokens = block.forward(tokens, None, None, precision);
        }
        self.norm.forward(tokens)
    }
}

/// Row of `[B * (1 + V) + 1]` that each of the `[B, 1 + N]` decoder tokens comes from (`ids_restore` of the masked autoencoder).
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_tokens_return_to_their_places_and_the_rest_are_mask_tokens() {
        let batch = PatchBatch { n: 2, n_tokens: 3, n_visible: 1, visible_index: vec![2, 0], ..PatchBatch::default() };
        assert_eq!(restore_order(&batch), [0, 4, 4, 1, 2, 3, 4, 4]);
    }
}
