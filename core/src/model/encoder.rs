//! Encoder that all modalities share: a stack of Transformer blocks without a final norm.

use burn::module::Module;
use burn::tensor::{Bool, Tensor};

use super::block::{Block, BlockConfig, StochasticDepth};
use super::config::Dimensions;
use super::init::Initialiser;
use crate::precision::Precision;

/// Encoder, shared by all modalities.
#[derive(Module, Debug)]
pub struct Encoder {
    blocks: Vec<Block>,
}

impl Encoder {
    pub(super) fn new(dims: &Dimensions, init: &mut Initialiser<'_>) -> Self {
        let block = BlockConfig {
            width: dims.width,
            n_heads: dims.heads,
            mlp_width: dims.mlp_width,
            epsilon: 1e-5,
            layer_scale: Some(dims.layer_scale),
        };
        Self { blocks: (0..dims.layers).map(|_| Block::new(&block, init)).collect() }
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
        tokens
    }

    /// Outputs of the blocks with these numbers, from 1 and ascending; a number may be there twice. As [`Encoder::forward`].
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
            features.extend(numbers.iter().filter(|number| **number == at + 1).map(|_| tokens.clone()));
        }
        features
    }

    /// Number of blocks.
    pub fn n_blocks(&self) -> usize {
        self.blocks.len()
    }
}
