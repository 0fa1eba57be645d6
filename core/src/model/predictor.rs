//! Predictor of CaSSLe (Fini et al., CVPR 2022): a map from the student's features to the teacher's, for one stage.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;

use super::init::Initialiser;
use super::norm::Norm;
use crate::fused;
use crate::precision::Precision;

/// Predictor of CaSSLe: linear, norm, GELU, linear; all as wide as the encoder.
#[derive(Module, Debug)]
pub struct Predictor {
    hidden: Linear,
    norm: Norm,
    output: Linear,
}

impl Predictor {
    pub(super) fn new(width: usize, init: &mut Initialiser<'_>) -> Self {
        Self {
            hidden: init.linear(width, width),
            norm: Norm::new(width, 1e-5, init),
            output: init.linear(width, width),
        }
    }

    /// Predicted teacher features `[rows, D]` of student features `[rows, D]`.
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        let hidden = fused::gelu(self.norm.forward(fused::linear(&self.hidden, features, Precision::Float32)));
        fused::linear(&self.output, hidden, Precision::Float32)
    }
}
