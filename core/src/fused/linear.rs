//! A linear layer over rows: product and bias in one pass over the output.

use rayon::prelude::*;

use super::products::{Matrix, multiply, product};
use super::vector::{added, rows_per_block};

/// `x w + bias`, of `x` `[n, d_in]` and `w` `[d_in, d_out]`: `[n, d_out]`.
pub fn forward(x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let (width, d_in) = (bias.len(), weight.len() / bias.len().max(1));
    let n = x.len() / d_in.max(1);
    let mut out = Vec::with_capacity(n * width);
    (0..n).for_each(|_| out.extend_from_slice(bias));
    let (x, weight) = (Matrix::dense(x, d_in), Matrix::dense(weight, width));
    // SAFETY: the output has n rows of as many columns as the weight, and holds the bias.
    unsafe { multiply(out.as_mut_ptr(), width, true, x, weight, 1.0) };
    out
}

/// Gradient of `x`.
pub fn of_input(weight: &[f32], d_out: usize, gradient: &[f32]) -> Vec<f32> {
    product(Matrix::dense(gradient, d_out), Matrix::dense(weight, d_out).transposed())
}

/// Gradient of the weight.
pub fn of_weight(x: &[f32], d_in: usize, gradient: &[f32], d_out: usize) -> Vec<f32> {
    product(Matrix::dense(x, d_in).transposed(), Matrix::dense(gradient, d_out))
}

/// Gradient of the bias: sums over rows.
pub fn of_bias(gradient: &[f32], d_out: usize) -> Vec<f32> {
    let block = rows_per_block(d_out) * d_out;
    let of_block = |block: &[f32]| {
        let mut sums = vec![0.0; d_out];
        for row in block.chunks_exact(d_out) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        sums
    };
    added(gradient.par_chunks(block).map(of_block).collect())
}
