//! Embedders: learned maps from tokens to vectors, one for each family.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Int, Tensor, TensorData};

use super::axis_kernel::{AxisEntries, Interpolation};
use super::config::{Dimensions, FamilyConfig, FamilyTokens};
use super::device_batch::PatchTensors;
use super::init::Initialiser;
use super::norm::Norm;
use super::position_map::{PositionMap, TokenEntries};
use crate::data::GridLayout;
use crate::device::indices;
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
    /// Spatial position table, `[n_positions, D]`.
    spatial: Param<Tensor<2>>,
    /// Temporal position table, `[8, D]`.
    temporal: Param<Tensor<2>>,
    /// Grid that the first entries of the spatial table belong to.
    #[module(skip)]
    grid: TableGrid,
}

/// Grid of a table's entries, and how other grids take positions out of them.
#[derive(Debug, Clone)]
pub(super) struct TableGrid {
    /// Grid of the entries, in row-major order. Without it tokens of any grid use the first entries.
    layout: Option<GridLayout>,
    interpolation: Interpolation,
}

impl TableGrid {
    pub fn of(family: &FamilyConfig) -> Self {
        Self { layout: family.layout.clone(), interpolation: family.interpolation }
    }
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
                grid: TableGrid::of(family),
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
    /// Embeddings `[B, V, D]`, not yet normalised, of the visible tokens of a batch.
    pub fn forward(&self, batch: &PatchTensors, temporal: usize, precision: Precision) -> Tensor<3> {
        let embedded = fused::float32_linear(&self.projection, batch.visible.clone(), precision);
        let [n, n_visible, width] = embedded.dims();
        let table = self.spatial.val();
        let positions = positions_of(&table, 0, &self.grid, batch).unwrap_or(table);
        let spatial = positions.select(0, batch.visible_index.clone()).reshape([n, n_visible, width]);
        let temporal = self.temporal.val().narrow(0, temporal, 1).unsqueeze::<3>();
        embedded + spatial + temporal
    }

    /// Number of entries of the temporal position table.
    pub fn n_temporal(&self) -> usize {
        self.temporal.dims()[0]
    }
}

/// Positions `[N, D]` of the tokens of a batch, out of a table whose entries from `first` on belong to a grid. `None` where the tokens have the same grid,
/// or nothing is known of either: they are the table's first entries.
///
/// # Panics
/// Where the table has no positions for the tokens, which [`super::ModelConfig::admit_dataset`] has checked.
pub(super) fn positions_of(
    table: &Tensor<2>,
    first: usize,
    grid: &TableGrid,
    batch: &PatchTensors,
) -> Option<Tensor<2>> {
    let (reference, own) = grid.layout.as_ref().zip(batch.layout.as_deref())?;
    match PositionMap::new(reference, own, grid.interpolation).expect("the grid was admitted to the family")? {
        PositionMap::Tokens(entries) => Some(of_tokens(table, first, entries)),
        PositionMap::Axes(axes) => {
            let table = table.clone().narrow(0, first, reference.n_tokens());
            Some(along_axes(table, reference.grid.clone(), &axes))
        }
    }
}

/// Weighted sums of the entries of each token.
fn of_tokens(table: &Tensor<2>, first: usize, map: TokenEntries) -> Tensor<2> {
    let [_, width] = table.dims();
    let (n_tokens, device) = (map.n_tokens(), table.device());
    let rows = map.rows.iter().map(|row| row + first as i32).collect();
    let weights = Tensor::from_data(TensorData::new(map.weights, [n_tokens, map.n_entries, 1]), &device);
    let entries = table.clone().select(0, indices(rows, &device)).reshape([n_tokens, map.n_entries, width]);
    let positions: Tensor<3> = (entries * weights).sum_dim(1);
    positions.reshape([n_tokens, width])
}

/// Weighted sums along one axis of a table after another. `sides` are those of the table's grid.
fn along_axes(table: Tensor<2>, mut sides: Vec<usize>, axes: &[AxisEntries]) -> Tensor<2> {
    let ([_, width], device) = (table.dims(), table.device());
    let mut values: Tensor<2> = table;
    for (at, axis) in axes.iter().enumerate() {
        let before = sides[..at].iter().product::<usize>();
        let behind = sides[at + 1..].iter().product::<usize>() * width;
        let (n_places, n_entries) = (axis.n_places(), axis.n_entries);
        let rows = indices(axis.entries.iter().map(|(entry, _)| *entry as i32).collect(), &device);
        let weights: Vec<f32> = axis.entries.iter().map(|(_, weight)| *weight as f32).collect();
        let weights: Tensor<4> = Tensor::from_data(TensorData::new(weights, [1, n_places, n_entries, 1]), &device);
        let entries = values.reshape([before, sides[at], behind]).select(1, rows);
        let entries = entries.reshape([before, n_places, n_entries, behind]);
        values = (entries * weights).sum_dim(2).reshape([before * n_places, behind]);
        sides[at] = n_places;
    }
    values.reshape([sides.iter().product(), width])
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
