//! A branch that is added to the residual stream, scaled by LayerScale (Touvron et al., "Going deeper with Image Transformers", 2021).

use std::mem::MaybeUninit;

use pulp::Simd;
use rayon::prelude::*;

use super::vector::{added, rows_per_block, written};

/// `x + branch * scale`, with `scale` by column.
pub fn forward(x: &[f32], branch: &[f32], scale: &[f32]) -> Vec<f32> {
    let block = rows_per_block(scale.len()) * scale.len();
    let write = |out: &mut [MaybeUninit<f32>]| {
        let blocks = out.par_chunks_mut(block).zip(x.par_chunks(block)).zip(branch.par_chunks(block));
        blocks.for_each(|((out, x), branch)| rows(x, branch, scale, out));
    };
    // SAFETY: every row of every block is written.
    unsafe { written(x.len(), write) }
}

/// Gradients of `branch` and `scale`, from that of the output, which is that of `x` too.
pub fn backward(branch: &[f32], scale: &[f32], gradient: &[f32]) -> [Vec<f32>; 2] {
    let width = scale.len();
    let block = rows_per_block(width) * width;
    let mut scales = Vec::new();
    let write = |out: &mut [MaybeUninit<f32>]| {
        let blocks = out.par_chunks_mut(block).zip(branch.par_chunks(block)).zip(gradient.par_chunks(block));
        scales = blocks
            .map(|((out, branch), gradient)| {
                let mut of_scale = vec![0.0; width];
                gradient_rows(branch, scale, gradient, out, &mut of_scale);
                of_scale
            })
            .collect();
    };
    // SAFETY: every row of every block is written.
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
    out: &'a mut [MaybeUninit<f32>],
) {
    let width = scale.len();
    let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(branch.chunks_exact(width));
    for ((out, x), branch) in rows {
        for (((out, &x), &branch), &scale) in out.iter_mut().zip(x).zip(branch).zip(scale) {
            out.write(branch.mul_add(scale, x));
        }
    }
}

#[pulp::with_simd(gradient_rows = pulp::Arch::new())]
#[inline(always)]
fn gradient_rows_with_simd<'a, S: Simd>(
    _simd: S,
    branch: &'a [f32],
    scale: &'a [f32],
    gradient: &'a [f32],
    out: &'a mut [MaybeUninit<f32>],
    of_scale: &'a mut [f32],
) {
    let width = scale.len();
    let rows = out.chunks_exact_mut(width).zip(branch.chunks_exact(width)).zip(gradient.chunks_exact(width));
    for ((out, branch), gradient) in rows {
        for at in 0..width {
            out[at].write(gradient[at] * scale[at]);
            of_scale[at] += gradient[at] * branch[at];
        }
    }
}
