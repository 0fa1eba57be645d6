//! Which tiles of a slide show tissue.
//!
//! A pixel counts as tissue when it absorbs light and does so in colour: its mean optical density is at least 0.05
//! ([`TRANSMITTED`]), and its saturation (of hue, saturation and value) at least [`SATURATION`]. Glass is neither,
//! shadows and dust are not coloured, black borders have no saturation. The test runs on the smallest level of the
//! pyramid that still gives a tile [`SHARPNESS`] pixels along each side; without one, the full level is read once.

use medcoss_formats::slide::{Level, Slide};
use medcoss_sdk::Error;
use medcoss_sdk::image::{Image, Region};

/// Largest product of red, green and blue: `10^(-3 * 0.05)`, a mean optical density of 0.05 (decadic; 11 % absorbed).
const TRANSMITTED: f32 = 0.707_945_8;
/// Least saturation.
const SATURATION: f32 = 0.06;
/// Least pixels of a tile along each side in the survey.
const SHARPNESS: f64 = 16.0;
/// Pixels along each side that the survey reads at once, at least one tile: 48 MiB.
const BLOCK: f64 = 2048.0;

/// The tiles of `side` pixels with at least `tissue_ratio` of tissue, in row order, as regions of the full level.
///
/// # Errors
/// A slide that cannot be read.
pub fn tiles_with_tissue(slide: &mut Slide, side: usize, tissue_ratio: f64) -> Result<Vec<Region>, Error> {
    let full = slide.levels()[0];
    let (n_columns, n_rows) = (full.width / side, full.height / side);
    let level = slide.level_for(side as f64 / SHARPNESS);
    let step = ((BLOCK * level.downsample / side as f64) as usize).max(1);
    let survey = Survey { across: ratio(level.width, full.width), down: ratio(level.height, full.height), level, side };

    let mut tiles = Vec::new();
    for first_row in (0..n_rows).step_by(step) {
        for first_column in (0..n_columns).step_by(step) {
            let rows = first_row..(first_row + step).min(n_rows);
            let columns = first_column..(first_column + step).min(n_columns);
            let corner = survey.region(first_column, first_row);
            let last = survey.region(columns.end - 1, rows.end - 1);
            let block = Region {
                width: last.left + last.width - corner.left,
                height: last.top + last.height - corner.top,
                ..corner
            };
            let picture = slide.read_region(level, block)?.into_rgb();
            for row in rows {
                for column in columns.clone() {
                    let mut place = survey.region(column, row);
                    place.left -= block.left;
                    place.top -= block.top;
                    if share_of_tissue(&picture, place) >= tissue_ratio {
                        tiles.push(Region { left: column * side, top: row * side, width: side, height: side });
                    }
                }
            }
        }
    }
    tiles.sort_by_key(|tile| (tile.top, tile.left));
    Ok(tiles)
}

/// The level that is looked at, and how the grid of tiles lies on it.
struct Survey {
    level: Level,
    /// Pixels of the level to one of the full level.
    across: f64,
    down: f64,
    side: usize,
}

impl Survey {
    /// Where a tile lies on the level, rounded outwards, at least one pixel.
    fn region(&self, column: usize, row: usize) -> Region {
        let side = self.side as f64;
        let span = |number: usize, scale: f64, length: usize| {
            let start = (number as f64 * side * scale) as usize;
            let end = (((number + 1) as f64 * side * scale).ceil() as usize).min(length);
            (start.min(length - 1), end.saturating_sub(start).max(1))
        };
        let (left, width) = span(column, self.across, self.level.width);
        let (top, height) = span(row, self.down, self.level.height);
        Region { left, top, width, height }
    }
}

fn ratio(level: usize, full: usize) -> f64 {
    level as f64 / full as f64
}

/// Fraction of the region's pixels that are tissue.
fn share_of_tissue(picture: &Image, region: Region) -> f64 {
    let (pixels, _) = picture.pixels().as_chunks::<3>();
    let n_tissue: usize = pixels
        .chunks_exact(picture.width())
        .skip(region.top)
        .take(region.height)
        .map(|row| row[region.left..region.left + region.width].iter().filter(|&&pixel| is_tissue(pixel)).count())
        .sum();
    n_tissue as f64 / (region.width * region.height) as f64
}

fn is_tissue([r, g, b]: [f32; 3]) -> bool {
    let (least, most) = (r.min(g).min(b), r.max(g).max(b));
    // Densities add where light is multiplied: no logarithm a pixel.
    most - least >= SATURATION * most && most > 0.0 && r * g * b <= TRANSMITTED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_of_the_colours_stands_for_their_mean_density() {
        for pixel in [[0.99, 0.9, 0.82], [0.98, 0.85, 0.83], [0.5, 0.2, 0.9], [0.999, 0.93, 0.95]] {
            let density = pixel.iter().map(|value: &f32| -value.log10()).sum::<f32>() / 3.0;
            assert_eq!(is_tissue(pixel), density >= 0.05, "{pixel:?} has density {density}");
        }
    }

    #[test]
    fn stained_pixels_are_tissue_and_glass_dust_and_borders_are_not() {
        let pink = [0.93, 0.75, 0.85];
        let violet = [0.35, 0.25, 0.55];
        assert!(is_tissue(pink) && is_tissue(violet));
        let glass = [0.96, 0.95, 0.96];
        let shadow = [0.6, 0.6, 0.62];
        assert!(!is_tissue(glass) && !is_tissue(shadow) && !is_tissue([0.0; 3]) && !is_tissue([1.0; 3]));
        // Coloured, but hardly anything absorbed: 10^-0.05 is the mean transmission from which on it counts.
        assert!(!is_tissue([1.0, 0.92, 0.95]) && is_tissue([1.0, 0.82, 0.85]));
    }

    #[test]
    fn the_share_of_tissue_is_counted_inside_the_region_alone() {
        // Six columns and five rows; tissue in columns 2 to 3 of all rows.
        let pixels = (0..30).flat_map(|pixel| if (2..4).contains(&(pixel % 6)) { [0.9, 0.5, 0.8] } else { [1.0; 3] });
        let picture = Image::new([5, 6, 3], pixels.collect()).unwrap();
        let share = |left, top, width, height| share_of_tissue(&picture, Region { left, top, width, height });
        assert_eq!(share(0, 0, 6, 5), 1.0 / 3.0);
        assert_eq!(share(1, 3, 2, 2), 0.5);
        assert_eq!(share(4, 0, 2, 5), 0.0);
    }
}
