//! Multi-head attention, head by head, from adjacent queries, keys and values: scores never leave the cache of the core that works on a head, and are
//! recomputed in the backward pass (as in FlashAttention, Dao et al., 2022) instead of stored.

use std::mem::MaybeUninit;

use pulp::Simd;
use rayon::prelude::*;

use super::matrix::{Matrix, Start};
use super::products::{multiply, product};
use super::vector::{exp, maximum, sum, written};
use crate::precision::Precision;

/// Sizes of a multi-head attention.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Number of samples.
    pub n: usize,
    /// Number of tokens of a sample.
    pub length: usize,
    /// Width of a token, all heads together.
    pub width: usize,
    /// Number of heads, which divide the width.
    pub n_heads: usize,
}

/// Output that threads share: each writes the columns of its own head.
struct Output(*mut f32);

// SAFETY: tasks write to places that do not overlap, see `Shape::place`.
unsafe impl Sync for Output {}

impl Output {
    /// # Safety
    /// The place must be within the output.
    unsafe fn at(&self, place: usize) -> *mut f32 {
        // SAFETY: promised by the caller.
        unsafe { self.0.add(place) }
    }
}

impl Shape {
    fn d_head(self) -> usize {
        self.width / self.n_heads
    }

    /// Factor of the scores: one over the root of the head's width.
    fn scale(self) -> f32 {
        (self.d_head() as f64).powf(-0.5) as f32
    }

    /// Queries, keys and values of a head, `[length, d_head]` each.
    fn parts(self, qkv: &[f32], sample: usize, head: usize) -> [Matrix<'_>; 3] {
        let (d, stride) = (self.d_head(), 3 * self.width);
        let of_sample = &qkv[sample * self.length * stride..][..self.length * stride];
        [0, 1, 2].map(|part| Matrix::new(&of_sample[part * self.width + head * d..], self.length, d, stride))
    }

    /// Checks that slices have these sizes, of which none is 0.
    ///
    /// # Panics
    /// When they do not: `qkv` is `[n, length, 3 * width]`, and `bias` `[length, length]` or `[n, length, length]`.
    fn check(self, qkv: &[f32], bias: Option<&[f32]>) {
        let Self { n, length, width, n_heads } = self;
        assert!(length > 0 && n_heads > 0 && width > 0 && width.is_multiple_of(n_heads), "{self:?}");
        assert_eq!(qkv.len(), 3 * n * length * width, "queries, keys and values of {self:?}");
        let n_biases = bias.map_or(1, |bias| bias.len() / (length * length));
        let is_whole = bias.is_none_or(|bias| bias.len() == n_biases * length * length);
        assert!(is_whole && (n_biases == 1 || n_biases == n), "one bias for all or for each of {self:?}");
    }

    /// Bias of a sample: the shared bias, or the sample's own.
    fn bias(self, bias: Option<&[f32]>, sample: usize) -> Option<&[f32]> {
        let size = self.length * self.length;
        bias.map(|bias| if bias.len() == size { bias } else { &bias[sample * size..][..size] })
    }

    /// Softmax of scores, `[length, length]`.
    fn probabilities(self, query: Matrix<'_>, key: Matrix<'_>, bias: Option<&[f32]>, precision: Precision) -> Vec<f32> {
        let write = |out: &mut [MaybeUninit<f32>]| {
            // SAFETY: the scratch has as many rows and columns as there are tokens.
            unsafe {
                let out = out.as_mut_ptr().cast();
                multiply(out, self.length, Start::Zero, query, key.transposed(), self.scale(), precision)
            }
        };
        // SAFETY: a product writes every value.
        let mut scores = unsafe { written(self.length * self.length, write) };
        softmax(&mut scores, self.length, bias.unwrap_or_default());
        scores
    }
}

/// Attention output `[n, length, width]` of `qkv` `[n, length, 3 * width]`. `bias` is added to scores, `[length, length]` or `[n, length, length]`:
/// 0, or a large negative number where a query must not see a key.
///
/// # Panics
/// When the slices do not have the sizes of `shape`.
pub fn forward(qkv: &[f32], bias: Option<&[f32]>, shape: Shape, precision: Precision) -> Vec<f32> {
    shape.check(qkv, bias);
    let Shape { n, length, width, n_heads } = shape;
    let write = |out: &mut [MaybeUninit<f32>]| {
        let out = Output(out.as_mut_ptr().cast());
        (0..n * n_heads).into_par_iter().for_each(|task| {
            let (sample, head) = (task / n_heads, task % n_heads);
            let [query, key, value] = shape.parts(qkv, sample, head);
            let scores = shape.probabilities(query, key, shape.bias(bias, sample), precision);
            // SAFETY: columns of this head in rows of this sample are within the output, and no other task's.
            unsafe {
                let place = out.at(sample * length * width + head * shape.d_head());
                multiply(place, width, Start::Zero, Matrix::dense(&scores, length), value, 1.0, precision);
            }
        });
    };
    // SAFETY: heads divide the width, as checked above, so that together they write all columns.
    unsafe { written(n * length * width, write) }
}

