//! A linear layer over rows: product and bias in one pass over the output.

use pulp::Simd;
use rayon::prelude::*;

use super::matrix::{Matrix, Start};
use super::products::product;
use super::vector::{added, check_rows, rows_per_block};
use crate::precision::Precision;

/// Linear layer `x w + bias`, of `x` `[n, d_in]` and `w` `[d_in, d_out]`: `[n, d_out]`.
///
/// # Panics
/// When `weight` is not whole rows of the width of `bias`, or `x` is not whole rows of `d_in`.
pub fn forward(x: &[f32], weight: &[f32], bias: &[f32], precision: Precision) -> Vec<f32> {
    let width = bias.len();
    check_rows(weight, width);
    let d_in = weight.len() / width;
    check_rows(x, d_in);
    product(Start::Rows(bias), Matrix::dense(x, d_in), Matrix::dense(weight, width), precision)
}

/// Gradient of the input `x`, `[n, d_in]`.
pub fn of_input(weight: &[f32], d_out: usize, gradient: &[f32], precision: Precision) -> Vec<f32> {
    product(Start::Zero, Matrix::dense(gradient, d_out), Matrix::dense(weight, d_out).transposed(), precision)
}

/// Gradient of the weight, `[d_in, d_out]`.
pub fn of_weight(x: &[f32], d_in: usize, gradient: &[f32], d_out: usize, precision: Precision) -> Vec<f32> {
    product(Start::Zero, Matrix::dense(x, d_in).transposed(), Matrix::dense(gradient, d_out), precision)
}

/// Gradient of the bias, `[d_out]`: sums over rows.
pub fn of_bias(gradient: &[f32], d_out: usize) -> Vec<f32> {
    let block = rows_per_block(d_out) * d_out;
    let of_block = |block: &[f32]| {
        let mut sums = vec![0.0; d_out];
        add_rows(&mut sums, block);
        sums
    };
    added(gradient.par_chunks(block).map(of_block).collect())
}

#[pulp::with_simd(add_rows = pulp::Arch::new())]
#[inline(always)]
fn add_rows_with_simd<'a, S: Simd>(_simd: S, sums: &'a mut [f32], rows: &'a [f32]) {
    for row in rows.chunks_exact(sums.len()) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
}
