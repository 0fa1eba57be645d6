//! Nearest centre of each point, by matrix products.
//!
//! `|x|^2 - 2 x c + |c|^2` is computed for blocks of points in single precision on the training device. Centres whose distances are too close
//! for single precision are compared in double precision. Points that cannot have changed their cluster since the last iteration, by the bounds of
//! Hamerly ("Making k-means even faster", SDM 2010), are skipped: in the last iterations those are most points.

use std::array::from_fn;

use burn::tensor::{Device, Int, Tensor, TensorData};
use rayon::prelude::*;

use super::coordinate::{Coordinate, exact_distance};
use crate::precision::Precision;
use crate::{DeviceError, Error, Result, fused};

/// Most scores of a block, which are in memory at a time.
const BLOCK_SCORES: usize = 1 << 24;
/// Most points in a block.
const BLOCK_POINTS: usize = 2048;
/// Scores that one vector operation compares.
const LANES: usize = 16;

/// Share of uncertain points in a block, in quarters, above which all of its points are multiplied: copying the uncertain ones into a tensor of
/// their own would cost more than it saves.
const MOST_QUARTERS: usize = 3;

/// The nearest centre of a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Assignment {
    /// Index of the centre.
    pub centre: usize,
    /// Squared Euclidean distance to the centre.
    pub distance: f64,
    /// Upper bound of the Euclidean distance to the centre.
    upper_bound: f64,
    /// Lower bound of the Euclidean distance to any other centre.
    lower_bound: f64,
}

impl Assignment {
    /// Whether no other centre can be as near, even with rounding errors in the bounds.
    fn is_certain(&self) -> bool {
        self.upper_bound * (1.0 + 1e-12) < self.lower_bound
    }
}

/// Points that changed their cluster in an iteration.
pub(super) struct Reassignments {
    /// Number of points that changed their cluster.
    pub n_points: usize,
    /// Whether a cluster lost or gained points, by centre.
    pub of_centre: Vec<bool>,
}

/// Points on a device, in blocks. The mean of the points is subtracted: distances stay the same, and smaller products are more exact.
pub(super) struct PointBlocks<'a, P> {
    points: &'a [P],
    width: usize,
    mean: Vec<f64>,
    device: Device,
    blocks: Vec<Block>,
}

struct Block {
    /// Index of the first point.
    first: usize,
    /// `[n, width]`.
    tensor: Tensor<2>,
    /// Euclidean norm of each row.
    norms: Vec<f32>,
}

impl<'a, P: Coordinate> PointBlocks<'a, P> {
    /// Uploads points `[n, width]` for at most `max_centres` centres.
    pub fn upload(points: &'a [P], width: usize, max_centres: usize, device: &Device) -> Self {
        let mean = mean(points, width);
        let rows = (BLOCK_SCORES / max_centres.max(1)).clamp(1, BLOCK_POINTS);
        let block = |(number, points): (usize, &[P])| {
            let values = centred(points, &mean);
            let norms = values.chunks_exact(width).map(|row| row.iter().map(|v| v * v).sum::<f32>().sqrt()).collect();
            let shape = [values.len() / width, width];
            let tensor = Tensor::from_data(TensorData::new(values, shape), device);
            Block { first: number * rows, tensor, norms }
        };
        let blocks = points.par_chunks(rows * width).enumerate().map(block).collect();
        Self { points, width, mean, device: device.clone(), blocks }
    }

    /// Number of points.
    pub fn n(&self) -> usize {
        self.points.len() / self.width
    }

    /// The nearest centre of each point, among `centres` `[n_centres, width]`; of centres at the same distance the first.
    ///
    /// # Errors
    /// A device whose results cannot be read.
    pub fn nearest(&self, centres: &[f64]) -> Result<Vec<Assignment>> {
        let unknown = Assignment { centre: 0, distance: f64::INFINITY, upper_bound: f64::INFINITY, lower_bound: 0.0 };
        let mut nearest = vec![unknown; self.n()];
        self.assign_uncertain(&mut nearest, centres)?;
        self.compute_distances(&mut nearest, centres);
        Ok(nearest)
    }

