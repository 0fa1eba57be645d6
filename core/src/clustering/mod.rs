//! k-means clustering of points: Lloyd's algorithm to its fixed point, and mini-batch k-means for very many points.
//!
//! Points are `[n, width]`, row-major, in single or double precision; centres are in double precision. The same points, options and machine
//! give the same clusters, whatever the number of threads.

mod distances;
mod initialisation;
mod lloyd;
mod mini_batch;

use burn::tensor::Device;

use crate::{DataError, Result};

use distances::{Assignment, PointBlocks};

/// The centres before the first iteration.
#[derive(Debug, Clone, Copy)]
pub enum Initialisation<'a> {
    /// k-means|| (Bahmani et al., "Scalable k-means++", VLDB 2012).
    KMeansParallel {
        /// Number of centres.
        n_centres: usize,
        /// Seed of the drawn centres.
        seed: u64,
    },
    /// Given centres, `[n_centres, width]`.
    Given(&'a [f64]),
}

/// How long k-means runs, where, and who follows it.
pub struct KMeansOptions<'a> {
    /// Device of the matrix products.
    pub device: &'a Device,
    /// Most iterations of Lloyd's algorithm. It usually converges long before [`KMeansOptions::MAX_ITERATIONS`].
    pub max_iterations: usize,
    /// Called with the number of the iteration, from 1, and the number of points that changed their cluster in the one before. An error ends
    /// the clustering.
    pub progress: &'a mut dyn FnMut(usize, usize) -> Result<()>,
}

impl KMeansOptions<'_> {
    /// A bound for inputs on which rounding keeps the algorithm from converging.
    pub const MAX_ITERATIONS: usize = 1000;
}

/// A clustering by k-means.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    /// `[n_centres, width]`.
    pub centres: Vec<f64>,
    /// Cluster of each point: the one with the nearest centre.
    pub labels: Vec<usize>,
    /// Euclidean distance of each point to the centre of its cluster.
    pub distances: Vec<f64>,
    /// Number of clusters.
    pub n_centres: usize,
}

impl Clusters {
    /// Lloyd's algorithm until no point changes its cluster.
    ///
    /// # Errors
    /// No points, fewer points than centres, a number of values that `width` does not divide, an error of `options.progress`.
    pub fn fit<P: Coordinate>(
        points: &[P],
        width: usize,
        initialisation: Initialisation<'_>,
        options: &mut KMeansOptions<'_>,
    ) -> Result<Self> {
        let n_centres = match initialisation {
            Initialisation::Given(centres) => centres.len() / width.max(1),
            Initialisation::KMeansParallel { n_centres, .. } => n_centres,
        };
        check(points, width, n_centres)?;
        if let Initialisation::Given(centres) = initialisation
            && centres.len() != n_centres * width
        {
            return Err(DataError::Clustering {
                detail: format!("{} values are no centres of {width} values", centres.len()),
            }
            .into());
        }
        let blocks = PointBlocks::upload(points, width, n_centres, options.device);
        let centres = match initialisation {
            Initialisation::Given(centres) => centres.to_vec(),
            Initialisation::KMeansParallel { n_centres, seed } => {
                initialisation::k_means_parallel(points, width, n_centres, seed, &blocks, options.device)?
            }
        };
        lloyd::lloyd(points, width, &blocks, centres, options)
    }

    /// Mini-batch k-means (Sculley, "Web-scale k-means clustering", WWW 2010): initialisation and iterations see a batch of the points each,
    /// and all points are used a few times only.
    ///
    /// # Errors
    /// As [`Clusters::fit`].
    pub fn fit_mini_batches<P: Coordinate>(
        points: &[P],
        width: usize,
        n_centres: usize,
        seed: u64,
        options: &mut KMeansOptions<'_>,
    ) -> Result<Self> {
        check(points, width, n_centres)?;
        mini_batch::mini_batches(points, width, n_centres, seed, options)
    }

    fn new(assignments: Vec<Assignment>, centres: Vec<f64>, n_centres: usize) -> Self {
        Self {
            labels: assignments.iter().map(|assignment| assignment.centre).collect(),
            distances: assignments.iter().map(|assignment| assignment.distance.sqrt()).collect(),
            centres,
            n_centres,
        }
    }

