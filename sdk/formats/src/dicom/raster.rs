//! What every decoder of frames returns: samples as bit patterns, or why there are none.

/// Samples as a decoder gives them.
pub(crate) struct Raster {
    /// Bit patterns, those of the fewer bits in the lower ones.
    pub(crate) samples: Vec<i32>,
    /// Whether channels follow one another, instead of pixels.
    pub(crate) planar: bool,
    /// Whether colour is red, green and blue already.
    pub(crate) is_rgb: bool,
    /// Bits that count, where the decoder knows better than the header.
    pub(crate) precision: Option<u32>,
}

/// Why a decoder gives nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Valid, but of a kind that is not decoded.
    Unsupported(String),
    /// Damaged.
    Corrupt(String),
}
