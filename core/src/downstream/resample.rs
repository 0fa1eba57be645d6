//! The way of predictions from a sample's grid of voxels back to the grid of its file.
//!
//! A sample is a crop of a file that was turned, resampled or padded. An affine map says where each voxel of the file lies in the sample. Probabilities
//! are interpolated linearly, labels come from the nearest voxel. Voxels of the file outside of the sample are not covered: they have no prediction,
//! rather than that of the sample's border. Slices of the file are made a few at a time, so that memory need not hold the whole file.

use std::ops::Range;

use super::shape::{check_length, three_axes};
use crate::{EvaluationError, Result};

/// Coordinates of voxels are rounded: those this far beyond the sample's end, in voxels, are at its end.
const SLACK: f64 = 1e-6;

/// Affine map from the voxels of a file to coordinates in a sample, both images or both volumes.
///
/// A voxel is the unit cube around its index: an axis of `n` voxels covers the coordinates -0.5 to `n - 0.5`. Between the outermost centres and these ends
/// the outermost voxel's value applies.
#[derive(Debug, Clone, PartialEq)]
pub struct GridMap {
    /// Three rows of `[a, b, c, d]`: `a * z + b * y + c * x + d` is the coordinate in the sample of voxel `(z, y, x)` of the file.
    rows: [[f64; 4]; 3],
    sample: Vec<usize>,
    file: Vec<usize>,
}

/// Predictions on a range of slices of a file along its first axis.
#[derive(Debug, Clone, PartialEq)]
pub struct CarriedSlices<T> {
    /// The slices.
    pub slices: Range<usize>,
    /// Values, `[channels, slices, the other axes]`; 0 where the sample does not cover the file. Labels have one channel.
    pub values: Vec<T>,
    /// Whether the sample covers a voxel, `[slices, the other axes]`. As 0 and 1 these are weights of the sample.
    pub is_covered: Vec<bool>,
}

impl GridMap {
    /// A map between grids of two or three axes. `affine` has a row for each axis of the sample, in row-major order: a factor for each axis of the file's
    /// voxel index, and the offset: 2 x 3 or 3 x 4 numbers.
    ///
    /// # Errors
    /// Shapes without two or three axes or of different numbers of axes, an affine map of another size or with numbers that are not finite.
    pub fn new(affine: &[f64], sample: &[usize], file: &[usize]) -> Result<Self> {
        three_axes("the sample", sample)?;
        three_axes("the file", file)?;
        let n = sample.len();
        if file.len() != n {
            let (found, expected) = (format!("{} axes", file.len()), format!("{n}, as the sample has"));
            return Err(EvaluationError::array("the file", found, expected).into());
        }
        if affine.len() != n * (n + 1) || !affine.iter().all(|value| value.is_finite()) {
            let expected = format!("{n} rows of {} finite numbers", n + 1);
            return Err(EvaluationError::array("the affine map", format!("{affine:?}"), expected).into());
        }
        // An image has a third axis of one voxel behind its own, so that its rows are slices.
        let mut rows = [[0.0; 4]; 3];
        for (row, values) in rows.iter_mut().zip(affine.chunks_exact(n + 1)) {
            row[..n].copy_from_slice(&values[..n]);
            row[3] = values[n];
        }
        Ok(Self { rows, sample: sample.to_vec(), file: file.to_vec() })
    }

    /// Ranges of slices along the file's first axis whose carried values, `n_channels` of `value_bytes` each, take at most `max_bytes` with their cover;
    /// at least one slice each.
    pub fn chunks(
        &self,
        n_channels: usize,
        value_bytes: usize,
        max_bytes: usize,
    ) -> impl Iterator<Item = Range<usize>> + use<> {
        let n_slices = self.file[0];
        let slice = self.file[1..].iter().product::<usize>().saturating_mul(n_channels.saturating_mul(value_bytes) + 1);
        let n_at_once = (max_bytes / slice.max(1)).clamp(1, n_slices);
        (0..n_slices).step_by(n_at_once).map(move |start| start..(start + n_at_once).min(n_slices))
    }

