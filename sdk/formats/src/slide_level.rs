//! Levels of a slide: one image at several resolutions.

/// One resolution of a slide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Index among the levels; 0 is the full one.
    pub index: usize,
    /// Width of the level in pixels.
    pub width: usize,
    /// Height of the level in pixels.
    pub height: usize,
    /// Pixels of the full level per pixel of this level, along each axis: 1 for the full level.
    pub downsample: f64,
    /// Microns per pixel, where the file states them.
    pub mpp: Option<f64>,
    /// Columns and rows of a tile or strip, which is decoded at once.
    pub chunk: [usize; 2],
}
