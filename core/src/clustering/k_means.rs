//! k-means of points `[n, width]`, row-major.

use super::clusters::Clusters;
use super::coordinate::Coordinate;
use super::distances::PointBlocks;
use super::options::KMeansOptions;
use super::{initialisation, lloyd, mini_batch};
use crate::{DataError, Result};

/// The centres before the first iteration.
#[derive(Debug, Clone, Copy)]
pub enum Initialisation<'a> {
    /// k-means|| (Bahmani et al., "Scalable k-means++", VLDB 2012).
    KMeansParallel {
        /// Number of centres.
        n_centres: usize,
        /// Seed of the random draws.
        seed: u64,
    },
    /// Greedy k-means++ (Arthur and Vassilvitskii, 2007), with as many trials for each centre as scikit-learn has.
    KMeansPlusPlus {
        /// Number of centres.
        n_centres: usize,
        /// Seed of the random draws.
        seed: u64,
    },
    /// Given centres, `[n_centres, width]`.
    Given(&'a [f64]),
}

impl Clusters {
    /// k-means by Lloyd's algorithm, until no point changes its cluster.
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
            Initialisation::KMeansParallel { n_centres, .. } | Initialisation::KMeansPlusPlus { n_centres, .. } => {
                n_centres
            }
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
            Initialisation::KMeansPlusPlus { n_centres, seed } => {
                initialisation::k_means_plus_plus(points, width, n_centres, seed, options.device)?
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
}

/// Checks that `points` are whole rows, and at least as many as centres.
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

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use linfa::traits::Fit;
    use ndarray16::Array2;
    use rand_xoshiro::Xoshiro256Plus;
    use rand_xoshiro::rand_core::SeedableRng;

    use super::super::coordinate::exact_distance;
    use super::*;

    fn fit<P: Coordinate>(points: &[P], width: usize, start: Initialisation<'_>) -> Result<Clusters> {
        let mut options = KMeansOptions {
            device: &Device::flex(),
            max_iterations: KMeansOptions::MAX_ITERATIONS,
            tolerance: 0.0,
            progress: &mut |_, _| Ok(()),
        };
        Clusters::fit(points, width, start, &mut options)
    }

    #[test]
    fn an_empty_cluster_moves_to_the_point_furthest_from_its_centre() {
        let points = [0.0, 1.0, 2.0, 30.0];
        let clusters = fit(&points, 1, Initialisation::Given(&[1.0, 900.0])).unwrap();
        assert_eq!((clusters.labels.as_slice(), clusters.centres.as_slice()), (&[0, 0, 0, 1][..], &[1.0, 30.0][..]));
        assert_eq!(clusters.inertia(), 2.0);
        assert!(fit(&points, 1, Initialisation::Given(&[0.0; 5])).is_err());
        assert!(fit(&points, 3, Initialisation::Given(&[0.0; 3])).is_err());
        assert!(fit::<f64>(&[], 1, Initialisation::Given(&[0.0])).is_err());
    }

    #[test]
    fn a_tolerance_ends_before_the_fixed_point_and_close_to_it() {
        let mut generator = crate::rng::keyed(9, "points", &[]);
        let points: Vec<f64> = (0..4000 * 3).map(|_| rand::RngExt::random::<f64>(&mut generator)).collect();
        let fit = |tolerance| {
            let mut n_iterations = 0;
            let mut options = KMeansOptions {
                device: &Device::flex(),
                max_iterations: KMeansOptions::MAX_ITERATIONS,
                tolerance,
                progress: &mut |iteration, _| {
                    n_iterations = iteration;
                    Ok(())
                },
            };
            let start = Initialisation::KMeansPlusPlus { n_centres: 12, seed: 3 };
            let inertia = Clusters::fit(&points, 3, start, &mut options).unwrap().inertia();
            (inertia, n_iterations)
        };
        let ([exact, close], [n_exact, n_close]) = {
            let (exact, close) = (fit(0.0), fit(1e-4));
            ([exact.0, close.0], [exact.1, close.1])
        };
        assert!(n_close < n_exact && (1.0..1.01).contains(&(close / exact)), "{exact} {close} {n_exact} {n_close}");
    }

    #[test]
    fn a_clustering_is_a_fixed_point() {
        let mut generator = crate::rng::keyed(4, "points", &[]);
        let points: Vec<f64> = (0..300 * 5).map(|_| rand::RngExt::random::<f64>(&mut generator)).collect();
        let start = Initialisation::KMeansParallel { n_centres: 12, seed: 3 };
        let clusters = fit(&points, 5, start).unwrap();
        assert_eq!(clusters, fit(&points, 5, Initialisation::Given(&clusters.centres)).unwrap());
    }

