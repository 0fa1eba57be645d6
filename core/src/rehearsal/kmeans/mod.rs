//! The paper's buffer policy (section 3.2): k-means over the features, then the samples nearest to each centre.

mod distances;
mod lloyd;
mod mini_batch;
mod start;

use burn::tensor::Device;

use super::policy::counts;
use super::{BufferPolicy, Selected};
use crate::{Error, Result};

use distances::{Blocks, Nearest};

/// Centres as a share of the samples, and kept samples as a share of the samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KMeansPolicy {
    /// Centres per sample, at least one centre in all.
    pub centre_ratio: f64,
    /// Kept samples per sample, at least one in all.
    pub buffer_ratio: f64,
    /// Whether places that small clusters leave free are filled up; the reference leaves them free.
    pub fill_up: bool,
    /// Whether clusters come from small batches rather than from all samples at once.
    pub mini_batches: bool,
}

impl BufferPolicy for KMeansPolicy {
    fn select(&self, features: &[f32], width: usize, seed: u64, work: &mut Work<'_>) -> Result<Vec<Selected>> {
        let (n, n_kept) = counts(features, width, self.buffer_ratio)?;
        let n_centres = ((n as f64 * self.centre_ratio).round() as usize).clamp(1, n);
        let clusters = match self.mini_batches {
            true => Clusters::by_mini_batches(features, width, n_centres, seed, work)?,
            false => Clusters::find(features, width, Start::PlusPlus { n_centres, seed }, work)?,
        };
        let mut selected = clusters.nearest_to_centres(n_kept);
        selected.retain(|selected| self.fill_up || !selected.filled_up);
        Ok(selected)
    }
}

/// Where k-means begins.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// k-means++ (Arthur and Vassilvitskii, 2007), the best of three runs; above [`MOST_WORK`] k-means|| (Bahmani et al., 2012).
    PlusPlus {
        /// Number of centres.
        n_centres: usize,
        /// Decides which points they begin at.
        seed: u64,
    },
    /// Given centres, `[n_centres, width]`.
    Given(&'a [f64]),
}

/// Where the work is done, how much of it, and who hears of it.
pub struct Work<'a> {
    /// Where products are computed.
    pub device: &'a Device,
    /// Most steps of Lloyd's algorithm. [`Work::STEPS`] is more than are ever needed: each lowers the inertia or is the last.
    pub most_steps: usize,
    /// Hears how many steps are done and how many points have changed their centre in the last one; an error ends the work.
    pub progress: &'a mut dyn FnMut(usize, usize) -> Result<()>,
}

