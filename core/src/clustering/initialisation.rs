//! Initial centres by k-means|| (Bahmani et al., "Scalable k-means++", VLDB 2012) or by k-means++ (Arthur and Vassilvitskii, 2007).

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rayon::prelude::*;

use super::coordinate::Coordinate;
use super::distances::PointBlocks;
use crate::rng::{self, Rng};
use crate::{DeviceError, Error, Result};

/// Rounds of k-means||.
const N_ROUNDS: usize = 5;

/// Initial centres by k-means||: in each of a few rounds about `n_centres` candidates are drawn, each point with a probability proportional to its
/// squared distance to the candidates so far. Greedy k-means++ chooses the centres from the candidates, weighted by the number of points nearest to
/// each.
pub(super) fn k_means_parallel<P: Coordinate>(
    points: &[P],
    width: usize,
    n_centres: usize,
    seed: u64,
    blocks: &PointBlocks<'_, P>,
    device: &Device,
) -> Result<Vec<f64>> {
    let n = blocks.n();
    let mut draw = rng::keyed(seed, "k-means||", &[]);
    let row = |point: usize| points[point * width..][..width].iter().map(|value| (*value).into());
    let mut candidates: Vec<f64> = row(draw.random_range(0..n)).collect();
    let mut nearest = blocks.nearest(&candidates)?;
    for _ in 0..N_ROUNDS {
        let total: f64 = nearest.iter().map(|nearest| nearest.distance).sum();
        if total <= 0.0 {
            break;
        }
        let share = n_centres as f64 / total;
        let drawn: Vec<usize> =
            (0..n).filter(|point| draw.random::<f64>() < share * nearest[*point].distance).collect();
        if drawn.is_empty() {
            continue;
        }
        let new: Vec<f64> = drawn.into_iter().flat_map(row).collect();
        let first = candidates.len() / width;
        let to_new = blocks.nearest(&new)?;
        nearest.par_iter_mut().zip(to_new).for_each(|(best, new)| {
            if new.distance < best.distance {
                (best.centre, best.distance) = (first + new.centre, new.distance);
            }
        });
        candidates.extend(new);
    }
    // Copies of points may give fewer candidates than centres; other points are drawn to make up the number.
    while candidates.len() < n_centres * width {
        candidates.extend(row(draw.random_range(0..n)));
    }
    let mut weights = vec![0.0; candidates.len() / width];
    nearest.iter().for_each(|nearest| weights[nearest.centre] += 1.0);
    let chosen = plus_plus(&candidates, width, &weights, n_centres, device, &mut draw)?;
    Ok(chosen.into_iter().flat_map(|at| candidates[at * width..][..width].iter().copied()).collect())
}

/// Initial centres by greedy k-means++ over all points.
pub(super) fn k_means_plus_plus<P: Coordinate>(
    points: &[P],
    width: usize,
    n_centres: usize,
    seed: u64,
    device: &Device,
) -> Result<Vec<f64>> {
    let mut draw = rng::keyed(seed, "k-means++", &[]);
    let points: Vec<f64> = points.iter().map(|value| (*value).into()).collect();
    let chosen = plus_plus(&points, width, &vec![1.0; points.len() / width], n_centres, device, &mut draw)?;
    Ok(chosen.into_iter().flat_map(|at| points[at * width..][..width].iter().copied()).collect())
}

/// Greedy k-means++ (Arthur and Vassilvitskii, 2007) over weighted points: a few points are drawn for each next centre, and the one that leaves the
/// least inertia is taken, as in scikit-learn (Celebi et al., 2013). Returns the indices of the chosen points.
fn plus_plus(
    points: &[f64],
    width: usize,
    weights: &[f64],
    n_centres: usize,
    device: &Device,
    draw: &mut Rng,
) -> Result<Vec<usize>> {
    let n = weights.len();
    let n_trials = 2 + (n_centres as f64).ln() as usize;
    let products = Products::new(points, width, device);
    let mut chosen = vec![weighted(weights, |_| 1.0, draw)];
    let mut distances = products.to(&chosen)?;
    while chosen.len() < n_centres {
        let trials: Vec<usize> = (0..n_trials).map(|_| weighted(weights, |at| distances[at], draw)).collect();
        let to_trials = products.to(&trials)?;
        let inertia =
            |trial: usize| -> f64 { (0..n).map(|at| weights[at] * distances[at].min(to_trials[trial * n + at])).sum() };
        let sums: Vec<f64> = (0..n_trials).into_par_iter().map(inertia).collect();
        let best = sums.iter().enumerate().fold(
            (0, f64::INFINITY),
            |best, (trial, sum)| {
                if *sum < best.1 { (trial, *sum) } else { best }
            },
        );
        distances.iter_mut().zip(&to_trials[best.0 * n..][..n]).for_each(|(old, new)| *old = old.min(*new));
        chosen.push(trials[best.0]);
    }
    Ok(chosen)
}

