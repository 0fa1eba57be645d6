//! Layer normalisation with learned scale and shift.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::init::Initialiser;
use crate::fused;

/// Layer normalisation over the last dimension.
#[derive(Module, Debug)]
pub struct Norm {
    /// Scale, `[D]`.
    gamma: Param<Tensor<1>>,
    /// Shift, `[D]`.
    beta: Param<Tensor<1>>,
    #[module(skip)]
    epsilon: f64,
}

impl Norm {
    /// A norm with scale 1 and shift 0; `epsilon` is added to the variance.
    pub(crate) fn new(width: usize, epsilon: f64, init: &mut Initialiser<'_>) -> Self {
        Self { gamma: init.constant([width], 1.0), beta: init.constant([width], 0.0), epsilon }
    }

    /// Normalised rows of `x`, with mean 0 and variance 1, scaled and shifted.
    pub fn forward<const R: usize>(&self, x: Tensor<R>) -> Tensor<R> {
        fused::layer_norm(x, self.gamma.val(), self.beta.val(), self.epsilon)
    }
}
