//! Decoder of masked image modelling, light, shared by the continuous families and initialised in every stage.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;

use super::block::{Block, BlockConfig};
use super::config::Dimensions;
use super::device_batch::PatchTensors;
use super::init::Initialiser;
use super::norm::Norm;
use super::variant::{MlpKind, Variant};
use crate::fused;
use crate::precision::Precision;

/// Decoder: linear map to the decoder's width, mask tokens, positions, Transformer blocks, norm.
#[derive(Module, Debug)]
pub struct Decoder {
    embed: Linear,
    /// Learned mask token, `[1, D_decoder]`.
    mask_token: Param<Tensor<2>>,
    blocks: Vec<Block>,
    norm: Norm,
}

impl Decoder {
    pub(super) fn new(dims: &Dimensions, variant: &Variant, init: &mut Initialiser<'_>) -> Self {
        let block = BlockConfig {
            width: dims.decoder_width,
            n_heads: dims.decoder_heads,
            mlp_width: 4 * dims.decoder_width,
            mlp: MlpKind::Gelu,
            epsilon: variant.decoder_epsilon,
            layer_scale: None,
        };
        Self {
            embed: init.linear(dims.width, dims.decoder_width),
            mask_token: init.normal([1, dims.decoder_width], 0.02),
            blocks: (0..dims.decoder_layers).map(|_| Block::new(&block, init)).collect(),
            norm: Norm::new(dims.decoder_width, variant.decoder_epsilon, init),
        }
    }

    /// Decodes the whole token sequence, with mask tokens in place of masked tokens.
    ///
    /// `latents` `[B, 1 + V, D]`, class token first; `positions` `[1 + N, D_decoder]`. Returns `[B, 1 + N, D_decoder]`.
    pub fn forward(
        &self,
        latents: Tensor<3>,
        batch: &PatchTensors,
        positions: Tensor<2>,
        precision: Precision,
    ) -> Tensor<3> {
        let rows = fused::float32_linear(&self.embed, latents, precision);
        let [n, n_latents, width] = rows.dims();
        // The last row stands for every masked token.
        let rows = Tensor::cat(vec![rows.reshape([n * n_latents, width]), self.mask_token.val()], 0);
        let mut tokens = rows.select(0, batch.restore_order.clone()).reshape([n, batch.n_tokens + 1, width])
            + positions.unsqueeze::<3>();
        let hidden = batch.validity.as_ref().map(|validity| &validity.hidden_tokens);
        for block in &self.blocks {
            tokens = block.forward(tokens, hidden.cloned(), None, precision);
        }
        self.norm.forward(tokens)
    }
}
