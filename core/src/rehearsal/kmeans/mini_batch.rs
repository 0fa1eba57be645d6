//! Centres from small batches of the points, for the very large.

use rand::seq::SliceRandom;

use super::distances::Blocks;
use super::{Clusters, Number, Work, start};
use crate::Result;
use crate::rng;

/// Points of a batch for each centre.
const PER_CENTRE: usize = 4;
/// Fewest points in a batch.
const FEWEST: usize = 1024;
/// How often all points are gone through.
const PASSES: usize = 3;

/// A start on the first batch; then each point of a batch draws the centre that was nearest to it when the batch began, the less the more points that centre
/// has drawn before. In the end all points are given to their nearest centres.
pub(super) fn mini_batches<P: Number>(
    points: &[P],
    width: usize,
    n_centres: usize,
    seed: u64,
    work: &mut Work<'_>,
) -> Result<Clusters> {
    let n = points.len() / width;
    let n_batch = (PER_CENTRE * n_centres).max(FEWEST).min(n);
    let mut draw = rng::keyed(seed, "mini-batches", &[]);
    let mut order: Vec<usize> = (0..n).collect();
    let gather = |rows: &[usize]| -> Vec<P> {
        rows.iter().flat_map(|row| points[row * width..][..width].iter().copied()).collect()
    };
    order.shuffle(&mut draw);
    let first = gather(&order[..n_batch]);
    let blocks = Blocks::upload(&first, width, n_centres, work.device);
    let mut centres = start::plus_plus_start(&first, width, n_centres, seed, &blocks, work.device)?;
    let mut drawn = vec![0.0; n_centres];
    let mut step = 0;
    for _ in 0..PASSES {
        for rows in order.chunks(n_batch) {
            let batch = gather(rows);
            let nearest = Blocks::upload(&batch, width, n_centres, work.device).nearest(&centres)?;
            for (point, nearest) in batch.chunks_exact(width).zip(&nearest) {
                drawn[nearest.centre] += 1.0;
                let rate = 1.0 / drawn[nearest.centre];
                let centre = &mut centres[nearest.centre * width..][..width];
                centre.iter_mut().zip(point).for_each(|(centre, value)| *centre += rate * ((*value).into() - *centre));
            }
            step += 1;
            (work.progress)(step, rows.len())?;
        }
        order.shuffle(&mut draw);
    }
    let nearest = Blocks::upload(points, width, n_centres, work.device).nearest(&centres)?;
    Ok(Clusters::new(nearest, centres, n_centres))
}
