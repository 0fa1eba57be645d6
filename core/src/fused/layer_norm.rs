//! Layer normalisation (Ba, Kiros and Hinton, 2016), one pass over each row in either direction.

use std::mem::MaybeUninit;

use pulp::Simd;
use rayon::prelude::*;

use super::vector::{added, check_rows, rows_per_block, sum, written};

/// Layer normalisation of the rows of `x` `[n, width]`: mean 0 and variance 1, times `gamma` plus `beta`.
///
/// # Panics
/// When `beta` is not as long as `gamma`, or `x` is not whole rows of this width.
pub fn forward(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) -> Vec<f32> {
    assert_eq!(beta.len(), gamma.len(), "beta and gamma of one width");
    check_rows(x, gamma.len());
    let block = rows_per_block(gamma.len()) * gamma.len();
    let write = |out: &mut [MaybeUninit<f32>]| {
        out.par_chunks_mut(block).zip(x.par_chunks(block)).for_each(|(out, x)| rows(x, gamma, beta, epsilon, out));
    };
    // SAFETY: `x` is whole rows of the width, as checked above, and every row of every block is written.
    unsafe { written(x.len(), write) }
}

/// Gradients of `x`, `gamma` and `beta` from the gradient of the output.
///
/// # Panics
/// When `x` is not whole rows of the width of `gamma`, or `gradient` is not as long as `x`.
pub fn backward(x: &[f32], gamma: &[f32], gradient: &[f32], epsilon: f32) -> [Vec<f32>; 3] {
    let width = gamma.len();
    check_rows(x, width);
    assert_eq!(gradient.len(), x.len(), "a gradient of the shape of the input");
    let block = rows_per_block(width) * width;
    let (mut gammas, mut betas) = (Vec::new(), Vec::new());
    let write = |out: &mut [MaybeUninit<f32>]| {
        let blocks = out.par_chunks_mut(block).zip(x.par_chunks(block)).zip(gradient.par_chunks(block));
        (gammas, betas) = blocks
            .map(|((out, x), gradient)| {
                let (mut of_gamma, mut of_beta) = (vec![0.0; width], vec![0.0; width]);
                gradient_rows(x, gamma, gradient, epsilon, out, &mut of_gamma, &mut of_beta);
                (of_gamma, of_beta)
            })
            .unzip();
    };
    // SAFETY: input and gradient are whole rows of the width, as checked above, and every row of every block is written.
    let of_x = unsafe { written(x.len(), write) };
    [of_x, added(gammas), added(betas)]
}

/// Mean of a row, and one over its standard deviation.
#[inline(always)]
fn moments(row: &[f32], epsilon: f32) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = sum([row], |[x]| x) / n;
    let variance = sum([row], |[x]| (x - mean) * (x - mean)) / n;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

#[pulp::with_simd(rows = pulp::Arch::new())]
#[inline(always)]
fn rows_with_simd<'a, S: Simd>(
    _simd: S,
    x: &'a [f32],
    gamma: &'a [f32],
    beta: &'a [f32],
    epsilon: f32,
    out: &'a mut [MaybeUninit<f32>],
) {
    let width = gamma.len();
    for (row, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let (mean, scale) = moments(row, epsilon);
        for (((out, &x), &gamma), &beta) in out.iter_mut().zip(row).zip(gamma).zip(beta) {
            out.write(((x - mean) * scale).mul_add(gamma, beta));
        }
    }
}

#[pulp::with_simd(gradient_rows = pulp::Arch::new())]
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn gradient_rows_with_simd<'a, S: Simd>(
    _simd: S,
    x: &'a [f32],
    gamma: &'a [f32],
    gradient: &'a [f32],
    epsilon: f32,
    out: &'a mut [MaybeUninit<f32>],
    of_gamma: &'a mut [f32],
    of_beta: &'a mut [f32],
) {
    let width = gamma.len();
    let (of_gamma, of_beta) = (&mut of_gamma[..width], &mut of_beta[..width]);
    let rows = x.chunks_exact(width).zip(gradient.chunks_exact(width)).zip(out.chunks_exact_mut(width));
    for ((row, gradient), out) in rows {
        let (mean, scale) = moments(row, epsilon);
        let n = width as f32;
        let along_mean = sum([gradient, gamma], |[gradient, gamma]| gradient * gamma) / n;
        let along_row = sum([gradient, gamma, row], |[gradient, gamma, x]| gradient * gamma * (x - mean)) * scale / n;
        for at in 0..width {
            let normal = (row[at] - mean) * scale;
            out[at].write(scale * (gradient[at] * gamma[at] - along_mean - normal * along_row));
            of_gamma[at] += gradient[at] * normal;
            of_beta[at] += gradient[at];
        }
    }
}
