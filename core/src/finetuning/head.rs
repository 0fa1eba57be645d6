//! Classification heads: pooling of the encoder's outputs, a norm, and a linear layer or two.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::fused;
use crate::model::{DeviceBatch, Initialiser, Norm, mean_over_tokens};
use crate::precision::Precision;
use crate::ranges::check_count;

/// Maximum width of the hidden layer: as wide as no layer of a model is.
const MAX_HIDDEN: usize = 1 << 16;

/// Pooling of a sample's encoder outputs for a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenPooling {
    /// Mean of all outputs, class token included, padding excluded: the features that select the buffer.
    #[default]
    Mean,
    /// Mean of the outputs without the class token, padding excluded.
    MeanWithoutClass,
    /// Mean of the outputs without the class token, padding included, as the reference does with text.
    MeanWithPadding,
    /// The class token's output; the mean where there is none.
    Class,
    /// A learned query attends to all outputs, padding excluded.
    Attention,
}

/// Configuration of a classification head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeadConfig {
    /// Pooling of the encoder's outputs.
    pub pooling: TokenPooling,
    /// Whether a layer norm (epsilon 1e-6) follows the pooling.
    pub norm: bool,
    /// Width of a hidden layer with a layer norm and GELU; 0 for a linear head.
    pub hidden: usize,
}

impl Default for HeadConfig {
    fn default() -> Self {
        Self { pooling: TokenPooling::default(), norm: true, hidden: 0 }
    }
}

impl HeadConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// A hidden layer that is too wide.
    pub fn check(&self) -> Result<()> {
        check_count("head.hidden", self.hidden, 0, MAX_HIDDEN)
    }
}

/// Classification head.
#[derive(Module, Debug)]
pub struct ClassificationHead {
    /// Query of the attention pooling, `[D]`.
    query: Option<Param<Tensor<1>>>,
    norm: Option<Norm>,
    hidden: Option<Linear>,
    hidden_norm: Option<Norm>,
    output: Linear,
    #[module(skip)]
    pooling: TokenPooling,
}

impl ClassificationHead {
    pub(super) fn new(config: &HeadConfig, width: usize, n_outputs: usize, init: &mut Initialiser<'_>) -> Self {
        let d = if config.hidden > 0 { config.hidden } else { width };
        Self {
            query: (config.pooling == TokenPooling::Attention).then(|| init.normal([width], 0.02)),
            norm: config.norm.then(|| Norm::new(width, 1e-6, init)),
            hidden: (config.hidden > 0).then(|| init.linear(width, config.hidden)),
            hidden_norm: (config.hidden > 0).then(|| Norm::new(config.hidden, 1e-5, init)),
            output: init.linear(d, n_outputs),
            pooling: config.pooling,
        }
    }

    /// Scores `[B, outputs]` from the encoder's outputs `[B, T, D]`.
    pub fn forward(&self, encoded: Tensor<3>, batch: &DeviceBatch, precision: Precision) -> Tensor<2> {
        let mut x = self.pooled(encoded, batch);
        if let Some(norm) = &self.norm {
            x = norm.forward(x);
        }
        if let (Some(hidden), Some(norm)) = (&self.hidden, &self.hidden_norm) {
            x = fused::gelu(norm.forward(fused::float32_linear(hidden, x, precision)));
        }
        fused::float32_linear(&self.output, x, precision)
    }

    /// Pooled outputs `[B, D]`.
    fn pooled(&self, encoded: Tensor<3>, batch: &DeviceBatch) -> Tensor<2> {
        let [n, length, width] = encoded.dims();
        let first = usize::from(matches!(batch, DeviceBatch::Patches(_)));
        let pooled = match self.pooling {
            TokenPooling::Mean => mean_over_tokens(encoded, batch),
            TokenPooling::Class if first == 1 => encoded.narrow(1, 0, 1),
            TokenPooling::Class => mean_over_tokens(encoded, batch),
            TokenPooling::MeanWithPadding => encoded.narrow(1, first, length - first).mean_dim(1),
            TokenPooling::MeanWithoutClass => {
                let weights = exists(batch, [n, length]).narrow(1, first, length - first);
                let n_tokens = weights.clone().sum_dim(1);
                (encoded.narrow(1, first, length - first) * weights).sum_dim(1) / n_tokens
            }
            TokenPooling::Attention => {
                let query = self.query.as_ref().expect("attention pooling has a query").val();
                let scores = (encoded.clone() * query.reshape([1, 1, width])).sum_dim(2) / (width as f64).sqrt();
                // Far below any score, so that what does not exist has no weight.
                let hidden = (exists(batch, [n, length]) - 1.0) * 1e9;
                (encoded * softmax(scores + hidden, 1)).sum_dim(1)
            }
        };
        pooled.reshape([n, width])
    }
}

/// 1 where a token counts, 0 where there is padding or nothing, `[B, T, 1]`.
fn exists(batch: &DeviceBatch, [n, length]: [usize; 2]) -> Tensor<3> {
    match batch {
        DeviceBatch::Patches(patches) => match &patches.validity {
            None => {
                Tensor::from_data(TensorData::new(vec![1.0f32; n * length], [n, length, 1]), &patches.visible.device())
            }
            Some(validity) => validity.mean_weights.clone().greater_elem(0.0).float(),
        },
        DeviceBatch::Tokens(tokens) => tokens.mean_weights.clone().greater_elem(0.0).float(),
    }
}
