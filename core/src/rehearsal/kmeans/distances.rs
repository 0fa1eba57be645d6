//! Nearest centres by matrix products: `|x|^2 - 2 x c + |c|^2` in blocks of points, in single precision on the device that learns, and exact
//! where that is too close to call. Points that cannot have changed their centre since the last time, by the bound of Hamerly ("Making k-means even
//! faster", SDM 2010), are left out: in the last steps those are most of them.

use std::array::from_fn;

use burn::tensor::{Device, Int, Tensor, TensorData};
use rayon::prelude::*;

use super::{Number, exact_distance};
use crate::{Error, Result, fused};

/// Scores of a block that are in memory at a time.
const BLOCK_SCORES: usize = 1 << 24;
/// Most points in a block.
const BLOCK_POINTS: usize = 2048;
/// Scores that are compared side by side.
const LANES: usize = 16;

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
    /// Whether no other centre can be as near. The last digits of the bounds themselves are not worth a mistake.
    fn is_certain(&self) -> bool {
        self.own * (1.0 + 1e-12) < self.others
    }
}

/// What is another than before.
pub(super) struct Changes {
    /// Points that have another nearest centre.
    pub n_points: usize,
    /// Whether a centre has lost or won points.
    pub of_centre: Vec<bool>,
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
        let mean = mean(points, width);
        let rows = (BLOCK_SCORES / most_centres.max(1)).clamp(1, BLOCK_POINTS);
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

    /// The nearest of the centres `[n_centres, width]` to each point; of centres at the same distance the first.
    ///
    /// # Errors
    /// A device that does not give its results.
    pub fn nearest(&self, centres: &[f64]) -> Result<Vec<Nearest>> {
        let unknown = Nearest { centre: 0, distance: f64::INFINITY, own: f64::INFINITY, others: 0.0 };
        let mut nearest = vec![unknown; self.n()];
        self.look_up(&mut nearest, centres)?;
        self.measure(&mut nearest, centres);
        Ok(nearest)
    }

    /// The same after centres have moved from where `nearest` was found to where they are now, but for the distances, which
    /// [`Blocks::measure`] brings up to date.
    ///
    /// # Errors
    /// A device that does not give its results.
    pub fn follow(&self, nearest: &mut [Nearest], before: &[f64], centres: &[f64]) -> Result<Changes> {
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
        let mut changes = Changes { n_points: 0, of_centre: vec![false; moved.len()] };
        for (new, old) in nearest.iter().map(|nearest| nearest.centre).zip(old).filter(|(new, old)| new != old) {
            changes.n_points += 1;
            (changes.of_centre[new], changes.of_centre[old]) = (true, true);
        }
        Ok(changes)
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
            moved.chunks_exact(self.width).map(|centre| centre.iter().map(|v| v * v).sum::<f32>() / -2.0).collect();
        let longest = (-2.0 * halves.iter().fold(0.0f32, |most, half| most.min(*half))).sqrt();
        let device = &self.device;
        let moved =
            Tensor::<2>::from_data(TensorData::new(transposed(&moved, self.width), [self.width, n_centres]), device);
        let halves = Tensor::<1>::from_data(TensorData::new(halves, [n_centres]), device);
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
            let scores: Vec<f32> = fused::affine(points, moved.clone(), Some(halves.clone()))
                .into_data()
                .try_into_vec()
                .map_err(|error| Error::Device(format!("distances cannot be read back from the device: {error:?}")))?;
            let found: Vec<Nearest> = open
                .par_iter()
                .zip(scores.par_chunks_exact(n_centres))
                .map(|(row, scores)| self.decide(block.first + row, block.norms[*row], scores, longest, centres))
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

    /// The nearest centre of a point by its scores, which are half of its squared norm less half of its squared distance to each centre. Those
    /// within a tolerance of the best are compared exactly. The distance itself is left to [`Blocks::measure`].
    fn decide(&self, at: usize, norm: f32, scores: &[f32], longest: f32, centres: &[f64]) -> Nearest {
        let tolerance = self.rounding() * (norm + longest) * longest;
        let Best { score: best, place, next } = two_best(scores);
        let (rounding, most) = (f64::from(self.rounding()), f64::from(norm) + f64::from(longest));
        // A centre's distance from its score, and what rounding can have done to it at most.
        let distance = |score: f32, error: f64| {
            let norm = f64::from(norm);
            let squared =
                -2.0 * f64::from(score) + 2.0 * error * f64::from(tolerance) + norm * norm * (1.0 + error * rounding);
            squared.max(0.0).sqrt() + error * f64::from(f32::EPSILON) * most
        };
        if best - next > 2.0 * tolerance {
            return Nearest {
                centre: place,
                distance: f64::NAN,
                own: distance(best, 1.0),
                others: distance(next, -1.0),
            };
        }
        let limit = best - 2.0 * tolerance;
        // What is no number is compared exactly as well.
        let is_further = |score: f32| score.partial_cmp(&limit) == Some(std::cmp::Ordering::Less);
        let close = scores.iter().enumerate().filter(|(_, score)| !is_further(**score));
        let (centre, squared) = close
            .map(|(centre, _)| (centre, self.exact(at, centre, centres)))
            .fold((place, f64::INFINITY), |best, new| if new.1 < best.1 { new } else { best });
        // The best by its score may be one of the others.
        Nearest { centre, distance: squared, own: squared.sqrt(), others: distance(best, -1.0) }
    }

    /// Largest relative error of a sum of so many products in single precision.
    fn rounding(&self) -> f32 {
        (self.width as f32 + 8.0) * f32::EPSILON
    }
}

/// The largest of a row of scores.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Best {
    score: f32,
    /// Where it stands.
    place: usize,
    /// The largest of all others.
    next: f32,
}

/// The same of every sixteenth score from each of the first.
struct Lanes {
    scores: [f32; LANES],
    /// Which of its scores that is.
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

/// The largest score and the next, of those that are numbers.
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

/// The mean of points `[n, width]`, in an order that the number of threads does not change.
fn mean<P: Number>(points: &[P], width: usize) -> Vec<f64> {
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

/// `[width, n]` of `[n, width]`.
pub(super) fn transposed(values: &[f32], width: usize) -> Vec<f32> {
    (0..width).flat_map(|column| values.iter().skip(column).step_by(width).copied()).collect()
}

/// Points with a mean taken away, in single precision.
pub(super) fn centred<P: Number>(points: &[P], mean: &[f64]) -> Vec<f32> {
    let rows = points.chunks_exact(mean.len());
    rows.flat_map(|row| row.iter().zip(mean).map(|(value, mean)| ((*value).into() - mean) as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_best_of_a_row_are_those_of_the_sorted_row() {
        let mut draw = crate::rng::keyed(3, "scores", &[]);
        for n in (1..70).chain([200]) {
            // Few values: many of them are there twice.
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
