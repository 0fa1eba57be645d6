//! Aggregation of a sliding window: the predictions of overlapping tiles, weighted by an importance map (`importance_map.rs`), as one array.
//!
//! Memory follows the tile, not the volume: sums are kept of as many slices along the first axis as a tile has. Slices that no later tile can reach
//! are given out. Two classes of 700 x 512 x 512 voxels with tiles of 64 slices take 403 MB, where sums of the whole volume would take 4.4 GB.

use super::importance_map::ImportanceMap;
use super::shape::{check_length, three_axes};
use super::tile_grid::{TileGrid, leading_zero};
use crate::{EvaluationError, Result};

/// Weighted mean of the predictions of tiles, voxel by voxel: `sum(weight * prediction) / sum(weight)`, in float64.
#[derive(Debug)]
pub struct SlidingWindow {
    grid: TileGrid,
    weights: Vec<f32>,
    n_channels: usize,
    /// Number of slices of a tile along the first axis, which is the depth of a volume and the rows of an image.
    depth: usize,
    /// Sizes of a slice of the padded image; an image's slice has one row.
    plane: [usize; 2],
    /// `[depth, channels + 1, plane]`, the last channel with sums of weights. Slice `s` lies at `s % depth`.
    sums: Vec<f64>,
    /// The first slice that was not given out.
    first: usize,
}

/// Finished slices along the first axis, without padding.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedSlices {
    /// Position of the first slice, from 0.
    pub first: usize,
    /// Number of slices; may be 0.
    pub n_slices: usize,
    /// Means of predictions, `[channels, n_slices, the other axes]`.
    pub values: Vec<f32>,
}

impl SlidingWindow {
    /// An aggregation of predictions `[n_channels, tile]` over the tiles of a grid.
    ///
    /// # Errors
    /// An importance map of another tile, no channels, sums that memory cannot have.
    pub fn new(grid: TileGrid, map: &ImportanceMap, n_channels: usize) -> Result<Self> {
        if map.tile() != grid.tile() {
            let (found, expected) = (format!("the tile {:?}", map.tile()), format!("the grid's, {:?}", grid.tile()));
            return Err(EvaluationError::array("the importance map", found, expected).into());
        }
        let depth = grid.tile()[0];
        let plane = match grid.padded()[..] {
            [_, rows, columns] => [rows, columns],
            [_, columns] => [1, columns],
            _ => [0, 0],
        };
        three_axes("the tile's slices", &[depth, plane[0], plane[1]])?;
        let n_sums = n_channels.checked_add(1).and_then(|n| n.checked_mul(depth * plane[0] * plane[1]));
        let n_sums = n_sums.filter(|n| n_channels > 0 && *n <= isize::MAX as usize / 8).ok_or_else(|| {
            EvaluationError::array(
                "the prediction",
                format!("{n_channels} channels"),
                "at least one, and sums in memory",
            )
        })?;
        let weights = map.values().to_vec();
        Ok(Self { grid, weights, n_channels, depth, plane, sums: vec![0.0; n_sums], first: 0 })
    }

    /// The tiles.
    pub fn grid(&self) -> &TileGrid {
        &self.grid
    }

    /// Memory of the sums in bytes.
    pub fn n_bytes(&self) -> usize {
        size_of_val(self.sums.as_slice())
    }

