//! The paper's selection (section 3.2): k-means over the features, then the samples nearest to each centre.

use serde::{Deserialize, Serialize};

use super::policy::{counts, n_of};
use super::{Selected, SelectionPolicy};
use crate::clustering::{Clusters, Initialisation, KMeansOptions};
use crate::{Result, rng};

/// Method that draws the first centres of k-means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum BufferInitialisation {
    /// k-means|| (Bahmani et al., VLDB 2012): a few passes over the samples, however many centres.
    #[default]
    #[serde(rename = "k-means||")]
    KMeansParallel,
    /// Greedy k-means++ (Arthur and Vassilvitskii, 2007), as in scikit-learn: a pass over the samples for each centre.
    #[serde(rename = "k-means++")]
    KMeansPlusPlus,
}

/// k-means selection: keeps the samples nearest to the centres of k-means clusters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KMeansPolicy {
    /// Number of clusters as a fraction of the samples.
    pub cluster_ratio: f64,
    /// Fraction of the samples that is kept.
    pub ratio: f64,
    /// Whether places that clusters leave free are filled; the reference leaves them free.
    pub backfill: bool,
    /// Whether mini-batch k-means finds the clusters, instead of Lloyd's algorithm on all samples.
    pub mini_batches: bool,
    /// Method that draws the first centres of Lloyd's algorithm.
    pub initialisation: BufferInitialisation,
    /// Number of clusterings from different first centres; the one with the least inertia is taken.
    pub n_starts: usize,
}

impl KMeansPolicy {
    /// Number of clusters of `n` samples, and number of samples kept of each, by the reference's rule: `int(cluster_ratio * n)` clusters of
    /// `int(ratio * n // n_clusters)` samples. The reference divides by zero where there are no clusters (below 100 samples); here there is at least
    /// one, of at least one sample.
    pub fn counts(&self, n: usize) -> [usize; 2] {
        let n_clusters = n_of(n, self.cluster_ratio);
        [n_clusters, (n_of(n, self.ratio) / n_clusters).max(1)]
    }

    /// The selection from a clustering of all samples: the second half of [`SelectionPolicy::select`].
    pub fn nearest(&self, clusters: &Clusters) -> Vec<Selected> {
        let n = clusters.labels.len();
        let [_, n_per_centre] = self.counts(n);
        let mut selected = nearest_to_centres(clusters, n_per_centre, n_of(n, self.ratio));
        selected.retain(|selected| self.backfill || !selected.backfilled);
        selected
    }

    fn clusters(&self, features: &[f32], width: usize, seed: u64, options: &mut KMeansOptions<'_>) -> Result<Clusters> {
        let [n_centres, _] = self.counts(features.len() / width);
        if self.mini_batches {
            return Clusters::fit_mini_batches(features, width, n_centres, seed, options);
        }
        let start = match self.initialisation {
            BufferInitialisation::KMeansParallel => Initialisation::KMeansParallel { n_centres, seed },
            BufferInitialisation::KMeansPlusPlus => Initialisation::KMeansPlusPlus { n_centres, seed },
        };
        Clusters::fit(features, width, start, options)
    }
}

impl SelectionPolicy for KMeansPolicy {
    fn select(
        &self,
        features: &[f32],
        width: usize,
        seed: u64,
        options: &mut KMeansOptions<'_>,
    ) -> Result<Vec<Selected>> {
        counts(features, width, self.ratio)?;
        let mut clusters = self.clusters(features, width, seed, options)?;
        for start in 1..self.n_starts {
            let seed = rng::derived(seed, "k-means start", &[start as u64]);
            let other = self.clusters(features, width, seed, options)?;
            // Of equal clusterings the first is taken.
            if other.inertia() < clusters.inertia() {
                clusters = other;
            }
        }
        Ok(self.nearest(&clusters))
    }
}