    /// Sum of the squared distances.
    pub fn inertia(&self) -> f64 {
        self.distances.iter().map(|distance| distance * distance).sum()
    }
}

/// Makes sure that there are whole points, and at least as many as centres.
fn check<P>(points: &[P], width: usize, n_centres: usize) -> Result<()> {
    let n = points.len() / width.max(1);
    if points.len() == n * width && n_centres >= 1 && n >= n_centres {
        return Ok(());
    }
    Err(DataError::Clustering {
        detail: format!(
            "{} values are {n} points of {width} values, which cannot have {n_centres} clusters",
            points.len()
        ),
    }
    .into())
}

/// A coordinate of a point, in single or double precision.
pub trait Coordinate: Copy + Into<f64> + Send + Sync {}

impl Coordinate for f32 {}
impl Coordinate for f64 {}

/// Squared Euclidean distance, in double precision, as eight interleaved sums: one alone would wait for itself at every value.
fn exact_distance<P: Coordinate>(point: &[P], centre: &[f64]) -> f64 {
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

#[cfg(test)]
mod tests {
    use linfa::traits::Fit;
    use ndarray16::Array2;
    use rand_xoshiro::Xoshiro256Plus;
    use rand_xoshiro::rand_core::SeedableRng;

    use super::*;

    fn fit<P: Coordinate>(points: &[P], width: usize, start: Initialisation<'_>) -> Result<Clusters> {
        let mut options = KMeansOptions {
            device: &Device::flex(),
            max_iterations: KMeansOptions::MAX_ITERATIONS,
            progress: &mut |_, _| Ok(()),
        };
        Clusters::fit(points, width, start, &mut options)
    }

    #[test]
    fn a_centre_without_points_moves_to_the_point_that_is_furthest_from_its_own() {
        let points = [0.0, 1.0, 2.0, 30.0];
        let clusters = fit(&points, 1, Initialisation::Given(&[1.0, 900.0])).unwrap();
        assert_eq!((clusters.labels.as_slice(), clusters.centres.as_slice()), (&[0, 0, 0, 1][..], &[1.0, 30.0][..]));
        assert_eq!(clusters.inertia(), 2.0);
        assert!(fit(&points, 1, Initialisation::Given(&[0.0; 5])).is_err());
        assert!(fit(&points, 3, Initialisation::Given(&[0.0; 3])).is_err());
        assert!(fit::<f64>(&[], 1, Initialisation::Given(&[0.0])).is_err());
    }

    #[test]
    fn the_seeded_clustering_is_a_fixed_point() {
        let mut generator = crate::rng::keyed(4, "points", &[]);
        let points: Vec<f64> = (0..300 * 5).map(|_| rand::RngExt::random::<f64>(&mut generator)).collect();
        let start = Initialisation::KMeansParallel { n_centres: 12, seed: 3 };
        let clusters = fit(&points, 5, start).unwrap();
        assert_eq!(clusters, fit(&points, 5, Initialisation::Given(&clusters.centres)).unwrap());
    }

    #[test]
    fn mini_batches_come_near_to_the_whole_and_repeat() {
        let mut generator = crate::rng::keyed(8, "points", &[]);
        let mut draw = || rand::RngExt::random::<f32>(&mut generator);
        // Twenty blobs on a line, and a thousand points each.
        let points: Vec<f32> = (0..20_000).flat_map(|at| [10.0 * (at % 20) as f32 + draw(), draw()]).collect();
        let mut options = KMeansOptions {
            device: &Device::flex(),
            max_iterations: KMeansOptions::MAX_ITERATIONS,
            progress: &mut |_, _| Ok(()),
        };
        let mut by_batches = |seed| Clusters::fit_mini_batches(&points, 2, 20, seed, &mut options).unwrap();
        let clusters = by_batches(3);
        assert_eq!(clusters, by_batches(3));
        let whole = fit(&points, 2, Initialisation::KMeansParallel { n_centres: 20, seed: 3 }).unwrap();
        let ratio = clusters.inertia() / whole.inertia();
        assert!((1.0..1.02).contains(&ratio), "{ratio}");
        // Each point is with its nearest centre, and at its distance.
        let given = fit(&points, 2, Initialisation::Given(&clusters.centres)).unwrap();
        assert!(given.inertia() <= clusters.inertia());
        let at = |point: usize| {
            exact_distance(&points[2 * point..][..2], &clusters.centres[2 * clusters.labels[point]..][..2])
        };
        assert!((0..20_000).step_by(97).all(|point| (at(point).sqrt() - clusters.distances[point]).abs() < 1e-9));
        assert!(Clusters::fit_mini_batches(&points, 2, 20_001, 0, &mut options).is_err());
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
            let found = fit(&points, width, Initialisation::Given(&centres)).unwrap();
            let (labels, centres) = plain(&points, width, centres);
            proptest::prop_assert_eq!(&found.labels, &labels);
            proptest::prop_assert_eq!(&found.centres, &centres);
        }
    }

    /// The inertia of linfa-clustering's k-means, the best of three runs.
    fn inertia_of_linfa(points: &[f32], width: usize, n_centres: usize, seed: u64) -> f64 {
        let values: Vec<f64> = points.iter().map(|value| f64::from(*value)).collect();
        let points = Array2::from_shape_vec((values.len() / width, width), values).unwrap();
        let rng = Xoshiro256Plus::seed_from_u64(seed);
        let dataset = linfa::DatasetBase::from(points.clone());
        let model = linfa_clustering::KMeans::params_with_rng(n_centres, rng).n_runs(3).fit(&dataset).unwrap();
        let centres: Vec<f64> = model.centroids().iter().copied().collect();
        let nearest = |point: &[f64]| {
            centres.chunks_exact(width).map(|centre| exact_distance(point, centre)).fold(f64::INFINITY, f64::min)
        };
        points.as_slice().unwrap().chunks_exact(width).map(nearest).sum()
    }

    #[test]
    fn inertia_is_within_one_per_cent_of_the_best_of_three_runs_of_linfa() {
        for (n, width, n_centres) in [(160, 8, 2), (500, 16, 5), (1000, 4, 10), (2000, 16, 40)] {
            let mut ratios = Vec::new();
            for seed in 0..10 {
                let mut rng = crate::rng::keyed(seed, "points", &[n as u64]);
                let mut uniform = || rand::RngExt::random::<f32>(&mut rng);
                // As many overlapping groups as clusters.
                let groups: Vec<f32> = (0..n_centres * width).map(|_| uniform()).collect();
                let points: Vec<f32> =
                    (0..n * width).map(|at| groups[at % groups.len()] + uniform() + uniform()).collect();
                let clusters = fit(&points, width, Initialisation::KMeansParallel { n_centres, seed }).unwrap();
                ratios.push(clusters.inertia() / inertia_of_linfa(&points, width, n_centres, seed));
            }
            let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
            assert!(mean < 1.01, "{n} points of {width} values in {n_centres} clusters: {ratios:?}");
        }
    }

    #[test]
    fn a_large_input_ends_where_no_point_would_change_and_the_work_can_be_ended() {
        let mut generator = crate::rng::keyed(6, "points", &[]);
        let points: Vec<f32> = (0..30_000 * 8).map(|_| rand::RngExt::random::<f32>(&mut generator)).collect();
        let start = || Initialisation::KMeansParallel { n_centres: 500, seed: 1 };
        let clusters = fit(&points, 8, start()).unwrap();
        assert_eq!(clusters, fit(&points, 8, start()).unwrap());
        assert_eq!(clusters, fit(&points, 8, Initialisation::Given(&clusters.centres)).unwrap());
        let mut steps = 0;
        let mut options = KMeansOptions {
            device: &Device::flex(),
            max_iterations: KMeansOptions::MAX_ITERATIONS,
            progress: &mut |step, n_changed| {
                (steps, _) = (step, assert!(n_changed > 0));
                if step == 2 { Err(crate::Error::Caller("enough".into())) } else { Ok(()) }
            },
        };
        let ended = Clusters::fit(&points, 8, start(), &mut options);
        assert_eq!((ended.unwrap_err().to_string(), steps), ("enough".to_string(), 2));
    }
}
