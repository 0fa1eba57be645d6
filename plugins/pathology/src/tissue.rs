//! Tissue detection: the tiles of a slide that show tissue.
//!
//! A pixel counts as tissue when it absorbs light and does so in colour: its mean optical density is at least 0.05
//! ([`TRANSMITTED`]), and its saturation (of hue, saturation and value) at least [`SATURATION`]. Glass is neither,
//! shadows and dust are not coloured, black borders have no saturation.
//!
//! The test runs on the smallest level of the pyramid that still gives a tile [`SHARPNESS`] pixels along each side. It
//! is read in blocks of about a million pixels. A slide without a small level has to be decoded at full resolution;
//! above [`SAMPLED`] pixels that would take minutes, so that of each tile only some of the file's own tiles (or strips)
//! are looked at: the one in its middle, or up to four by four where they are small against it. Which ones depends on
//! the sizes alone, so that the same slide gives the same tiles.

use std::collections::BTreeSet;

use medcoss_formats::slide::{Level, Slide};
use medcoss_sdk::Error;
use medcoss_sdk::image::{Image, Region};

use crate::grid::Grid;

/// Largest product of red, green and blue: `10^(-3 * 0.05)`, a mean optical density of 0.05 (decadic; 11 % absorbed).
const TRANSMITTED: f32 = 0.707_945_8;
/// Least saturation.
const SATURATION: f32 = 0.06;
/// Least pixels of a tile along each side in the survey.
const SHARPNESS: f64 = 16.0;
/// Pixels that the survey reads at once, where pieces of the file are not larger: 12 MiB.
const BLOCK: usize = 1 << 20;
/// Most pixels that it reads at once, of which some are then decoded more than once.
const LARGEST_BLOCK: usize = 1 << 22;
/// Pixels of a level from which on only parts of it are looked at: 16384 x 16384.
const SAMPLED: usize = 1 << 28;
/// Most places of a tile along each side that are then looked at.
const MAX_PLACES: usize = 4;

/// The tiles with at least `min_tissue_ratio` of tissue, as column and row, row by row.
///
/// # Errors
/// A slide that cannot be read.
pub fn tiles_with_tissue(slide: &mut Slide, grid: &Grid, min_tissue_ratio: f64) -> Result<Vec<[u32; 2]>, Error> {
    let level = slide.level_for(grid.side() / SHARPNESS);
    let mut counts = vec![Count::default(); grid.n_columns * grid.n_rows];
    let mut blocks = if level.width * level.height > SAMPLED { some_blocks(level, grid) } else { all_blocks(level) };
    if min_tissue_ratio <= 0.0 {
        // Every tile is taken. One look still shows whether the slide can be read.
        blocks.truncate(1);
    }
    for block in blocks {
        let image = slide.read_region(level, block)?.into_rgb();
        count(&image, block, level, grid, &mut counts);
    }
    let mut tiles = Vec::new();
    for (number, count) in counts.into_iter().enumerate() {
        let share = f64::from(count.n_tissue) / f64::from(count.n_pixels.max(1));
        if share >= min_tissue_ratio {
            // Slides have fewer than 2^32 columns and rows.
            tiles.push([number % grid.n_columns, number / grid.n_columns].map(|place| place as u32));
        }
    }
    Ok(tiles)
}

/// Pixels of a tile that were looked at.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    n_pixels: u32,
    n_tissue: u32,
}

/// The whole level, in blocks of whole pieces of the file.
fn all_blocks(level: Level) -> Vec<Region> {
    let [chunk_width, chunk_height] = level.chunk;
    let width = (chunk_width * (1024 / chunk_width).max(1)).min(level.width);
    let height = (chunk_height * (BLOCK / (width * chunk_height)).max(1)).min((LARGEST_BLOCK / width).max(1));
    let mut blocks = Vec::new();
    for top in (0..level.height).step_by(height) {
        for left in (0..level.width).step_by(width) {
            blocks.push(cut(level, left, top, [width, height]));
        }
    }
    blocks
}

/// The pieces of the file at some places of each tile.
fn some_blocks(level: Level, grid: &Grid) -> Vec<Region> {
    let mut pieces = BTreeSet::new();
    let scale = [level.width as f64 / grid.full_size()[0], level.height as f64 / grid.full_size()[1]];
    let places = |axis: usize| {
        let side = grid.side() * scale[axis];
        let n_places = ((side / level.chunk[axis] as f64 / 2.0) as usize).clamp(1, MAX_PLACES);
        let length = [level.width, level.height][axis];
        move |tile: usize| {
            let chunk = level.chunk[axis];
            (0..n_places).map(move |place| {
                let at = (tile as f64 + (place as f64 + 0.5) / n_places as f64) * side;
                (at as usize).min(length - 1) / chunk
            })
        }
    };
    let (across, down) = (places(0), places(1));
    for row in 0..grid.n_rows {
        for y in down(row) {
            for column in 0..grid.n_columns {
                pieces.extend(across(column).map(|x| (y, x)));
            }
        }
    }
    let [width, height] = level.chunk;
    // A piece that is too large to be held is looked at in part.
    let height_read = height.min((LARGEST_BLOCK / width.min(level.width)).max(1));
    pieces.into_iter().map(|(y, x)| cut(level, x * width, y * height, [width, height_read])).collect()
}