impl Work<'_> {
    /// A bound that only keeps the digits of a machine from going round in circles.
    pub const STEPS: usize = 1000;
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
    /// Lloyd's algorithm over points `[n, width]`, until no point changes its centre. The same points, start and machine give the same
    /// clusters, whatever the threads.
    ///
    /// # Errors
    /// No points, fewer points than centres, values of another number than `width` divides, a request to stop.
    pub fn find<P: Number>(points: &[P], width: usize, start: Start<'_>, work: &mut Work<'_>) -> Result<Self> {
        let n = points.len() / width.max(1);
        let n_centres = match start {
            Start::Given(centres) => centres.len() / width.max(1),
            Start::PlusPlus { n_centres, .. } => n_centres,
        };
        let fits = points.len() == n * width && n_centres >= 1 && n >= n_centres;
        if !fits || matches!(start, Start::Given(centres) if centres.len() != n_centres * width) {
            return Err(Error::Data(format!("k-means of {n} points of {width} values with {n_centres} centres")));
        }
        let blocks = Blocks::upload(points, width, n_centres, work.device);
        let centres = match start {
            Start::Given(centres) => centres.to_vec(),
            Start::PlusPlus { n_centres, seed } => {
                start::plus_plus_start(points, width, n_centres, seed, &blocks, work.device)?
            }
        };
        lloyd::lloyd(points, width, &blocks, centres, work)
    }

    fn new(nearest: Vec<Nearest>, centres: Vec<f64>, n_centres: usize) -> Self {
        Self {
            labels: nearest.iter().map(|nearest| nearest.centre).collect(),
            distances: nearest.iter().map(|nearest| nearest.distance.sqrt()).collect(),
            centres,
            n_centres,
        }
    }

    /// Mini-batch k-means (Sculley, "Web-scale k-means clustering", WWW 2010): the start and every step look at a part of the points, and all of them
    /// are gone through a few times only. The same points and seed give the same clusters, whatever the threads.
    ///
    /// # Errors
    /// As [`Clusters::find`].
    pub fn by_mini_batches<P: Number>(
        points: &[P],
        width: usize,
        n_centres: usize,
        seed: u64,
        work: &mut Work<'_>,
    ) -> Result<Self> {
        let n = points.len() / width.max(1);
        if points.len() != n * width || n_centres == 0 || n < n_centres {
            return Err(Error::Data(format!("k-means of {n} points of {width} values with {n_centres} centres")));
        }
        mini_batch::mini_batches(points, width, n_centres, seed, work)
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

/// Values times centres up to which three runs of k-means++ take no time that matters.
pub const MOST_WORK: usize = 100_000_000;

/// A coordinate: single or double precision.
pub trait Number: Copy + Into<f64> + Send + Sync {}

impl Number for f32 {}
impl Number for f64 {}

/// Squared Euclidean distance, in double precision, as eight interleaved sums: one alone would wait for itself at every value.
fn exact_distance<P: Number>(point: &[P], centre: &[f64]) -> f64 {
    const LANES: usize = 8;
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut sums = [0.0; LANES];
            let (points, centres) = (point.chunks_exact(LANES), centre.chunks_exact(LANES));
            let rest = points.remainder().iter().zip(centres.remainder());
            let rest: f64 = rest.map(|(value, other)| ((*value).into() - other).powi(2)).sum();
            for (values, others) in points.zip(centres) {
                for ((sum, value), other) in sums.iter_mut().zip(values).zip(others) {
                    let difference = (*value).into() - other;
                    *sum += difference * difference;
                }
            }
            sums.iter().sum::<f64>() + rest
        },
    )
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

    fn find<P: Number>(points: &[P], width: usize, start: Start<'_>) -> Result<Clusters> {
        let mut work = Work { device: &Device::flex(), most_steps: Work::STEPS, progress: &mut |_, _| Ok(()) };
        Clusters::find(points, width, start, &mut work)
    }

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
        let clusters = find(&points, 1, Start::Given(&[1.0, 900.0])).unwrap();
        assert_eq!((clusters.labels.as_slice(), clusters.centres.as_slice()), (&[0, 0, 0, 1][..], &[1.0, 30.0][..]));
        assert_eq!(clusters.inertia(), 2.0);
        assert!(find(&points, 1, Start::Given(&[0.0; 5])).is_err());
        assert!(find(&points, 3, Start::Given(&[0.0; 3])).is_err());
        assert!(find::<f64>(&[], 1, Start::Given(&[0.0])).is_err());
    }

    #[test]
    fn the_seeded_clustering_is_a_fixed_point() {
        let mut generator = crate::rng::keyed(4, "points", &[]);
        let points: Vec<f64> = (0..300 * 5).map(|_| rand::RngExt::random::<f64>(&mut generator)).collect();
        let start = Start::PlusPlus { n_centres: 12, seed: 3 };
        let clusters = find(&points, 5, start).unwrap();
        assert_eq!(clusters, find(&points, 5, Start::Given(&clusters.centres)).unwrap());
    }

    #[test]
    fn separated_groups_each_keep_their_share() {
        let mut features = Vec::new();
        for index in 0..60 {
            let centre = [0.0, 50.0, 100.0][index % 3];
            features.extend([centre + (index / 3) as f32 * 0.1, -centre]);
        }
        let policy = KMeansPolicy { centre_ratio: 0.05, buffer_ratio: 0.15, fill_up: true, mini_batches: false };
        let select = |features: &[f32], width: usize| {
            let mut work = Work { device: &Device::flex(), most_steps: Work::STEPS, progress: &mut |_, _| Ok(()) };
            policy.select(features, width, 11, &mut work)
        };
        let kept = select(&features, 2).unwrap();
        assert_eq!(kept.len(), 9);
        for group in 0..3 {
            assert_eq!(kept.iter().filter(|s| s.index % 3 == group).count(), 3);
        }
        assert!(kept.iter().all(|s| !s.filled_up && s.distance < 1.0));
        assert_eq!(kept, select(&features, 2).unwrap());
    }

    #[test]
    fn mini_batches_come_near_to_the_whole_and_repeat() {
        let mut generator = crate::rng::keyed(8, "points", &[]);
        let mut draw = || rand::RngExt::random::<f32>(&mut generator);
        // Twenty blobs on a line, and a thousand points each.
        let points: Vec<f32> = (0..20_000).flat_map(|at| [10.0 * (at % 20) as f32 + draw(), draw()]).collect();
        let mut work = Work { device: &Device::flex(), most_steps: Work::STEPS, progress: &mut |_, _| Ok(()) };
        let mut by_batches = |seed| Clusters::by_mini_batches(&points, 2, 20, seed, &mut work).unwrap();
        let clusters = by_batches(3);
        assert_eq!(clusters, by_batches(3));
        let whole = find(&points, 2, Start::PlusPlus { n_centres: 20, seed: 3 }).unwrap();
        let ratio = clusters.inertia() / whole.inertia();
        assert!((1.0..1.02).contains(&ratio), "{ratio}");
        // Each point is with its nearest centre, and at its distance.
        let given = find(&points, 2, Start::Given(&clusters.centres)).unwrap();
        assert!(given.inertia() <= clusters.inertia());
        let at = |point: usize| {
            exact_distance(&points[2 * point..][..2], &clusters.centres[2 * clusters.labels[point]..][..2])
        };
        assert!((0..20_000).step_by(97).all(|point| (at(point).sqrt() - clusters.distances[point]).abs() < 1e-9));
        assert!(Clusters::by_mini_batches(&points, 2, 20_001, 0, &mut work).is_err());
        let policy = KMeansPolicy { centre_ratio: 0.001, buffer_ratio: 0.01, fill_up: true, mini_batches: true };
        assert_eq!(policy.select(&points, 2, 3, &mut work).unwrap().len(), 200);
    }

    /// Lloyd's algorithm as it is written down, in double precision.
    fn plain(points: &[f32], width: usize, mut centres: Vec<f64>) -> (Vec<usize>, Vec<f64>) {
        let mut labels: Vec<usize> = Vec::new();
        loop {
            let nearest = |point: &[f32]| {
                let distances = centres.chunks_exact(width).map(|centre| exact_distance(point, centre));
                distances.enumerate().fold((0, f64::INFINITY), |best, new| if new.1 < best.1 { new } else { best }).0
            };
            let now: Vec<usize> = points.chunks_exact(width).map(nearest).collect();
            if now == labels {
                return (labels, centres);
            }
            labels = now;
            for (at, centre) in centres.chunks_exact_mut(width).enumerate() {
                let members: Vec<_> = points.chunks_exact(width).zip(&labels).filter(|(_, l)| **l == at).collect();
                for (axis, value) in centre.iter_mut().enumerate() {
                    *value =
                        members.iter().map(|(point, _)| f64::from(point[axis])).sum::<f64>() / members.len() as f64;
                }
            }
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]
        #[test]
        fn matrix_products_give_the_clusters_of_the_plain_algorithm(
            n in 60usize..300, width in 1usize..9, n_centres in 1usize..30, seed: u64, offset in -1000.0f32..1000.0,
        ) {
            let mut generator = crate::rng::keyed(seed, "points", &[]);
            // Far from the origin, and some of them copies: single precision alone would not tell them apart.
            let mut points: Vec<f32> =
                (0..n * width).map(|_| offset + rand::RngExt::random::<f32>(&mut generator)).collect();
            points.copy_within(0..3 * width, 10 * width);
            let centres: Vec<f64> = points[3 * width..][..n_centres * width].iter().map(|v| f64::from(*v)).collect();
            let found = find(&points, width, Start::Given(&centres)).unwrap();
            let (labels, centres) = plain(&points, width, centres);
            proptest::prop_assert_eq!(&found.labels, &labels);
            proptest::prop_assert_eq!(&found.centres, &centres);
        }
    }

    #[test]
    fn a_large_input_ends_where_no_point_would_change_and_the_work_can_be_ended() {
        let mut generator = crate::rng::keyed(6, "points", &[]);
        let points: Vec<f32> = (0..30_000 * 8).map(|_| rand::RngExt::random::<f32>(&mut generator)).collect();
        let start = || Start::PlusPlus { n_centres: 500, seed: 1 };
        let clusters = find(&points, 8, start()).unwrap();
        assert_eq!(clusters, find(&points, 8, start()).unwrap());
        assert_eq!(clusters, find(&points, 8, Start::Given(&clusters.centres)).unwrap());
        let mut steps = 0;
        let mut work = Work {
            device: &Device::flex(),
            most_steps: Work::STEPS,
            progress: &mut |step, n_changed| {
                (steps, _) = (step, assert!(n_changed > 0));
                if step == 2 { Err(Error::Data("enough".into())) } else { Ok(()) }
            },
        };
        let ended = Clusters::find(&points, 8, start(), &mut work);
        assert_eq!((ended.unwrap_err().to_string(), steps), ("enough".to_string(), 2));
    }
}
