//! Principal component analysis of features in two dimensions.
//!
//! Linear and exact, so that the same features give the same map, and far apart on it is far apart in truth.

use linfa_linalg::eigh::{EigSort, EighInto};
use ndarray16::{Array2, Axis};

use crate::{Error, EvaluationError, Result};

/// Projection of features onto their first two principal components.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    /// Coordinates of each row of the features.
    pub points: Vec<[f64; 2]>,
    /// Explained variance ratio of each axis, in [0, 1].
    pub explained: [f64; 2],
}

impl Projection {
    /// The projection of features `[n, width]`, row-major. Sign of an axis: the point farthest from the origin is positive.
    ///
    /// # Errors
    /// Fewer than three samples or two values a sample, features that are not finite.
    pub fn of(features: &[f32], width: usize) -> Result<Self> {
        let n = features.len().checked_div(width).unwrap_or(0);
        if n < 3 || width < 2 {
            return Err(unusable(format!("{n} samples of {width} values: a map needs three samples of two values")));
        }
        // The smaller of the two matrices has the same eigenvalues but for zeros.
        if n <= width { Self::by_samples(features, width) } else { Self::by_values(features, width) }
    }

    /// The projection by the Gram matrix `[n, n]`: its eigenvectors are the coordinates, up to a factor.
    fn by_samples(features: &[f32], width: usize) -> Result<Self> {
        let centred = centred(features, width)?;
        let (values, vectors) = leading(centred.dot(&centred.t()))?;
        let points = (0..centred.nrows())
            .map(|row| [0, 1].map(|axis| vectors[[row, axis]] * values[axis].max(0.0).sqrt()))
            .collect();
        Ok(Self::new(points, values, &centred))
    }

    /// The projection by the scatter matrix `[width, width]`: its eigenvectors are the axes.
    fn by_values(features: &[f32], width: usize) -> Result<Self> {
        let centred = centred(features, width)?;
        let (values, vectors) = leading(centred.t().dot(&centred))?;
        let points = centred.dot(&vectors).rows().into_iter().map(|row| [row[0], row[1]]).collect();
        Ok(Self::new(points, values, &centred))
    }

    fn new(mut points: Vec<[f64; 2]>, values: [f64; 2], centred: &Array2<f64>) -> Self {
        for axis in 0..2 {
            let farthest = points
                .iter()
                .map(|point| point[axis])
                .fold(0.0f64, |most, value| if value.abs() > most.abs() { value } else { most });
            if farthest < 0.0 {
                points.iter_mut().for_each(|point| point[axis] = -point[axis]);
            }
        }
        let total = centred.iter().map(|value| value * value).sum::<f64>();
        let share = |value: f64| if total > 0.0 { (value / total).clamp(0.0, 1.0) } else { 0.0 };
        Self { points, explained: values.map(share) }
    }
}

fn centred(features: &[f32], width: usize) -> Result<Array2<f64>> {
    let n = features.len() / width;
    let values = features[..n * width].iter().map(|&value| f64::from(value)).collect();
    let mut centred = Array2::from_shape_vec((n, width), values).map_err(|error| unusable(error.to_string()))?;
    if centred.iter().any(|value| !value.is_finite()) {
        return Err(unusable("a feature is not finite".into()));
    }
    let mean = centred.sum_axis(Axis(0)) / n as f64;
    centred -= &mean;
    Ok(centred)
}

/// The two largest eigenvalues of a symmetric matrix, with their vectors as columns.
fn leading(matrix: Array2<f64>) -> Result<([f64; 2], Array2<f64>)> {
    let found = matrix.eigh_into().map_err(|error| unusable(format!("features have no principal axes: {error}")))?;
    let (values, vectors) = found.sort_eig_desc();
    Ok(([values[0], values[1]], vectors.slice_move(ndarray16::s![.., ..2])))
}

fn unusable(detail: String) -> Error {
    EvaluationError::Features { detail }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;
    use rand::RngExt;

    #[test]
    fn points_on_a_line_keep_their_distances_along_the_first_axis() {
        // Steps of (3, 4, 0): 5 apart.
        let features: Vec<f32> = [0.0f32, 1.0, 2.0, 5.0].iter().flat_map(|at| [3.0 * at, 4.0 * at, 7.0]).collect();
        let map = Projection::of(&features, 3).unwrap();
        let along: Vec<f64> = map.points.iter().map(|point| point[0] + 10.0).collect();
        for (found, expected) in along.iter().zip([0.0, 5.0, 10.0, 25.0]) {
            assert!((found - expected).abs() < 1e-9, "{along:?}");
        }
        assert!((map.explained[0] - 1.0).abs() < 1e-9 && map.explained[1].abs() < 1e-9, "{map:?}");
    }

    #[test]
    fn both_matrices_give_the_same_projection() {
        let mut draws = rng::keyed(4, "features", &[]);
        let (n, width) = (23, 7);
        let features: Vec<f32> = (0..n * width).map(|at| draws.random::<f32>() * (1 + at % width) as f32).collect();
        let (one, other) =
            (Projection::by_samples(&features, width).unwrap(), Projection::by_values(&features, width).unwrap());
        for (a, b) in one.points.iter().zip(&other.points).flat_map(|(a, b)| a.iter().zip(b)) {
            assert!((a - b).abs() < 1e-6, "{a} and {b}");
        }
        assert!((one.explained[0] - other.explained[0]).abs() < 1e-9);
        assert!(one.explained[0] > one.explained[1] && one.explained[1] > 0.0);
    }

    #[test]
    fn features_that_cannot_be_projected_are_refused() {
        assert!(Projection::of(&[1.0, 2.0, 3.0, 4.0], 2).is_err());
        assert!(Projection::of(&[], 0).is_err());
        assert!(Projection::of(&[1.0, 2.0, f32::NAN, 4.0, 5.0, 6.0], 2).is_err());
        let same = Projection::of(&[1.0; 8], 2).unwrap();
        assert!(same.points.iter().flatten().all(|value| *value == 0.0));
    }
}
