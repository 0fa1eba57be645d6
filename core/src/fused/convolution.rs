//! Convolution of stride 1 that keeps the size, of arrays with channels last: columns of some voxels at a time, times the weight.
//!
//! Columns of a block of voxels stay in a core's cache. The whole matrix of columns, 27 times the input for a cube of 3, is never in memory.

use rayon::prelude::*;

use super::matrix::{Matrix, Start};
use super::products::product;
use super::vector::added;
use crate::precision::Precision;

/// Number of values of the columns of a block: half of a core's second-level cache.
const BLOCK_VALUES: usize = 1 << 17;
/// Maximum number of partial sums of a weight's gradient: they have a fixed order, whatever the number of threads.
const MAX_PARTIAL_SUMS: usize = 8;

/// Sizes of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Number of samples.
    pub n: usize,
    /// Voxels of a sample along each axis.
    pub space: [usize; 3],
    /// Number of channels of the input.
    pub d_in: usize,
    /// Number of channels of the output.
    pub d_out: usize,
    /// Voxels of the kernel along each axis, odd numbers; beyond the sample are zeros.
    pub kernel: [usize; 3],
}

impl Sizes {
    fn n_voxels(&self) -> usize {
        self.space.iter().product()
    }

    fn n_taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Number of values of a column.
    fn column(&self) -> usize {
        self.n_taps() * self.d_in
    }

    /// Number of voxels of a block.
    fn block(&self) -> usize {
        (BLOCK_VALUES / self.column().max(1)).max(16)
    }

    fn check(&self, x: &[f32], weight: &[f32]) {
        assert!(self.kernel.iter().all(|side| side % 2 == 1), "a kernel of odd sides, not {:?}", self.kernel);
        assert_eq!(x.len(), self.n * self.n_voxels() * self.d_in, "values of the input");
        assert_eq!(weight.len(), self.column() * self.d_out, "values of the weight");
    }

    /// Blocks of voxels: sample, first voxel, number of voxels.
    fn blocks(&self) -> Vec<(usize, usize, usize)> {
        let (n_voxels, block) = (self.n_voxels(), self.block());
        let of_sample =
            |sample| (0..n_voxels).step_by(block).map(move |first| (sample, first, block.min(n_voxels - first)));
        (0..self.n).flat_map(of_sample).collect()
    }

    /// Columns of the voxels `first..first + n` of a sample, `[n, taps * d_in]`.
    fn columns(&self, values: &[f32], (sample, first, n): (usize, usize, usize), columns: &mut Vec<f32>) {
        let Self { space: [depth, height, width], d_in, kernel: [of_depth, of_height, of_width], .. } = *self;
        let sample = &values[sample * self.n_voxels() * d_in..][..self.n_voxels() * d_in];
        columns.clear();
        columns.resize(n * self.column(), 0.0);
        let (mut z, mut y, mut x) = (first / (height * width), first / width % height, first % width);
        let (left, right) = (of_width / 2, of_width - of_width / 2);
        for column in columns.chunks_exact_mut(self.column()) {
            // Taps of one row are neighbours in the sample: those within it are copied at once.
            let (from, to) = (x.saturating_sub(left), (x + right).min(width));
            let skipped = (from + left - x) * d_in;
            for (plane, tap_z) in (0..of_depth).map(|tap| (tap, (z + tap).wrapping_sub(of_depth / 2))) {
                for (row, tap_y) in (0..of_height).map(|tap| (tap, (y + tap).wrapping_sub(of_height / 2))) {
                    if tap_z >= depth || tap_y >= height {
                        continue;
                    }
                    let at = (plane * of_height + row) * of_width * d_in + skipped;
                    let source = ((tap_z * height + tap_y) * width + from) * d_in;
                    let n = (to - from) * d_in;
                    column[at..at + n].copy_from_slice(&sample[source..source + n]);
                }
            }
            x += 1;
            if x == width {
                (x, y) = (0, y + 1);
                if y == height {
                    (y, z) = (0, z + 1);
                }
            }
        }
    }
}

/// Convolution of `x` `[n, depth, height, width, d_in]` with `weight` `[taps * d_in, d_out]`, taps in row-major order: `[n, depth, height, width, d_out]`.
///
/// # Panics
/// When slices do not have the sizes, or a side of the kernel is even.
pub fn forward(x: &[f32], weight: &[f32], sizes: Sizes, precision: Precision) -> Vec<f32> {
    sizes.check(x, weight);
    let mut out = vec![0.0; sizes.n * sizes.n_voxels() * sizes.d_out];
    let weight = Matrix::dense(weight, sizes.d_out);
    let mut places = Vec::new();
    let mut remaining = out.as_mut_slice();
    for block in sizes.blocks() {
        let (here, after) = remaining.split_at_mut(block.2 * sizes.d_out);
        places.push((block, here));
        remaining = after;
    }
    places.into_par_iter().for_each_init(Vec::new, |columns, (block, out)| {
        sizes.columns(x, block, columns);
        out.copy_from_slice(&product(Start::Zero, Matrix::dense(columns, sizes.column()), weight, precision));
    });
    out
}

/// Gradient of the input, from that of the output: the convolution of it with the mirrored kernel.
pub fn of_input(weight: &[f32], gradient: &[f32], sizes: Sizes, precision: Precision) -> Vec<f32> {
    let Sizes { d_in, d_out, .. } = sizes;
    let n_taps = sizes.n_taps();
    let mut mirrored = vec![0.0; weight.len()];
    for tap in 0..n_taps {
        let from = &weight[tap * d_in * d_out..][..d_in * d_out];
        let to = &mut mirrored[(n_taps - 1 - tap) * d_in * d_out..][..d_in * d_out];
        for (input, row) in from.chunks_exact(d_out).enumerate() {
            row.iter().enumerate().for_each(|(output, value)| to[output * d_in + input] = *value);
        }
    }
    forward(gradient, &mirrored, Sizes { d_in: d_out, d_out: d_in, ..sizes }, precision)
}

/// Gradient of the weight, `[taps * d_in, d_out]`, from that of the output.
pub fn of_weight(x: &[f32], gradient: &[f32], sizes: Sizes, precision: Precision) -> Vec<f32> {
    let blocks = sizes.blocks();
    let (n_voxels, d_out, column) = (sizes.n_voxels(), sizes.d_out, sizes.column());
    let a_group = blocks.len().div_ceil(MAX_PARTIAL_SUMS).max(1);
    let of_group = |group: &[(usize, usize, usize)]| {
        let (mut sum, mut columns) = (vec![0.0f32; column * d_out], Vec::new());
        for &(sample, first, n) in group {
            sizes.columns(x, (sample, first, n), &mut columns);
            let of_block = &gradient[(sample * n_voxels + first) * d_out..][..n * d_out];
            let (columns, of_block) = (Matrix::dense(&columns, column).transposed(), Matrix::dense(of_block, d_out));
            let part = product(Start::Zero, columns, of_block, precision);
            sum.iter_mut().zip(&part).for_each(|(sum, part)| *sum += part);
        }
        sum
    };
    let parts: Vec<Vec<f32>> = blocks.par_chunks(a_group).map(of_group).collect();
    if parts.is_empty() { vec![0.0; column * d_out] } else { added(parts) }
}
