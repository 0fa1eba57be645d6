//! UNETR (Hatamizadeh et al., WACV 2022), as the reference uses it: skip connections from the image and from blocks of the encoder, residual blocks
//! with instance norms, transposed convolutions.
//!
//! The reference has patches of 16 voxels along each axis, so four doublings. Here a patch has any power of two along each axis: as many doublings as
//! its longest side needs, and axes with a shorter side double last.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;

use super::layers::{ResidualBlock, TransposedConvolution, kernel_of};
use super::token_grid::TokenGrid;
use crate::fused;
use crate::model::Initialiser;
use crate::precision::Precision;

/// UNETR decoder. With `n` doublings it reads `n` blocks: the last is where it begins, the others are skip connections, the earliest at the finest size.
#[derive(Module, Debug)]
pub struct Unetr {
    /// From the image, at full size.
    image: ResidualBlock,
    /// From the blocks, earliest first; the earliest is upsampled most.
    skips: Vec<SkipConnection>,
    /// From the grid of tokens to full size, coarsest first.
    ups: Vec<UpBlock>,
    out: Linear,
}

/// From the features of a block to the size of a level: transposed convolutions, each but the first followed by a residual block.
#[derive(Module, Debug)]
struct SkipConnection {
    first: TransposedConvolution,
    blocks: Vec<SkipBlock>,
}

/// A doubling of a skip connection.
#[derive(Module, Debug)]
struct SkipBlock {
    up: TransposedConvolution,
    residual: ResidualBlock,
}

/// A doubling on the way up: upsampled, with the skip connection behind it, into a residual block.
#[derive(Module, Debug)]
struct UpBlock {
    up: TransposedConvolution,
    residual: ResidualBlock,
}

impl Unetr {
    pub(super) fn new(
        grid: &TokenGrid,
        width: usize,
        feature_size: usize,
        n_classes: usize,
        init: &mut Initialiser<'_>,
    ) -> Self {
        let doublings = grid.doublings();
        let (n, kernel) = (doublings.len(), kernel_of(grid.space()));
        // Channels after the doubling `at`: at full size the feature size, twice as many at each coarser level.
        let channels = |at: usize| feature_size << (n - 1 - at);
        let image = ResidualBlock::new([grid.channels, feature_size], kernel, init);
        let skips = (0..n - 1)
            .map(|block| {
                // The earliest block is upsampled to one doubling below full size.
                let n_ups = n - 1 - block;
                let d = feature_size << (block + 1);
                let first = TransposedConvolution::new([width, d], doublings[0], init);
                let blocks = (1..n_ups)
                    .map(|at| SkipBlock {
                        up: TransposedConvolution::new([d, d], doublings[at], init),
                        residual: ResidualBlock::new([d, d], kernel, init),
                    })
                    .collect();
                SkipConnection { first, blocks }
            })
            .collect();
        let ups = (0..n)
            .map(|at| {
                let (below, d) = (if at == 0 { width } else { channels(at - 1) }, channels(at));
                UpBlock {
                    up: TransposedConvolution::new([below, d], doublings[at], init),
                    residual: ResidualBlock::new([2 * d, d], kernel, init),
                }
            })
            .collect();
        Self { image, skips, ups, out: init.convolution_like(feature_size, n_classes) }
    }

    /// Name of a parameter in the reference, from its path in a decoder of four doublings; none of another path. Shapes are the reference's but for a depth
    /// of 1 in two dimensions, and for the last layer, which is `[inputs, outputs]` here.
    pub fn published_name(path: &str) -> Option<String> {
        let parts: Vec<&str> = path.split('.').collect();
        let number = |text: &str| text.parse::<usize>().ok().filter(|number| *number < 4);
        Some(match parts.as_slice() {
            ["out", kind] => format!("out.conv.conv.{kind}"),
            ["image", conv, "weight"] => format!("encoder1.layer.{conv}.conv.weight"),
            ["skips", block, "first", "weight"] => {
                format!("encoder{}.transp_conv_init.conv.weight", number(block)? + 2)
            }
            ["skips", block, "blocks", at, "up", "weight"] => {
                format!("encoder{}.blocks.{at}.0.conv.weight", number(block)? + 2)
            }
            ["skips", block, "blocks", at, "residual", conv, "weight"] => {
                format!("encoder{}.blocks.{at}.1.{conv}.conv.weight", number(block)? + 2)
            }
            ["ups", at, "up", "weight"] => format!("decoder{}.transp_conv.conv.weight", 5 - number(at)?),
            ["ups", at, "residual", conv, "weight"] => {
                format!("decoder{}.conv_block.{conv}.conv.weight", 5 - number(at)?)
            }
            _ => return None,
        })
    }

    pub(super) fn forward(
        &self,
        image: Tensor<5>,
        features: &[Tensor<3>],
        grid: &TokenGrid,
        precision: Precision,
    ) -> Tensor<5> {
        let feature = |at: usize| grid.array(features[at].clone());
        let mut x = feature(self.ups.len() - 1);
        for (at, up) in self.ups.iter().enumerate() {
            // The coarsest level takes the latest of the skip connections, full size the image's.
            let skip = match (self.skips.len()).checked_sub(at + 1) {
                Some(block) => self.skips[block].forward(feature(block), precision),
                None => self.image.forward(image.clone(), precision),
            };
            let upsampled = up.up.forward(x, precision);
            x = up.residual.forward(Tensor::cat(vec![upsampled, skip], 4), precision);
        }
        fused::float32_linear(&self.out, x, precision)
    }
}

impl SkipConnection {
    fn forward(&self, features: Tensor<5>, precision: Precision) -> Tensor<5> {
        let mut x = self.first.forward(features, precision);
        for block in &self.blocks {
            x = block.residual.forward(block.up.forward(x, precision), precision);
        }
        x
    }
}