/// An index, drawn with a probability proportional to weight times factor; any index where all products are 0.
fn weighted(weights: &[f64], factor: impl Fn(usize) -> f64, draw: &mut Rng) -> usize {
    let share = |at: usize| weights[at] * factor(at);
    let total: f64 = (0..weights.len()).map(share).sum();
    if total <= 0.0 {
        return draw.random_range(0..weights.len());
    }
    let mut remaining = draw.random::<f64>() * total;
    for at in 0..weights.len() {
        remaining -= share(at);
        if remaining < 0.0 {
            return at;
        }
    }
    // Rounding may leave a remainder, which belongs to the last index with a positive share.
    (0..weights.len()).rev().find(|at| share(*at) > 0.0).unwrap_or_default()
}

/// Squared distances among points by matrix products, in single precision: exact enough for probabilities.
struct Products {
    /// Points minus their mean, `[width, n]`: the order in which the product reads them.
    points: Tensor<2>,
    /// Squared norm of each point.
    squares: Vec<f64>,
}

impl Products {
    fn new(points: &[f64], width: usize, device: &Device) -> Self {
        let n = points.len() / width;
        let mut mean = vec![0.0; width];
        for point in points.chunks_exact(width) {
            mean.iter_mut().zip(point).for_each(|(mean, value)| *mean += value / n as f64);
        }
        let values = super::distances::centred(points, &mean);
        let square = |row: &[f32]| row.iter().map(|value| f64::from(*value).powi(2)).sum();
        let squares = values.chunks_exact(width).map(square).collect();
        let values = super::distances::transposed(&values, width);
        Self { points: Tensor::from_data(TensorData::new(values, [width, n]), device), squares }
    }

    /// Squared distances from the points `rows` to all points: `[rows.len(), n]`.
    fn to(&self, rows: &[usize]) -> Result<Vec<f64>> {
        let index: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
        let some = self.points.clone().select(1, crate::device::indices(index, &self.points.device()));
        let products: Vec<f32> = some
            .transpose()
            .matmul(self.points.clone())
            .into_data()
            .try_into_vec()
            .map_err(|error| Error::from(DeviceError::read_back("distances", error)))?;
        let n = self.squares.len();
        let distance = |(place, product): (usize, &f32)| {
            let (row, other) = (rows[place / n], place % n);
            // Rounding would give a distance above 0.
            if row == other {
                0.0
            } else {
                (self.squares[row] + self.squares[other] - 2.0 * f64::from(*product)).max(0.0)
            }
        };
        Ok(products.par_iter().enumerate().map(distance).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_four_distant_groups_gets_a_centre_with_any_seed() {
        let mut draw = rng::keyed(2, "points", &[]);
        let corners = [[0.0, 0.0], [100.0, 0.0], [0.0, 100.0], [100.0, 100.0]];
        let points: Vec<f32> =
            (0..400).flat_map(|at| corners[at % 4].map(|corner| corner + draw.random::<f32>())).collect();
        let device = crate::device::by_name("cpu").unwrap();
        let blocks = PointBlocks::upload(&points, 2, 4, &device);
        for seed in 0..20 {
            let centres = k_means_parallel(&points, 2, 4, seed, &blocks, &device).unwrap();
            let mut groups: Vec<(bool, bool)> = centres.chunks(2).map(|c| (c[0] > 50.0, c[1] > 50.0)).collect();
            groups.sort_unstable();
            assert_eq!(groups, [(false, false), (false, true), (true, false), (true, true)], "seed {seed}");
        }
    }

    #[test]
    fn identical_points_give_identical_centres() {
        let device = crate::device::by_name("cpu").unwrap();
        let points = [3.0f32; 20];
        let blocks = PointBlocks::upload(&points, 2, 4, &device);
        assert_eq!(k_means_parallel(&points, 2, 4, 1, &blocks, &device).unwrap(), [3.0; 8]);
    }

    #[test]
    fn draws_are_proportional_to_weight_times_factor() {
        let mut draw = rng::keyed(1, "weights", &[]);
        let mut counts = [0.0f64; 3];
        (0..4000).for_each(|_| counts[weighted(&[1.0, 0.0, 3.0], |at| [2.0, 9.0, 2.0][at], &mut draw)] += 1.0 / 4000.0);
        assert!((counts[0] - 0.25).abs() < 0.03 && counts[1] == 0.0 && (counts[2] - 0.75).abs() < 0.03, "{counts:?}");
    }
}
