//! Iterations of Lloyd's algorithm (1982) until no point changes its cluster.

use rayon::prelude::*;

use super::clusters::Clusters;
use super::coordinate::Coordinate;
use super::distances::{Assignment, PointBlocks, Reassignments};
use super::options::KMeansOptions;
use crate::Result;

/// Lloyd's algorithm from given centres, until no point changes its cluster, or the centres move less than the tolerance. Of centres at the same distance the first is the nearest; an empty
/// cluster's centre moves to the point that is furthest from its centre.
pub(super) fn lloyd<P: Coordinate>(
    points: &[P],
    width: usize,
    blocks: &PointBlocks<'_, P>,
    mut centres: Vec<f64>,
    options: &mut KMeansOptions<'_>,
) -> Result<Clusters> {
    let n_centres = centres.len() / width;
    let mut assignments = blocks.nearest(&centres)?;
    let mut reassigned = Reassignments { n_points: assignments.len(), of_centre: vec![true; n_centres] };
    // Below every shift where there is no tolerance: the fixed point is found by its assignments, and costs no variance.
    let least_shift = if options.tolerance > 0.0 { options.tolerance * mean_variance(points, width) } else { -1.0 };
    for iteration in 1..=options.max_iterations {
        (options.progress)(iteration, reassigned.n_points)?;
        let moved = means(points, width, blocks, &mut assignments, &centres, &reassigned);
        reassigned = blocks.update(&mut assignments, &centres, &moved)?;
        let shift: f64 = centres.iter().zip(&moved).map(|(before, after)| (before - after).powi(2)).sum();
        centres = moved;
        if reassigned.n_points == 0 || shift <= least_shift {
            break;
        }
    }
    blocks.compute_distances(&mut assignments, &centres);
    Ok(Clusters::new(assignments, centres, n_centres))
}

/// Mean over the columns of their variances.
fn mean_variance<P: Coordinate>(points: &[P], width: usize) -> f64 {
    let n = (points.len() / width) as f64;
    let variance = |column: usize| {
        let values = || points.iter().skip(column).step_by(width).map(|value| -> f64 { (*value).into() });
        let mean = values().sum::<f64>() / n;
        values().map(|value| (value - mean).powi(2)).sum::<f64>() / n
    };
    (0..width).map(variance).sum::<f64>() / width as f64
}

/// The means of the clusters, each summed in the order of the points: the number of threads does not change a result. A cluster with unchanged points
/// keeps its mean.
fn means<P: Coordinate>(
    points: &[P],
    width: usize,
    blocks: &PointBlocks<'_, P>,
    assignments: &mut [Assignment],
    before: &[f64],
    reassigned: &Reassignments,
) -> Vec<f64> {
    let n_centres = before.len() / width;
    let mut members = vec![Vec::new(); n_centres];
    for (point, assignment) in assignments.iter().enumerate() {
        members[assignment.centre].push(point);
    }
    let mut centres = before.to_vec();
    let clusters = centres.par_chunks_exact_mut(width).zip(&members).zip(&reassigned.of_centre);
    clusters.filter(|((_, members), changed)| **changed && !members.is_empty()).for_each(|((centre, members), _)| {
        centre.fill(0.0);
        for point in members {
            let point = &points[point * width..][..width];
            centre.iter_mut().zip(point).for_each(|(sum, value)| *sum += (*value).into());
        }
        centre.iter_mut().for_each(|sum| *sum /= members.len() as f64);
    });
    let empty: Vec<usize> = (0..n_centres).filter(|centre| members[*centre].is_empty()).collect();
    if !empty.is_empty() {
        blocks.compute_distances(assignments, before);
        let mut furthest: Vec<usize> = (0..assignments.len()).collect();
        furthest.sort_by(|a, b| assignments[*b].distance.total_cmp(&assignments[*a].distance).then(a.cmp(b)));
        for (centre, point) in empty.into_iter().zip(furthest) {
            let point = &points[point * width..][..width];
            centres[centre * width..][..width].iter_mut().zip(point).for_each(|(to, from)| *to = (*from).into());
        }
    }
    centres
}
