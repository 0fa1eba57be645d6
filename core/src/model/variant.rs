//! Variant of the backbone: what published vision transformers do otherwise than MedCoSS's.
//!
//! Only what no choice of parameters can express is here. The rest is folded into parameters where weights are imported: a position of the class
//! token is added to it, missing biases are 0, a missing LayerScale is 1.

use burn::tensor::Tensor;
use burn::tensor::activation::silu;
use serde::{Deserialize, Serialize};

use crate::{Result, SettingError, fused};

/// Maximum number of register tokens. Published models have 4 or 8.
pub(crate) const MAX_REGISTERS: usize = 1024;

/// Variant of the backbone. The default is MedCoSS's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Variant {
    /// Norm of embedded continuous tokens, before the class token joins them.
    pub embedding_norm: bool,
    /// Norm of all tokens after the last block of the encoder.
    pub final_norm: bool,
    /// Number that the norms of the encoder add to the variance.
    pub epsilon: f64,
    /// The same of the decoder.
    pub decoder_epsilon: f64,
    /// Register tokens (Darcet et al., "Vision Transformers Need Registers", ICLR 2024) between class token and patches. They have no position,
    /// and stay in the encoder: its outputs are those of the class token and the patches.
    pub n_registers: usize,
    /// Hidden layer of the encoder's MLPs.
    pub mlp: MlpKind,
}

/// Hidden layer of an MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MlpKind {
    /// GELU of one linear map.
    #[default]
    Gelu,
    /// SiLU of the first half of a linear map, times its second half (SwiGLU; Shazeer, 2020).
    Swiglu,
}

impl MlpKind {
    /// Width of the linear map before a hidden layer of this width.
    pub(crate) fn n_inputs(self, mlp_width: usize) -> usize {
        match self {
            Self::Gelu => mlp_width,
            Self::Swiglu => mlp_width.saturating_mul(2),
        }
    }

    /// Hidden layer `[B, T, mlp_width]` of the linear map `[B, T, n_inputs]`.
    pub(super) fn hidden(self, mapped: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Gelu => fused::gelu(mapped),
            Self::Swiglu => {
                let half = mapped.dims()[2] / 2;
                silu(mapped.clone().narrow(2, 0, half)) * mapped.narrow(2, half, half)
            }
        }
    }
}

impl Default for Variant {
    fn default() -> Self {
        Self {
            embedding_norm: true,
            final_norm: false,
            epsilon: 1e-5,
            decoder_epsilon: 1e-6,
            n_registers: 0,
            mlp: MlpKind::Gelu,
        }
    }
}

impl Variant {
    /// Whether this is MedCoSS's backbone.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// The first value out of range.
    pub(super) fn check(&self) -> Result<()> {
        for (name, epsilon) in [("epsilon", self.epsilon), ("decoder_epsilon", self.decoder_epsilon)] {
            if !(epsilon > 0.0 && epsilon < 1.0) {
                return Err(
                    SettingError::out_of_range(format!("variant.{name}"), epsilon, "above 0.0 and below 1.0").into()
                );
            }
        }
        if self.n_registers > MAX_REGISTERS {
            let expected = format!("at most {MAX_REGISTERS}");
            return Err(SettingError::out_of_range("variant.n_registers", self.n_registers, expected).into());
        }
        Ok(())
    }

    /// The differences from MedCoSS's backbone, for people; empty where there are none.
    pub fn differences(&self) -> Vec<String> {
        let usual = Self::default();
        let mut differences = Vec::new();
        if !self.embedding_norm {
            differences.push("no norm after embedding".into());
        }
        if self.final_norm {
            differences.push("a norm after the last block".into());
        }
        if self.epsilon != usual.epsilon {
            differences.push(format!("norms with epsilon {:e}", self.epsilon));
        }
        if self.decoder_epsilon != usual.decoder_epsilon {
            differences.push(format!("the decoder's norms with epsilon {:e}", self.decoder_epsilon));
        }
        if self.n_registers > 0 {
            differences.push(format!("{} register tokens", self.n_registers));
        }
        if self.mlp == MlpKind::Swiglu {
            differences.push("MLPs with SwiGLU".into());
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_out_of_range_is_refused_by_name() {
        for (variant, expected) in [
            (Variant { epsilon: 0.0, ..Variant::default() }, "variant.epsilon is 0"),
            (Variant { decoder_epsilon: f64::NAN, ..Variant::default() }, "variant.decoder_epsilon is NaN"),
            (Variant { n_registers: 1 << 40, ..Variant::default() }, "variant.n_registers is 1099511627776"),
        ] {
            let error = variant.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        Variant::default().check().unwrap();
    }
}