    #[test]
    fn mini_batches_come_close_to_full_k_means_and_are_reproducible() {
        let mut generator = crate::rng::keyed(8, "points", &[]);
        let mut draw = || rand::RngExt::random::<f32>(&mut generator);
        // Twenty blobs on a line, and a thousand points each.
        let points: Vec<f32> = (0..20_000).flat_map(|at| [10.0 * (at % 20) as f32 + draw(), draw()]).collect();
        let mut options = KMeansOptions {
            device: &Device::flex(),
            max_iterations: KMeansOptions::MAX_ITERATIONS,
            tolerance: 0.0,
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

    /// Reference implementation of Lloyd's algorithm, in double precision, with the same rule for empty clusters.
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
            let own = |point: usize| {
                let centre = &centres[labels[point] * width..][..width];
                exact_distance(&points[point * width..][..width], centre).sqrt()
            };
            let mut furthest: Vec<usize> = (0..labels.len()).collect();
            // A stable sort: of equal distances the first point comes first.
            furthest.sort_by(|a, b| own(*b).total_cmp(&own(*a)));
            let mut furthest = furthest.into_iter();
            for (at, centre) in centres.chunks_exact_mut(width).enumerate() {
                let members: Vec<_> = points.chunks_exact(width).zip(&labels).filter(|(_, l)| **l == at).collect();
                if members.is_empty() {
                    let point = &points[furthest.next().unwrap() * width..][..width];
                    centre.iter_mut().zip(point).for_each(|(to, from)| *to = f64::from(*from));
                    continue;
                }
                for (axis, value) in centre.iter_mut().enumerate() {
                    *value =
                        members.iter().map(|(point, _)| f64::from(point[axis])).sum::<f64>() / members.len() as f64;
                }
            }
        }
    }

    /// Clusters of random points, ours and the reference's.
    fn both(n: usize, width: usize, n_centres: usize, seed: u64, offset: f32) -> [(Vec<usize>, Vec<f64>); 2] {
        let mut generator = crate::rng::keyed(seed, "points", &[]);
        // Points far from the origin, and some duplicates: single precision alone would not distinguish them.
        let mut points: Vec<f32> =
            (0..n * width).map(|_| offset + rand::RngExt::random::<f32>(&mut generator)).collect();
        points.copy_within(0..3 * width, 10 * width);
        let centres: Vec<f64> = points[3 * width..][..n_centres * width].iter().map(|v| f64::from(*v)).collect();
        let found = fit(&points, width, Initialisation::Given(&centres)).unwrap();
        [(found.labels, found.centres), plain(&points, width, centres)]
    }

    #[test]
    fn clusters_with_an_empty_one_on_the_way_equal_those_of_the_reference_implementation() {
        // On a line far from the origin two points are one number now and then: as two starting centres, one is empty.
        let [found, expected] = both(85, 1, 26, 2_210_005_298_735_303_733, -792.545_35);
        assert_eq!(found, expected);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]
        #[test]
        fn the_clusters_equal_those_of_the_reference_implementation(
            n in 60usize..300, width in 1usize..9, n_centres in 1usize..30, seed: u64, offset in -1000.0f32..1000.0,
        ) {
            let [found, expected] = both(n, width, n_centres, seed, offset);
            proptest::prop_assert_eq!(found, expected);
        }
    }

    /// Inertia of linfa-clustering's k-means, the best of three runs.
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
    fn mean_inertia_is_within_two_per_cent_of_the_best_of_three_runs_of_linfa() {
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
            // A single run ends in a worse optimum now and then.
            assert!(mean < 1.02, "{n} points of {width} values in {n_centres} clusters: {ratios:?}");
        }
    }

    #[test]
    fn a_large_input_converges_and_progress_can_end_the_clustering() {
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
            tolerance: 0.0,
            progress: &mut |step, n_changed| {
                (steps, _) = (step, assert!(n_changed > 0));
                if step == 2 { Err(crate::Error::Caller("enough".into())) } else { Ok(()) }
            },
        };
        let ended = Clusters::fit(&points, 8, start(), &mut options);
        assert_eq!((ended.unwrap_err().to_string(), steps), ("enough".to_string(), 2));
    }
}
