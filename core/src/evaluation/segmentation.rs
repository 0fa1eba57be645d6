//! Metrics of segmentation: Dice coefficient, Hausdorff distance, surface Dice.

use super::overlap::{DiceFormula, Overlap};
use super::surface::SurfaceDistances;
use crate::{Error, EvaluationError, Result, SettingError};

/// HD95 in voxels that the reference implementation gives a case of which one mask is empty.
pub const REFERENCE_HD95_OF_ONE_EMPTY: f64 = 500.0;

/// Dice coefficient of two masks: twice the overlap over the sum of sizes; in [0, 1]. Two empty masks agree: 1.
///
/// # Panics
/// When the masks have different sizes.
pub fn dice(a: &[bool], b: &[bool]) -> f64 {
    match Overlap::of(a, b) {
        Ok(overlap) => overlap.dice(DiceFormula::Standard),
        Err(error) => panic!("{error}"),
    }
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
    hausdorff_95_of(a, b, &shape, &spacing)
}

/// HD95 as [`hausdorff_95`], of masks of two or three axes. The border of a mask of two axes is the set of pixels that erosion with the four neighbours
/// removes.
///
/// # Errors
/// An empty mask, whose border is nowhere; masks or a spacing that do not have the shape.
pub fn hausdorff_95_of(a: &[bool], b: &[bool], shape: &[usize], spacing: &[f64]) -> Result<f64> {
    let distances = SurfaceDistances::between(a, b, shape, spacing)?;
    for (distances, name) in [(&distances.from_first, "first"), (&distances.from_second, "second")] {
        if distances.is_empty() {
            return Err(
                EvaluationError::Undefined { metric: "HD95", reason: format!("the {name} mask is empty") }.into()
            );
        }
    }
    let mut distances = [distances.from_first, distances.from_second].concat();
    distances.sort_by(f64::total_cmp);
    let place = 0.95 * (distances.len() - 1) as f64;
    let (below, share) = (place.floor() as usize, place.fract());
    let above = distances[(below + 1).min(distances.len() - 1)];
    Ok(distances[below] + share * (above - distances[below]))
}

/// HD95 as the reference implementation counts it, in voxels whatever their size: 0 where both masks are empty and
/// [`REFERENCE_HD95_OF_ONE_EMPTY`] where one is, so that every case enters the mean.
///
/// # Errors
/// Masks that do not have the shape.
pub fn hausdorff_95_reference(a: &[bool], b: &[bool], shape: &[usize]) -> Result<f64> {
    match hausdorff_95_of(a, b, shape, &vec![1.0; shape.len()]) {
        Err(Error::Evaluation(EvaluationError::Undefined { .. })) => {
            let one_is_empty = a.contains(&true) || b.contains(&true);
            Ok(if one_is_empty { REFERENCE_HD95_OF_ONE_EMPTY } else { 0.0 })
        }
        distance => distance,
    }
}

/// Normalised surface Dice (Nikolov et al., 2018): fraction of the surface voxels of both masks that are within `tolerance` of the other mask's surface;
/// in [0, 1]. `spacing` and `tolerance` are in millimetres. Surface voxels are counted as in HD95, each once, rather than weighted by the area of surface
/// elements. One empty mask has 0.
///
/// # Errors
/// Two empty masks, which have no surface; a tolerance that is negative or no number; masks or a spacing that do not have the shape.
pub fn surface_dice(a: &[bool], b: &[bool], shape: &[usize], spacing: &[f64], tolerance: f64) -> Result<f64> {
    if !(tolerance >= 0.0 && tolerance.is_finite()) {
        return Err(SettingError::out_of_range("tolerance_mm", tolerance, "at least 0.0").into());
    }
    let distances = SurfaceDistances::between(a, b, shape, spacing)?;
    let n = distances.from_first.len() + distances.from_second.len();
    if n == 0 {
        let reason = "both masks are empty".into();
        return Err(EvaluationError::Undefined { metric: "the surface Dice", reason }.into());
    }
    // Squares of distances and their roots are rounded.
    let limit = tolerance * (1.0 + 1e-12);
    let near = |distances: &[f64]| distances.iter().filter(|distance| **distance <= limit).count();
    Ok((near(&distances.from_first) + near(&distances.from_second)) as f64 / n as f64)
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

    #[test]
    fn the_references_distance_has_a_number_for_empty_masks() {
        let (mask, empty) = ([false, true, false, false], [false; 4]);
        let distance = |a: &[bool], b: &[bool]| hausdorff_95_reference(a, b, &[1, 4]).unwrap();
        assert_eq!([distance(&mask, &empty), distance(&empty, &mask), distance(&empty, &empty)], [500.0, 500.0, 0.0]);
        assert_eq!(distance(&mask, &[false, false, false, true]), 2.0);
        assert!(hausdorff_95_reference(&mask, &empty[1..], &[1, 4]).is_err());
        assert!(hausdorff_95_reference(&empty, &empty, &[1, 3]).is_err());
    }

    #[test]
    fn surface_dice_counts_the_surface_within_the_tolerance() {
        // Columns 1 to 3 and 1 to 5 of one row of voxels, 0.5 mm wide: all voxels are surface.
        let row = |columns: std::ops::Range<usize>| (0..8).map(|at| columns.contains(&at)).collect::<Vec<_>>();
        let (a, b, empty) = (row(1..4), row(1..6), row(0..0));
        let score = |a: &[bool], b: &[bool], tolerance| surface_dice(a, b, &[1, 8], &[3.0, 0.5], tolerance).unwrap();
        // Columns 4 and 5 of the second are 0.5 and 1 mm away from the first.
        assert_eq!(
            [0.0, 0.49, 0.5, 1.0].map(|tolerance| score(&a, &b, tolerance)),
            [6.0 / 8.0, 6.0 / 8.0, 7.0 / 8.0, 1.0]
        );
        assert_eq!((score(&a, &empty, 9.0), score(&empty, &a, 9.0)), (0.0, 0.0));
        let error = surface_dice(&empty, &empty, &[1, 8], &[1.0; 2], 1.0).unwrap_err().to_string();
        assert!(error.contains("both masks are empty"), "{error}");
        for tolerance in [-1.0, f64::NAN] {
            let error = surface_dice(&a, &b, &[1, 8], &[1.0; 2], tolerance).unwrap_err().to_string();
            assert!(error.starts_with("tolerance_mm is"), "{error}");
        }
    }
}
