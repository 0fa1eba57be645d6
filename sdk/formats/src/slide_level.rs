//! Levels of a slide: one image at several resolutions.

/// One resolution of a slide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Place among the levels; 0 is the full one.
    pub index: usize,
    /// Width of the level in pixels.
    pub width: usize,
    /// Height of the level in pixels.
    pub height: usize,
    /// Pixels of the full level to one of this, along each axis: 1 for the full level.
    pub downsample: f64,
    /// Microns per pixel, where the file states them.
    pub mpp: Option<f64>,
    /// Columns and rows that the file stores as one piece, decoded at once.
    pub chunk: [usize; 2],
}