/// A rectangle without what lies outside of the level.
fn cut(level: Level, left: usize, top: usize, [width, height]: [usize; 2]) -> Region {
    Region { left, top, width: width.min(level.width - left), height: height.min(level.height - top) }
}

/// Adds the pixels of a block to the tiles that their centres lie in.
fn count(image: &Image, block: Region, level: Level, grid: &Grid, counts: &mut [Count]) {
    let columns = grid.tile_of(0, level.width, block.left, block.width);
    let rows = grid.tile_of(1, level.height, block.top, block.height);
    let (pixels, _) = image.pixels().as_chunks::<3>();
    for (pixels, row) in pixels.chunks_exact(block.width).zip(rows) {
        let Some(row) = row else { continue };
        let counts = &mut counts[row * grid.n_columns..][..grid.n_columns];
        for (&pixel, column) in pixels.iter().zip(&columns) {
            let Some(column) = *column else { break };
            counts[column].n_pixels += 1;
            counts[column].n_tissue += u32::from(is_tissue(pixel));
        }
    }
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

    fn grid_of(size: [usize; 2], side: f64, chunk: [usize; 2]) -> (Level, Grid) {
        let [width, height] = size;
        let level = Level { index: 0, width, height, downsample: 1.0, mpp: None, chunk };
        (level, Grid::of_size(level, side))
    }

    #[test]
    fn tissue_is_counted_for_the_tile_that_a_pixel_lies_in() {
        // Seven columns and five rows in tiles of 3; tissue in columns 2 and 3.
        let (level, grid) = grid_of([7, 5], 3.0, [7, 5]);
        let pixels = (0..35).flat_map(|pixel| if (2..4).contains(&(pixel % 7)) { [0.9, 0.5, 0.8] } else { [1.0; 3] });
        let image = Image::new([5, 7, 3], pixels.collect()).unwrap();
        let mut counts = vec![Count::default(); 2];
        count(&image, Region { left: 0, top: 0, width: 7, height: 5 }, level, &grid, &mut counts);
        assert_eq!(counts.iter().map(|count| (count.n_pixels, count.n_tissue)).collect::<Vec<_>>(), [(9, 3), (9, 3)]);
    }

    #[test]
    fn blocks_cover_a_level_once_whatever_its_pieces_are() {
        for (size, chunk) in [([2500, 3100], [256, 256]), ([3000, 1999], [3000, 7]), ([2100, 2200], [2100, 2200])] {
            let (level, _) = grid_of(size, 64.0, chunk);
            let blocks = all_blocks(level);
            assert!(blocks.len() > 1);
            let area: usize = blocks.iter().map(|block| block.width * block.height).sum();
            assert_eq!(area, size[0] * size[1]);
            assert!(blocks.iter().all(|block| block.width * block.height <= LARGEST_BLOCK));
            assert!(
                blocks.iter().all(|block| block.left + block.width <= size[0] && block.top + block.height <= size[1])
            );
        }
    }

    #[test]
    fn of_a_huge_level_every_tile_is_looked_at_and_most_pixels_are_not() {
        for (side, chunk) in [(448.0, [256, 256]), (448.0, [64, 64]), (1000.5, [512, 512]), (448.0, [20_000, 1])] {
            let (level, grid) = grid_of([20_000, 18_000], side, chunk);
            let blocks = some_blocks(level, &grid);
            let looked_at: usize = blocks.iter().map(|block| block.width * block.height).sum();
            assert!(looked_at * 5 < 2 * 20_000 * 18_000, "{looked_at} pixels for tiles of {side} of {chunk:?}");
            let mut seen = vec![0; grid.n_columns * grid.n_rows];
            for block in blocks {
                let columns = grid.tile_of(0, level.width, block.left, block.width);
                for row in grid.tile_of(1, level.height, block.top, block.height).into_iter().flatten() {
                    for column in columns.iter().flatten() {
                        seen[row * grid.n_columns + column] += 1;
                    }
                }
            }
            let least = seen.iter().min().copied().unwrap();
            assert!(least >= 448 * 3, "{least} pixels of a tile of {side} of {chunk:?}");
        }
    }
}
