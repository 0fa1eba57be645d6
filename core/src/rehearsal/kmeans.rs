//! The paper's buffer policy (section 3.2): k-means over the features, then the samples nearest to each centre.

use linfa::traits::{Fit, Predict};
use linfa_clustering::KMeans;
use ndarray16::{Array1, Array2};
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
}

impl BufferPolicy for KMeansPolicy {
    fn select(&self, features: &[f32], width: usize, seed: u64) -> Result<Vec<Selected>> {
        let n = features.len() / width.max(1);
        if n == 0 {
            return Err(Error::Data("no features to cluster".into()));
        }
        let share = |ratio: f64| ((n as f64 * ratio).round() as usize).clamp(1, n);
        let (n_centres, n_kept) = (share(self.centre_ratio), share(self.buffer_ratio));
        let points = features.iter().map(|&value| f64::from(value)).collect();
        let points = Array2::from_shape_vec((n, width), points)
            .map_err(|error| Error::Data(format!("features are no {n} x {width} table: {error}")))?;
        let (labels, distances) = cluster(points, n_centres, seed)?;
        Ok(nearest_to_centres(&labels, &distances, n_centres, n_kept))
    }
}

/// Lloyd's algorithm from a k-means++ start, best of three. Cluster and distance to its centre, for each point.
fn cluster(points: Array2<f64>, n_centres: usize, seed: u64) -> Result<(Vec<usize>, Vec<f64>)> {
    let generator = Xoshiro256Plus::seed_from_u64(seed);
    let dataset = linfa::DatasetBase::from(points);
    let model = KMeans::params_with_rng(n_centres, generator)
        .n_runs(3)
        .max_n_iterations(300)
        .tolerance(1e-6)
        .fit(&dataset)
        .map_err(|error| Error::Data(format!("k-means with {n_centres} centres: {error}")))?;
    let labels: Array1<usize> = model.predict(&dataset);
    let distances = dataset
        .records()
        .rows()
        .into_iter()
        .zip(&labels)
        .map(|(point, &label)| (&point - &model.centroids().row(label)).mapv(|d| d * d).sum().sqrt())
        .collect();
    Ok((labels.to_vec(), distances))
}

/// The `n_kept / n_centres` samples nearest to each centre. Clusters with fewer members leave places free; the next nearest samples of
/// all clusters fill them up and are marked as such (the reference leaves them free). Ordered by cluster, then distance.
pub(crate) fn nearest_to_centres(
    labels: &[usize],
    distances: &[f64],
    n_centres: usize,
    n_kept: usize,
) -> Vec<Selected> {
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
    fn separated_groups_each_keep_their_share() {
        let mut features = Vec::new();
        for index in 0..60 {
            let centre = [0.0, 50.0, 100.0][index % 3];
            features.extend([centre + (index / 3) as f32 * 0.1, -centre]);
        }
        let policy = KMeansPolicy { centre_ratio: 0.05, buffer_ratio: 0.15 };
        let kept = policy.select(&features, 2, 11).unwrap();
        assert_eq!(kept.len(), 9);
        for group in 0..3 {
            assert_eq!(kept.iter().filter(|s| s.index % 3 == group).count(), 3);
        }
        assert!(kept.iter().all(|s| !s.filled_up && s.distance < 1.0));
        assert_eq!(kept, policy.select(&features, 2, 11).unwrap());
    }
}
