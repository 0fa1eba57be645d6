//! Conversion of decoded strips and tiles of a TIFF file to grey or RGB in `[0, 1]`.
//!
//! [`crate::tiff_file`] reads and decodes them; [`crate::tiff_colour`] lists the supported kinds.

/// How a page stores its pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PixelKind {
    pub colour: Colour,
    /// Bits in a sample: 1 to 16, 32 or 64. Below 8, samples of a row that the crate decodes follow each other without gaps.
    pub bits: usize,
    pub numbers: Numbers,
    /// Whether each channel is stored separately (PlanarConfiguration 2).
    pub planar: bool,
    /// Whether white is stored as 0. Decoded samples are turned round.
    pub inverted: bool,
    pub decoder: ChunkDecoder,
}

/// Meaning of the bits of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Whole numbers from black, 0, to white, the largest of so many bits.
    Unsigned,
    /// Whole numbers from 0 to the largest of one bit less; negative ones are refused.
    Signed,
    /// Floating point from 0 to 1; others are refused.
    Float,
}

/// What decodes the strips and tiles of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChunkDecoder {
    /// The `tiff` crate.
    Crate,
    /// The decoder of JPEG 2000.
    Jpeg2000,
    /// The unpacking of samples of unusual bits, to numbers of 16.
    Packed,
}

impl PixelKind {
    /// Bits of the largest number that a sample can have; `None` for floating point.
    pub fn significant_bits(self) -> Option<u32> {
        match self.numbers {
            Numbers::Unsigned => Some(self.bits as u32),
            Numbers::Signed => Some(self.bits as u32 - 1),
            Numbers::Float => None,
        }
    }

    /// Bytes that a decoded sample takes that has at least 8 bits or is unpacked.
    fn bytes(self) -> usize {
        match self.bits {
            _ if self.decoder == ChunkDecoder::Packed => 2,
            0..=8 => 1,
            9..=16 => 2,
            more => more / 8,
        }
    }

    /// Why decoded samples have no place between black and white, as the end of "... has"; `None` where all have one.
    pub fn out_of_range(self, plane: &[u8]) -> Option<&'static str> {
        let is_bad = match (self.numbers, self.bytes()) {
            (Numbers::Unsigned, _) => false,
            (Numbers::Signed, n) => {
                let sign = if cfg!(target_endian = "little") { n - 1 } else { 0 };
                plane.chunks_exact(n).any(|sample| sample[sign] >= 0x80)
            }
            (Numbers::Float, 4) => {
                let (words, _) = plane.as_chunks::<4>();
                words.iter().any(|&word| !(0.0..=1.0).contains(&f32::from_ne_bytes(word)))
            }
            (Numbers::Float, _) => {
                let (words, _) = plane.as_chunks::<8>();
                words.iter().any(|&word| !(0.0..=1.0).contains(&f64::from_ne_bytes(word)))
            }
        };
        is_bad.then_some(match self.numbers {
            Numbers::Float => {
                "floating point samples outside of 0 to 1, and it does not say which are black and white\n\
                 hint: scale them to 0 to 1, or write whole numbers"
            }
            _ => {
                "negative samples, and it does not say which are black and white\n\
                 hint: shift them to 0 and above, and write unsigned numbers"
            }
        })
    }
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
        if bits < 8 && self.kind.decoder == ChunkDecoder::Crate {
            let white = ((1 << bits) - 1) as f32;
            for (column, pixel) in pixels.iter_mut().enumerate() {
                // Only pixels of one sample have less than 8 bits here.
                *pixel = colour([self.whole(y * self.row_stride, x + column) as f32 / white; STORED]);
            }
            return;
        }
        let bytes = self.kind.bytes();
        let pixel_stride = if self.kind.planar { bytes } else { bytes * STORED };
        let start = y * self.row_stride + x * pixel_stride;
        let white = ((1_u64 << self.kind.significant_bits().unwrap_or(1)) - 1) as f64;
        let small_white = white as f32;
        for (column, pixel) in pixels.iter_mut().enumerate() {
            let at = start + column * pixel_stride;
            // Numbers of signed samples are not negative, see `PixelKind::out_of_range`.
            *pixel = match (self.kind.numbers, bytes) {
                (Numbers::Unsigned, 1) => colour(self.samples(at, |[byte]| f32::from(byte) / 255.0)),
                (Numbers::Signed, 1) => colour(self.samples(at, |[byte]| f32::from(byte) / small_white)),
                (Numbers::Float, 4) => colour(self.samples(at, f32::from_ne_bytes)),
                (Numbers::Float, _) => colour(self.samples(at, |word: [u8; 8]| f64::from_ne_bytes(word) as f32)),
                (_, 2) => colour(self.samples(at, |word: [u8; 2]| f32::from(u16::from_ne_bytes(word)) / small_white)),
                _ => colour(self.samples(at, |word: [u8; 4]| (f64::from(u32::from_ne_bytes(word)) / white) as f32)),
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
