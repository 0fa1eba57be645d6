//! Segmentation masks of samples, as this crate sees them.

use crate::Result;
use crate::data::InvalidSample;

/// Labels of one sample, in exactly the geometry of its evaluation view. (A mask is elsewhere in this crate what hides tokens.)
#[derive(Debug, Clone, PartialEq)]
pub struct LabelMap {
    /// `[rows, columns]`, `[depth, rows, columns]` or of another number of axes: the axes of the sample's grid of tokens, each a
    /// multiple of the grid's.
    pub shape: Vec<usize>,
    /// Distance of neighbours along each axis, where it is known; positive.
    pub spacing_mm: Option<Vec<f64>>,
    /// As many as the product of `shape`, the last axis fastest; 0 is the background, padding included.
    pub values: Vec<u16>,
}

/// Where label maps come from.
pub trait LabelMapSource: Sync {
    /// Tokens along each axis of a sample; they are in row-major order. All label maps have the same shape, whose sides are
    /// multiples of these.
    fn grid(&self) -> &[usize];

    /// The label map of each sample, in the order of the indices, or why it has none; `slot` is then its place in `indices`.
    ///
    /// # Errors
    /// A request that failed as a whole, such as a folder that is not there.
    fn label_maps(&self, indices: &[u64]) -> Result<Vec<Result<LabelMap, InvalidSample>>>;
}
