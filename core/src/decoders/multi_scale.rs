//! A light decoder of several depths and sizes, for small data.
//!
//! Features of four blocks are normalised, mapped to a narrow width and added, as in SegFormer's decoder (Xie et al., NeurIPS 2021), where blocks differ in
//! size; a plain Transformer's differ in depth alone. One residual block works on the grid of tokens, where it sees neighbours at little cost. The
//! result is written out voxel by voxel, beside a residual block on the image, which keeps borders sharp; one more joins them.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;

use super::layers::{ResidualBlock, kernel_of};
use super::token_grid::TokenGrid;
use crate::fused;
use crate::model::{Initialiser, Norm};
use crate::precision::Precision;

/// Width at the grid of tokens, in multiples of the feature size.
const WIDER: usize = 8;

/// Multi-scale decoder.
#[derive(Module, Debug)]
pub struct MultiScaleDecoder {
    /// Norm and linear layer of each block's features.
    norms: Vec<Norm>,
    narrow: Vec<Linear>,
    at_tokens: ResidualBlock,
    /// To the voxels of a token.
    expand: Linear,
    image: ResidualBlock,
    join: ResidualBlock,
    out: Linear,
}

impl MultiScaleDecoder {
    pub(super) fn new(
        grid: &TokenGrid,
        width: usize,
        feature_size: usize,
        n_classes: usize,
        init: &mut Initialiser<'_>,
    ) -> Self {
        let (wide, kernel) = (WIDER * feature_size, kernel_of(grid.space()));
        let n_in_token = grid.patch.iter().product::<usize>();
        Self {
            norms: (0..4).map(|_| Norm::new(width, 1e-5, init)).collect(),
            narrow: (0..4).map(|_| init.linear(width, wide)).collect(),
            at_tokens: ResidualBlock::new([wide, wide], kernel_of(grid.grid), init),
            expand: init.linear(wide, n_in_token * feature_size),
            image: ResidualBlock::new([grid.channels, feature_size], kernel, init),
            join: ResidualBlock::new([2 * feature_size, feature_size], kernel, init),
            out: init.convolution_like(feature_size, n_classes),
        }
    }

    pub(super) fn forward(
        &self,
        image: Tensor<5>,
        features: &[Tensor<3>],
        grid: &TokenGrid,
        precision: Precision,
    ) -> Tensor<5> {
        let of_blocks = self.norms.iter().zip(&self.narrow).zip(features);
        let narrow = of_blocks
            .map(|((norm, narrow), features)| fused::float32_linear(narrow, norm.forward(features.clone()), precision));
        let added = narrow.reduce(|sum, next| sum + next).expect("a decoder reads at least one block");
        let [n, n_tokens, wide] = added.dims();
        let at_tokens = self.at_tokens.forward(grid.array(fused::gelu(added)), precision);
        let expanded = fused::float32_linear(&self.expand, at_tokens.reshape([n, n_tokens, wide]), precision);
        let image = self.image.forward(image, precision);
        let joined = self.join.forward(Tensor::cat(vec![grid.voxels(expanded), image], 4), precision);
        fused::float32_linear(&self.out, joined, precision)
    }
}
