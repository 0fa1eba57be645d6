//! The Image Pixel module of a DICOM object: size, number of frames, bit depth, sign, colour. All are checked before
//! pixels are read.

use dicom_dictionary_std::tags;
use medcoss_sdk::Error;

use super::attributes::{count, text};
use super::object::Object;
use super::transfer_syntax::Coding;

/// Largest number of samples in one frame, all channels counted: 256 MiB as `f32`.
pub(crate) const MAX_FRAME_SAMPLES: u64 = 1 << 26;

/// Largest number of frames of an object: tiles of 256 pixels that cover more than a metre of tissue.
const MAX_FRAMES: u64 = 1 << 21;

/// Photometric Interpretation (0028,0004).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Photometric {
    /// Low values are white.
    Monochrome1,
    /// Low values are black.
    Monochrome2,
    /// Values are indices of a palette.
    Palette,
    /// Red, green, blue.
    Rgb,
    /// Full-range YCbCr.
    YbrFull,
    /// Full-range YCbCr, 4:2:2: two pixels share their colour differences.
    YbrFull422,
    /// The colour transforms of JPEG 2000, which its decoder undoes.
    Jpeg2000,
}

/// Description of an object's pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pixels {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) n_frames: usize,
    /// Samples per Pixel (0028,0002): 1 or 3 channels.
    pub(crate) n_samples: usize,
    /// Bits Allocated (0028,0100): 1, 8, 16 or 32.
    pub(crate) bits_allocated: u32,
    /// Bits Stored (0028,0101): significant bits of a sample.
    pub(crate) bits_stored: u32,
    /// High Bit (0028,0102): highest significant bit, counted from 0.
    pub(crate) high_bit: u32,
    /// Whether samples are in two's complement: Pixel Representation (0028,0103).
    pub(crate) signed: bool,
    /// Planar Configuration (0028,0006): whether channels are stored one after another, instead of interleaved.
    pub(crate) planar: bool,
    pub(crate) photometric: Photometric,
}

impl Pixels {
    /// Reads and checks the description in an object's header.
    ///
    /// # Errors
    /// A size that is missing or too large, an unsupported kind of pixels.
    pub(crate) fn of(object: &Object) -> Result<Self, Error> {
        let path = object.path.display();
        let header = &object.header;
        if object.pixels.tag != tags::PIXEL_DATA {
            return Err(Error::unsupported(format!("{path} has floating point pixels; whole numbers are read")));
        }
        let stated = |tag, name: &str| {
            count(header, tag).ok_or_else(|| Error::corrupt(format!("{path} does not state its {name}")))
        };
        let (rows, columns) = (stated(tags::ROWS, "number of rows")?, stated(tags::COLUMNS, "number of columns")?);
        let n_samples = count(header, tags::SAMPLES_PER_PIXEL).unwrap_or(1);
        let n_frames = count(header, tags::NUMBER_OF_FRAMES).unwrap_or(1).max(1);
        let samples = rows.saturating_mul(columns).saturating_mul(n_samples);
        if rows == 0 || columns == 0 {
            return Err(Error::corrupt(format!("{path} has {columns}x{rows} pixels")));
        }
        if samples > MAX_FRAME_SAMPLES {
            let limit = MAX_FRAME_SAMPLES / 1_000_000;
            return Err(Error::unsupported(format!(
                "{path} has {columns}x{rows} pixels of {n_samples} samples, above the limit of {limit} million"
            )));
        }
        if n_frames > MAX_FRAMES {
            return Err(Error::unsupported(format!("{path} states {n_frames} frames; at most {MAX_FRAMES} are read")));
        }
        let photometric = photometric(object, n_samples)?;
        let bits_allocated = stated(tags::BITS_ALLOCATED, "bits a sample")?;
        if !matches!(bits_allocated, 1 | 8 | 16 | 32) || (bits_allocated == 1 && n_samples != 1) {
            return Err(Error::unsupported(format!(
                "{path} has samples of {bits_allocated} bits; 1, 8, 16 and 32 are read"
            )));
        }
        let bits_stored = count(header, tags::BITS_STORED).unwrap_or(bits_allocated);
        if !(1..=bits_allocated).contains(&bits_stored) {
            return Err(Error::corrupt(format!("{path} states {bits_stored} bits of {bits_allocated} to be in use")));
        }
        // A high bit other than the last bit in use is retired, and more often wrong than intended.
        let high_bit = count(header, tags::HIGH_BIT).filter(|high| (bits_stored - 1..bits_allocated).contains(high));
        let pixels = Self {
            // Each is within a few millions, or within 32 bits.
            rows: rows as usize,
            columns: columns as usize,
            n_frames: n_frames as usize,
            n_samples: n_samples as usize,
            bits_allocated: bits_allocated as u32,
            bits_stored: bits_stored as u32,
            high_bit: high_bit.unwrap_or(bits_stored - 1) as u32,
            signed: count(header, tags::PIXEL_REPRESENTATION) == Some(1),
            planar: n_samples > 1 && count(header, tags::PLANAR_CONFIGURATION) == Some(1),
            photometric,
        };
        if pixels.photometric == Photometric::YbrFull422 && pixels.is_native(object) {
            let odd = pixels.bits_allocated != 8 || !pixels.columns.is_multiple_of(2) || pixels.planar;
            if odd {
                return Err(Error::unsupported(format!(
                    "{path} shares colour between pixels in an unusual way; rows of pairs of 8 bits are read"
                )));
            }
        }
        Ok(pixels)
    }

    /// Number of pixels in a frame.
    pub(crate) fn n_pixels(&self) -> usize {
        self.rows * self.columns
    }

    /// Whether a pixel is one number that means an intensity.
    pub(crate) fn is_grey(&self) -> bool {
        matches!(self.photometric, Photometric::Monochrome1 | Photometric::Monochrome2)
    }

    /// Length of an uncompressed frame in bits.
    pub(crate) fn frame_bits(&self) -> u64 {
        // In 4:2:2 two pixels have four samples instead of six.
        let n_samples = if self.photometric == Photometric::YbrFull422 { 2 } else { self.n_samples };
        (self.n_pixels() * n_samples) as u64 * u64::from(self.bits_allocated)
    }

    fn is_native(&self, object: &Object) -> bool {
        matches!(object.coding, Coding::Native | Coding::Deflated)
    }
}

fn photometric(object: &Object, n_samples: u64) -> Result<Photometric, Error> {
    let path = object.path.display();
    let stated = text(&object.header, tags::PHOTOMETRIC_INTERPRETATION);
    let found = match (stated.as_deref(), n_samples) {
        (Some("MONOCHROME1"), 1) => Photometric::Monochrome1,
        (Some("MONOCHROME2") | None, 1) => Photometric::Monochrome2,
        (Some("PALETTE COLOR"), 1) => Photometric::Palette,
        (Some("RGB"), 3) => Photometric::Rgb,
        (Some("YBR_FULL"), 3) => Photometric::YbrFull,
        (Some("YBR_FULL_422"), 3) => Photometric::YbrFull422,
        (Some("YBR_ICT" | "YBR_RCT"), 3) => Photometric::Jpeg2000,
        (Some(other), _) => {
            return Err(Error::unsupported(format!(
                "{path} has {n_samples} samples a pixel of the kind {other}; MONOCHROME1, MONOCHROME2, PALETTE COLOR, \
                 RGB, YBR_FULL and YBR_FULL_422 are read"
            )));
        }
        (None, _) => {
            return Err(Error::corrupt(format!("{path} does not state what its {n_samples} samples a pixel are")));
        }
    };
    Ok(found)
}
