//! Scaled residual: a branch that is added to the residual stream, scaled by LayerScale (Touvron et al., "Going deeper
//! with Image Transformers", 2021).

use std::mem::MaybeUninit;

use pulp::Simd;
use rayon::prelude::*;

use super::vector::{added, check_rows, rows_per_block, written};

/// Scaled residual `x + branch * scale * kept`, with `scale` by column and `kept` by sample; all samples have the same number of rows.
///
/// # Panics
/// When `x` is not whole rows of the width of `scale`, `branch` is not as long as `x`, or samples of `kept` do not share the rows evenly.
pub fn forward(x: &[f32], branch: &[f32], scale: &[f32], kept: &[f32]) -> Vec<f32> {
    check_rows(x, scale.len());
    assert_eq!(branch.len(), x.len(), "a branch of the shape of the residual stream");
    let block = rows_per_block(scale.len()) * scale.len();
    let kept = OfRows::new(x.len(), scale.len(), kept);
    let write = |out: &mut [MaybeUninit<f32>]| {
        let blocks = out.par_chunks_mut(block).zip(x.par_chunks(block)).zip(branch.par_chunks(block)).enumerate();
        blocks.for_each(|(at, ((out, x), branch))| rows(x, branch, scale, kept.from(at * block / scale.len()), out));
    };
    // SAFETY: stream and branch are whole rows of the width, as checked above, and every row of every block is written.
    unsafe { written(x.len(), write) }
}

/// Gradients of `branch` and `scale` from the gradient of the output, which is also the gradient of `x`.
///
/// # Panics
/// As [`forward`], and when `gradient` is not as long as `branch`.
pub fn backward(branch: &[f32], scale: &[f32], kept: &[f32], gradient: &[f32]) -> [Vec<f32>; 2] {
    let width = scale.len();
    check_rows(branch, width);
    assert_eq!(gradient.len(), branch.len(), "a gradient of the shape of the branch");
    let kept = OfRows::new(branch.len(), width, kept);
    let block = rows_per_block(width) * width;
    let mut scales = Vec::new();
    let write = |out: &mut [MaybeUninit<f32>]| {
        let blocks = out.par_chunks_mut(block).zip(branch.par_chunks(block)).zip(gradient.par_chunks(block));
        scales = blocks
            .enumerate()
            .map(|(at, ((out, branch), gradient))| {
                let mut of_scale = vec![0.0; width];
                gradient_rows(branch, scale, kept.from(at * block / width), gradient, out, &mut of_scale);
                of_scale
            })
            .collect();
    };
    // SAFETY: branch and gradient are whole rows of the width, as checked above, and every row of every block is written.
    let of_branch = unsafe { written(branch.len(), write) };
    [of_branch, added(scales)]
}

#[pulp::with_simd(rows = pulp::Arch::new())]
#[inline(always)]
fn rows_with_simd<'a, S: Simd>(
    _simd: S,
    x: &'a [f32],
    branch: &'a [f32],
    scale: &'a [f32],
    kept: OfRows<'a>,
    out: &'a mut [MaybeUninit<f32>],
) {
    let width = scale.len();
    let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(branch.chunks_exact(width));
    for (row, ((out, x), branch)) in rows.enumerate() {
        let kept = kept.of(row);
        for (((out, &x), &branch), &scale) in out.iter_mut().zip(x).zip(branch).zip(scale) {
            out.write((branch * kept).mul_add(scale, x));
        }
    }
}

#[pulp::with_simd(gradient_rows = pulp::Arch::new())]
#[inline(always)]
fn gradient_rows_with_simd<'a, S: Simd>(
    _simd: S,
    branch: &'a [f32],
    scale: &'a [f32],
    kept: OfRows<'a>,
    gradient: &'a [f32],
    out: &'a mut [MaybeUninit<f32>],
    of_scale: &'a mut [f32],
) {
    let width = scale.len();
    let of_scale = &mut of_scale[..width];
    let rows = out.chunks_exact_mut(width).zip(branch.chunks_exact(width)).zip(gradient.chunks_exact(width));
    for (row, ((out, branch), gradient)) in rows.enumerate() {
        let kept = kept.of(row);
        for at in 0..width {
            let gradient = gradient[at] * kept;
            out[at].write(gradient * scale[at]);
            of_scale[at] += gradient * branch[at];
        }
    }
}

/// One value per sample, read by row.
#[derive(Clone, Copy)]
struct OfRows<'a> {
    values: &'a [f32],
    rows_per_sample: usize,
    first: usize,
}

impl<'a> OfRows<'a> {
    /// Values of all samples, for an array of `n_values` in rows of `width`.
    fn new(n_values: usize, width: usize, values: &'a [f32]) -> Self {
        let n_rows = n_values / width;
        let rows_per_sample = n_rows.checked_div(values.len()).unwrap_or(0);
        assert_eq!(rows_per_sample * values.len(), n_rows, "samples that share the rows evenly");
        Self { values, rows_per_sample: rows_per_sample.max(1), first: 0 }
    }

    /// The same values, with rows counted from `row`.
    fn from(self, row: usize) -> Self {
        Self { first: row, ..self }
    }

    #[inline(always)]
    fn of(self, row: usize) -> f32 {
        self.values[(self.first + row) / self.rows_per_sample]
    }
}
