//! The paper's selection (section 3.2): k-means over the features, then the samples nearest to each centre.

use super::policy::counts;
use super::{Selected, SelectionPolicy};
use crate::Result;
use crate::clustering::{Clusters, Initialisation, KMeansOptions};

/// k-means selection: keeps the samples nearest to the centres of k-means clusters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KMeansPolicy {
    /// Number of clusters as a fraction of the samples; at least one cluster.
    pub cluster_ratio: f64,
    /// Fraction of the samples that is kept; at least one sample.
    pub ratio: f64,
    /// Whether places that small clusters leave free are filled; the reference leaves them free.
    pub backfill: bool,
    /// Whether mini-batch k-means finds the clusters, instead of Lloyd's algorithm on all samples.
    pub mini_batches: bool,
}

impl SelectionPolicy for KMeansPolicy {
    fn select(
        &self,
        features: &[f32],
        width: usize,
        seed: u64,
        options: &mut KMeansOptions<'_>,
    ) -> Result<Vec<Selected>> {
        let (n, n_kept) = counts(features, width, self.ratio)?;
        let n_centres = ((n as f64 * self.cluster_ratio).round() as usize).clamp(1, n);
        let clusters = match self.mini_batches {
            true => Clusters::fit_mini_batches(features, width, n_centres, seed, options)?,
            false => Clusters::fit(features, width, Initialisation::KMeansParallel { n_centres, seed }, options)?,
        };
        let mut selected = nearest_to_centres(&clusters, n_kept);
        selected.retain(|selected| self.backfill || !selected.backfilled);
        Ok(selected)
    }
}

/// The `n_kept / n_centres` points nearest to each centre. Clusters with fewer points leave places free; the next nearest points of all clusters
/// fill them and are marked as backfilled. Ordered by cluster, then distance.
pub fn nearest_to_centres(clusters: &Clusters, n_kept: usize) -> Vec<Selected> {
    let Clusters { labels, distances, n_centres, .. } = clusters;
    let by_distance = |&a: &usize, &b: &usize| distances[a].total_cmp(&distances[b]).then(a.cmp(&b));
    let mut members = vec![Vec::new(); *n_centres];
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
    let n_free = n_kept.saturating_sub(chosen.len());
    chosen.extend(others.iter().take(n_free).map(|&index| (index, labels[index], true)));
    chosen.sort_by(|a, b| a.1.cmp(&b.1).then(by_distance(&a.0, &b.0)));
    chosen
        .into_iter()
        .map(|(index, cluster, backfilled)| Selected { index, cluster, distance: distances[index], backfilled })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::policy::no_options;

    #[test]
    fn places_of_small_clusters_are_backfilled() {
        // Cluster 0 has one member, cluster 1 has five; two are wanted of each.
        let labels = vec![1, 0, 1, 1, 1, 1];
        let distances = vec![0.5, 0.9, 0.1, 0.3, 0.7, 0.2];
        let clusters = Clusters { centres: vec![0.0; 2], labels, distances, n_centres: 2 };
        let kept: Vec<_> =
            nearest_to_centres(&clusters, 4).iter().map(|s| (s.index, s.cluster, s.backfilled)).collect();
        assert_eq!(kept, [(1, 0, false), (2, 1, false), (5, 1, false), (3, 1, true)]);
    }

    #[test]
    fn separated_groups_each_keep_their_share() {
        let mut features = Vec::new();
        for index in 0..60 {
            let centre = [0.0, 50.0, 100.0][index % 3];
            features.extend([centre + (index / 3) as f32 * 0.1, -centre]);
        }
        let policy = KMeansPolicy { cluster_ratio: 0.05, ratio: 0.15, backfill: true, mini_batches: false };
        let select = |features: &[f32], width: usize| policy.select(features, width, 11, &mut no_options());
        let kept = select(&features, 2).unwrap();
        assert_eq!(kept.len(), 9);
        for group in 0..3 {
            assert_eq!(kept.iter().filter(|s| s.index % 3 == group).count(), 3);
        }
        assert!(kept.iter().all(|s| !s.backfilled && s.distance < 1.0));
        assert_eq!(kept, select(&features, 2).unwrap());
    }

    #[test]
    fn mini_batches_keep_as_many_samples() {
        let mut rng = crate::rng::keyed(8, "points", &[]);
        let points: Vec<f32> = (0..4000).map(|_| rand::RngExt::random::<f32>(&mut rng)).collect();
        let policy = KMeansPolicy { cluster_ratio: 0.005, ratio: 0.1, backfill: true, mini_batches: true };
        assert_eq!(policy.select(&points, 2, 3, &mut no_options()).unwrap().len(), 200);
    }
}
