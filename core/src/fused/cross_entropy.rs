//! Cross-entropy of scores against one class per row. A vocabulary has tens of thousands of classes: scores are read
//! twice in the forward pass and once in the backward pass, and their gradient is the only other matrix of their size.

use std::mem::MaybeUninit;

use pulp::Simd;
use rayon::prelude::*;

use super::vector::{check_rows, exp, maximum, rows_per_block, sum, written};

/// Log-sum-exp of each row of `scores` `[n, classes]`.
///
/// # Panics
/// When `scores` are not whole rows.
pub fn log_sums(scores: &[f32], classes: usize) -> Vec<f32> {
    check_rows(scores, classes);
    let block = rows_per_block(classes);
    let write = |out: &mut [MaybeUninit<f32>]| {
        let blocks = out.par_chunks_mut(block).zip(scores.par_chunks(block * classes));
        blocks.for_each(|(out, scores)| log_sums_of(scores, classes, out));
    };
    // SAFETY: scores are whole rows, as checked above, and every row of every block is written.
    unsafe { written(scores.len() / classes, write) }
}

/// Cross-entropy of each row, `[n]`: minus the logarithm of the probability of the row's target.
pub fn forward(scores: &[f32], log_sums: &[f32], targets: &[i32]) -> Vec<f32> {
    let classes = scores.len() / targets.len().max(1);
    let rows = log_sums.iter().zip(targets).enumerate();
    rows.map(|(row, (log_sum, target))| log_sum - scores[row * classes + *target as usize]).collect()
}

/// Gradient of `scores` from the gradient of the cross-entropy: probabilities, less one at the target.
///
/// # Panics
/// When the numbers of targets, log-sum-exps and gradients differ, or `scores` do not have a row of classes for each
/// target.
pub fn backward(scores: &[f32], log_sums: &[f32], targets: &[i32], gradient: &[f32]) -> Vec<f32> {
    let n = targets.len();
    assert!(log_sums.len() == n && gradient.len() == n, "a log-sum-exp and a gradient for each of {n} targets");
    if n == 0 {
        return Vec::new();
    }
    let classes = scores.len() / n;
    assert!(classes > 0 && classes * n == scores.len(), "{} scores are no rows of {n} targets", scores.len());
    let block = rows_per_block(classes);
    let write = |out: &mut [MaybeUninit<f32>]| {
        let blocks = out.par_chunks_mut(block * classes).zip(scores.par_chunks(block * classes));
        let rows = log_sums.par_chunks(block).zip(gradient.par_chunks(block));
        blocks.zip(rows).for_each(|((out, scores), (log_sums, gradient))| gradients(scores, log_sums, gradient, out));
    };
    // SAFETY: each row of scores has its log-sum-exp and its gradient, as checked above, and every row of every block is written.
    let mut of_scores = unsafe { written(scores.len(), write) };
    for ((row, target), gradient) in of_scores.chunks_exact_mut(classes).zip(targets).zip(gradient) {
        row[*target as usize] -= gradient;
    }
    of_scores
}

#[pulp::with_simd(log_sums_of = pulp::Arch::new())]
#[inline(always)]
fn log_sums_of_with_simd<'a, S: Simd>(_simd: S, scores: &'a [f32], classes: usize, out: &'a mut [MaybeUninit<f32>]) {
    for (row, out) in scores.chunks_exact(classes).zip(out) {
        let most = maximum(row);
        out.write(most + sum([row], |[score]| exp(score - most)).ln());
    }
}

#[pulp::with_simd(gradients = pulp::Arch::new())]
#[inline(always)]
fn gradients_with_simd<'a, S: Simd>(
    _simd: S,
    scores: &'a [f32],
    log_sums: &'a [f32],
    gradient: &'a [f32],
    out: &'a mut [MaybeUninit<f32>],
) {
    let classes = scores.len() / log_sums.len().max(1);
    let rows = scores.chunks_exact(classes).zip(out.chunks_exact_mut(classes));
    for (((row, out), &log_sum), &gradient) in rows.zip(log_sums).zip(gradient) {
        for (out, &score) in out.iter_mut().zip(row) {
            out.write(gradient * exp(score - log_sum));
        }
    }
}
