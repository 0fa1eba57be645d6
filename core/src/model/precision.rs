//! Mixed precision (Micikevicius et al., ICLR 2018): products of matrices in few bits, everything that adds up small numbers in many.

use burn::nn::Linear;
use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::fused;

/// Precision of the matrix products in Transformer blocks, embedders and heads, forward and backward.
///
/// Parameters, their gradients and the optimiser's state are float32 whatever it is, and so are the residual stream, norms, softmax, GELU and losses.
/// bfloat16 has the range of float32, so that no loss needs to be scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// float32, with 24 significant bits.
    #[default]
    Float32,
    /// bfloat16, with 8 significant bits; faster on devices with hardware support. The CPU has none.
    Bfloat16,
}

impl Precision {
    /// Name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Bfloat16 => "bfloat16",
        }
    }

    /// A tensor in the number format of products.
    pub(super) fn for_product<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Float32 => x,
            Self::Bfloat16 => x.cast(DType::BF16),
        }
    }

    /// A linear layer from float32 to float32.
    pub(super) fn linear<const D: usize>(self, layer: &Linear, x: Tensor<D>) -> Tensor<D> {
        float32(fused::linear(layer, self.for_product(x)))
    }
}

/// A result of products in float32, for sums.
pub(super) fn float32<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if x.dtype() == DType::F32 { x } else { x.cast(DType::F32) }
}
