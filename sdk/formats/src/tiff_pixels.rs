//! Decoded strips and tiles of a TIFF file, and what their samples mean: to grey or RGB in `[0, 1]`.
//!
//! Reading and decoding them is the business of [`crate::tiff_file`].

/// How a page stores its pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PixelKind {
    pub colour: Colour,
    /// Bytes in a sample, 1 or 2.
    pub bytes: usize,
    /// Each channel by itself.
    pub planar: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Colour {
    Grey,
    GreyAlpha(Alpha),
    Rgb,
    RgbAlpha(Alpha),
    YCbCr,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Alpha {
    /// An extra channel that means something else.
    None,
    Straight,
    Premultiplied,
}

impl Alpha {
    /// A value with this coverage over white.
    fn over_white(self, value: f32, coverage: f32) -> f32 {
        match self {
            Self::None => value,
            Self::Straight => value * coverage + 1.0 - coverage,
            Self::Premultiplied => (value + 1.0 - coverage).min(1.0),
        }
    }
}

impl Colour {
    /// Samples stored for each pixel.
    pub fn n_samples(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::GreyAlpha(_) => 2,
            Self::Rgb | Self::YCbCr => 3,
            Self::RgbAlpha(_) => 4,
        }
    }

    /// Channels delivered for each pixel.
    pub fn n_channels(self) -> usize {
        if matches!(self, Self::Grey | Self::GreyAlpha(_)) { 1 } else { 3 }
    }

    /// Stored samples in `[0, 1]` to RGB, or to grey in the first place.
    fn convert(self, [a, b, c, d]: [f32; 4]) -> [f32; 3] {
        match self {
            Self::Grey => [a; 3],
            Self::GreyAlpha(alpha) => [alpha.over_white(a, b); 3],
            Self::Rgb => [a, b, c],
            Self::RgbAlpha(alpha) => [a, b, c].map(|value| alpha.over_white(value, d)),
            Self::YCbCr => {
                // Full range with the centre at 128 of 255, as JFIF; the JPEG decoder is told to leave YCbCr alone.
                let (cb, cr) = (b - 128.0 / 255.0, c - 128.0 / 255.0);
                [a + 1.402 * cr, a - 0.344_136 * cb - 0.714_136 * cr, a + 1.772 * cb].map(|value| value.clamp(0.0, 1.0))
            }
        }
    }
}

/// A decoded strip or tile, without padding at the right edge.
pub(crate) struct Chunk {
    /// One with all samples of a pixel side by side, or one for each sample.
    pub planes: Vec<Vec<u8>>,
    pub kind: PixelKind,
    /// Distance of rows in bytes.
    pub row_stride: usize,
}

impl Chunk {
    /// Converts pixels of row `y` from column `x` on, as many as `out` has room for.
    pub fn write_row(&self, y: usize, x: usize, out: &mut [f32]) {
        let PixelKind { colour, bytes, planar } = self.kind;
        let n_samples = colour.n_samples();
        let pixel_stride = if planar { bytes } else { bytes * n_samples };
        for (column, pixel) in out.chunks_exact_mut(colour.n_channels()).enumerate() {
            let start = y * self.row_stride + (x + column) * pixel_stride;
            let mut samples = [0.0; 4];
            for (number, value) in samples[..n_samples].iter_mut().enumerate() {
                let (plane, at) = if planar { (number, start) } else { (0, start + number * bytes) };
                let stored = &self.planes[plane][at..at + bytes];
                *value = match *stored {
                    [byte] => f32::from(byte) / 255.0,
                    [first, second] => f32::from(u16::from_ne_bytes([first, second])) / 65535.0,
                    _ => 0.0,
                };
            }
            pixel.copy_from_slice(&colour.convert(samples)[..pixel.len()]);
        }
    }
}
