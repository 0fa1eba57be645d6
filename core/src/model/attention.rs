//! Multi-head self-attention, shared by encoder and decoder.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Bool, Tensor};

use super::init::Initialiser;
use crate::fused;
use crate::precision::Precision;

/// Multi-head self-attention: queries, keys and values from one linear layer (in this order), and an output projection.
#[derive(Module, Debug)]
pub struct SelfAttention {
    qkv: Linear,
    projection: Linear,
    n_heads: usize,
}

impl SelfAttention {
    pub(super) fn new(width: usize, n_heads: usize, init: &mut Initialiser<'_>) -> Self {
        Self { qkv: init.linear(width, 3 * width), projection: init.linear(width, width), n_heads }
    }

    /// Self-attention of `tokens` `[B, T, D]`; `hidden` broadcasts to `[B, heads, T, T]`, the same for all heads, true where a query must not see a
    /// key.
    pub fn forward(&self, tokens: Tensor<3>, hidden: Option<Tensor<4, Bool>>, precision: Precision) -> Tensor<3> {
        let qkv = fused::linear(&self.qkv, tokens, precision);
        fused::linear(&self.projection, fused::attention(qkv, self.n_heads, hidden, precision), precision)
    }
}