    /// Updates the nearest centres after the centres have moved from `before` to `centres`. The distances become valid with
    /// [`PointBlocks::compute_distances`].
    ///
    /// # Errors
    /// A device whose results cannot be read.
    pub fn update(&self, nearest: &mut [Assignment], before: &[f64], centres: &[f64]) -> Result<Reassignments> {
        let pairs = before.par_chunks_exact(self.width).zip(centres.par_chunks_exact(self.width));
        let moved: Vec<f64> = pairs.map(|(before, now)| exact_distance(before, now).sqrt()).collect();
        let most = |but: Option<usize>| {
            let others = moved.iter().enumerate().filter(|(at, _)| Some(*at) != but);
            others.fold((0, 0.0), |best, new| if *new.1 > best.1 { (new.0, *new.1) } else { best })
        };
        let (furthest, far) = most(None);
        let (_, second) = most(Some(furthest));
        let old: Vec<usize> = nearest.iter().map(|nearest| nearest.centre).collect();
        nearest.par_iter_mut().for_each(|nearest| {
            nearest.upper_bound += moved[nearest.centre];
            nearest.lower_bound -= if nearest.centre == furthest { second } else { far };
        });
        self.assign_uncertain(nearest, centres)?;
        let mut reassigned = Reassignments { n_points: 0, of_centre: vec![false; moved.len()] };
        for (new, old) in nearest.iter().map(|nearest| nearest.centre).zip(old).filter(|(new, old)| new != old) {
            reassigned.n_points += 1;
            (reassigned.of_centre[new], reassigned.of_centre[old]) = (true, true);
        }
        Ok(reassigned)
    }

    /// Computes the distance of each point to its nearest centre.
    pub fn compute_distances(&self, nearest: &mut [Assignment], centres: &[f64]) {
        nearest.par_iter_mut().enumerate().for_each(|(at, nearest)| {
            nearest.distance = self.exact(at, nearest.centre, centres);
        });
    }

