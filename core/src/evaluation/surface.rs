//! Surfaces of masks and the distances between them.

use crate::{EvaluationError, Result};

/// Distances from each surface voxel of one mask to the nearest of the other.
#[derive(Debug)]
pub(super) struct SurfaceDistances {
    /// From the first mask's surface to the second's; empty where the first mask is.
    pub from_first: Vec<f64>,
    /// From the second mask's surface to the first's; empty where the second mask is.
    pub from_second: Vec<f64>,
}

impl SurfaceDistances {
    /// Distances between the surfaces of two masks of two or three axes, in the unit of `spacing`. A surface is the set of voxels that erosion with the
    /// four or six neighbours removes; outside of the array is background. Distances to an empty mask are infinite.
    ///
    /// Only the box around both masks is looked at, so that time and memory follow the masks rather than the volume.
    ///
    /// # Errors
    /// A shape without two or three axes, masks or a spacing that do not have the shape, a spacing that is not positive.
    pub fn between(a: &[bool], b: &[bool], shape: &[usize], spacing: &[f64]) -> Result<Self> {
        if !(2..=3).contains(&shape.len()) {
            let found = format!("the shape {shape:?}");
            return Err(EvaluationError::array("the mask", found, "two or three axes").into());
        }
        let n = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
        for (mask, name) in [(a, "the first mask"), (b, "the second mask")] {
            if Some(mask.len()) != n {
                let expected = format!("the shape {shape:?}");
                return Err(EvaluationError::array(name, format!("{} voxels", mask.len()), expected).into());
            }
        }
        let is_distance = |spacing: &f64| *spacing > 0.0 && spacing.is_finite();
        if spacing.len() != shape.len() || !spacing.iter().all(is_distance) {
            let expected = format!("a positive distance for each of {} axes", shape.len());
            return Err(EvaluationError::array("the spacing", format!("{spacing:?}"), expected).into());
        }
        let Some((a, b, cut)) = around_both(a, b, three(shape, 1)) else {
            return Ok(Self { from_first: Vec::new(), from_second: Vec::new() });
        };
        let first_axis = 3 - shape.len();
        let (a, b) = (border(&a, cut, first_axis), border(&b, cut, first_axis));
        let from = |set: &[bool], to: &[bool]| {
            let squared = squared_distances(to, cut, three(spacing, 1.0));
            set.iter().zip(squared).filter(|(set, _)| **set).map(|(_, squared)| squared.sqrt()).collect()
        };
        Ok(Self { from_first: from(&a, &b), from_second: from(&b, &a) })
    }
}

/// Values of two or three axes as three, with another one in front.
fn three<T: Copy>(values: &[T], missing: T) -> [T; 3] {
    let mut all = [missing; 3];
    all[3 - values.len()..].copy_from_slice(values);
    all
}

/// The smallest box that holds both masks, cut out of each, and its sizes; none where both are empty.
fn around_both(
    a: &[bool],
    b: &[bool],
    [depth, rows, columns]: [usize; 3],
) -> Option<(Vec<bool>, Vec<bool>, [usize; 3])> {
    let (mut low, mut high) = ([usize::MAX; 3], [0; 3]);
    for z in 0..depth {
        for y in 0..rows {
            let start = (z * rows + y) * columns;
            let set = |x: &usize| a[start + x] || b[start + x];
            let Some(left) = (0..columns).find(set) else { continue };
            let right = (0..columns).rev().find(set).unwrap_or(left);
            for (axis, (least, most)) in [(z, z), (y, y), (left, right)].into_iter().enumerate() {
                low[axis] = low[axis].min(least);
                high[axis] = high[axis].max(most + 1);
            }
        }
    }
    if high == [0; 3] {
        return None;
    }
    let cut = |mask: &[bool]| {
        let mut voxels = Vec::new();
        for z in low[0]..high[0] {
            for y in low[1]..high[1] {
                let start = (z * rows + y) * columns;
                voxels.extend_from_slice(&mask[start + low[2]..start + high[2]]);
            }
        }
        voxels
    };
    Some((cut(a), cut(b), [0, 1, 2].map(|axis| high[axis] - low[axis])))
}

/// Voxels of a mask with a neighbour outside of it along one of the axes from `first_axis` on.
fn border(mask: &[bool], [depth, height, width]: [usize; 3], first_axis: usize) -> Vec<bool> {
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
                    inside(z, y, x) && neighbours[2 * first_axis..].iter().any(|&(z, y, x)| !inside(z, y, x));
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
    fn the_surface_of_an_image_has_no_depth() {
        // A square of 3 x 3: its centre is inside in an image, and nothing is in a volume of one slice.
        let mask: Vec<bool> = (0..25).map(|at| (1..4).contains(&(at / 5)) && (1..4).contains(&(at % 5))).collect();
        let of = |shape: &[usize]| {
            SurfaceDistances::between(&mask, &mask, shape, &vec![1.0; shape.len()]).unwrap().from_first.len()
        };
        assert_eq!((of(&[5, 5]), of(&[1, 5, 5])), (8, 9));
    }

    #[test]
    fn distances_of_an_empty_mask_are_infinite_and_its_own_are_none() {
        let (mask, empty) = ([false, true, true, false], [false; 4]);
        let between = |a: &[bool], b: &[bool]| SurfaceDistances::between(a, b, &[2, 2], &[1.0, 1.0]).unwrap();
        let distances = between(&mask, &empty);
        assert_eq!(distances.from_first, [f64::INFINITY; 2]);
        assert!(distances.from_second.is_empty());
        assert!(between(&empty, &empty).from_first.is_empty());
    }

    #[test]
    fn shapes_and_spacings_that_do_not_fit_are_named() {
        let mask = [true; 4];
        let message = |a: &[bool], shape: &[usize], spacing: &[f64]| {
            SurfaceDistances::between(a, &mask, shape, spacing).unwrap_err().to_string()
        };
        assert_eq!(message(&mask[1..], &[2, 2], &[1.0; 2]), "the first mask has 3 voxels, expected the shape [2, 2]");
        assert!(message(&mask, &[4], &[1.0]).contains("two or three axes"));
        for spacing in [&[1.0][..], &[1.0, 0.0], &[1.0, f64::NAN], &[f64::INFINITY, 1.0]] {
            assert!(message(&mask, &[2, 2], spacing).contains("a positive distance for each of 2 axes"));
        }
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
