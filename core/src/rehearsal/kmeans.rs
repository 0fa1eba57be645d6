//! The paper's buffer policy (section 3.2): k-means over the features, then the samples nearest to each centre.

use linfa::traits::Fit;
use linfa_clustering::KMeans;
use ndarray16::Array2;
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::SeedableRng;

use super::{BufferPolicy, Selected};
use crate::{Error, Result};

/// Centres as a share of the samples, and kept samples as a share of the samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KMeansPolicy {
    /// Centres per sample, at least one centre in all.
    pub centre_ratio: f64,
    /// Kept samples per sample, at least one in all.
    pub buffer_ratio: f64,
    /// Whether places that small clusters leave free are filled up; the reference leaves them free.
    pub fill_up: bool,
}

impl BufferPolicy for KMeansPolicy {
    fn select(&self, features: &[f32], width: usize, seed: u64) -> Result<Vec<Selected>> {
        let n = features.len() / width.max(1);
        if n == 0 {
            return Err(Error::Data("no features to cluster".into()));
        }
        let share = |ratio: f64| ((n as f64 * ratio).round() as usize).clamp(1, n);
        let (n_centres, n_kept) = (share(self.centre_ratio), share(self.buffer_ratio));
        let points: Vec<f64> = features.iter().map(|&value| f64::from(value)).collect();
        let clusters = Clusters::find(&points, width, Start::PlusPlus { n_centres, seed })?;
        let mut selected = clusters.nearest_to_centres(n_kept);
        selected.retain(|selected| self.fill_up || !selected.filled_up);
        Ok(selected)
    }
}

/// Where k-means begins.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// k-means++ (Arthur and Vassilvitskii, 2007); the best of three runs counts.
    PlusPlus {
        /// Number of centres.
        n_centres: usize,
        /// Decides which points they begin at.
        seed: u64,
    },
    /// Given centres, `[n_centres, width]`.
    Given(&'a [f64]),
}

/// A clustering by k-means.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    /// `[n_centres, width]`.
    pub centres: Vec<f64>,
    /// Nearest centre of each point.
    pub labels: Vec<usize>,
    /// Euclidean distance of each point to it.
    pub distances: Vec<f64>,
    n_centres: usize,
}

impl Clusters {
    /// Lloyd's algorithm over points `[n, width]`, until no point changes its centre.
    ///
    /// # Errors
    /// No points, fewer points than centres, values of another number than `width` divides.
    pub fn find(points: &[f64], width: usize, start: Start<'_>) -> Result<Self> {
        let n = points.len() / width.max(1);
        let centres = match start {
            Start::Given(centres) => centres.to_vec(),
            Start::PlusPlus { n_centres, seed } => {
                let points = Array2::from_shape_vec((n, width), points.to_vec())
                    .map_err(|error| Error::Data(format!("features are no {n} x {width} table: {error}")))?;
                best_of_three(points, n_centres, seed)?
            }
        };
        let n_centres = centres.len() / width.max(1);
        if n_centres == 0 || n < n_centres || points.len() != n * width || centres.len() != n_centres * width {
            return Err(Error::Data(format!("k-means of {n} points of {width} values with {n_centres} centres")));
        }
        Ok(lloyd(points, width, centres))
    }

    /// Sum of the squared distances.
    pub fn inertia(&self) -> f64 {
        self.distances.iter().map(|distance| distance * distance).sum()
    }

    /// The `n_kept / n_centres` points nearest to each centre. Clusters with fewer members leave places free; the next nearest points of
    /// all clusters fill them up and are marked as such. Ordered by cluster, then distance.
    pub fn nearest_to_centres(&self, n_kept: usize) -> Vec<Selected> {
        nearest_to_centres(&self.labels, &self.distances, self.n_centres, n_kept)
    }
}

/// Centres from a k-means++ start, the best of three runs. The library averages a cluster's points together with its previous centre, which
/// moves more slowly than Lloyd's step and ends near, not at, where that would: what follows is exact.
fn best_of_three(points: Array2<f64>, n_centres: usize, seed: u64) -> Result<Vec<f64>> {
    let model = KMeans::params_with_rng(n_centres, Xoshiro256Plus::seed_from_u64(seed))
        .n_runs(3)
        .max_n_iterations(300)
        .tolerance(1e-6)
        .fit(&linfa::DatasetBase::from(points))
        .map_err(|error| Error::Data(format!("k-means with {n_centres} centres: {error}")))?;
    Ok(model.centroids().iter().copied().collect())
}

