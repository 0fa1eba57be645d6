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
}

/// Full range with the centre of the differences at 128 of 255, as JFIF has it; the JPEG decoder is told to leave YCbCr
/// alone.
fn rgb_from_ycbcr([y, cb, cr]: [f32; 3]) -> [f32; 3] {
    let (cb, cr) = (cb - 128.0 / 255.0, cr - 128.0 / 255.0);
    [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb].map(|value| value.clamp(0.0, 1.0))
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
        match self.kind.colour {
            Colour::Grey => self.convert(y, x, out, |grey: [f32; 1]| grey),
            Colour::GreyAlpha(alpha) => self.convert(y, x, out, |[grey, a]| [alpha.over_white(grey, a)]),
            Colour::Rgb => self.convert(y, x, out, |rgb: [f32; 3]| rgb),
            Colour::RgbAlpha(alpha) => {
                self.convert(y, x, out, |[r, g, b, a]| [r, g, b].map(|value| alpha.over_white(value, a)));
            }
            Colour::YCbCr => self.convert(y, x, out, rgb_from_ycbcr),
        }
    }

    /// One loop for each kind of pixel: this is where slides spend their time.
    fn convert<const STORED: usize, const CHANNELS: usize>(
        &self,
        y: usize,
        x: usize,
        out: &mut [f32],
        colour: impl Fn([f32; STORED]) -> [f32; CHANNELS],
    ) {
        let bytes = self.kind.bytes;
        let pixel_stride = if self.kind.planar { bytes } else { bytes * STORED };
        let start = y * self.row_stride + x * pixel_stride;
        let (pixels, _) = out.as_chunks_mut::<CHANNELS>();
        for (column, pixel) in pixels.iter_mut().enumerate() {
            let at = start + column * pixel_stride;
            *pixel = if bytes == 1 {
                colour(self.samples(at, |[byte]| f32::from(byte) / 255.0))
            } else {
                colour(self.samples(at, |word: [u8; 2]| f32::from(u16::from_ne_bytes(word)) / 65535.0))
            };
        }
    }

    /// The samples of one pixel, whose first byte is at `at`.
    fn samples<const STORED: usize, const BYTES: usize>(
        &self,
        at: usize,
        unit: impl Fn([u8; BYTES]) -> f32,
    ) -> [f32; STORED] {
        std::array::from_fn(|number| {
            let (plane, at) = if self.kind.planar { (number, at) } else { (0, at + number * BYTES) };
            let stored = &self.planes[plane][at..at + BYTES];
            unit(std::array::from_fn(|byte| stored[byte]))
        })
    }
}