/// The `n_per_centre` points nearest to each centre. Of `n_kept` places, those that clusters leave free are filled by the next nearest points of all
/// clusters, which are marked as backfilled. Ordered by cluster, then distance.
fn nearest_to_centres(clusters: &Clusters, n_per_centre: usize, n_kept: usize) -> Vec<Selected> {
    let Clusters { labels, distances, n_centres, .. } = clusters;
    let by_distance = |&a: &usize, &b: &usize| distances[a].total_cmp(&distances[b]).then(a.cmp(&b));
    let mut members = vec![Vec::new(); *n_centres];
    for (index, &label) in labels.iter().enumerate() {
        members[label].push(index);
    }
    let mut chosen = Vec::new();
    let mut others = Vec::new();
    for (cluster, members) in members.iter_mut().enumerate() {
        members.sort_by(by_distance);
        let (near, far) = members.split_at(n_per_centre.min(members.len()));
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
    use crate::buffer::BufferConfig;
    use crate::buffer::policy::no_options;

    fn policy() -> KMeansPolicy {
        BufferConfig::default().k_means()
    }

    #[test]
    fn places_of_small_clusters_are_backfilled() {
        // Cluster 0 has one member, cluster 1 has five; two are wanted of each.
        let labels = vec![1, 0, 1, 1, 1, 1];
        let distances = vec![0.5, 0.9, 0.1, 0.3, 0.7, 0.2];
        let clusters = Clusters { centres: vec![0.0; 2], labels, distances, n_centres: 2 };
        let kept: Vec<_> =
            nearest_to_centres(&clusters, 2, 4).iter().map(|s| (s.index, s.cluster, s.backfilled)).collect();
        assert_eq!(kept, [(1, 0, false), (2, 1, false), (5, 1, false), (3, 1, true)]);
    }

    #[test]
    fn separated_groups_each_keep_their_share() {
        let mut features = Vec::new();
        for index in 0..60 {
            let centre = [0.0, 50.0, 100.0][index % 3];
            features.extend([centre + (index / 3) as f32 * 0.1, -centre]);
        }
        let policy = KMeansPolicy { cluster_ratio: 0.05, ratio: 0.15, ..policy() };
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
        let policy = KMeansPolicy { cluster_ratio: 0.005, ratio: 0.1, mini_batches: true, ..policy() };
        assert_eq!(policy.select(&points, 2, 3, &mut no_options()).unwrap().len(), 200);
    }

    #[test]
    fn counts_are_whole_numbers_as_the_reference_has_them() {
        // (samples, clusters, kept of each), from the reference's rule.
        for (n, n_clusters, n_kept) in
            [(1, 1, 1), (99, 1, 4), (120, 1, 6), (199, 1, 9), (499, 4, 6), (550, 5, 5), (1099, 10, 5)]
        {
            assert_eq!(policy().counts(n), [n_clusters, n_kept], "{n} samples");
            // Nothing below a hundred divides by zero, and no buffer is empty.
            let features: Vec<f32> = (0..n).map(|at| (at * at % 31) as f32).collect();
            let kept = policy().select(&features, 1, 0, &mut no_options()).unwrap();
            // Backfilling keeps the fraction; without it clusters keep at most their share.
            assert_eq!(kept.len(), (n / 20).max(1), "{n} samples");
            let kept = KMeansPolicy { backfill: false, ..policy() }.select(&features, 1, 0, &mut no_options()).unwrap();
            assert!(kept.len() <= n_clusters * n_kept, "{n} samples");
        }
    }

    #[test]
    fn the_best_of_several_starts_is_no_worse_than_the_first() {
        let mut rng = crate::rng::keyed(4, "points", &[]);
        let points: Vec<f32> = (0..600).map(|_| rand::RngExt::random::<f32>(&mut rng)).collect();
        for initialisation in [BufferInitialisation::KMeansPlusPlus, BufferInitialisation::KMeansParallel] {
            let distance = |n_starts| {
                let policy = KMeansPolicy { cluster_ratio: 0.1, ratio: 1.0, n_starts, initialisation, ..policy() };
                let selected = policy.select(&points, 2, 5, &mut no_options()).unwrap();
                selected.iter().map(|selected| selected.distance.powi(2)).sum::<f64>()
            };
            let [one, ten] = [distance(1), distance(10)];
            assert!(ten < one, "{ten} after ten starts, {one} after one");
        }
    }
}