/// Gradient of `qkv` from the gradient of the attention output.
///
/// # Panics
/// When the slices do not have the sizes of `shape`.
pub fn backward(qkv: &[f32], bias: Option<&[f32]>, gradient: &[f32], shape: Shape, precision: Precision) -> Vec<f32> {
    shape.check(qkv, bias);
    let Shape { n, length, width, n_heads } = shape;
    assert_eq!(gradient.len(), n * length * width, "a gradient of the attention output of {shape:?}");
    let (d, stride) = (shape.d_head(), 3 * width);
    let write = |out: &mut [MaybeUninit<f32>]| {
        let out = Output(out.as_mut_ptr().cast());
        (0..n * n_heads).into_par_iter().for_each(|task| {
            let (sample, head) = (task / n_heads, task % n_heads);
            let [query, key, value] = shape.parts(qkv, sample, head);
            let attended = &gradient[sample * length * width..][..length * width];
            let attended = Matrix::new(&attended[head * d..], length, d, width);
            let scores = shape.probabilities(query, key, shape.bias(bias, sample), precision);
            let mut of_scores = product(Start::Zero, attended, value.transposed(), precision);
            let of = |part: usize| {
                // SAFETY: columns of this head and part in rows of this sample are within the output, and no other task's.
                unsafe { out.at(sample * length * stride + part * width + head * d) }
            };
            // SAFETY: as above; each product writes all rows of its part.
            unsafe {
                let scores = Matrix::dense(&scores, length).transposed();
                multiply(of(2), stride, Start::Zero, scores, attended, 1.0, precision);
            }
            softmax_gradient(&scores, &mut of_scores, length, shape.bias(bias, sample).unwrap_or_default());
            let of_scores = Matrix::dense(&of_scores, length);
            // SAFETY: as above.
            unsafe {
                multiply(of(0), stride, Start::Zero, of_scores, key, shape.scale(), precision);
                multiply(of(1), stride, Start::Zero, of_scores.transposed(), query, shape.scale(), precision);
            }
        });
    };
    // SAFETY: parts and heads together write all columns, since heads divide the width, as checked above.
    unsafe { written(qkv.len(), write) }
}

#[pulp::with_simd(softmax = pulp::Arch::new())]
#[inline(always)]
fn softmax_with_simd<'a, S: Simd>(_simd: S, scores: &'a mut [f32], length: usize, bias: &'a [f32]) {
    for (row, scores) in scores.chunks_exact_mut(length).enumerate() {
        if !bias.is_empty() {
            let bias = &bias[row * length..][..length];
            scores.iter_mut().zip(bias).for_each(|(score, bias)| *score += bias);
        }
        let most = maximum(scores);
        scores.iter_mut().for_each(|score| *score = exp(*score - most));
        let scale = 1.0 / sum([scores], |[score]| score);
        scores.iter_mut().for_each(|score| *score *= scale);
    }
}

/// Converts the gradient of probabilities into the gradient of scores: zero where a key is hidden, also in a row without visible keys.
#[pulp::with_simd(softmax_gradient = pulp::Arch::new())]
#[inline(always)]
fn softmax_gradient_with_simd<'a, S: Simd>(
    _simd: S,
    scores: &'a [f32],
    gradient: &'a mut [f32],
    length: usize,
    bias: &'a [f32],
) {
    for (row, (scores, gradient)) in scores.chunks_exact(length).zip(gradient.chunks_exact_mut(length)).enumerate() {
        let mean = sum([scores, gradient], |[score, gradient]| score * gradient);
        gradient.iter_mut().zip(scores).for_each(|(gradient, score)| *gradient = score * (*gradient - mean));
        if !bias.is_empty() {
            let bias = &bias[row * length..][..length];
            gradient
                .iter_mut()
                .zip(bias)
                .for_each(|(gradient, bias)| *gradient = if *bias < 0.0 { 0.0 } else { *gradient });
        }
    }
}
