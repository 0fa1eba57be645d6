//! Pre-norm Transformer block, with LayerScale and stochastic depth in the encoder and without in the decoder.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Bool, Tensor};
use rand::RngExt;

use super::attention::SelfAttention;
use super::init::Initialiser;
use super::norm::Norm;
use super::variant::MlpKind;
use crate::fused::{self, float32, operand};
use crate::precision::Precision;
use crate::rng::Rng;

/// Transformer block: attention and MLP, each on a normalised input, each added to the residual stream.
#[derive(Module, Debug)]
pub struct Block {
    attention_norm: Norm,
    attention: SelfAttention,
    attention_scale: Option<Param<Tensor<1>>>,
    mlp_norm: Norm,
    mlp_in: Linear,
    mlp_out: Linear,
    mlp_scale: Option<Param<Tensor<1>>>,
    #[module(skip)]
    mlp: MlpKind,
}

/// Sizes of a Transformer block.
pub(super) struct BlockConfig {
    pub width: usize,
    pub n_heads: usize,
    pub mlp_width: usize,
    pub mlp: MlpKind,
    pub epsilon: f64,
    /// Initial LayerScale; none in the decoder.
    pub layer_scale: Option<f32>,
}

/// Stochastic depth (Huang et al., 2016): in training, a branch of a sample is dropped with a given rate, and kept branches are scaled up.
#[derive(Debug)]
pub struct StochasticDepth {
    rate: f64,
    decisions: Decisions,
}

/// Source of the decisions whether a branch is kept.
#[derive(Debug)]
enum Decisions {
    Drawn(Box<Rng>),
    Given(std::vec::IntoIter<bool>),
}

impl StochasticDepth {
    /// Stochastic depth with a rate in `[0, 1)`; none for 0.
    pub(crate) fn new(rate: f64, generator: Rng) -> Option<Self> {
        (rate > 0.0).then(|| Self { rate, decisions: Decisions::Drawn(Box::new(generator)) })
    }

    /// Stochastic depth with given decisions, true where a branch is kept, for a comparison with another implementation: layer by layer, in each
    /// attention and MLP, of each all samples. Branches beyond the last decision are kept.
    pub fn given(rate: f64, kept: Vec<bool>) -> Self {
        Self { rate, decisions: Decisions::Given(kept.into_iter()) }
    }

    /// Factors of the branch of each of `n` samples: 0 or `1 / (1 - rate)`.
    fn draw(&mut self, n: usize) -> Vec<f32> {
        let kept = (1.0 / (1.0 - self.rate)) as f32;
        let mut is_kept = || match &mut self.decisions {
            Decisions::Drawn(generator) => generator.random::<f64>() >= self.rate,
            Decisions::Given(kept) => kept.next().unwrap_or(true),
        };
        (0..n).map(|_| if is_kept() { kept } else { 0.0 }).collect()
    }
}

impl Block {
    pub(super) fn new(config: &BlockConfig, init: &mut Initialiser<'_>) -> Self {
        let scale = |init: &mut Initialiser<'_>| config.layer_scale.map(|value| init.constant([config.width], value));
        Self {
            attention_norm: Norm::new(config.width, config.epsilon, init),
            attention: SelfAttention::new(config.width, config.n_heads, init),
            attention_scale: scale(init),
            mlp_norm: Norm::new(config.width, config.epsilon, init),
            mlp_in: init.linear(config.width, config.mlp.n_inputs(config.mlp_width)),
            mlp_out: init.linear(config.mlp_width, config.width),
            mlp_scale: scale(init),
            mlp: config.mlp,
        }
    }

    /// The block's output for `tokens` `[B, T, D]`; `hidden` as in [`SelfAttention::forward`].
    pub fn forward(
        &self,
        tokens: Tensor<3>,
        hidden: Option<Tensor<4, Bool>>,
        mut depth: Option<&mut StochasticDepth>,
        precision: Precision,
    ) -> Tensor<3> {
        let normalised = operand(self.attention_norm.forward(tokens.clone()), precision);
        let branch = float32(self.attention.forward(normalised, hidden, precision));
        let tokens = added(tokens, branch, &self.attention_scale, depth.as_deref_mut());
        let normalised = operand(self.mlp_norm.forward(tokens.clone()), precision);
        let hidden = self.mlp.hidden(fused::linear(&self.mlp_in, normalised, precision));
        added(tokens, float32(fused::linear(&self.mlp_out, hidden, precision)), &self.mlp_scale, depth)
    }
}

/// Sum of the residual stream and a branch.
fn added(
    tokens: Tensor<3>,
    branch: Tensor<3>,
    layer_scale: &Option<Param<Tensor<1>>>,
    depth: Option<&mut StochasticDepth>,
) -> Tensor<3> {
    let kept = depth.map(|depth| depth.draw(branch.dims()[0]));
    match layer_scale {
        Some(scale) => fused::scaled_residual(tokens, branch, scale.val(), kept),
        None => tokens + fused::plain::scaled_samples(branch, kept),
    }
}
