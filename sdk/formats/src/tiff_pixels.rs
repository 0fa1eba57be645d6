//! Conversion of decoded strips and tiles of a TIFF file to grey or RGB in `[0, 1]`.
//!
//! [`crate::tiff_file`] reads and decodes them; [`crate::tiff_colour`] lists the supported kinds.

/// How a page stores its pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PixelKind {
    pub colour: Colour,
    /// Bits in a sample: 1 to 8, 16 or 32. Below 8, samples of a row follow each other without gaps.
    pub bits: usize,
    /// Whether each channel is stored separately (PlanarConfiguration 2).
    pub planar: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Colour {
    Grey,
    GreyAlpha(Alpha),
    Rgb,
    RgbAlpha(Alpha),
    YCbCr,
    /// Indices of a palette.
    Palette,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Alpha {
    /// An extra channel that is not alpha.
    None,
    Straight,
    Premultiplied,
}

impl Alpha {
    /// Composites a value over white, with `coverage` as alpha.
    fn over_white(self, value: f32, coverage: f32) -> f32 {
        match self {
            Self::None => value,
            Self::Straight => value * coverage + 1.0 - coverage,
            Self::Premultiplied => (value + 1.0 - coverage).min(1.0),
        }
    }
}

impl Colour {
    /// Number of samples stored per pixel.
    pub fn n_samples(self) -> usize {
        match self {
            Self::Grey | Self::Palette => 1,
            Self::GreyAlpha(_) => 2,
            Self::Rgb | Self::YCbCr => 3,
            Self::RgbAlpha(_) => 4,
        }
    }

    /// Number of channels delivered per pixel.
    pub fn n_channels(self) -> usize {
        if matches!(self, Self::Grey | Self::GreyAlpha(_)) { 1 } else { 3 }
    }
}

/// Converts full-range YCbCr, with 128 of 255 as the centre of the differences, as in JFIF. The JPEG decoder is set to
/// leave YCbCr unconverted.
fn rgb_from_ycbcr([y, cb, cr]: [f32; 3]) -> [f32; 3] {
    let (cb, cr) = (cb - 128.0 / 255.0, cr - 128.0 / 255.0);
    [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb].map(|value| value.clamp(0.0, 1.0))
}

/// A decoded strip or tile, without padding at the right edge.
pub(crate) struct Chunk<'a> {
    /// One plane with all samples of a pixel side by side, or one plane per sample.
    pub planes: Vec<Vec<u8>>,
    pub kind: PixelKind,
    /// Distance between rows in bytes.
    pub row_stride: usize,
    /// Colours of the palette, one for each index that a sample can state.
    pub palette: &'a [[f32; 3]],
}

impl Chunk<'_> {
    /// Converts pixels of row `y` from column `x` on, until `out` is full.
    pub fn write_row(&self, y: usize, x: usize, out: &mut [f32]) {
        match self.kind.colour {
            Colour::Grey => self.convert(y, x, out, |grey: [f32; 1]| grey),
            Colour::GreyAlpha(alpha) => self.convert(y, x, out, |[grey, a]| [alpha.over_white(grey, a)]),
            Colour::Rgb => self.convert(y, x, out, |rgb: [f32; 3]| rgb),
            Colour::RgbAlpha(alpha) => {
                self.convert(y, x, out, |[r, g, b, a]| [r, g, b].map(|value| alpha.over_white(value, a)));
            }
            Colour::YCbCr => self.convert(y, x, out, rgb_from_ycbcr),
            Colour::Palette => {
                let (pixels, _) = out.as_chunks_mut::<3>();
                for (column, pixel) in pixels.iter_mut().enumerate() {
                    let index = self.whole(y * self.row_stride, x + column);
                    *pixel = self.palette.get(index).copied().unwrap_or_default();
                }
            }
        }
    }

    /// Converts pixels in one loop for each kind: this is where slides spend their time.
    fn convert<const STORED: usize, const CHANNELS: usize>(
        &self,
        y: usize,
        x: usize,
        out: &mut [f32],
        colour: impl Fn([f32; STORED]) -> [f32; CHANNELS],
    ) {
        let bits = self.kind.bits;
        let (pixels, _) = out.as_chunks_mut::<CHANNELS>();
        if bits < 8 {
            let white = ((1 << bits) - 1) as f32;
            for (column, pixel) in pixels.iter_mut().enumerate() {
                // Only pixels of one sample have less than 8 bits.
                *pixel = colour([self.whole(y * self.row_stride, x + column) as f32 / white; STORED]);
            }
            return;
        }
        let bytes = bits / 8;
        let pixel_stride = if self.kind.planar { bytes } else { bytes * STORED };
        let start = y * self.row_stride + x * pixel_stride;
        for (column, pixel) in pixels.iter_mut().enumerate() {
            let at = start + column * pixel_stride;
            *pixel =
                match bytes {
                    1 => colour(self.samples(at, |[byte]| f32::from(byte) / 255.0)),
                    2 => colour(self.samples(at, |word: [u8; 2]| f32::from(u16::from_ne_bytes(word)) / 65535.0)),
                    _ => colour(self.samples(at, |word: [u8; 4]| {
                        (f64::from(u32::from_ne_bytes(word)) / f64::from(u32::MAX)) as f32
                    })),
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

    /// The one sample of a pixel, as stored, in a row that begins at byte `start`. Samples have up to 16 bits.
    fn whole(&self, start: usize, column: usize) -> usize {
        let (bits, plane) = (self.kind.bits, &self.planes[0]);
        if bits == 16 {
            let at = start + 2 * column;
            return usize::from(u16::from_ne_bytes([plane[at], plane[at + 1]]));
        }
        // The first pixel is in the highest bits; a sample may reach into the next byte.
        let (byte, bit) = (start + column * bits / 8, column * bits % 8);
        let next = plane.get(byte + 1).copied().unwrap_or(0);
        let both = usize::from(u16::from_be_bytes([plane[byte], next]));
        both >> (16 - bits - bit) & ((1 << bits) - 1)
    }
}
