//! Nearest centres by matrix products: `|x|^2 - 2 x c + |c|^2` in blocks of points, in single precision on the device that learns, and exact
//! where that is too close to call. Points that cannot have changed their centre since the last time, by the bound of Hamerly ("Making k-means even
//! faster", SDM 2010), are left out: in the last steps those are most of them.

use burn::tensor::{Device, Int, Tensor, TensorData};
use rayon::prelude::*;

use super::{Number, exact_distance};
use crate::{Error, Result};

/// Scores of a block that are in memory at a time.
const BLOCK_SCORES: usize = 1 << 24;
/// Most points in a block.
const BLOCK_POINTS: usize = 8192;

/// Share of a block's points, in quarters, above which all of them are multiplied: copying the others out would cost more than it saves.
const MOST_QUARTERS: usize = 3;

/// The nearest centre of a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Nearest {
    /// Which.
    pub centre: usize,
    /// Squared Euclidean distance to it.
    pub distance: f64,
    /// It is not further than this Euclidean distance.
    own: f64,
    /// No other centre is nearer than this Euclidean distance.
    others: f64,
}

impl Nearest {
    fn of(centre: usize, distance: f64, others: f64) -> Self {
        Self { centre, distance, own: distance.sqrt(), others }
    }

    /// Whether no other centre can be as near. The last digits of the bounds themselves are not worth a mistake.
    fn is_certain(&self) -> bool {
        self.own * (1.0 + 1e-12) < self.others
    }
}

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
        let mut nearest = vec![Nearest::of(0, f64::INFINITY, 0.0); self.n()];
        self.look_up(&mut nearest, centres)?;
        Ok(nearest)
    }

    /// The same after centres have moved from where `nearest` was found to where they are now, but for the distances, which
    /// [`Blocks::measure`] brings up to date. Returns how many points have changed theirs.
    ///
    /// # Errors
    /// A device that does not give its results.
    pub fn follow(&self, nearest: &mut [Nearest], before: &[f64], centres: &[f64]) -> Result<usize> {
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
            nearest.own += moved[nearest.centre];
            nearest.others -= if nearest.centre == furthest { second } else { far };
        });
        self.look_up(nearest, centres)?;
        Ok(nearest.iter().zip(old).filter(|(nearest, old)| nearest.centre != *old).count())
    }

    /// Brings the distances to the nearest centres up to date.
    pub fn measure(&self, nearest: &mut [Nearest], centres: &[f64]) {
        nearest.par_iter_mut().enumerate().for_each(|(at, nearest)| {
            nearest.distance = self.exact(at, nearest.centre, centres);
        });
    }

    /// Finds the nearest centres of the points that are not certain of theirs.
    fn look_up(&self, nearest: &mut [Nearest], centres: &[f64]) -> Result<()> {
        let n_centres = centres.len() / self.width;
        let moved = centred(centres, &self.mean);
        let halves: Vec<f32> =
            moved.chunks_exact(self.width).map(|centre| centre.iter().map(|v| v * v).sum::<f32>() / 2.0).collect();
        let longest = (2.0 * halves.iter().fold(0.0f32, |most, half| most.max(*half))).sqrt();
        let device = &self.device;
        let moved = Tensor::<2>::from_data(TensorData::new(moved, [n_centres, self.width]), device).transpose();
        for block in &self.blocks {
            let n = block.norms.len();
            let in_block = &mut nearest[block.first..][..n];
            let open = self.open(block, in_block, centres);
            if open.is_empty() {
                continue;
            }
            let points = if open.len() == n {
                block.tensor.clone()
            } else {
                let rows: Vec<i32> = open.iter().map(|row| *row as i32).collect();
                let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [open.len()]), device);
                block.tensor.clone().select(0, rows)
            };
            // Half of the squared distance less half of the squared norm of the point, which does not matter for the order.
            let products: Vec<f32> =
                points.matmul(moved.clone()).into_data().try_into_vec().map_err(|error| {
                    Error::Device(format!("distances cannot be read back from the device: {error:?}"))
                })?;
            let found: Vec<Nearest> = open
                .par_iter()
                .zip(products.par_chunks_exact(n_centres))
                .map(|(row, products)| {
                    let norm = block.norms[*row];
                    self.decide(block.first + row, norm, products, Centres { halves: &halves, longest, exact: centres })
                })
                .collect();
            open.into_iter().zip(found).for_each(|(row, found)| in_block[row] = found);
        }
        Ok(())
    }

    /// Rows of a block whose nearest centre may be another by now: all of them where they are many.
    fn open(&self, block: &Block, nearest: &mut [Nearest], centres: &[f64]) -> Vec<usize> {
        let n = nearest.len();
        let too_many = |n_open: usize| 4 * n_open > MOST_QUARTERS * n;
        let loosely = (0..n).filter(|row| !nearest[*row].is_certain()).count();
        if too_many(loosely) {
            return (0..n).collect();
        }
        // Before they are compared with all centres it pays to look how far their own one really is.
        nearest.par_iter_mut().enumerate().filter(|(_, nearest)| !nearest.is_certain()).for_each(|(row, nearest)| {
            nearest.own = self.exact(block.first + row, nearest.centre, centres).sqrt();
        });
        (0..n).filter(|row| !nearest[*row].is_certain()).collect()
    }

    /// Squared Euclidean distance of a point to a centre.
    fn exact(&self, at: usize, centre: usize, centres: &[f64]) -> f64 {
        exact_distance(&self.points[at * self.width..][..self.width], &centres[centre * self.width..][..self.width])
    }

    /// The nearest centre of a point by its products with the centres, of which those within a tolerance of the best are compared exactly.
    fn decide(&self, at: usize, norm: f32, products: &[f32], centres: Centres<'_>) -> Nearest {
        let Centres { halves, longest, exact: centres } = centres;
        let tolerance = self.rounding() * (norm + longest) * longest;
        let (mut best, mut place, mut second) = (f32::INFINITY, 0, f32::INFINITY);
        for (centre, (product, half)) in products.iter().zip(halves).enumerate() {
            let score = half - product;
            if score < best {
                (second, best, place) = (best, score, centre);
            } else if score < second {
                second = score;
            }
        }
        let exact = |centre: usize| self.exact(at, centre, centres);
        // A centre's squared distance from its score, less all that rounding can have added to it.
        let at_least = |score: f32| {
            let (norm, longest) = (f64::from(norm), f64::from(longest));
            let squared = 2.0 * f64::from(score - tolerance) + norm * norm * (1.0 - f64::from(self.rounding()));
            squared.max(0.0).sqrt() - f64::from(f32::EPSILON) * (norm + longest)
        };
        if second - best > 2.0 * tolerance {
            return Nearest::of(place, exact(place), at_least(second));
        }
        let limit = best + 2.0 * tolerance;
        // What is no number is compared exactly as well.
        let is_further = |score: f32| score.partial_cmp(&limit) == Some(std::cmp::Ordering::Greater);
        let scores = products.iter().zip(halves).map(|(product, half)| half - product);
        let close = scores.enumerate().filter(|(_, score)| !is_further(*score));
        let (centre, distance) = close
            .map(|(centre, _)| (centre, exact(centre)))
            .fold((place, f64::INFINITY), |best, new| if new.1 < best.1 { new } else { best });
        // The best by its score may be one of the others.
        Nearest::of(centre, distance, at_least(best))
    }

    /// Largest relative error of a sum of so many products in single precision.
    fn rounding(&self) -> f32 {
        (self.width as f32 + 8.0) * f32::EPSILON
    }
}

/// Centres as products are compared with.
#[derive(Clone, Copy)]
struct Centres<'a> {
    /// Half of the squared norm of each, the mean taken away.
    halves: &'a [f32],
    /// The largest norm.
    longest: f32,
    /// `[n_centres, width]`, as they are.
    exact: &'a [f64],
}

/// Points with a mean taken away, in single precision.
pub(super) fn centred<P: Number>(points: &[P], mean: &[f64]) -> Vec<f32> {
    let rows = points.chunks_exact(mean.len());
    rows.flat_map(|row| row.iter().zip(mean).map(|(value, mean)| ((*value).into() - mean) as f32)).collect()
}