    /// Carries numbers `[n_channels, sample]`, such as class probabilities, to slices of the file, interpolated linearly along each axis. Probabilities
    /// that add up to 1 still do.
    ///
    /// # Errors
    /// An array of another length, slices that the file does not have.
    pub fn interpolate(&self, values: &[f32], n_channels: usize, slices: Range<usize>) -> Result<CarriedSlices<f32>> {
        check_length("the sample", values.len(), n_channels, &self.sample)?;
        let (sample, n_voxels) = (trailing_one(&self.sample), self.n_voxels(&slices)?);
        let n_sample: usize = sample.iter().product();
        let mut carried = CarriedSlices {
            slices: slices.clone(),
            values: vec![0.0; n_channels * n_voxels],
            is_covered: vec![false; n_voxels],
        };
        self.for_each_covered(slices, |at, place| {
            carried.is_covered[at] = true;
            let [z, y, x] = [0, 1, 2].map(|axis| neighbours(place[axis], sample[axis]));
            for channel in 0..n_channels {
                let values = &values[channel * n_sample..][..n_sample];
                let mut sum = 0.0;
                for (z, z_weight) in z {
                    for (y, y_weight) in y {
                        let row = (z * sample[1] + y) * sample[2];
                        for (x, x_weight) in x {
                            let weight = z_weight * y_weight * x_weight;
                            // What has no weight does not count, even where it is no number.
                            if weight > 0.0 {
                                sum += weight * f64::from(values[row + x]);
                            }
                        }
                    }
                }
                carried.values[channel * n_voxels + at] = sum as f32;
            }
        });
        Ok(carried)
    }

    /// Carries labels of the sample's voxels to slices of the file, each from the nearest voxel; of equally near ones the last.
    ///
    /// # Errors
    /// An array of another length, slices that the file does not have.
    pub fn nearest<T: Copy + Default>(&self, labels: &[T], slices: Range<usize>) -> Result<CarriedSlices<T>> {
        check_length("the sample", labels.len(), 1, &self.sample)?;
        let (sample, n_voxels) = (trailing_one(&self.sample), self.n_voxels(&slices)?);
        let mut carried = CarriedSlices {
            slices: slices.clone(),
            values: vec![T::default(); n_voxels],
            is_covered: vec![false; n_voxels],
        };
        self.for_each_covered(slices, |at, place| {
            let [z, y, x] = [0, 1, 2].map(|axis| ((place[axis] + 0.5).floor() as usize).min(sample[axis] - 1));
            carried.is_covered[at] = true;
            carried.values[at] = labels[(z * sample[1] + y) * sample[2] + x];
        });
        Ok(carried)
    }

    /// Number of voxels of slices of the file.
    fn n_voxels(&self, slices: &Range<usize>) -> Result<usize> {
        if slices.start > slices.end || slices.end > self.file[0] {
            let expected = format!("a range within 0..{}", self.file[0]);
            return Err(EvaluationError::array("the range of slices", format!("{slices:?}"), expected).into());
        }
        Ok(slices.len() * self.file[1..].iter().product::<usize>())
    }

    /// Calls with the position among the slices' voxels and the coordinates in the sample of each covered voxel.
    fn for_each_covered(&self, slices: Range<usize>, mut of_voxel: impl FnMut(usize, [f64; 3])) {
        let (sample, [_, n_rows, n_columns]) = (trailing_one(&self.sample), trailing_one(&self.file));
        let mut at = 0;
        for z in slices {
            for y in 0..n_rows {
                for x in 0..n_columns {
                    let [z, y, x] = [z, y, x].map(|index| index as f64);
                    let place = self.rows.map(|[a, b, c, d]| a * z + b * y + c * x + d);
                    let inside =
                        |axis: usize| (-0.5 - SLACK..=sample[axis] as f64 - 0.5 + SLACK).contains(&place[axis]);
                    if (0..3).all(inside) {
                        of_voxel(at, [0, 1, 2].map(|axis| place[axis].clamp(0.0, (sample[axis] - 1) as f64)));
                    }
                    at += 1;
                }
            }
        }
    }
}

/// Sizes on three axes; those of an image precede a 1.
fn trailing_one(shape: &[usize]) -> [usize; 3] {
    let mut three = [1; 3];
    three[..shape.len()].copy_from_slice(shape);
    three
}

