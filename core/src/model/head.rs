//! Prediction heads, one for each family, initialised in every stage.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;

use super::config::{Dimensions, FamilyConfig, FamilyTokens};
use super::device_batch::PatchTensors;
use super::embed::{TableGrid, positions_of};
use super::init::Initialiser;
use super::norm::Norm;
use crate::fused;
use crate::precision::Precision;

/// Prediction head of a family. A model has few heads, so that the difference in size does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Module, Debug)]
pub enum Head {
    /// Head for the values of masked continuous tokens.
    Patches(PatchHead),
    /// Head for the ids of masked discrete tokens.
    Tokens(TokenHead),
}

/// Prediction head of a continuous family: decoder positions, and a linear layer to the token's values.
#[derive(Module, Debug)]
pub struct PatchHead {
    /// Decoder positions, `[1 + n_decoder_positions, D_decoder]`, the class token's first; they start at zero.
    positions: Param<Tensor<2>>,
    projection: Linear,
    /// Grid that the positions after the class token's belong to, as in the embedder.
    #[module(skip)]
    grid: TableGrid,
}

/// Prediction head of a discrete family: BERT's head, on the encoder's output plus a learned vector.
#[derive(Module, Debug)]
pub struct TokenHead {
    /// Learned offsets of the encoder's output, `[2, D]`, of which only the first is used.
    offset: Param<Tensor<2>>,
    transform: Linear,
    norm: Norm,
    vocabulary: Linear,
}

impl Head {
    pub(super) fn new(family: &FamilyConfig, dims: &Dimensions, init: &mut Initialiser<'_>) -> Self {
        match family.tokens {
            FamilyTokens::Continuous { d_token } => Self::Patches(PatchHead {
                positions: init.constant([family.n_decoder_positions + 1, dims.decoder_width], 0.0),
                projection: init.linear(dims.decoder_width, family.d_target.unwrap_or(d_token)),
                grid: TableGrid::of(family),
            }),
            FamilyTokens::Discrete { vocabulary } => Self::Tokens(TokenHead {
                offset: init.normal([2, dims.width], 0.02),
                transform: init.linear(dims.width, dims.width),
                norm: Norm::new(dims.width, 1e-12, init),
                vocabulary: init.linear(dims.width, vocabulary),
            }),
        }
    }
}

impl PatchHead {
    /// Decoder positions of the class token and of the tokens of a batch: `[1 + N, D_decoder]`.
    pub fn positions(&self, batch: &PatchTensors) -> Tensor<2> {
        let table = self.positions.val();
        match positions_of(&table, 1, &self.grid, batch) {
            None => table.narrow(0, 0, batch.n_tokens + 1),
            Some(tokens) => Tensor::cat(vec![table.narrow(0, 0, 1), tokens], 0),
        }
    }

    /// Values of targets `[rows, d_target]` from decoder outputs `[rows, D_decoder]`.
    pub fn forward(&self, decoded: Tensor<2>, precision: Precision) -> Tensor<2> {
        fused::float32_linear(&self.projection, decoded, precision)
    }
}

impl TokenHead {
    /// Scores `[rows, vocabulary]` from encoder outputs `[rows, D]`.
    pub fn forward(&self, encoded: Tensor<2>, precision: Precision) -> Tensor<2> {
        let shifted = encoded + self.offset.val().narrow(0, 0, 1);
        let transformed = fused::gelu(fused::float32_linear(&self.transform, shifted, precision));
        fused::float32_linear(&self.vocabulary, self.norm.forward(transformed), precision)
    }
}
