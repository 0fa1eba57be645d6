//! Embedders: learned maps from tokens to vectors, one for each family.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Int, Tensor};

use super::config::{Dimensions, FamilyConfig, FamilyTokens};
use super::init::Initialiser;
use super::norm::Norm;
use crate::fused;
use crate::precision::Precision;

/// Number of entries of the temporal position table: index 0 in evaluation, a random one a batch in training.
pub(crate) const N_TEMPORAL: usize = 8;

/// Embedder of a token family.
#[derive(Module, Debug)]
pub enum Embedder {
    /// Embedder of continuous tokens.
    Patches(PatchEmbedder),
    /// Embedder of discrete tokens.
    Tokens(TokenEmbedder),
}

/// Embedder of continuous tokens: a linear layer over the token's values, a learned spatial and a learned temporal position. The norm that follows is
/// shared by all families, see [`super::Model`].
#[derive(Module, Debug)]
pub struct PatchEmbedder {
    projection: Linear,
    /// Spatial position table, `[n_positions, D]`. Tokens of any grid use its first entries, in row-major order of their grid.
    spatial: Param<Tensor<2>>,
    /// Temporal position table, `[8, D]`.
    temporal: Param<Tensor<2>>,
}

/// Embedder of discrete tokens: token, learned position and token type 0, then a norm.
#[derive(Module, Debug)]
pub struct TokenEmbedder {
    /// Token embeddings, `[vocabulary, D]`.
    tokens: Param<Tensor<2>>,
    /// Position embeddings, `[n_positions, D]`.
    positions: Param<Tensor<2>>,
    /// Token type embeddings, `[2, D]`, of which only the first is used.
    types: Param<Tensor<2>>,
    norm: Norm,
}

impl Embedder {
    pub(super) fn new(family: &FamilyConfig, dims: &Dimensions, init: &mut Initialiser<'_>) -> Self {
        let width = dims.width;
        match family.tokens {
            FamilyTokens::Continuous { d_token } => Self::Patches(PatchEmbedder {
                projection: init.patch_projection(d_token, width),
                spatial: init.table([family.n_positions, width]),
                temporal: init.table([N_TEMPORAL, width]),
            }),
            FamilyTokens::Discrete { vocabulary } => Self::Tokens(TokenEmbedder {
                tokens: init.table([vocabulary, width]),
                positions: init.table([family.n_positions, width]),
                types: init.table([2, width]),
                norm: Norm::new(width, 1e-5, init),
            }),
        }
    }
}

impl PatchEmbedder {
    /// Embeddings `[B, V, D]`, not yet normalised, of `tokens` `[B, V, d_token]` at positions `index` `[B * V]`.
    pub fn forward(
        &self,
        tokens: Tensor<3>,
        index: Tensor<1, Int>,
        temporal: usize,
        precision: Precision,
    ) -> Tensor<3> {
        let embedded = fused::float32_linear(&self.projection, tokens, precision);
        let [n, n_visible, width] = embedded.dims();
        let spatial = self.spatial.val().select(0, index).reshape([n, n_visible, width]);
        let temporal = self.temporal.val().narrow(0, temporal, 1).unsqueeze::<3>();
        embedded + spatial + temporal
    }

    /// Number of entries of the temporal position table.
    pub fn n_temporal(&self) -> usize {
        self.temporal.dims()[0]
    }
}

impl TokenEmbedder {
    /// Embeddings `[B, N, D]` of `ids` `[B, N]`.
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [n, length] = ids.dims();
        let tokens = self.tokens.val().select(0, ids.reshape([n * length]));
        let width = tokens.dims()[1];
        let positions = self.positions.val().narrow(0, 0, length).unsqueeze::<3>();
        let types = self.types.val().narrow(0, 0, 1).unsqueeze::<3>();
        self.norm.forward(tokens.reshape([n, length, width]) + positions + types)
    }
}
