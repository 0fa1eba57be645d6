//! Tiles of a sliding window: where they start, and how an image is cut into them.

use super::shape::{check_length, three_axes};
use crate::{EvaluationError, Result, SettingError};

/// Tiles of one size that cover an image (rows, columns) or a volume (depth, rows, columns) with a constant stride. The last tile of each axis is
/// moved back to end with the image. An image smaller than a tile is padded at the end of the axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileGrid {
    shape: Vec<usize>,
    tile: Vec<usize>,
    starts: Vec<Vec<usize>>,
}

impl TileGrid {
    /// Tiles whose neighbours overlap by a fraction of the tile, in [0, 1); 0.5 gives the reference's stride, `ceil(tile / 2)`.
    ///
    /// # Errors
    /// Shapes without two or three axes, a tile of another number of axes, an overlap out of range.
    pub fn new(shape: &[usize], tile: &[usize], overlap: f64) -> Result<Self> {
        if !(0.0..1.0).contains(&overlap) {
            return Err(SettingError::out_of_range("overlap", overlap, "0.0 to below 1.0").into());
        }
        // The difference keeps a product that is whole but for its rounding from the next number.
        let stride = |n: &usize| ((*n as f64 * (1.0 - overlap) - 1e-9).ceil() as usize).max(1);
        Self::with_strides(shape, tile, &tile.iter().map(stride).collect::<Vec<_>>())
    }

    /// The tiles of the reference: an overlap of a half, and in volumes the rows' stride for columns too, which matters only where a tile is not
    /// square in plane.
    ///
    /// # Errors
    /// As [`TileGrid::new`]; a tile so much wider in rows than in columns that the columns between two tiles are not covered.
    pub fn reference(shape: &[usize], tile: &[usize]) -> Result<Self> {
        let mut strides: Vec<usize> = tile.iter().map(|n| n.div_ceil(2)).collect();
        if let [_, rows, columns] = strides.as_mut_slice() {
            *columns = *rows;
        }
        Self::with_strides(shape, tile, &strides)
    }

    /// Tiles with a stride in voxels for each axis, 1 to the tile's size.
    ///
    /// # Errors
    /// Shapes without two or three axes, a tile or strides of another number of axes, a stride out of range.
    pub fn with_strides(shape: &[usize], tile: &[usize], strides: &[usize]) -> Result<Self> {
        three_axes("the image", shape)?;
        three_axes("the tile", tile)?;
        for (name, found) in [("the tile", tile.len()), ("the stride", strides.len())] {
            if found != shape.len() {
                let expected = format!("{}, as the image has", shape.len());
                return Err(EvaluationError::array(name, format!("{found} axes"), expected).into());
            }
        }
        for (stride, tile) in strides.iter().zip(tile) {
            if !(1..=*tile).contains(stride) {
                let expected = format!("1 to {tile}, the tile's size");
                return Err(SettingError::out_of_range("stride", stride, expected).into());
            }
        }
        let padded: Vec<usize> = shape.iter().zip(tile).map(|(image, tile)| *image.max(tile)).collect();
        three_axes("the padded image", &padded)?;
        let axis = |axis: usize| axis_starts(shape[axis], tile[axis], strides[axis]);
        Ok(Self { shape: shape.to_vec(), tile: tile.to_vec(), starts: (0..shape.len()).map(axis).collect() })
    }

    /// Sizes of the image.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Sizes of a tile.
    pub fn tile(&self) -> &[usize] {
        &self.tile
    }

    /// First voxels of the tiles along each axis, ascending.
    pub fn starts(&self) -> &[Vec<usize>] {
        &self.starts
    }

    /// Sizes of the image with its padding: at least the tile's.
    pub fn padded(&self) -> Vec<usize> {
        self.shape.iter().zip(&self.tile).map(|(image, tile)| *image.max(tile)).collect()
    }

    /// Number of tiles.
    pub fn n_tiles(&self) -> usize {
        self.starts.iter().map(Vec::len).product()
    }

