//! Steps of Lloyd's algorithm (1982) to its fixed point.

use rayon::prelude::*;

use super::distances::{Blocks, Changes, Nearest};
use super::{Clusters, Number, Work};
use crate::Result;

/// From given centres until no point changes its own. Of centres at the same distance the first counts; a centre without points moves to
/// the point that is furthest from its own.
pub(super) fn lloyd<P: Number>(
    points: &[P],
    width: usize,
    blocks: &Blocks<'_, P>,
    mut centres: Vec<f64>,
    work: &mut Work<'_>,
) -> Result<Clusters> {
    let n_centres = centres.len() / width;
    let mut nearest = blocks.nearest(&centres)?;
    let mut changes = Changes { n_points: nearest.len(), of_centre: vec![true; n_centres] };
    for step in 1..=work.most_steps {
        (work.progress)(step, changes.n_points)?;
        let moved = means(points, width, blocks, &mut nearest, &centres, &changes);
        changes = blocks.follow(&mut nearest, &centres, &moved)?;
        centres = moved;
        if changes.n_points == 0 {
            break;
        }
    }
    blocks.measure(&mut nearest, &centres);
    Ok(Clusters::new(nearest, centres, n_centres))
}

/// The means of the clusters. Each is summed up in the order of the points, whatever the threads; where the points are the same as before, so is the
/// mean.
fn means<P: Number>(
    points: &[P],
    width: usize,
    blocks: &Blocks<'_, P>,
    nearest: &mut [Nearest],
    before: &[f64],
    changes: &Changes,
) -> Vec<f64> {
    let n_centres = before.len() / width;
    let mut members = vec![Vec::new(); n_centres];
    for (point, nearest) in nearest.iter().enumerate() {
        members[nearest.centre].push(point);
    }
    let mut centres = before.to_vec();
    let clusters = centres.par_chunks_exact_mut(width).zip(&members).zip(&changes.of_centre);
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
        blocks.measure(nearest, before);
        let mut furthest: Vec<usize> = (0..nearest.len()).collect();
        furthest.sort_by(|a, b| nearest[*b].distance.total_cmp(&nearest[*a].distance).then(a.cmp(b)));
        for (centre, point) in empty.into_iter().zip(furthest) {
            let point = &points[point * width..][..width];
            centres[centre * width..][..width].iter_mut().zip(point).for_each(|(to, from)| *to = (*from).into());
        }
    }
    centres
}