/// The two voxels around a coordinate in `0..=n - 1`, with their weights.
fn neighbours(place: f64, n: usize) -> [(usize, f64); 2] {
    let below = (place.floor() as usize).min(n - 1);
    let share = place - below as f64;
    [(below, 1.0 - share), ((below + 1).min(n - 1), share)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_twice_as_fine_is_interpolated_and_ends_half_a_voxel_beyond_the_last_centre() {
        // Columns 0.5, 1 ... of the sample; the file begins a voxel before it.
        let map = GridMap::new(&[1.0, 0.0, 0.0, 0.0, 0.5, -1.0], &[1, 3], &[1, 9]).unwrap();
        let carried = map.interpolate(&[10.0, 20.0, 40.0, 1.0, 2.0, 4.0], 2, 0..1).unwrap();
        let expected = [0.0, 10.0, 10.0, 15.0, 20.0, 30.0, 40.0, 40.0, 0.0];
        assert_eq!(carried.values[..9], expected);
        assert!(
            carried.values[9..].iter().zip(expected).all(|(found, ten_times)| (found * 10.0 - ten_times).abs() < 1e-5)
        );
        assert_eq!(carried.is_covered, [false, true, true, true, true, true, true, true, false]);
        let labels = map.nearest(&[1u8, 2, 4], 0..1).unwrap();
        assert_eq!(labels.values, [0, 1, 1, 2, 2, 4, 4, 4, 0]);
        assert_eq!(labels.is_covered, carried.is_covered);
    }

    /// Turned and mirrored axes, as between a file and the body's axes.
    #[test]
    fn turned_axes_bring_each_voxel_to_its_place_in_chunks_and_at_once() {
        // Sample (z, y, x) = file (2, 0, 3 - 1).
        let (sample, file) = ([2, 3, 4], [3, 4, 2]);
        let affine = [0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 3.0];
        let map = GridMap::new(&affine, &sample, &file).unwrap();
        let values: Vec<f32> = (0..2 * 24).map(|at| at as f32).collect();
        let whole = map.interpolate(&values, 2, 0..3).unwrap();
        assert_eq!(whole.is_covered, [true; 24]);
        for at in 0..24 {
            let [a, b, c] = [at / 8, at / 2 % 4, at % 2];
            let from = ((c * 3 + a) * 4 + 3 - b) as f32;
            assert_eq!([whole.values[at], whole.values[24 + at]], [from, from + 24.0]);
        }
        let labels: Vec<u16> = (0..24).collect();
        let nearest = map.nearest(&labels, 0..3).unwrap().values;
        assert!(nearest.iter().zip(&whole.values).all(|(label, value)| f32::from(*label) == *value));

        // Two channels of four bytes and the cover: 9 bytes for each of 8 voxels of a slice.
        let chunks: Vec<_> = map.chunks(2, 4, 150).collect();
        assert_eq!(chunks, [0..2, 2..3]);
        assert_eq!(map.chunks(2, 4, 0).collect::<Vec<_>>(), [0..1, 1..2, 2..3]);
        for chunk in chunks {
            let part = map.interpolate(&values, 2, chunk.clone()).unwrap();
            let n = chunk.len() * 8;
            assert_eq!(part.values[..n], whole.values[chunk.start * 8..][..n]);
            assert_eq!(part.values[n..], whole.values[24 + chunk.start * 8..][..n]);
        }
    }

    #[test]
    fn a_linear_field_stays_linear_under_any_affine_map() {
        let sample = [5, 6, 7];
        let affine = [0.4, 0.1, -0.2, 1.3, -0.1, 0.5, 0.3, 0.6, 0.2, -0.3, 0.6, 1.9];
        let map = GridMap::new(&affine, &sample, &[6, 7, 8]).unwrap();
        let field = |z: f64, y: f64, x: f64| 2.0 * z - 3.0 * y + 0.5 * x + 7.0;
        let values: Vec<f32> =
            (0..210).map(|at| field((at / 42) as f64, (at / 7 % 6) as f64, (at % 7) as f64) as f32).collect();
        let carried = map.interpolate(&values, 1, 0..6).unwrap();
        let mut n_inside = 0;
        for at in 0..6 * 7 * 8 {
            let [z, y, x] = [at / 56, at / 8 % 7, at % 8].map(|index| index as f64);
            let place: Vec<f64> = affine.chunks(4).map(|row| row[0] * z + row[1] * y + row[2] * x + row[3]).collect();
            let covered = place.iter().zip(sample).all(|(place, n)| *place >= -0.5 && *place <= n as f64 - 0.5);
            assert_eq!(carried.is_covered[at], covered, "{place:?}");
            if place.iter().zip(sample).all(|(place, n)| *place >= 0.0 && *place <= (n - 1) as f64) {
                assert!((f64::from(carried.values[at]) - field(place[0], place[1], place[2])).abs() < 1e-5);
                n_inside += 1;
            }
        }
        assert!((50..330).contains(&n_inside) && carried.is_covered.contains(&false), "{n_inside}");
    }

    #[test]
    fn maps_and_arrays_that_do_not_fit_are_named() {
        let message = |affine: &[f64], sample: &[usize], file: &[usize]| {
            GridMap::new(affine, sample, file).unwrap_err().to_string()
        };
        assert!(message(&[1.0; 5], &[2, 2], &[2, 2]).contains("expected 2 rows of 3 finite numbers"));
        assert!(message(&[f64::NAN; 6], &[2, 2], &[2, 2]).contains("finite numbers"));
        assert_eq!(message(&[1.0; 6], &[2, 2], &[2, 2, 2]), "the file has 3 axes, expected 2, as the sample has");
        assert!(message(&[1.0; 6], &[2, 0], &[2, 2]).starts_with("the sample has the shape [2, 0]"));
        let map = GridMap::new(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0], &[2, 2], &[2, 2]).unwrap();
        assert!(map.interpolate(&[0.0; 5], 1, 0..2).unwrap_err().to_string().contains("5 values"));
        let error = map.nearest(&[0u8; 4], 1..3).unwrap_err().to_string();
        assert_eq!(error, "the range of slices has 1..3, expected a range within 0..2");
    }
}
