//! Flips at test time: predictions of flipped inputs are flipped back and averaged.

use super::shape::{check_length, three_axes};
use crate::{EvaluationError, Result};

/// A flip of an image or a volume along some of its axes; of none, the image as it is. A flip is its own inverse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flip {
    axes: Vec<usize>,
}

impl Flip {
    /// All flips of an image of `n_axes` axes, 2 to the power of `n_axes`: first none, then those of one axis, and so on.
    ///
    /// # Errors
    /// A number of axes that is not two or three.
    pub fn subsets(n_axes: usize) -> Result<Vec<Self>> {
        if !(2..=3).contains(&n_axes) {
            return Err(EvaluationError::array("the image", format!("{n_axes} axes"), "two or three axes").into());
        }
        let mut sets: Vec<u32> = (0..1 << n_axes).collect();
        sets.sort_by_key(|set| set.count_ones());
        let axes = |set: u32| (0..n_axes).filter(|axis| set >> axis & 1 == 1).collect();
        Ok(sets.into_iter().map(|set| Self { axes: axes(set) }).collect())
    }

    /// The flipped axes, ascending, from 0.
    pub fn axes(&self) -> &[usize] {
        &self.axes
    }

    /// Flips an array `[channels, space]`, or flips it back.
    ///
    /// # Errors
    /// An array of another length than its shape's, an axis that the shape does not have.
    pub fn apply(&self, values: &[f32], n_channels: usize, shape: &[usize]) -> Result<Vec<f32>> {
        let [depth, rows, columns] = three_axes("the image", shape)?;
        check_length("the image", values.len(), n_channels, shape)?;
        if let Some(axis) = self.axes.iter().find(|axis| **axis >= shape.len()) {
            let found = format!("{} axes", shape.len());
            return Err(EvaluationError::array("the image", found, format!("an axis {axis} to flip")).into());
        }
        // An image's axes follow the axis of depth.
        let flips = |axis: usize| self.axes.iter().any(|flipped| flipped + 3 - shape.len() == axis);
        let from = |at: usize, n: usize, flipped: bool| if flipped { n - 1 - at } else { at };
        let mut flipped = Vec::with_capacity(values.len());
        for channel in 0..n_channels {
            for z in 0..depth {
                for y in 0..rows {
                    let (z, y) = (from(z, depth, flips(0)), from(y, rows, flips(1)));
                    let row = &values[((channel * depth + z) * rows + y) * columns..][..columns];
                    match flips(2) {
                        true => flipped.extend(row.iter().rev()),
                        false => flipped.extend(row),
                    }
                }
            }
        }
        Ok(flipped)
    }
}

/// Mean over flips of a model's predictions: `predict` gets the flipped tile `[n_in, tile]` and answers `[n_out, tile]`, probabilities for instance,
/// which are flipped back. Sums are in float64.
///
/// # Errors
/// No flips, a tile or an answer of another length than expected, and those of `predict`.
pub fn mean_over_flips(
    tile: &[f32],
    (n_in, n_out): (usize, usize),
    shape: &[usize],
    flips: &[Flip],
    mut predict: impl FnMut(&[f32]) -> Result<Vec<f32>>,
) -> Result<Vec<f32>> {
    if flips.is_empty() {
        return Err(
            EvaluationError::array("the list of flips", "no entry", "at least one; without axes for none").into()
        );
    }
    let mut sums: Vec<f64> = Vec::new();
    for flip in flips {
        let predicted = predict(&flip.apply(tile, n_in, shape)?)?;
        check_length("the prediction", predicted.len(), n_out, shape)?;
        let predicted = flip.apply(&predicted, n_out, shape)?;
        sums.resize(predicted.len(), 0.0);
        sums.iter_mut().zip(predicted).for_each(|(sum, value)| *sum += f64::from(value));
    }
    Ok(sums.into_iter().map(|sum| (sum / flips.len() as f64) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_come_in_the_order_of_their_sizes() {
        let axes = |n| Flip::subsets(n).unwrap().into_iter().map(|flip| flip.axes).collect::<Vec<_>>();
        assert_eq!(axes(2), [vec![], vec![0], vec![1], vec![0, 1]]);
        assert_eq!(axes(3)[3..], [vec![2], vec![0, 1], vec![0, 2], vec![1, 2], vec![0, 1, 2]]);
        assert!(Flip::subsets(4).unwrap_err().to_string().contains("4 axes, expected two or three"));
    }

    #[test]
    fn every_flip_moves_voxels_where_the_mirror_says_and_back() {
        let shape = [2, 3, 5];
        let values: Vec<f32> = (0..2 * 30).map(|at| at as f32).collect();
        for flip in Flip::subsets(3).unwrap() {
            let flipped = flip.apply(&values, 2, &shape).unwrap();
            for (at, value) in flipped.iter().enumerate() {
                let mut place = [at / 15 % 2, at / 5 % 3, at % 5];
                flip.axes().iter().for_each(|&axis| place[axis] = shape[axis] - 1 - place[axis]);
                let from = at / 30 * 30 + (place[0] * 3 + place[1]) * 5 + place[2];
                assert_eq!(*value, from as f32, "{flip:?} {at}");
            }
            assert_eq!(flip.apply(&flipped, 2, &shape).unwrap(), values);
        }
        let rows = Flip { axes: vec![0] }.apply(&values[..6], 1, &[2, 3]).unwrap();
        assert_eq!(rows, [3.0, 4.0, 5.0, 0.0, 1.0, 2.0]);
        assert!(Flip { axes: vec![2] }.apply(&values[..6], 1, &[2, 3]).is_err());
        assert!(Flip { axes: vec![] }.apply(&values[..5], 1, &[2, 3]).is_err());
    }

    #[test]
    fn predictions_are_flipped_back_before_they_are_averaged() {
        let (shape, tile) = ([2, 3], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let flips = Flip::subsets(2).unwrap();
        // A model that does the same at each place: its answer does not depend on flips.
        let twice = |tile: &[f32]| Ok([tile, tile].concat().iter().map(|value| 2.0 * value).collect());
        let mean = mean_over_flips(&tile, (1, 2), &shape, &flips, twice).unwrap();
        assert_eq!(mean, [2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0]);
        // One that sees the position only: 1 in the first voxel, which each flip moves to another corner.
        let first = |tile: &[f32]| Ok((0..tile.len()).map(|at| f32::from(u8::from(at == 0))).collect());
        let mean = mean_over_flips(&tile, (1, 1), &shape, &flips, first).unwrap();
        assert_eq!(mean, [0.25, 0.0, 0.25, 0.25, 0.0, 0.25]);
        assert!(mean_over_flips(&tile, (1, 1), &shape, &[], first).is_err());
        assert!(mean_over_flips(&tile, (1, 3), &shape, &flips, first).unwrap_err().to_string().contains("6 values"));
    }
}
