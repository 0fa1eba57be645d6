//! Results of the frame decoders: samples as bit patterns, or the reason why there are none.

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

/// Reason why a frame was not decoded.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Valid, but of an unsupported kind.
    Unsupported(String),
    /// Damaged.
    Corrupt(String),
}
