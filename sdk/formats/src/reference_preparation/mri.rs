//! MRI prepared as the reference does: planes squeezed to the size of a sample, a tenth of the slices dropped at either
//! end, tiles of a sample's depth with half of it as stride, each clipped to percentiles and standardised.
//!
//! The reference clips tiles within the scan: the part that a tile shares with the next is already clipped when the
//! next tile's percentiles are computed. The limits of a tile therefore depend on all tiles before it. They are
//! computed once for a scan, from the first tile on, so that a sample does not depend on which one was loaded before.

use std::ops::Range;

use medcoss_sdk::affine::Affine;
use medcoss_sdk::intensity;
use medcoss_sdk::volume::Volume;

use super::ct::inner;
use super::squeeze::{self, Stored, squeeze};

/// Ranges of slices of the tiles of a scan; `None` where fewer slices than a tile's remain without the ends.
pub(crate) fn tiles(n_slices: usize, depth: usize) -> Option<Vec<Range<usize>>> {
    let kept = inner(n_slices);
    let more = kept.len().checked_sub(depth)?;
    let stride = depth / 2;
    let tile = |number: usize| {
        let start = kept.start + (number * stride).min(more);
        start..start + depth
    };
    Some((0..=more.div_ceil(stride)).map(tile).collect())
}

/// A scan with its planes squeezed to those of a sample. Whole numbers stay whole.
pub(crate) fn with_squeezed_planes(volume: &Volume, [rows, columns]: [usize; 2], stored: Stored) -> Vec<f32> {
    let [depth, n_i, n_j] = volume.size();
    squeeze(volume.voxels(), volume.size(), &[0..depth, 0..n_i, 0..n_j], [depth, rows, columns], stored)
}

/// From the voxels of a tile's sample to those of the array in stored order.
pub(crate) fn place([_, n_i, n_j]: [usize; 3], tile: Range<usize>, size: [usize; 3]) -> Affine<3> {
    squeeze::place(&[tile, 0..n_i, 0..n_j], size)
}

/// The limits to which each tile is clipped, in order of the tiles. In scans of whole numbers, limits are rounded
/// towards zero.
pub(crate) fn limits(scan: &Volume, tiles: &[Range<usize>], percentiles: [f64; 2], stored: Stored) -> Vec<[f32; 2]> {
    let mut limits: Vec<[f32; 2]> = Vec::with_capacity(tiles.len());
    for (number, tile) in tiles.iter().enumerate() {
        let voxels = clipped_before(scan, &tiles[..number], &limits, tile);
        let found = intensity::percentiles(&voxels, percentiles).unwrap_or_default();
        limits.push(match stored {
            Stored::Whole => found.map(f32::trunc),
            Stored::Real => found,
        });
    }
    limits
}

/// The voxels of a tile as a sample: clipped by all tiles up to its own, then standardised.
pub(crate) fn sample(scan: &Volume, tiles: &[Range<usize>], limits: &[[f32; 2]], number: usize) -> Vec<f32> {
    let mut voxels = clipped_before(scan, &tiles[..=number], limits, &tiles[number]);
    intensity::standardise(&mut voxels);
    voxels
}

/// The voxels of a tile, after the tiles before were clipped to their limits.
fn clipped_before(scan: &Volume, before: &[Range<usize>], limits: &[[f32; 2]], tile: &Range<usize>) -> Vec<f32> {
    let [_, rows, columns] = scan.size();
    let plane = rows * columns;
    let mut voxels = scan.voxels()[tile.start * plane..tile.end * plane].to_vec();
    for (other, &limits) in before.iter().zip(limits) {
        let shared = other.start.max(tile.start)..other.end.min(tile.end);
        if !shared.is_empty() {
            let within = (shared.start - tile.start) * plane..(shared.end - tile.start) * plane;
            intensity::clip(&mut voxels[within], limits);
        }
    }
    voxels
}
