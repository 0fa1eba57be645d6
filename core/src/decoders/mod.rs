//! Segmentation decoders: from encoder features and the image to a score of each class at each voxel.
//!
//! Arrays have their channels last: `[B, depth, height, width, channels]`. Samples of two dimensions have a depth of 1.

mod layers;
mod linear;
mod multi_scale;
mod token_grid;
mod unetr;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

pub use linear::LinearDecoder;
pub use multi_scale::MultiScaleDecoder;
pub use token_grid::TokenGrid;
pub use unetr::Unetr;

use crate::model::Initialiser;
use crate::precision::Precision;
use crate::ranges::check_count;
use crate::{Result, SettingError};

/// Maximum feature size of a decoder: as wide as no layer of a model is.
const MAX_FEATURE_SIZE: usize = 1024;

/// Name of a decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecoderName {
    /// One linear layer from the feature of a token to the classes of its voxels.
    Linear,
    /// Features of four depths in a few narrow layers, and the image beside them: few parameters, for small data.
    #[default]
    MultiScale,
    /// UNETR (Hatamizadeh et al., WACV 2022) as in the reference.
    Unetr,
}

/// Configuration of a decoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderConfig {
    /// Name of the decoder.
    pub name: DecoderName,
    /// Number of channels at full size; not used by the linear decoder.
    pub feature_size: usize,
}

impl Default for DecoderConfig {
    fn default() -> Self {
        Self { name: DecoderName::default(), feature_size: 16 }
    }
}

impl DecoderConfig {
    /// Checks the ranges, and that the decoder can be built for a grid of tokens.
    ///
    /// # Errors
    /// The first setting that is out of range; patches that the decoder cannot upsample to.
    pub fn check(&self, grid: &TokenGrid) -> Result<()> {
        check_count("feature_size", self.feature_size, 1, MAX_FEATURE_SIZE)?;
        let is_power = grid.patch.iter().all(|side| side.is_power_of_two());
        if self.name == DecoderName::Unetr && !(is_power && grid.patch.iter().any(|side| *side > 1)) {
            return Err(SettingError::out_of_range(
                "decoder unetr for patches of",
                format!("{:?}", grid.patch),
                "powers of two, which it doubles its way up to; decoder linear and multi-scale take any patch",
            )
            .into());
        }
        Ok(())
    }

    /// Numbers of the encoder's blocks whose outputs the decoder reads, counted from 1, ascending; the last is the encoder's last.
    ///
    /// UNETR of four doublings and twelve blocks reads 4, 7, 10 and 12, as the reference.
    pub fn blocks(&self, grid: &TokenGrid, n_blocks: usize) -> Vec<usize> {
        let n = match self.name {
            DecoderName::Linear => 1,
            DecoderName::MultiScale => 4,
            DecoderName::Unetr => grid.n_doublings().max(1),
        };
        (1..=n).map(|at| if at == n { n_blocks } else { ((n_blocks * at).div_ceil(n) + 1).min(n_blocks) }).collect()
    }

    /// A decoder with fresh parameters, from features of `width` values to `n_classes` scores a voxel.
    ///
    /// # Errors
    /// Those of [`DecoderConfig::check`].
    pub(crate) fn build(
        &self,
        grid: &TokenGrid,
        width: usize,
        n_classes: usize,
        init: &mut Initialiser<'_>,
    ) -> Result<SegmentationDecoder> {
        self.check(grid)?;
        Ok(match self.name {
            DecoderName::Linear => SegmentationDecoder::Linear(LinearDecoder::new(grid, width, n_classes, init)),
            DecoderName::MultiScale => {
                SegmentationDecoder::MultiScale(MultiScaleDecoder::new(grid, width, self.feature_size, n_classes, init))
            }
            DecoderName::Unetr => {
                SegmentationDecoder::Unetr(Unetr::new(grid, width, self.feature_size, n_classes, init))
            }
        })
    }
}

/// A segmentation decoder.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a model has one")]
pub enum SegmentationDecoder {
    /// One linear layer.
    Linear(LinearDecoder),
    /// Features of four depths in narrow layers.
    MultiScale(MultiScaleDecoder),
    /// UNETR.
    Unetr(Unetr),
}

impl SegmentationDecoder {
    /// Scores `[B, depth, height, width, classes]` of a batch from the image `[B, depth, height, width, channels]` and the features `[B, N, D]` after
    /// each of [`DecoderConfig::blocks`], without class tokens.
    pub fn forward(
        &self,
        image: Tensor<5>,
        features: &[Tensor<3>],
        grid: &TokenGrid,
        precision: Precision,
    ) -> Tensor<5> {
        match self {
            Self::Linear(decoder) => decoder.forward(features, grid, precision),
            Self::MultiScale(decoder) => decoder.forward(image, features, grid, precision),
            Self::Unetr(decoder) => decoder.forward(image, features, grid, precision),
        }
    }
}
