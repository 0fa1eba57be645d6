//! Mini-batch k-means (Sculley, WWW 2010), for very many points.

use rand::seq::SliceRandom;

use super::clusters::Clusters;
use super::coordinate::Coordinate;
use super::distances::PointBlocks;
use super::initialisation;
use super::options::KMeansOptions;
use crate::Result;
use crate::rng;

/// Points of a batch for each centre.
const POINTS_PER_CENTRE: usize = 4;
/// Minimum number of points in a batch.
const MIN_BATCH: usize = 1024;
/// Passes over all points.
const PASSES: usize = 3;

/// Mini-batch k-means. Initial centres come from the first batch. Then each point of a batch moves the centre that was nearest to the point before
/// the batch, by a step of one over the number of points that have moved the centre. At the end every point is assigned to its nearest centre.
pub(super) fn mini_batches<P: Coordinate>(
    points: &[P],
    width: usize,
    n_centres: usize,
    seed: u64,
    options: &mut KMeansOptions<'_>,
) -> Result<Clusters> {
    let n = points.len() / width;
    let n_batch = (POINTS_PER_CENTRE * n_centres).max(MIN_BATCH).min(n);
    let mut draw = rng::keyed(seed, "mini-batches", &[]);
    let mut order: Vec<usize> = (0..n).collect();
    let gather = |rows: &[usize]| -> Vec<P> {
        rows.iter().flat_map(|row| points[row * width..][..width].iter().copied()).collect()
    };
    order.shuffle(&mut draw);
    let first = gather(&order[..n_batch]);
    let blocks = PointBlocks::upload(&first, width, n_centres, options.device);
    let mut centres = initialisation::k_means_parallel(&first, width, n_centres, seed, &blocks, options.device)?;
    let mut n_moves = vec![0.0; n_centres];
    let mut iteration = 0;
    for _ in 0..PASSES {
        for rows in order.chunks(n_batch) {
            let batch = gather(rows);
            let nearest = PointBlocks::upload(&batch, width, n_centres, options.device).nearest(&centres)?;
            for (point, nearest) in batch.chunks_exact(width).zip(&nearest) {
                n_moves[nearest.centre] += 1.0;
                let rate = 1.0 / n_moves[nearest.centre];
                let centre = &mut centres[nearest.centre * width..][..width];
                centre.iter_mut().zip(point).for_each(|(centre, value)| *centre += rate * ((*value).into() - *centre));
            }
            iteration += 1;
            (options.progress)(iteration, rows.len())?;
        }
        order.shuffle(&mut draw);
    }
    let nearest = PointBlocks::upload(points, width, n_centres, options.device).nearest(&centres)?;
    Ok(Clusters::new(nearest, centres, n_centres))
}
