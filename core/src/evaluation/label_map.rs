//! The interface of segmentation masks: label maps, and their source.

use crate::Result;
use crate::data::SampleReport;

/// Label map of one sample: its segmentation mask, in exactly the geometry of the sample's evaluation view. (Elsewhere in this crate a mask hides
/// tokens.)
#[derive(Debug, Clone, PartialEq)]
pub struct LabelMap {
    /// Voxels along each axis: `[rows, columns]`, `[depth, rows, columns]` or another number of axes. The axes are those of the sample's token grid,
    /// and each size is a multiple of the grid's.
    pub shape: Vec<usize>,
    /// Distance of neighbouring voxels along each axis in millimetres, positive; none where unknown.
    pub spacing_mm: Option<Vec<f64>>,
    /// Label of each voxel, in row-major order; 0 is the background, padding included.
    pub values: Vec<u16>,
}

/// Source of label maps for the samples of a dataset.
pub trait LabelMapSource: Sync {
    /// Token grid of a sample: tokens along each axis, in row-major order. All label maps have the same shape, whose sizes are multiples of the
    /// grid's.
    fn grid(&self) -> &[usize];

    /// Label maps of the samples `indices`, in their order. A sample without a label map has a reason, whose `slot` is the sample's position in
    /// `indices`.
    ///
    /// # Errors
    /// A request that failed as a whole, such as a folder that is not there.
    fn label_maps(&self, indices: &[u64]) -> Result<Vec<Result<LabelMap, SampleReport>>>;
}
