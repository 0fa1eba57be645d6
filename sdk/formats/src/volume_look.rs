//! A look at one slice of a volume: whether it is of a scan or of a mask.

use crate::volume_source::{GzipIndex, VolumeSource};

/// Volumes above this number of voxels are not decompressed for a survey.
const MAX_VOXELS: u64 = 1 << 26;
/// A number below this is air in Hounsfield units; no MRI scan has it.
pub(crate) const AIR: f32 = -300.0;
/// Largest label of a mask.
const MAX_LABEL: f32 = 1000.0;

/// What a slice in the middle of a volume shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Labels: whole numbers, alike in large parts.
    Mask,
    /// An image.
    Scan { has_air: bool },
}

/// Looks at a slice in the middle; `None` of a volume that cannot be read, or is too large for a look.
pub(crate) fn look(source: &VolumeSource) -> Option<Look> {
    let info = source.info().ok().filter(|info| info.n_voxels() <= MAX_VOXELS)?;
    let middle = info.size[0] / 2;
    let slab = source.read_slab(info.size, middle..middle + 1, &GzipIndex::new(1 << 20)).ok()?;
    let (voxels, columns) = (slab.volume.voxels(), info.size[2]);
    // What is not finite has become the value outside, which is air in CT.
    (slab.n_replaced < voxels.len()).then_some(())?;
    if slab.n_replaced == 0 && are_labels(voxels, columns) {
        return Some(Look::Mask);
    }
    let n_air = voxels.iter().filter(|voxel| **voxel < AIR).count();
    Some(Look::Scan { has_air: n_air > slab.n_replaced })
}

/// Whether the values of a slice are labels: small whole numbers, most of which beside another that is not background have an equal one
/// to their right. Images have noise, whatever their numbers are. A slice of nothing but background is one of labels too.
fn are_labels(voxels: &[f32], columns: usize) -> bool {
    if !voxels.iter().all(|value| value.fract() == 0.0 && (0.0..=MAX_LABEL).contains(value)) {
        return false;
    }
    let pairs = voxels.chunks_exact(columns).flat_map(|row| row.windows(2)).filter(|pair| *pair != [0.0, 0.0]);
    let (n, n_equal) =
        pairs.fold((0_usize, 0_usize), |(n, n_equal), pair| (n + 1, n_equal + usize::from(pair[0] == pair[1])));
    2 * n_equal >= n
}