    /// Finds the nearest centres of the points whose bounds leave them uncertain.
    fn assign_uncertain(&self, nearest: &mut [Assignment], centres: &[f64]) -> Result<()> {
        let n_centres = centres.len() / self.width;
        let moved = centred(centres, &self.mean);
        let halves: Vec<f32> =
            moved.chunks_exact(self.width).map(|centre| centre.iter().map(|v| v * v).sum::<f32>() / -2.0).collect();
        let longest = (-2.0 * halves.iter().fold(0.0f32, |most, half| most.min(*half))).sqrt();
        let device = &self.device;
        let moved =
            Tensor::<2>::from_data(TensorData::new(transposed(&moved, self.width), [self.width, n_centres]), device);
        let halves = Tensor::<1>::from_data(TensorData::new(halves, [n_centres]), device);
        for block in &self.blocks {
            let n = block.norms.len();
            let in_block = &mut nearest[block.first..][..n];
            let uncertain = self.uncertain_rows(block, in_block, centres);
            if uncertain.is_empty() {
                continue;
            }
            let points = if uncertain.len() == n {
                block.tensor.clone()
            } else {
                let rows: Vec<i32> = uncertain.iter().map(|row| *row as i32).collect();
                let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [uncertain.len()]), device);
                block.tensor.clone().select(0, rows)
            };
            let scores: Vec<f32> = fused::affine(points, moved.clone(), Some(halves.clone()), Precision::Float32)
                .into_data()
                .try_into_vec()
                .map_err(|error| Error::from(DeviceError::read_back("distances", error)))?;
            let found: Vec<Assignment> = uncertain
                .par_iter()
                .zip(scores.par_chunks_exact(n_centres))
                .map(|(row, scores)| self.decide(block.first + row, block.norms[*row], scores, longest, centres))
                .collect();
            uncertain.into_iter().zip(found).for_each(|(row, found)| in_block[row] = found);
        }
        Ok(())
    }

    /// Rows of a block whose nearest centre may have changed; all rows where most are uncertain.
    fn uncertain_rows(&self, block: &Block, nearest: &mut [Assignment], centres: &[f64]) -> Vec<usize> {
        let n = nearest.len();
        let too_many = |n_uncertain: usize| 4 * n_uncertain > MOST_QUARTERS * n;
        let n_uncertain = (0..n).filter(|row| !nearest[*row].is_certain()).count();
        if too_many(n_uncertain) {
            return (0..n).collect();
        }
        // The exact distance to the present centre often settles a point without a comparison with all centres.
        nearest.par_iter_mut().enumerate().filter(|(_, nearest)| !nearest.is_certain()).for_each(|(row, nearest)| {
            nearest.upper_bound = self.exact(block.first + row, nearest.centre, centres).sqrt();
        });
        (0..n).filter(|row| !nearest[*row].is_certain()).collect()
    }

    /// Squared Euclidean distance of a point to a centre.
    fn exact(&self, at: usize, centre: usize, centres: &[f64]) -> f64 {
        exact_distance(&self.points[at * self.width..][..self.width], &centres[centre * self.width..][..self.width])
    }

    /// The nearest centre of a point by its scores: half of its squared norm minus half of its squared distance to each centre. Centres within a
    /// tolerance of the best score are compared in double precision. The distance becomes valid with [`PointBlocks::compute_distances`].
    fn decide(&self, at: usize, norm: f32, scores: &[f32], longest: f32, centres: &[f64]) -> Assignment {
        let tolerance = self.rounding() * (norm + longest) * longest;
        let Best { score: best, place, next } = two_best(scores);
        let (rounding, most) = (f64::from(self.rounding()), f64::from(norm) + f64::from(longest));
        // Bound of a centre's distance by its score, with the largest effect of rounding.
        let distance = |score: f32, error: f64| {
            let norm = f64::from(norm);
            let squared =
                -2.0 * f64::from(score) + 2.0 * error * f64::from(tolerance) + norm * norm * (1.0 + error * rounding);
            squared.max(0.0).sqrt() + error * f64::from(f32::EPSILON) * most
        };
        if best - next > 2.0 * tolerance {
            return Assignment {
                centre: place,
                distance: f64::NAN,
                upper_bound: distance(best, 1.0),
                lower_bound: distance(next, -1.0),
            };
        }
        let limit = best - 2.0 * tolerance;
        // NaN scores are compared in double precision as well.
        let is_further = |score: f32| score.partial_cmp(&limit) == Some(std::cmp::Ordering::Less);
        let close = scores.iter().enumerate().filter(|(_, score)| !is_further(**score));
        let (centre, squared) = close
            .map(|(centre, _)| (centre, self.exact(at, centre, centres)))
            .fold((place, f64::INFINITY), |best, new| if new.1 < best.1 { new } else { best });
        // The centre with the best score may be one of the others.
        Assignment { centre, distance: squared, upper_bound: squared.sqrt(), lower_bound: distance(best, -1.0) }
    }

    /// Largest relative error of a sum of `width` products in single precision.
    fn rounding(&self) -> f32 {
        (self.width as f32 + 8.0) * f32::EPSILON
    }
}

/// The largest score of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Best {
    score: f32,
    /// Index of the score.
    place: usize,
    /// The second largest score.
    next: f32,
}

/// The largest scores of [`LANES`] interleaved parts of a row.
struct Lanes {
    scores: [f32; LANES],
    /// Index of the largest score within the lane.
    numbers: [u32; LANES],
    next: [f32; LANES],
}

