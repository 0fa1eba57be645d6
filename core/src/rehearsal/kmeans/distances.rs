//! Nearest centres by matrix products: `|x|^2 - 2 x c + |c|^2` in blocks of points, in single precision on the device that learns, and exact
//! where that is too close to call.

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::{Number, exact_distance};
use crate::{Error, Result};

/// Scores of a block that are in memory at a time.
const BLOCK_SCORES: usize = 1 << 24;
/// Most points in a block.
const BLOCK_POINTS: usize = 8192;

/// A centre and the squared Euclidean distance to it.
pub(super) type Nearest = (usize, f64);

/// Points on a device, in blocks. Their mean is taken away: distances stay, and products get smaller and so more exact.
pub(super) struct Blocks<'a, P> {
    points: &'a [P],
    width: usize,
    mean: Vec<f64>,
    device: Device,
    blocks: Vec<Block>,
}

struct Block {
    first: usize,
    /// `[n, width]`.
    tensor: Tensor<2>,
    /// Euclidean norm of each row.
    norms: Vec<f32>,
}

impl<'a, P: Number> Blocks<'a, P> {
    /// Uploads points `[n, width]`; `most_centres` is the largest number of centres that will be asked for.
    pub fn upload(points: &'a [P], width: usize, most_centres: usize, device: &Device) -> Self {
        let n = points.len() / width;
        let mut mean = vec![0.0; width];
        for point in points.chunks_exact(width) {
            mean.iter_mut().zip(point).for_each(|(mean, value)| *mean += (*value).into());
        }
        mean.iter_mut().for_each(|mean| *mean /= n.max(1) as f64);
        let rows = (BLOCK_SCORES / most_centres.max(1)).clamp(1, BLOCK_POINTS);
        let block = |(number, points): (usize, &[P])| {
            let values = centred(points, &mean);
            let norms = values.chunks_exact(width).map(|row| row.iter().map(|v| v * v).sum::<f32>().sqrt()).collect();
            let shape = [values.len() / width, width];
            let tensor = Tensor::from_data(TensorData::new(values, shape), device);
            Block { first: number * rows, tensor, norms }
        };
        let blocks = points.chunks(rows * width).enumerate().map(block).collect();
        Self { points, width, mean, device: device.clone(), blocks }
    }

    /// Number of points.
    pub fn n(&self) -> usize {
        self.points.len() / self.width
    }

    /// The nearest of the centres `[n_centres, width]` to each point; of centres at the same distance the first.
    ///
    /// # Errors
    /// A device that does not give its results.
    pub fn nearest(&self, centres: &[f64]) -> Result<Vec<Nearest>> {
        let n_centres = centres.len() / self.width;
        let moved = centred(centres, &self.mean);
        let halves: Vec<f32> =
            moved.chunks_exact(self.width).map(|centre| centre.iter().map(|v| v * v).sum::<f32>() / 2.0).collect();
        let longest = halves.iter().fold(0.0f32, |most, half| most.max(*half)).mul_add(2.0, 0.0).sqrt();
        let device = &self.device;
        let moved = Tensor::<2>::from_data(TensorData::new(moved, [n_centres, self.width]), device).transpose();
        let mut all = Vec::with_capacity(self.n());
        for block in &self.blocks {
            // Half of the squared distance less half of the squared norm of the point, which does not matter for the order.
            let products: Vec<f32> =
                block.tensor.clone().matmul(moved.clone()).into_data().try_into_vec().map_err(|error| {
                    Error::Device(format!("distances cannot be read back from the device: {error:?}"))
                })?;
            let rows = products.par_chunks_exact(n_centres).enumerate().map(|(row, products)| {
                let tolerance = self.rounding() * (block.norms[row] + longest) * longest;
                self.decide(block.first + row, products, &halves, tolerance, centres)
            });
            all.par_extend(rows);
        }
        Ok(all)
    }

    /// The nearest centre of a point by its products with the centres, of which those within a tolerance of the best are compared exactly.
    fn decide(&self, at: usize, products: &[f32], halves: &[f32], tolerance: f32, centres: &[f64]) -> Nearest {
        let (mut best, mut place, mut second) = (f32::INFINITY, 0, f32::INFINITY);
        for (centre, (product, half)) in products.iter().zip(halves).enumerate() {
            let score = half - product;
            if score < best {
                (second, best, place) = (best, score, centre);
            } else if score < second {
                second = score;
            }
        }
        let point = &self.points[at * self.width..][..self.width];
        let exact = |centre: usize| exact_distance(point, &centres[centre * self.width..][..self.width]);
        if second - best > 2.0 * tolerance {
            return (place, exact(place));
        }
        let limit = best + 2.0 * tolerance;
        // What is no number is compared exactly as well.
        let is_further = |score: f32| score.partial_cmp(&limit) == Some(std::cmp::Ordering::Greater);
        let scores = products.iter().zip(halves).map(|(product, half)| half - product);
        let close = scores.enumerate().filter(|(_, score)| !is_further(*score));
        close
            .map(|(centre, _)| (centre, exact(centre)))
            .fold((place, f64::INFINITY), |best, new| if new.1 < best.1 { new } else { best })
    }

    /// Largest relative error of a sum of so many products in single precision.
    fn rounding(&self) -> f32 {
        (self.width as f32 + 8.0) * f32::EPSILON
    }
}

/// Points with a mean taken away, in single precision.
pub(super) fn centred<P: Number>(points: &[P], mean: &[f64]) -> Vec<f32> {
    let rows = points.chunks_exact(mean.len());
    rows.flat_map(|row| row.iter().zip(mean).map(|(value, mean)| ((*value).into() - mean) as f32)).collect()
}
