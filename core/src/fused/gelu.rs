//! The exact Gaussian error linear unit (Hendrycks and Gimpel, 2016): `x Φ(x)`.

use std::f32::consts::FRAC_1_SQRT_2;
use std::mem::MaybeUninit;

use pulp::Simd;
use rayon::prelude::*;

use super::vector::{erf, exp, rows_per_block, written};

/// GELU of each value.
pub fn forward(x: &[f32]) -> Vec<f32> {
    let block = rows_per_block(1);
    let write = |out: &mut [MaybeUninit<f32>]| {
        out.par_chunks_mut(block).zip(x.par_chunks(block)).for_each(|(out, x)| values(x, out));
    };
    // SAFETY: every value of every block is written.
    unsafe { written(x.len(), write) }
}

/// Gradient of `x` from the gradient of the output.
///
/// # Panics
/// When `gradient` is not as long as `x`.
pub fn backward(x: &[f32], gradient: &[f32]) -> Vec<f32> {
    assert_eq!(gradient.len(), x.len(), "a gradient of the shape of the input");
    let block = rows_per_block(1);
    let write = |out: &mut [MaybeUninit<f32>]| {
        let blocks = out.par_chunks_mut(block).zip(x.par_chunks(block)).zip(gradient.par_chunks(block));
        blocks.for_each(|((out, x), gradient)| gradients(x, gradient, out));
    };
    // SAFETY: input and gradient have one length, as checked above, and every value of every block is written.
    unsafe { written(x.len(), write) }
}

#[pulp::with_simd(values = pulp::Arch::new())]
#[inline(always)]
fn values_with_simd<'a, S: Simd>(_simd: S, x: &'a [f32], out: &'a mut [MaybeUninit<f32>]) {
    for (out, &x) in out.iter_mut().zip(x) {
        out.write(0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2)));
    }
}

#[pulp::with_simd(gradients = pulp::Arch::new())]
#[inline(always)]
fn gradients_with_simd<'a, S: Simd>(_simd: S, x: &'a [f32], gradient: &'a [f32], out: &'a mut [MaybeUninit<f32>]) {
    /// `1 / sqrt(2π)`
    const DENSITY: f32 = 0.398_942_3;
    for ((out, &x), &gradient) in out.iter_mut().zip(x).zip(gradient) {
        let below = 0.5 * (1.0 + erf(x * FRAC_1_SQRT_2));
        out.write(gradient * (x * DENSITY).mul_add(exp(-0.5 * x * x), below));
    }
}