impl Lanes {
    #[inline(always)]
    fn look(&mut self, number: u32, new: &[f32; LANES]) {
        let (old, numbers, next) = (self.scores, self.numbers, self.next);
        // A statement for each array: one loop over all of them is compiled score by score.
        let other: [f32; LANES] = from_fn(|lane| if new[lane] > old[lane] { old[lane] } else { new[lane] });
        self.scores = from_fn(|lane| if new[lane] > old[lane] { new[lane] } else { old[lane] });
        self.numbers = from_fn(|lane| if new[lane] > old[lane] { number } else { numbers[lane] });
        self.next = from_fn(|lane| if other[lane] > next[lane] { other[lane] } else { next[lane] });
    }

    #[inline(always)]
    fn merged(self) -> Best {
        let mut found = Best { score: f32::NEG_INFINITY, place: 0, next: f32::NEG_INFINITY };
        for (lane, ((score, number), next)) in self.scores.into_iter().zip(self.numbers).zip(self.next).enumerate() {
            let (other, place) = (found.score.min(score), number as usize * LANES + lane);
            let place = if score > found.score { place } else { found.place };
            found = Best { score: found.score.max(score), place, next: found.next.max(other).max(next) };
        }
        found
    }
}

/// The two largest scores; NaN scores are ignored.
fn two_best(scores: &[f32]) -> Best {
    const NONE: f32 = f32::NEG_INFINITY;
    let (chunks, rest) = scores.as_chunks::<LANES>();
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut lanes = Lanes { scores: [NONE; LANES], numbers: [0; LANES], next: [NONE; LANES] };
            for (number, scores) in chunks.iter().enumerate() {
                lanes.look(number as u32, scores);
            }
            let mut last = [NONE; LANES];
            last[..rest.len()].copy_from_slice(rest);
            lanes.look(chunks.len() as u32, &last);
            lanes.merged()
        },
    )
}

/// The mean of points `[n, width]`, summed in an order that does not depend on the number of threads.
fn mean<P: Coordinate>(points: &[P], width: usize) -> Vec<f64> {
    let sums = |points: &[P]| {
        let mut sums = vec![0.0; width];
        for point in points.chunks_exact(width) {
            sums.iter_mut().zip(point).for_each(|(sum, value)| *sum += (*value).into());
        }
        sums
    };
    let sums: Vec<Vec<f64>> = points.par_chunks(BLOCK_POINTS * width).map(sums).collect();
    let n = (points.len() / width).max(1) as f64;
    (0..width).map(|at| sums.iter().map(|sums| sums[at]).sum::<f64>() / n).collect()
}

/// The transpose `[width, n]` of row-major `values` `[n, width]`.
pub(super) fn transposed(values: &[f32], width: usize) -> Vec<f32> {
    (0..width).flat_map(|column| values.iter().skip(column).step_by(width).copied()).collect()
}

/// Points minus a mean, in single precision.
pub(super) fn centred<P: Coordinate>(points: &[P], mean: &[f64]) -> Vec<f32> {
    let rows = points.chunks_exact(mean.len());
    rows.flat_map(|row| row.iter().zip(mean).map(|(value, mean)| ((*value).into() - mean) as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_largest_scores_are_those_of_the_sorted_row() {
        let mut draw = crate::rng::keyed(3, "scores", &[]);
        for n in (1..70).chain([200]) {
            // Few different values, so that many occur twice.
            let mut scores: Vec<f32> = (0..n).map(|_| rand::RngExt::random_range(&mut draw, -20..20) as f32).collect();
            if n % 3 == 0 {
                scores[n / 2] = f32::NAN;
            }
            let mut sorted: Vec<f32> = scores.iter().copied().filter(|score| !score.is_nan()).collect();
            sorted.sort_by(|a, b| b.total_cmp(a));
            let found = two_best(&scores);
            let next = sorted.get(1).copied().unwrap_or(f32::NEG_INFINITY);
            assert_eq!((found.score, found.next), (sorted[0], next), "{scores:?}");
            assert_eq!(scores[found.place], sorted[0], "{scores:?}");
        }
        assert_eq!(two_best(&[f32::NAN]).place, 0);
    }
}
