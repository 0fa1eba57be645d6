//! Multi-head self-attention, written once for encoder, decoder, student and teacher alike.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Tensor};

use super::init::Initialiser;

/// Queries, keys and values from one linear layer (in this order), and an output projection.
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

    /// `tokens` `[B, T, D]`; `hidden` broadcasts to `[B, heads, T, T]`, true where a query must not see a key.
    pub fn forward(&self, tokens: Tensor<3>, hidden: Option<Tensor<4, Bool>>) -> Tensor<3> {
        let [n, length, width] = tokens.dims();
        let d_head = width / self.n_heads;
        let mut parts = self
            .qkv
            .forward(tokens)
            .chunk(3, 2)
            .into_iter()
            .map(|part| part.reshape([n, length, self.n_heads, d_head]).swap_dims(1, 2));
        let (Some(query), Some(key), Some(value)) = (parts.next(), parts.next(), parts.next()) else {
            unreachable!("three chunks")
        };
        let mut scores = query.mul_scalar((d_head as f64).powf(-0.5)).matmul(key.swap_dims(2, 3));
        if let Some(hidden) = hidden {
            let hidden = hidden.expand([n, self.n_heads, length, length]);
            // Large rather than infinite: a row that sees nothing then gives numbers, not NaN.
            scores = scores.mask_fill(hidden, -1e30);
        }
        let attended = softmax(scores, 3).matmul(value).swap_dims(1, 2).reshape([n, length, width]);
        self.projection.forward(attended)
    }
}