    /// First voxel of each tile, one coordinate an axis; the first axis changes last.
    pub fn places(&self) -> impl Iterator<Item = Vec<usize>> + '_ {
        (0..self.n_tiles()).map(|mut nth| {
            let mut place = vec![0; self.starts.len()];
            for (axis, starts) in self.starts.iter().enumerate().rev() {
                place[axis] = starts[nth % starts.len()];
                nth /= starts.len();
            }
            place
        })
    }

    /// Cuts a tile out of an image `[channels, space]`. Voxels behind the image's end take the value `padding` (the reference: -1).
    ///
    /// # Errors
    /// An image of another length, a place beyond the padded image.
    pub fn cut(&self, image: &[f32], n_channels: usize, place: &[usize], padding: f32) -> Result<Vec<f32>> {
        check_length("the image", image.len(), n_channels, &self.shape)?;
        self.check_place(place)?;
        let shape = three_axes("the image", &self.shape)?;
        let tile = three_axes("the tile", &self.tile)?;
        let [z0, y0, x0] = leading_zero(place);
        let n_columns = tile[2].min(shape[2].saturating_sub(x0));
        let mut cut = vec![padding; n_channels * tile.iter().product::<usize>()];
        for channel in 0..n_channels {
            for z in 0..tile[0].min(shape[0].saturating_sub(z0)) {
                for y in 0..tile[1].min(shape[1].saturating_sub(y0)) {
                    let from = ((channel * shape[0] + z0 + z) * shape[1] + y0 + y) * shape[2] + x0;
                    let to = ((channel * tile[0] + z) * tile[1] + y) * tile[2];
                    cut[to..to + n_columns].copy_from_slice(&image[from..from + n_columns]);
                }
            }
        }
        Ok(cut)
    }

    /// Checks that a tile at this place lies in the padded image.
    pub(super) fn check_place(&self, place: &[usize]) -> Result<()> {
        let last: Vec<usize> = self.shape.iter().zip(&self.tile).map(|(n, tile)| n.saturating_sub(*tile)).collect();
        if place.len() == last.len() && place.iter().zip(&last).all(|(place, last)| place <= last) {
            return Ok(());
        }
        Err(EvaluationError::array("the tile", format!("its first voxel at {place:?}"), format!("at most {last:?}"))
            .into())
    }
}

/// Coordinates of a voxel on three axes; those of an image follow a 0.
pub(super) fn leading_zero(place: &[usize]) -> [usize; 3] {
    let mut three = [0; 3];
    three[3 - place.len()..].copy_from_slice(place);
    three
}

/// First voxels of the tiles along an axis.
fn axis_starts(size: usize, tile: usize, stride: usize) -> Vec<usize> {
    let last = size.saturating_sub(tile);
    (0..=last.div_ceil(stride)).map(|nth| (nth * stride).min(last)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_follow_from_the_overlap() {
        let starts = |overlap| TileGrid::new(&[40, 40], &[10, 9], overlap).unwrap().starts;
        assert_eq!(starts(0.0), [vec![0, 10, 20, 30], vec![0, 9, 18, 27, 31]]);
        // 3 of 10, and 2.7 of 9.
        assert_eq!(starts(0.7)[0][..4], [0, 3, 6, 9]);
        assert_eq!(starts(0.7)[1][..4], [0, 3, 6, 9]);
        assert_eq!(starts(0.999)[0].len(), 31);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let message = |result: Result<TileGrid>| result.unwrap_err().to_string();
        assert!(message(TileGrid::new(&[9, 9], &[4, 4], 1.0)).starts_with("overlap is 1, expected 0.0 to below 1.0"));
        assert!(message(TileGrid::new(&[9, 9], &[4, 4], f64::NAN)).starts_with("overlap is NaN"));
        assert_eq!(
            message(TileGrid::new(&[9, 9], &[4, 4, 4], 0.5)),
            "the tile has 3 axes, expected 2, as the image has"
        );
        assert!(message(TileGrid::with_strides(&[9, 9], &[4, 4], &[2])).starts_with("the stride has 1 axes"));
        assert_eq!(
            message(TileGrid::with_strides(&[9, 9], &[4, 4], &[2, 5])),
            "stride is 5, expected 1 to 4, the tile's size"
        );
        // The reference's stride of rows, 10, leaves columns between its tiles of 8 columns.
        assert!(message(TileGrid::reference(&[9, 40, 40], &[4, 20, 8])).starts_with("stride is 10"));
        assert!(message(TileGrid::new(&[9], &[4], 0.5)).contains("two or three axes"));
        assert!(message(TileGrid::new(&[1 << 40, 4], &[4, 4], 0.5)).contains("16777216 voxels"));
    }

    #[test]
    fn tiles_are_cut_in_order_and_padded_at_the_end() {
        let grid = TileGrid::new(&[2, 3], &[2, 2], 0.5).unwrap();
        assert_eq!(grid.places().collect::<Vec<_>>(), [[0, 0], [0, 1]]);
        let image: Vec<f32> = (0..12).map(|at| at as f32).collect();
        assert_eq!(grid.cut(&image, 2, &[0, 1], -1.0).unwrap(), [1.0, 2.0, 4.0, 5.0, 7.0, 8.0, 10.0, 11.0]);

        let grid = TileGrid::new(&[1, 2, 3], &[2, 1, 4], 0.5).unwrap();
        assert_eq!((grid.padded(), grid.n_tiles()), (vec![2, 2, 4], 2));
        let cut = grid.cut(&image[..6], 1, &[0, 1, 0], -1.0).unwrap();
        assert_eq!(cut, [3.0, 4.0, 5.0, -1.0, -1.0, -1.0, -1.0, -1.0]);
        let error = grid.cut(&image[..6], 1, &[0, 2, 0], -1.0).unwrap_err().to_string();
        assert_eq!(error, "the tile has its first voxel at [0, 2, 0], expected at most [0, 1, 0]");
        assert!(grid.cut(&image[..6], 1, &[0, 0], -1.0).is_err() && grid.cut(&image, 1, &[0, 0, 0], -1.0).is_err());
    }
}