/// Steps of Lloyd's algorithm (1982) to its fixed point. Of centres at the same distance the first counts; a centre without points
/// moves to the point that is furthest from its own.
fn lloyd(points: &[f64], width: usize, mut centres: Vec<f64>) -> Clusters {
    let n_centres = centres.len() / width;
    let mut labels = Vec::new();
    // Each step lowers the inertia or is the last, so that it ends; the bound is for the digits of the machine.
    for _ in 0..MAX_STEPS {
        let nearest: Vec<(usize, f64)> = points.chunks_exact(width).map(|point| nearest(point, &centres)).collect();
        let assigned: Vec<usize> = nearest.iter().map(|(label, _)| *label).collect();
        if assigned == labels {
            break;
        }
        labels = assigned;
        let mut counts = vec![0usize; n_centres];
        let mut sums = vec![0.0; centres.len()];
        for (point, &label) in points.chunks_exact(width).zip(&labels) {
            counts[label] += 1;
            sums[label * width..][..width].iter_mut().zip(point).for_each(|(sum, value)| *sum += value);
        }
        let mut furthest: Vec<usize> = Vec::new();
        for (centre, &count) in counts.iter().enumerate() {
            let place = centre * width..(centre + 1) * width;
            if count > 0 {
                centres[place.clone()].copy_from_slice(&sums[place.clone()]);
                centres[place].iter_mut().for_each(|value| *value /= count as f64);
                continue;
            }
            if furthest.is_empty() {
                furthest = (0..nearest.len()).collect();
                furthest.sort_by(|a, b| nearest[*a].1.total_cmp(&nearest[*b].1).then(b.cmp(a)));
            }
            if let Some(point) = furthest.pop() {
                centres[place].copy_from_slice(&points[point * width..][..width]);
            }
        }
    }
    let distances = points
        .chunks_exact(width)
        .zip(&labels)
        .map(|(point, &label)| squared_distance(point, &centres[label * width..][..width]).sqrt());
    Clusters { distances: distances.collect(), labels, centres, n_centres }
}

/// Most steps of Lloyd's algorithm.
const MAX_STEPS: usize = 1000;

fn nearest(point: &[f64], centres: &[f64]) -> (usize, f64) {
    let distances = centres.chunks_exact(point.len()).map(|centre| squared_distance(point, centre));
    distances
        .enumerate()
        .fold((0, f64::INFINITY), |best, (at, distance)| if distance < best.1 { (at, distance) } else { best })
}

fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

fn nearest_to_centres(labels: &[usize], distances: &[f64], n_centres: usize, n_kept: usize) -> Vec<Selected> {
    let by_distance = |&a: &usize, &b: &usize| distances[a].total_cmp(&distances[b]).then(a.cmp(&b));
    let mut members = vec![Vec::new(); n_centres];
    for (index, &label) in labels.iter().enumerate() {
        members[label].push(index);
    }
    let per_centre = n_kept / n_centres;
    let mut chosen = Vec::new();
    let mut others = Vec::new();
    for (cluster, members) in members.iter_mut().enumerate() {
        members.sort_by(by_distance);
        let (near, far) = members.split_at(per_centre.min(members.len()));
        chosen.extend(near.iter().map(|&index| (index, cluster, false)));
        others.extend_from_slice(far);
    }
    others.sort_by(by_distance);
    let n_missing = n_kept.saturating_sub(chosen.len());
    chosen.extend(others.iter().take(n_missing).map(|&index| (index, labels[index], true)));
    chosen.sort_by(|a, b| a.1.cmp(&b.1).then(by_distance(&a.0, &b.0)));
    chosen
        .into_iter()
        .map(|(index, cluster, filled_up)| Selected { index, cluster, distance: distances[index], filled_up })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_clusters_are_filled_up_from_the_next_nearest_and_marked() {
        // Cluster 0 has one member, cluster 1 has five; two are wanted of each.
        let labels = [1, 0, 1, 1, 1, 1];
        let distances = [0.5, 0.9, 0.1, 0.3, 0.7, 0.2];
        let kept: Vec<_> =
            nearest_to_centres(&labels, &distances, 2, 4).iter().map(|s| (s.index, s.cluster, s.filled_up)).collect();
        assert_eq!(kept, [(1, 0, false), (2, 1, false), (5, 1, false), (3, 1, true)]);
    }

    #[test]
    fn a_centre_without_points_moves_to_the_point_that_is_furthest_from_its_own() {
        let points = [0.0, 1.0, 2.0, 30.0];
        let clusters = Clusters::find(&points, 1, Start::Given(&[1.0, 900.0])).unwrap();
        assert_eq!((clusters.labels.as_slice(), clusters.centres.as_slice()), (&[0, 0, 0, 1][..], &[1.0, 30.0][..]));
        assert_eq!(clusters.inertia(), 2.0);
        assert!(Clusters::find(&points, 1, Start::Given(&[0.0; 5])).is_err());
        assert!(Clusters::find(&points, 3, Start::Given(&[0.0; 3])).is_err());
        assert!(Clusters::find(&[], 1, Start::Given(&[0.0])).is_err());
    }

    #[test]
    fn the_seeded_clustering_is_a_fixed_point() {
        let mut generator = crate::draw::generator(4, "points", &[]);
        let points: Vec<f64> = (0..300 * 5).map(|_| rand::RngExt::random::<f64>(&mut generator)).collect();
        let start = Start::PlusPlus { n_centres: 12, seed: 3 };
        let clusters = Clusters::find(&points, 5, start).unwrap();
        assert_eq!(clusters, Clusters::find(&points, 5, Start::Given(&clusters.centres)).unwrap());
    }

    #[test]
    fn separated_groups_each_keep_their_share() {
        let mut features = Vec::new();
        for index in 0..60 {
            let centre = [0.0, 50.0, 100.0][index % 3];
            features.extend([centre + (index / 3) as f32 * 0.1, -centre]);
        }
        let policy = KMeansPolicy { centre_ratio: 0.05, buffer_ratio: 0.15, fill_up: true };
        let kept = policy.select(&features, 2, 11).unwrap();
        assert_eq!(kept.len(), 9);
        for group in 0..3 {
            assert_eq!(kept.iter().filter(|s| s.index % 3 == group).count(), 3);
        }
        assert!(kept.iter().all(|s| !s.filled_up && s.distance < 1.0));
        assert_eq!(kept, policy.select(&features, 2, 11).unwrap());
    }
}
