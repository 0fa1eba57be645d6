//! Metrics of segmentation: Dice coefficient and Hausdorff distance.

use crate::{EvaluationError, Result};

/// Dice coefficient of two masks: twice the overlap over the sum of sizes; in [0, 1]. Two empty masks agree: 1.
///
/// # Panics
/// When the masks have different sizes.
pub fn dice(a: &[bool], b: &[bool]) -> f64 {
    assert_eq!(a.len(), b.len(), "masks of different sizes");
    let both = a.iter().zip(b).filter(|(a, b)| **a && **b).count();
    let sizes = [a, b].map(|mask| mask.iter().filter(|value| **value).count());
    if sizes == [0, 0] { 1.0 } else { 2.0 * both as f64 / (sizes[0] + sizes[1]) as f64 }
}

/// HD95: the 95th percentile (linear interpolation) of the distances from each mask's border to the other's, both directions pooled, in the unit of
/// `spacing`; as MedPy's `hd95`. The border is the set of voxels that erosion with the six neighbours removes; outside of the array is background.
///
/// # Errors
/// An empty mask, whose border is nowhere.
///
/// # Panics
/// When the masks do not have the sizes.
pub fn hausdorff_95(a: &[bool], b: &[bool], shape: [usize; 3], spacing: [f64; 3]) -> Result<f64> {
    assert!(a.len() == b.len() && a.len() == shape.iter().product::<usize>(), "masks do not have the sizes {shape:?}");
    for (mask, name) in [(a, "first"), (b, "second")] {
        if !mask.contains(&true) {
            return Err(
                EvaluationError::Undefined { metric: "HD95", reason: format!("the {name} mask is empty") }.into()
            );
        }
    }
    let (border_a, border_b) = (border(a, shape), border(b, shape));
    let mut distances = Vec::new();
    for (from, to) in [(&border_a, &border_b), (&border_b, &border_a)] {
        let squared = squared_distances(to, shape, spacing);
        distances.extend(from.iter().zip(squared).filter(|(from, _)| **from).map(|(_, squared)| squared.sqrt()));
    }
    distances.sort_by(f64::total_cmp);
    let place = 0.95 * (distances.len() - 1) as f64;
    let (below, share) = (place.floor() as usize, place.fract());
    let above = distances[(below + 1).min(distances.len() - 1)];
    Ok(distances[below] + share * (above - distances[below]))
}

/// Voxels of a mask with a neighbour outside of it.
fn border(mask: &[bool], [depth, height, width]: [usize; 3]) -> Vec<bool> {
    let inside = |z: usize, y: usize, x: usize| {
        // A coordinate below zero wraps to a number beyond the array.
        z < depth && y < height && x < width && mask[(z * height + y) * width + x]
    };
    let mut border = vec![false; mask.len()];
    for z in 0..depth {
        for y in 0..height {
            for x in 0..width {
                let neighbours = [
                    (z.wrapping_sub(1), y, x),
                    (z + 1, y, x),
                    (z, y.wrapping_sub(1), x),
                    (z, y + 1, x),
                    (z, y, x.wrapping_sub(1)),
                    (z, y, x + 1),
                ];
                border[(z * height + y) * width + x] =
                    inside(z, y, x) && neighbours.iter().any(|&(z, y, x)| !inside(z, y, x));
            }
        }
    }
    border
}

/// Squared distance from every voxel to the nearest voxel of the set: exact, axis by axis (Felzenszwalb and Huttenlocher, 2012).
fn squared_distances(set: &[bool], shape: [usize; 3], spacing: [f64; 3]) -> Vec<f64> {
    let mut squared: Vec<f64> = set.iter().map(|set| if *set { 0.0 } else { f64::INFINITY }).collect();
    for axis in 0..3 {
        let stride = shape[axis + 1..].iter().product::<usize>();
        let n = shape[axis];
        let mut line = vec![0.0; n];
        for start in (0..squared.len()).filter(|at| at / stride % n == 0) {
            (0..n).for_each(|at| line[at] = squared[start + at * stride]);
            for (at, value) in lower_envelope(&line, spacing[axis]).into_iter().enumerate() {
                squared[start + at * stride] = value;
            }
        }
    }
    squared
}

/// Minimum, at each position of a line, of `values[other] + (distance to other)^2`.
fn lower_envelope(values: &[f64], step: f64) -> Vec<f64> {
    // Parabolas of the lower envelope, and the start of each one's interval.
    let mut lowest: Vec<(usize, f64)> = Vec::new();
    for at in (0..values.len()).filter(|at| values[*at].is_finite()) {
        let height = |at: usize| values[at] + (at as f64 * step).powi(2);
        let mut from = f64::NEG_INFINITY;
        while let Some(&(before, before_from)) = lowest.last() {
            from = (height(at) - height(before)) / (2.0 * step * step * (at - before) as f64);
            if from > before_from {
                break;
            }
            lowest.pop();
            from = f64::NEG_INFINITY;
        }
        lowest.push((at, from));
    }
    let mut current = 0;
    (0..values.len())
        .map(|at| {
            while current + 1 < lowest.len() && lowest[current + 1].1 < at as f64 {
                current += 1;
            }
            match lowest.get(current) {
                Some(&(other, _)) => values[other] + ((at as f64 - other as f64) * step).powi(2),
                None => f64::INFINITY,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_of_hand_made_masks() {
        assert_eq!(dice(&[true, true, false], &[true, false, false]), 2.0 / 3.0);
        assert_eq!(dice(&[false; 3], &[false; 3]), 1.0);
        assert_eq!(dice(&[true; 3], &[false; 3]), 0.0);
    }

    #[test]
    fn distances_are_in_the_unit_of_the_spacing() {
        let mask = |set: usize| (0..10).map(|at| at == set).collect::<Vec<_>>();
        let distance = |spacing| hausdorff_95(&mask(2), &mask(7), [1, 1, 10], spacing).unwrap();
        assert_eq!(distance([1.0; 3]), 5.0);
        assert_eq!(distance([1.0, 1.0, 0.5]), 2.5);
        let error = hausdorff_95(&mask(2), &mask(20), [1, 1, 10], [1.0; 3]).unwrap_err().to_string();
        assert!(error.contains("the second mask is empty"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn distances_are_those_to_the_nearest_of_all(
            set in proptest::collection::vec(proptest::bool::weighted(0.1), 4 * 5 * 6), spacing in (0.3f64..3.0, 0.3f64..3.0, 0.3f64..3.0),
        ) {
            let (shape, spacing) = ([4, 5, 6], [spacing.0, spacing.1, spacing.2]);
            let place = |at: usize| [at / 30, at / 6 % 5, at % 6];
            let found = squared_distances(&set, shape, spacing);
            for (at, &found) in found.iter().enumerate() {
                let squared = |other: usize| {
                    (0..3).map(|axis| ((place(at)[axis] as f64 - place(other)[axis] as f64) * spacing[axis]).powi(2)).sum::<f64>()
                };
                let nearest = (0..set.len()).filter(|other| set[*other]).map(squared).fold(f64::INFINITY, f64::min);
                assert!(found == nearest || (found - nearest).abs() < 1e-9, "{found} instead of {nearest}");
            }
        }
    }
}
