//! Grids of tokens as voxels: where the values of tokens lie in a sample.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::data::GridLayout;
use crate::{Result, SettingError};

/// Grid of the tokens of a sample, and the voxels of a token, along three axes; those that a sample lacks are 1, in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenGrid {
    /// Tokens along each axis.
    pub grid: [usize; 3],
    /// Voxels of a token along each axis.
    pub patch: [usize; 3],
    /// Values of a voxel.
    pub channels: usize,
}

impl TokenGrid {
    /// The grid of samples whose tokens have `d_token` values.
    ///
    /// # Errors
    /// A layout without patches, of more than three axes, or whose patches do not divide a token.
    pub fn new(layout: &GridLayout, d_token: usize) -> Result<Self> {
        let (grid, patch) = (three(&layout.grid), three(&layout.patch));
        let fits = |patch: &[usize; 3]| d_token.is_multiple_of(patch.iter().product::<usize>().max(1));
        match grid.zip(patch).filter(|(_, patch)| layout.grid.len() == layout.patch.len() && fits(patch)) {
            Some((grid, patch)) => Ok(Self { grid, patch, channels: d_token / patch.iter().product::<usize>() }),
            None => Err(SettingError::out_of_range(
                "grid of the tokens",
                format!("{:?} of patches {:?} and {d_token} values", layout.grid, layout.patch),
                "one to three axes, each with a patch, which divide the values of a token: the plugin states them",
            )
            .into()),
        }
    }

    /// Voxels of a sample along each axis.
    pub fn space(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.grid[axis] * self.patch[axis])
    }

    /// Number of voxels of a sample.
    pub fn n_voxels(&self) -> usize {
        self.space().iter().product()
    }

    /// Number of tokens of a sample.
    pub fn n_tokens(&self) -> usize {
        self.grid.iter().product()
    }

    /// Number of doublings from the grid to the voxels, along the axis with the largest patch.
    pub fn n_doublings(&self) -> usize {
        self.patch.iter().map(|side| side.trailing_zeros() as usize).max().unwrap_or_default()
    }

    /// Factor of each axis in each doubling from the grid to the voxels. Axes with smaller patches than others double last.
    pub fn doublings(&self) -> Vec<[usize; 3]> {
        let n = self.n_doublings();
        let factor = |at: usize, side: usize| if at + side.trailing_zeros() as usize >= n { 2 } else { 1 };
        (0..n).map(|at| self.patch.map(|side| factor(at, side))).collect()
    }

    /// Values of tokens `[B, N, d_token]` as voxels `[B, depth, height, width, channels]`.
    pub fn voxels(&self, tokens: Tensor<3>) -> Tensor<5> {
        let [n, _, d_token] = tokens.dims();
        let channels = d_token / self.patch.iter().product::<usize>();
        let [[gz, gy, gx], [pz, py, px]] = [self.grid, self.patch];
        let [depth, height, width] = self.space();
        let blocks: Tensor<8> = tokens.reshape([n, gz, gy, gx, pz, py, px, channels]);
        blocks.permute([0, 1, 4, 2, 5, 3, 6, 7]).reshape([n, depth, height, width, channels])
    }

    /// Tokens `[B, N, d_token]` of samples that are flipped along some of the three axes.
    pub fn flipped_tokens(&self, tokens: Tensor<3>, axes: &[usize]) -> Tensor<3> {
        let shape = tokens.dims();
        let channels = shape[2] / self.patch.iter().product::<usize>();
        let [[gz, gy, gx], [pz, py, px]] = [self.grid, self.patch];
        let flipped = axes.iter().fold(self.voxels(tokens), |voxels, axis| voxels.flip([axis + 1]));
        let blocks: Tensor<8> = flipped.reshape([shape[0], gz, pz, gy, py, gx, px, channels]);
        blocks.permute([0, 1, 3, 5, 2, 4, 6, 7]).reshape(shape)
    }

    /// Features of tokens `[B, N, D]` as an array `[B, grid..., D]`.
    pub(super) fn array(&self, features: Tensor<3>) -> Tensor<5> {
        let [n, _, width] = features.dims();
        let [z, y, x] = self.grid;
        features.reshape([n, z, y, x, width])
    }
}

fn three(sides: &[usize]) -> Option<[usize; 3]> {
    let mut all = [1; 3];
    if !(1..=3).contains(&sides.len()) || sides.contains(&0) {
        return None;
    }
    all[3 - sides.len()..].copy_from_slice(sides);
    Some(all)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn layout(grid: &[usize], patch: &[usize]) -> GridLayout {
        GridLayout { grid: grid.to_vec(), patch: patch.to_vec(), axes: Vec::new() }
    }

    #[test]
    fn tokens_are_put_where_their_voxels_lie() {
        // Two by one tokens of one row and two columns with two channels: rows of the sample are tokens.
        let grid = TokenGrid::new(&layout(&[2, 2], &[1, 2]), 4).unwrap();
        assert_eq!((grid.channels, grid.space(), grid.n_voxels()), (2, [1, 2, 4], 8));
        let values: Vec<f32> = (0..16).map(|at| at as f32).collect();
        let tokens = Tensor::from_data(TensorData::new(values.clone(), [1, 4, 4]), &Device::flex());
        let found: Vec<f32> = grid.voxels(tokens).into_data().try_to_vec().unwrap();
        assert_eq!(found, values, "tokens of one row follow each other");
        let grid = TokenGrid::new(&layout(&[1, 2], &[2, 2]), 4).unwrap();
        let tokens = Tensor::from_data(TensorData::new(values[..8].to_vec(), [1, 2, 4]), &Device::flex());
        let found: Vec<f32> = grid.voxels(tokens).into_data().try_to_vec().unwrap();
        assert_eq!(found, [0., 1., 4., 5., 2., 3., 6., 7.]);
    }

    #[test]
    fn axes_with_smaller_patches_double_last() {
        let grid = TokenGrid::new(&layout(&[1, 2, 2], &[4, 16, 8]), 4 * 16 * 8).unwrap();
        assert_eq!(grid.doublings(), [[1, 2, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2]]);
        assert_eq!(TokenGrid::new(&layout(&[2, 2], &[16, 16]), 768).unwrap().doublings(), [[1, 2, 2]; 4]);
    }

    #[test]
    fn a_layout_that_states_no_patches_is_refused() {
        for layout in [layout(&[4], &[]), layout(&[2, 2], &[3, 3]), layout(&[1; 4], &[1; 4]), layout(&[], &[])] {
            let error = TokenGrid::new(&layout, 8).unwrap_err().to_string();
            assert!(error.contains("grid of the tokens"), "{error}");
        }
    }
}
