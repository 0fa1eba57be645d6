//! CT prepared as the reference does: clipped, resampled to 1 mm by cubic splines, cut into tiles of 24 slices without
//! the border of large planes, and squeezed to the size of a sample.
//!
//! Axes are `[k, i, j]` of the file: slices, then the file's first and second axis. The reference works on `[k, j, i]`
//! and turns the plane at the end. Only the rule for the border depends on that: it uses the second axis alone.

use std::ops::Range;

use medcoss_sdk::Error;
use medcoss_sdk::affine::Affine;
use medcoss_sdk::intensity;
use medcoss_sdk::volume::Volume;

use super::is_affordable;
use super::spline::resample_axis;
use super::squeeze::{self, Stored, squeeze};

/// Slices in a tile.
pub(crate) const TILE: usize = 24;
/// Slices from one tile to the next.
const STRIDE: usize = 12;
/// Planes with no more voxels along the file's second axis keep their border.
const MAX_BORDERED: usize = 320;
/// Largest number of slices of a scan at 1 mm, as in [`crate::sub_volumes`].
const MAX_SLICES: usize = 1 << 16;
/// Smallest spacing in millimetres, as in [`crate::sub_volumes`]: a finer one needs a Gaussian over hundreds of voxels.
const FINEST_MM: f32 = 0.05;

/// Size `[k, i, j]` of a scan at 1 mm.
///
/// # Errors
/// Voxels finer than 0.05 mm, a scan without voxels, with more than its file explains or with more than 65536 slices;
/// the error does not name the scan.
pub(crate) fn millimetre_size(size: [usize; 3], spacing_mm: [f32; 3]) -> Result<[usize; 3], Error> {
    if spacing_mm.iter().any(|&mm| mm < FINEST_MM) {
        return Err(Error::unsupported(format!(
            "voxels of {spacing_mm:?} mm are not brought to 1 mm; {FINEST_MM} mm is the finest"
        )));
    }
    let scaled = |axis: usize| {
        let ratio = (f64::from(spacing_mm[axis]) * 1e4).round_ties_even() / 1e4;
        size[axis] as f64 * ratio
    };
    let found = [scaled(0).round_ties_even() as usize, scaled(1) as usize, scaled(2) as usize];
    let n_voxels = |size: [usize; 3]| size.iter().fold(1u64, |n, &side| n.saturating_mul(side as u64));
    let is_scan = !found.contains(&0) && found[0] <= MAX_SLICES && is_affordable(n_voxels(found), n_voxels(size));
    if is_scan {
        return Ok(found);
    }
    Err(Error::unsupported(format!(
        "{size:?} voxels of {spacing_mm:?} mm become {found:?} of 1 mm: none, too many for a file of this size, or more than \
         {MAX_SLICES} slices"
    )))
}

/// Ranges of slices of the tiles of a scan at 1 mm. A scan of 12 slices or fewer has none.
pub(crate) fn tiles(n_slices: usize) -> Vec<Range<usize>> {
    if n_slices <= STRIDE {
        return Vec::new();
    }
    let n_tiles = n_slices.saturating_sub(TILE).div_ceil(STRIDE) + 1;
    let tile = |number: usize| {
        let end = (number * STRIDE + TILE).min(n_slices);
        end.saturating_sub(TILE)..end
    };
    (0..n_tiles).map(tile).collect()
}

/// The part of a plane of `[i, j]` voxels that is kept.
pub(crate) fn without_border([n_i, n_j]: [usize; 2]) -> [Range<usize>; 2] {
    if n_j <= MAX_BORDERED {
        return [0..n_i, 0..n_j];
    }
    [n_i, n_j].map(inner)
}

/// From 0.1 to 0.9 of an axis, both rounded down.
pub(crate) fn inner(n: usize) -> Range<usize> {
    (0.1 * n as f64) as usize..(0.9 * n as f64) as usize
}

/// Clips a scan to a range and resamples it to 1 mm, in whole Hounsfield units.
///
/// # Errors
/// Those of [`millimetre_size`].
pub(crate) fn to_millimetres(volume: Volume, hu_range: [f32; 2]) -> Result<Volume, Error> {
    let (size, to) = (volume.size(), millimetre_size(volume.size(), volume.spacing_mm())?);
    let mut voxels = volume.into_voxels();
    intensity::clip(&mut voxels, hu_range);
    let lowest = intensity::minimum(&voxels);
    let highest = voxels.iter().copied().fold(lowest, f32::max);
    let mut shape = size;
    // Axes that shrink come first, which leaves less to compute. Each axis is independent of the others.
    let mut axes = [0, 1, 2];
    axes.sort_by(|&a, &b| (to[a] * size[b]).cmp(&(to[b] * size[a])));
    for axis in axes.into_iter().filter(|&axis| to[axis] != size[axis]) {
        voxels = resample_axis(&voxels, shape, axis, to[axis]);
        shape[axis] = to[axis];
    }
    for voxel in &mut voxels {
        *voxel = voxel.clamp(lowest, highest).round_ties_even();
    }
    Volume::new(to, [1.0; 3], voxels)
}

/// A tile of a scan at 1 mm, resampled to the size of a sample, in whole Hounsfield units.
pub(crate) fn sample(scan: &Volume, tile: Range<usize>, size: [usize; 3]) -> Vec<f32> {
    let [_, n_i, n_j] = scan.size();
    let [rows, columns] = without_border([n_i, n_j]);
    squeeze(scan.voxels(), scan.size(), &[tile, rows, columns], size, Stored::Whole)
}

/// From the voxels of a tile's sample to those of the array in stored order, which has `stored` voxels and `scan` at 1 mm.
pub(crate) fn place(stored: [usize; 3], scan: [usize; 3], tile: Range<usize>, size: [usize; 3]) -> Affine<3> {
    let [_, n_i, n_j] = scan;
    let [rows, columns] = without_border([n_i, n_j]);
    // The spline keeps borders on borders.
    let resampled = Affine::of_axes([0, 1, 2].map(|axis| stored[axis] as f64 / scan[axis] as f64), [0.0; 3]);
    squeeze::place(&[tile, rows, columns], size).then(&resampled)
}
