//! The grid of tiles of a slide: adjacent squares from the upper left corner, of a size in pixels of the full level or in
//! microns.
//!
//! Knows where tiles lie, not what they show; that is the business of `tissue`.

use medcoss_formats::slide::{Level, Slide};
use medcoss_sdk::affine::Affine;
use medcoss_sdk::image::Region;
use medcoss_sdk::{Error, FileGrid};

/// How much finer than its full level a slide may be read. Scanners of one magnification differ by a few parts in a
/// hundred; beyond this, pixels would be invented.
const FINEST: f64 = 1.25;

/// The tiles of a slide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// The level that tiles are read from.
    pub level: Level,
    /// Side of a sample's tile in pixels, which a region of the level becomes.
    pub tile: usize,
    pub n_columns: usize,
    pub n_rows: usize,
    /// Side of a tile in pixels of the full level; not a whole number where microns decide.
    side: f64,
    /// Columns and rows of the full level.
    full: [f64; 2],
}

impl Grid {
    /// Tiles of `tile` pixels at `mpp` microns per pixel; without it, at full resolution. `id` names the slide.
    ///
    /// # Errors
    /// A slide that does not state its resolution, or has less than is asked for.
    pub fn new(id: &str, slide: &Slide, tile: usize, mpp: Option<f64>) -> Result<Self, Error> {
        let full = slide.levels()[0];
        let (level, side) = match (mpp, full.mpp) {
            (None, _) => (full, tile as f64),
            (Some(wanted), Some(found)) if found <= wanted * FINEST => {
                (slide.level_at(wanted), tile as f64 * wanted / found)
            }
            (Some(wanted), Some(found)) => {
                return Err(Error::unsupported(format!(
                    "{id} has {found:.4} microns per pixel at best; mpp is {wanted}, and nothing finer than the slide by \
                     more than a quarter is read\nhint: raise mpp to {found:.4} or above, or leave this slide out"
                )));
            }
            (Some(wanted), None) => {
                return Err(Error::unsupported(format!(
                    "{id} does not state its microns per pixel; mpp is {wanted}, which needs them\n\
                     hint: leave mpp out to cut tiles at full resolution, or write XResolution and ResolutionUnit into the \
                     file"
                )));
            }
        };
        let fitting = |length: usize| (length as f64 / side + 1e-9) as usize;
        let (n_columns, n_rows) = (fitting(full.width), fitting(full.height));
        Ok(Self { level, tile, n_columns, n_rows, side, full: [full.width as f64, full.height as f64] })
    }

    /// Side of a tile in pixels of the full level.
    pub fn side(&self) -> f64 {
        self.side
    }

    /// Columns and rows of the full level.
    pub fn full_size(&self) -> [f64; 2] {
        self.full
    }

    /// Column and row of a tile's upper left corner in the full level.
    pub fn corner(&self, [column, row]: [u32; 2]) -> [usize; 2] {
        [column, row].map(|number| (f64::from(number) * self.side).round() as usize)
    }

    /// Where a tile lies on the level that it is read from.
    pub fn region(&self, [column, row]: [u32; 2]) -> Region {
        let span = |number: u32, axis: usize, length: usize| {
            let scale = length as f64 / self.full[axis];
            let width = ((self.side * scale).round() as usize).clamp(1, length);
            let start = (f64::from(number) * self.side * scale).round() as usize;
            (start.min(length - width), width)
        };
        let (left, width) = span(column, 0, self.level.width);
        let (top, height) = span(row, 1, self.level.height);
        Region { left, top, width, height }
    }

    /// From the pixels of a tile to those of the full level, rows before columns.
    pub fn place(&self, tile: [u32; 2]) -> Affine<2> {
        let [width, height] = self.full;
        let scale = [height / self.level.height as f64, width / self.level.width as f64];
        Affine::of_region(self.region(tile), self.tile, self.tile).then(&Affine::of_axes(scale, [0.0; 2]))
    }

    /// Rows and columns of the full level, and their distance in millimetres where the slide states it.
    pub fn file_grid(&self) -> FileGrid {
        let [width, height] = self.full;
        // The level states its own microns per pixel.
        let mm = self.level.mpp.map(|mpp| mpp * self.level.width as f64 / width / 1000.0);
        FileGrid { spacing_mm: mm.map(|mm| vec![mm; 2]), ..FileGrid::of_shape([height as usize, width as usize]) }
    }

    /// Pixels of the level that make up a tile.
    pub fn pixels_a_tile(&self) -> usize {
        let Region { width, height, .. } = self.region([0, 0]);
        width * height
    }

    /// The column of tiles in which each column of a level lies, or the row (`axis` 1); `None` past the last.
    pub fn tile_of(&self, axis: usize, length: usize, start: usize, n: usize) -> Vec<Option<usize>> {
        let n_tiles = [self.n_columns, self.n_rows][axis];
        let tiles_a_pixel = self.full[axis] / length as f64 / self.side;
        let tile = |at: usize| ((at as f64 + 0.5) * tiles_a_pixel) as usize;
        (start..start + n).map(tile).map(|tile| (tile < n_tiles).then_some(tile)).collect()
    }

    /// A grid over a level that is the full one.
    #[cfg(test)]
    pub fn of_size(level: Level, side: f64) -> Self {
        let full = [level.width as f64, level.height as f64];
        let [n_columns, n_rows] = full.map(|length| (length / side) as usize);
        Self { level, tile: side as usize, n_columns, n_rows, side, full }
    }
}
