//! Importance map of a sliding window: the weight of each voxel of a tile's prediction. Predictions near a tile's border have less context and
//! count less (nnU-Net; Isensee et al., 2021).

use super::shape::three_axes;
use crate::{Result, SettingError};

/// The Gaussian ends at this many standard deviations, as SciPy's `gaussian_filter` does by default.
const TRUNCATE: f64 = 4.0;

/// Weights of a tile's voxels, a Gaussian around the tile's centre.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportanceMap {
    tile: Vec<usize>,
    values: Vec<f32>,
}

impl ImportanceMap {
    /// Standard deviation over tile size in the reference: 1/8 for volumes.
    pub const VOLUME_SIGMA_SCALE: f64 = 1.0 / 8.0;
    /// Standard deviation over tile size in the reference: 1/4 for images.
    pub const IMAGE_SIGMA_SCALE: f64 = 1.0 / 4.0;

    /// Gaussian importance map of a tile of two or three axes. Along each axis of `n` voxels its centre is voxel `n / 2` and its standard deviation
    /// `n * sigma_scale`. Values are in (0, 1]: the centre has 1, and weights too small for a 32-bit number are the smallest other weight.
    ///
    /// A unit impulse filtered with SciPy's `gaussian_filter` (truncated at 4 sigma, zero outside) and divided by its maximum gives the same.
    ///
    /// # Errors
    /// A tile without two or three axes or without voxels, a scale that is not above 0 and at most 100.
    pub fn gaussian(tile: &[usize], sigma_scale: f64) -> Result<Self> {
        let three = three_axes("the tile", tile)?;
        if !(sigma_scale > 0.0 && sigma_scale <= 100.0) {
            return Err(SettingError::out_of_range("sigma_scale", sigma_scale, "above 0.0 to 100.0").into());
        }
        let kernel = |axis: usize| match axis == 0 && tile.len() == 2 {
            // An image has no depth, which nothing is filtered along.
            true => vec![1.0],
            false => axis_weights(three[axis], sigma_scale),
        };
        let [depth, rows, columns] = [0, 1, 2].map(kernel);
        let centre = three.map(|n| n / 2);
        let largest = depth[centre[0]] * rows[centre[1]] * columns[centre[2]];
        let mut values = Vec::with_capacity(three.iter().product());
        for z in &depth {
            for y in &rows {
                values.extend(columns.iter().map(|x| (z * y * x / largest) as f32));
            }
        }
        let smallest = values.iter().copied().filter(|value| *value != 0.0).fold(f32::INFINITY, f32::min);
        values.iter_mut().filter(|value| **value == 0.0).for_each(|value| *value = smallest);
        Ok(Self { tile: tile.to_vec(), values })
    }

    /// The same weight, 1, for every voxel of a tile of two or three axes.
    ///
    /// # Errors
    /// A tile without two or three axes or without voxels.
    pub fn uniform(tile: &[usize]) -> Result<Self> {
        let n = three_axes("the tile", tile)?.iter().product();
        Ok(Self { tile: tile.to_vec(), values: vec![1.0; n] })
    }

    /// Sizes of the tile.
    pub fn tile(&self) -> &[usize] {
        &self.tile
    }

    /// Weights in row-major order, in (0, 1].
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

/// Weights along an axis: a Gaussian around voxel `n / 2`, normalised over its kernel, 0 beyond the kernel.
fn axis_weights(n: usize, sigma_scale: f64) -> Vec<f64> {
    let sigma = n as f64 * sigma_scale;
    let radius = (TRUNCATE * sigma + 0.5) as usize;
    let weight = |distance: usize| (-0.5 / (sigma * sigma) * (distance as f64).powi(2)).exp();
    let sum = weight(0) + 2.0 * (1..=radius).map(weight).sum::<f64>();
    let centre = n / 2;
    (0..n)
        .map(|at| match at.abs_diff(centre) {
            distance if distance <= radius => weight(distance) / sum,
            _ => 0.0,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_fall_from_the_centre_and_are_never_zero() {
        // Sigma 1 along rows, 1.25 along columns.
        let map = ImportanceMap::gaussian(&[8, 10], 1.0 / 8.0).unwrap();
        let at = |row: usize, column: usize| map.values()[row * 10 + column];
        assert_eq!(at(4, 5), 1.0);
        assert!((at(3, 5) - (-0.5f32).exp()).abs() < 1e-7 && at(3, 5) == at(5, 5));
        assert!((at(4, 3) - (-0.5f32 * 4.0 / 1.5625).exp()).abs() < 1e-7);
        // Both axes: exp(-16/2) exp(-25/3.125).
        assert!((at(0, 0) / (-16.0f32).exp() - 1.0).abs() < 1e-5);
        // Sigma 0.5: the kernel ends after two voxels, and the corner takes the smallest weight of the kernel.
        let narrow = ImportanceMap::gaussian(&[8, 8], 1.0 / 16.0).unwrap();
        assert!((narrow.values()[0] / (-16.0f32).exp() - 1.0).abs() < 1e-5, "{}", narrow.values()[0]);
        assert_eq!(ImportanceMap::uniform(&[2, 3]).unwrap().values(), [1.0; 6]);
    }

    #[test]
    fn scales_out_of_range_are_refused() {
        for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = ImportanceMap::gaussian(&[4, 4], scale).unwrap_err().to_string();
            assert!(error.starts_with(&format!("sigma_scale is {scale}, expected above 0.0")), "{error}");
        }
        assert!(ImportanceMap::gaussian(&[4], 0.1).is_err() && ImportanceMap::uniform(&[4, 0]).is_err());
        assert_eq!(ImportanceMap::gaussian(&[1, 1, 1], 1e-9).unwrap().values(), [1.0]);
    }
}
