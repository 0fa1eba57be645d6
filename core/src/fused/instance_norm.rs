//! Instance normalisation (Ulyanov, Vedaldi and Lempitsky, 2016) without learned parameters, and a leaky ReLU after it, of arrays with channels last.

use rayon::prelude::*;

use super::vector::{added, rows_per_block};

/// Sizes of an instance normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Number of voxels of a sample.
    pub n_voxels: usize,
    /// Number of channels.
    pub width: usize,
}

impl Sizes {
    fn sample(&self) -> usize {
        self.n_voxels * self.width
    }

    fn block(&self) -> usize {
        rows_per_block(self.width) * self.width
    }
}

/// Each channel of each sample of `x` `[n, voxels, width]` with mean 0 and variance 1 (biased, plus `epsilon`) over its voxels; negative results times
/// `slope`.
///
/// # Panics
/// When `x` is not whole samples.
pub fn forward(x: &[f32], sizes: Sizes, epsilon: f32, slope: f32) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    for (x, out) in samples(x, sizes).zip(out.chunks_exact_mut(sizes.sample())) {
        let (mean, inverse) = moments(x, sizes, epsilon);
        let block = sizes.block();
        out.par_chunks_mut(block).zip(x.par_chunks(block)).for_each(|(out, x)| {
            for (out, x) in out.chunks_exact_mut(sizes.width).zip(x.chunks_exact(sizes.width)) {
                for (((out, x), mean), inverse) in out.iter_mut().zip(x).zip(&mean).zip(&inverse) {
                    let z = (x - mean) * inverse;
                    *out = if z < 0.0 { slope * z } else { z };
                }
            }
        });
    }
    out
}

/// Gradient of the input from that of the output.
///
/// # Panics
/// When `x` is not whole samples, or the gradient has another length.
pub fn backward(x: &[f32], gradient: &[f32], sizes: Sizes, epsilon: f32, slope: f32) -> Vec<f32> {
    assert_eq!(gradient.len(), x.len(), "a gradient of the shape of the input");
    let (width, block) = (sizes.width, sizes.block());
    let mut out = vec![0.0; x.len()];
    let all = samples(x, sizes).zip(gradient.chunks_exact(sizes.sample())).zip(out.chunks_exact_mut(sizes.sample()));
    for ((x, gradient), out) in all {
        let (mean, inverse) = moments(x, sizes, epsilon);
        // Of each channel the sums of the gradient, and of the gradient times the normalised value.
        let of_block = |(x, gradient): (&[f32], &[f32])| {
            let mut sums = vec![0.0f32; 2 * width];
            let (first, second) = sums.split_at_mut(width);
            for (x, gradient) in x.chunks_exact(width).zip(gradient.chunks_exact(width)) {
                for channel in 0..width {
                    let z = (x[channel] - mean[channel]) * inverse[channel];
                    let own = if z < 0.0 { slope * gradient[channel] } else { gradient[channel] };
                    first[channel] += own;
                    second[channel] += own * z;
                }
            }
            sums
        };
        let sums = added(x.par_chunks(block).zip(gradient.par_chunks(block)).map(of_block).collect());
        let n = sizes.n_voxels as f32;
        let (first, second) = sums.split_at(width);
        out.par_chunks_mut(block).zip(x.par_chunks(block)).zip(gradient.par_chunks(block)).for_each(
            |((out, x), gradient)| {
                let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(gradient.chunks_exact(width));
                for ((out, x), gradient) in rows {
                    for channel in 0..width {
                        let z = (x[channel] - mean[channel]) * inverse[channel];
                        let own = if z < 0.0 { slope * gradient[channel] } else { gradient[channel] };
                        out[channel] = inverse[channel] * (own - first[channel] / n - z * second[channel] / n);
                    }
                }
            },
        );
    }
    out
}

fn samples(x: &[f32], sizes: Sizes) -> std::slice::ChunksExact<'_, f32> {
    assert!(sizes.sample() > 0 && x.len().is_multiple_of(sizes.sample()), "whole samples of {sizes:?}");
    x.chunks_exact(sizes.sample())
}

/// Mean of each channel, and one over its standard deviation.
fn moments(x: &[f32], sizes: Sizes, epsilon: f32) -> (Vec<f32>, Vec<f32>) {
    let n = sizes.n_voxels as f64;
    let mean: Vec<f32> = sums(x, sizes, |x, _| x).into_iter().map(|sum| (sum / n) as f32).collect();
    let squares = sums(x, sizes, |x, channel| (x - mean[channel]) * (x - mean[channel]));
    let inverse = squares.into_iter().map(|sum| (1.0 / (sum / n + f64::from(epsilon)).sqrt()) as f32).collect();
    (mean, inverse)
}

/// Sum over voxels of a function of each value and its channel: within a block of voxels in single precision, of blocks in double.
fn sums(x: &[f32], sizes: Sizes, of: impl Fn(f32, usize) -> f32 + Sync) -> Vec<f64> {
    let width = sizes.width;
    let of_block = |x: &[f32]| {
        let mut sums = vec![0.0f32; width];
        for row in x.chunks_exact(width) {
            sums.iter_mut().zip(row).enumerate().for_each(|(channel, (sum, x))| *sum += of(*x, channel));
        }
        sums
    };
    let parts: Vec<Vec<f32>> = x.par_chunks(sizes.block()).map(of_block).collect();
    let mut total = vec![0.0; width];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(total, part)| *total += f64::from(part));
    }
    total
}