    /// Adds the prediction of a tile, `[channels, tile]`; `place` is the tile's first voxel. The first coordinate never falls from tile to tile, as
    /// in [`TileGrid::places`]. Returns the slices before the tile, which are finished; none where there are none.
    ///
    /// # Errors
    /// A prediction of another length, a place out of order or beyond the image; a finished slice that was not covered or is not finite.
    pub fn add(&mut self, place: &[usize], prediction: &[f32]) -> Result<Option<FinishedSlices>> {
        check_length("the prediction", prediction.len(), self.n_channels, self.grid.tile())?;
        self.grid.check_place(place)?;
        if place[0] < self.first {
            let found = format!("its first voxel at {place:?}, after slices below {} were given out", self.first);
            return Err(EvaluationError::array("the tile", found, "tiles in the order of the grid's places").into());
        }
        let finished = match place[0] > self.first {
            true => Some(self.take(place[0])?),
            false => None,
        };
        let [n_rows, n_columns] = match *self.grid.tile() {
            [_, rows, columns] => [rows, columns],
            _ => [1, self.grid.tile()[1]],
        };
        // Without its first axis, an image's tile has one row.
        let [_, y0, x0] = match place.len() {
            3 => leading_zero(place),
            _ => [0, 0, place[1]],
        };
        let n_plane = self.plane[0] * self.plane[1];
        for z in 0..self.depth {
            let slice = (place[0] + z) % self.depth * (self.n_channels + 1) * n_plane;
            for y in 0..n_rows {
                let weights = &self.weights[(z * n_rows + y) * n_columns..][..n_columns];
                let row = slice + (y0 + y) * self.plane[1] + x0;
                for channel in 0..self.n_channels {
                    let values = &prediction[((channel * self.depth + z) * n_rows + y) * n_columns..][..n_columns];
                    let sums = &mut self.sums[row + channel * n_plane..][..n_columns];
                    for ((sum, value), weight) in sums.iter_mut().zip(values).zip(weights) {
                        *sum += f64::from(*value) * f64::from(*weight);
                    }
                }
                let sums = &mut self.sums[row + self.n_channels * n_plane..][..n_columns];
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += f64::from(*weight));
            }
        }
        Ok(finished)
    }

    /// The remaining slices, after all tiles.
    ///
    /// # Errors
    /// A slice that was not covered or is not finite.
    pub fn finish(mut self) -> Result<FinishedSlices> {
        self.take(self.grid.shape()[0])
    }

    /// Means of the slices before `end`, whose sums begin anew.
    fn take(&mut self, end: usize) -> Result<FinishedSlices> {
        let shape = self.grid.shape();
        let [rows, columns] = match *shape {
            [_, rows, columns] => [rows, columns],
            _ => [1, shape[1]],
        };
        let (first, n_slices) = (self.first, end - self.first);
        let n_plane = self.plane[0] * self.plane[1];
        let mut values = vec![0.0; self.n_channels * n_slices * rows * columns];
        for nth in 0..n_slices {
            // No tile has reached a slice further away than a tile's.
            if nth >= self.depth {
                return Err(self.uncovered(first + nth));
            }
            let start = (first + nth) % self.depth * (self.n_channels + 1) * n_plane;
            let (sums, weights) =
                self.sums[start..][..(self.n_channels + 1) * n_plane].split_at(self.n_channels * n_plane);
            for channel in 0..self.n_channels {
                for y in 0..rows {
                    let to = ((channel * n_slices + nth) * rows + y) * columns;
                    let from = y * self.plane[1];
                    for x in 0..columns {
                        let (sum, weight) = (sums[channel * n_plane + from + x], weights[from + x]);
                        if weight == 0.0 {
                            return Err(self.uncovered(first + nth));
                        }
                        if !sum.is_finite() {
                            let found = format!("{} in channel {channel} of slice {}", sum / weight, first + nth);
                            return Err(EvaluationError::array("the prediction", found, "finite numbers").into());
                        }
                        values[to + x] = (sum / weight) as f32;
                    }
                }
            }
            self.sums[start..][..(self.n_channels + 1) * n_plane].fill(0.0);
        }
        self.first = end;
        Ok(FinishedSlices { first, n_slices, values })
    }

    fn uncovered(&self, slice: usize) -> crate::Error {
        EvaluationError::Uncovered { slice, n_tiles: self.grid.n_tiles() }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number for a voxel of a tile that depends on everything.
    fn prediction(place: &[usize], channel: usize, at: usize) -> f32 {
        let seed = place.iter().fold(channel * 7 + 1, |seed, start| seed * 31 + start) * 101 + at;
        (seed * 2_654_435_761 % 1000) as f32 / 1000.0
    }

    /// Aggregates over a grid, by the rolling sums and by sums of the whole padded volume.
    fn both_routes(shape: &[usize], tile: &[usize], overlap: f64) -> (Vec<f32>, Vec<f64>, usize) {
        let grid = TileGrid::new(shape, tile, overlap).unwrap();
        let map = ImportanceMap::gaussian(tile, 1.0 / 8.0).unwrap();
        let (n_tile, padded) = (tile.iter().product::<usize>(), grid.padded());
        let n_padded: usize = padded.iter().product();
        let mut whole = vec![[0.0f64; 3]; n_padded];
        let mut window = SlidingWindow::new(grid.clone(), &map, 2).unwrap();
        let (mut parts, mut most) = (Vec::new(), 0);
        for place in grid.places() {
            let tile_values: Vec<f32> =
                (0..2 * n_tile).map(|at| prediction(&place, at / n_tile, at % n_tile)).collect();
            let finished = window.add(&place, &tile_values).unwrap();
            most = most.max(finished.as_ref().map_or(0, |part| part.n_slices));
            parts.extend(finished);
            for (at, &weight) in map.values().iter().enumerate() {
                let (mut rest, mut voxel, mut step) = (at, 0, 1);
                for axis in (0..tile.len()).rev() {
                    voxel += (place[axis] + rest % tile[axis]) * step;
                    rest /= tile[axis];
                    step *= padded[axis];
                }
                let weight = f64::from(weight);
                whole[voxel][0] += weight * f64::from(tile_values[at]);
                whole[voxel][1] += weight * f64::from(tile_values[n_tile + at]);
                whole[voxel][2] += weight;
            }
        }
        parts.push(window.finish().unwrap());
        let n_plane: usize = shape[1..].iter().product();
        let mut joined = vec![f32::NAN; 2 * shape[0] * n_plane];
        for part in parts {
            for channel in 0..2 {
                let to = (channel * shape[0] + part.first) * n_plane;
                let n = part.n_slices * n_plane;
                joined[to..to + n].copy_from_slice(&part.values[channel * n..][..n]);
            }
        }
        let mut expected = Vec::new();
        for channel in 0..2 {
            for (at, sums) in whole.iter().enumerate() {
                let (mut rest, mut inside) = (at, true);
                for axis in (0..shape.len()).rev() {
                    inside &= rest % padded[axis] < shape[axis];
                    rest /= padded[axis];
                }
                expected.extend(inside.then(|| sums[channel] / sums[2]));
            }
        }
        (joined, expected, most)
    }

    #[test]
    fn rolling_sums_equal_those_of_the_whole_volume() {
        for (shape, tile, overlap) in [
            (&[23, 9, 11][..], &[6, 4, 5][..], 0.5),
            (&[7, 9, 3], &[6, 4, 5], 0.25),
            (&[4, 3, 4], &[6, 4, 5], 0.5),
            (&[17, 12], &[5, 6], 0.5),
            (&[40, 5], &[4, 8], 0.0),
        ] {
            let (joined, expected, most) = both_routes(shape, tile, overlap);
            assert_eq!(joined.len(), expected.len());
            for (found, expected) in joined.iter().zip(&expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-7, "{shape:?}: {found} instead of {expected}");
            }
            assert!(most <= tile[0], "{most} slices at once of {shape:?}");
        }
    }

    #[test]
    fn memory_is_that_of_a_tiles_slices() {
        let grid = TileGrid::new(&[700, 512, 512], &[64, 192, 192], 0.5).unwrap();
        let map = ImportanceMap::gaussian(&[64, 192, 192], 1.0 / 8.0).unwrap();
        assert_eq!(SlidingWindow::new(grid, &map, 2).unwrap().n_bytes(), 3 * 8 * 64 * 512 * 512);
    }

    #[test]
    fn tiles_that_are_missing_out_of_order_or_not_finite_are_refused() {
        let grid = TileGrid::new(&[6, 4], &[2, 4], 0.5).unwrap();
        let map = ImportanceMap::uniform(&[2, 4]).unwrap();
        let window = || SlidingWindow::new(grid.clone(), &map, 1).unwrap();
        assert_eq!(grid.n_tiles(), 5);
        let text = |error: crate::Error| error.to_string();

        let error = text(window().finish().unwrap_err());
        assert!(error.starts_with("slice 0 along the first axis") && error.contains("each of the 5 tiles"), "{error}");
        let mut jumped = window();
        jumped.add(&[0, 0], &[0.5; 8]).unwrap();
        assert!(text(jumped.add(&[4, 0], &[0.5; 8]).unwrap_err()).starts_with("slice 2"));
        let mut backwards = window();
        backwards.add(&[0, 0], &[0.5; 8]).unwrap();
        assert_eq!(backwards.add(&[1, 0], &[0.5; 8]).unwrap().unwrap().values, [0.5; 4]);
        assert!(text(backwards.add(&[0, 0], &[0.5; 8]).unwrap_err()).contains("order of the grid's places"));
        let mut nan = window();
        nan.add(&[0, 0], &[f32::NAN; 8]).unwrap();
        assert!(text(nan.add(&[1, 0], &[0.5; 8]).unwrap_err()).contains("NaN in channel 0 of slice 0"));
        assert!(text(window().add(&[0, 0], &[0.5; 7]).unwrap_err()).contains("7 values"));
        assert!(window().add(&[5, 0], &[0.5; 8]).is_err() && window().add(&[0], &[0.5; 8]).is_err());
        assert!(SlidingWindow::new(grid.clone(), &map, 0).is_err());
        assert!(SlidingWindow::new(grid.clone(), &map, usize::MAX).is_err());
        let other = ImportanceMap::uniform(&[4, 2]).unwrap();
        assert!(text(SlidingWindow::new(grid, &other, 1).unwrap_err()).contains("the grid's, [2, 4]"));
    }
}
