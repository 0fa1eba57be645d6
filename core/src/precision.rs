//! Mixed precision (Micikevicius et al., ICLR 2018): products of matrices in few bits, everything that adds up small numbers in many.

use serde::{Deserialize, Serialize};

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
    /// bfloat16, with 8 significant bits; faster on devices with instructions for it, see [`crate::fused`] for the CPU.
    Bfloat16,
}

impl Precision {
    /// Number of bytes of a number.
    pub(crate) fn n_bytes(self) -> usize {
        match self {
            Self::Float32 => 4,
            Self::Bfloat16 => 2,
        }
    }

    /// Name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Bfloat16 => "bfloat16",
        }
    }
}
