//! Results of the frame decoders: samples as bit patterns.

/// Decoded samples of a frame.
pub(crate) struct Raster {
    /// Bit patterns; samples of fewer bits are in the lower bits.
    pub(crate) samples: Vec<i32>,
    /// Whether channels are stored one after another, instead of interleaved.
    pub(crate) planar: bool,
    /// Whether colour is RGB already.
    pub(crate) is_rgb: bool,
    /// Number of significant bits, where the decoder knows it better than the header.
    pub(crate) precision: Option<u32>,
}
