//! The predictor of CaSSLe (Fini et al., CVPR 2022): from what the student sees to what the teacher saw. It lives for one stage.

use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::activation::gelu;

use super::init::Initialiser;

/// Linear, norm, GELU, linear; all as wide as the encoder.
#[derive(Module, Debug)]
pub struct Predictor {
    hidden: Linear,
    norm: LayerNorm,
    output: Linear,
}

impl Predictor {
    pub(super) fn new(width: usize, init: &mut Initialiser<'_>) -> Self {
        Self {
            hidden: init.linear(width, width),
            norm: init.layer_norm(width, 1e-5),
            output: init.linear(width, width),
        }
    }

    /// `[rows, D]` to `[rows, D]`.
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        self.output.forward(gelu(self.norm.forward(self.hidden.forward(features))))
    }
}
