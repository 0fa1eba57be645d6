//! The linear decoder: from the feature of a token to the classes of its voxels.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;

use super::token_grid::TokenGrid;
use crate::fused;
use crate::model::Initialiser;
use crate::precision::Precision;

/// One linear layer. A token has seen all others, so its feature can say all of its own voxels; nothing is shared between tokens.
#[derive(Module, Debug)]
pub struct LinearDecoder {
    output: Linear,
}

impl LinearDecoder {
    pub(super) fn new(grid: &TokenGrid, width: usize, n_classes: usize, init: &mut Initialiser<'_>) -> Self {
        Self { output: init.linear(width, grid.patch.iter().product::<usize>() * n_classes) }
    }

    pub(super) fn forward(&self, features: &[Tensor<3>], grid: &TokenGrid, precision: Precision) -> Tensor<5> {
        let last = features.last().expect("a decoder reads at least one block").clone();
        grid.voxels(fused::float32_linear(&self.output, last, precision))
    }
}
