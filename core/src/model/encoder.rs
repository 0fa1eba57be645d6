//! Encoder that all modalities share: a stack of Transformer blocks, without a final norm but in a [`Variant`] that has one.

use burn::module::Module;
use burn::tensor::{Bool, Tensor};

use super::block::{Block, BlockConfig, StochasticDepth};
use super::config::Dimensions;
use super::init::Initialiser;
use super::norm::Norm;
use super::variant::Variant;
use crate::precision::Precision;

/// Encoder, shared by all modalities.
#[derive(Module, Debug)]
pub struct Encoder {
    blocks: Vec<Block>,
    norm: Option<Norm>,
}

impl Encoder {
    pub(super) fn new(dims: &Dimensions, variant: &Variant, init: &mut Initialiser<'_>) -> Self {
        let block = BlockConfig {
            width: dims.width,
            n_heads: dims.heads,
            mlp_width: dims.mlp_width,
            mlp: variant.mlp,
            epsilon: variant.epsilon,
            layer_scale: Some(dims.layer_scale),
        };
        Self {
            blocks: (0..dims.layers).map(|_| Block::new(&block, init)).collect(),
            norm: variant.final_norm.then(|| Norm::new(dims.width, variant.epsilon, init)),
        }
    }

    /// Encoder outputs `[B, T, D]` of `tokens` `[B, T, D]`; `hidden` broadcasts to `[B, heads, T, T]`, true where a query must not see a key.
    pub fn forward(
        &self,
        mut tokens: Tensor<3>,
        hidden: Option<Tensor<4, Bool>>,
        mut depth: Option<&mut StochasticDepth>,
        precision: Precision,
    ) -> Tensor<3> {
        for block in &self.blocks {
            tokens = block.forward(tokens, hidden.clone(), depth.as_deref_mut(), precision);
        }
        self.normalised(tokens)
    }

    /// Tokens after the final norm, where the encoder has one.
    pub(super) fn normalised(&self, tokens: Tensor<3>) -> Tensor<3> {
        match &self.norm {
            Some(norm) => norm.forward(tokens),
            None => tokens,
        }
    }

    /// Outputs of the blocks with these numbers, from 1 and ascending; a number may be there twice. As [`Encoder::forward`]: the last block's output
    /// has the final norm, those before it do not.
    pub fn features(
        &self,
        mut tokens: Tensor<3>,
        hidden: Option<Tensor<4, Bool>>,
        mut depth: Option<&mut StochasticDepth>,
        precision: Precision,
        numbers: &[usize],
    ) -> Vec<Tensor<3>> {
        let mut features = Vec::with_capacity(numbers.len());
        for (at, block) in self.blocks.iter().enumerate() {
            tokens = block.forward(tokens, hidden.clone(), depth.as_deref_mut(), precision);
            let output = || if at + 1 == self.blocks.len() { self.normalised(tokens.clone()) } else { tokens.clone() };
            features.extend(numbers.iter().filter(|number| **number == at + 1).map(|_| output()));
        }
        features
    }

    /// Outputs of every block, without the final norm.
    pub(super) fn block_outputs(
        &self,
        mut tokens: Tensor<3>,
        hidden: Option<Tensor<4, Bool>>,
        precision: Precision,
    ) -> Vec<Tensor<3>> {
        let outputs = self.blocks.iter().map(|block| {
            tokens = block.forward(tokens.clone(), hidden.clone(), None, precision);
            tokens.clone()
        });
        outputs.collect()
    }

    /// Number of blocks.
    pub fn n_blocks(&self) -> usize {
        self.blocks.len()
    }
}
