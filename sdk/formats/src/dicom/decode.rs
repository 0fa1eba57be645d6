//! Decoding of frames: from stored bytes to sample values.
//!
//! Sample values are those that the scanner stored, with their sign, pixel by pixel; three channels are always RGB.
//! [`super::modality_lut`] rescales them, and [`super::display`] converts them for display.

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};

use flate2::read::DeflateDecoder;
use medcoss_sdk::Error;

use super::colour;
use super::frames::Frames;
use super::object::Object;
use super::pixels::{Photometric, Pixels};
use super::raster::Raster;
use super::transfer_syntax::Coding;
use super::{jpeg, jpeg_ls, jpeg2000, rle};
use crate::decode_failure::Failure;

/// The stored samples of a frame, `[rows, columns, channels]`. Unsigned samples of 32 bits are wrapped; see [`number`].
///
/// # Errors
/// A frame that is damaged, missing or compressed in an unsupported way.
pub(crate) fn stored_samples(
    object: &mut Object,
    pixels: &Pixels,
    frames: &Frames,
    frame: usize,
) -> Result<Vec<i32>, Error> {
    let (bytes, skipped_bits) = frames.read(object, frame)?;
    let (coding, big_endian) = (object.coding, object.encoding.big_endian);
    let native = |bytes: Vec<u8>| unpack(pixels, &bytes, skipped_bits, big_endian);
    // The bytes are untrusted. A panic in a decoder would end the plugin's call without naming the file. Decoders share
    // no state that a panic could leave inconsistent.
    let decoded = catch_unwind(AssertUnwindSafe(|| match coding {
        Coding::Native => Ok(native(bytes)),
        Coding::Deflated => inflate(&bytes, pixels).map(native),
        Coding::Rle => rle::decode(&bytes, pixels),
        Coding::Jpeg => jpeg::decode(&bytes, pixels),
        Coding::JpegLs => jpeg_ls::decode(&bytes, pixels),
        Coding::Jpeg2000 => jpeg2000::decode(&bytes, pixels),
    }));
    let path = object.path.display();
    let raster = match decoded {
        Ok(Ok(raster)) => raster,
        Ok(Err(Failure::Unsupported(what))) => return Err(Error::unsupported(format!("{path} has {what}"))),
        Ok(Err(Failure::Corrupt(what))) => {
            return Err(Error::corrupt(format!("{path} has damaged pixels in frame {frame}: {what}")));
        }
        Err(_) => {
            return Err(Error::corrupt(format!("{path} has pixels in frame {frame} that its decoder cannot decode")));
        }
    };
    let expected = pixels.n_pixels() * pixels.n_samples;
    if raster.samples.len() != expected {
        let found = raster.samples.len();
        return Err(Error::corrupt(format!("{path} has {found} samples in frame {frame}, where {expected} belong")));
    }
    Ok(understood(raster, pixels))
}

/// The value of a stored sample.
pub(crate) fn number(sample: i32, pixels: &Pixels) -> f64 {
    if pixels.bits_stored == 32 && !pixels.signed { f64::from(sample as u32) } else { f64::from(sample) }
}

/// Applies sign, channel order and colour space.
fn understood(raster: Raster, pixels: &Pixels) -> Vec<i32> {
    let Raster { mut samples, planar, is_rgb, precision } = raster;
    let n_bits = precision.unwrap_or(pixels.bits_stored);
    if n_bits < 32 {
        let unused = 32 - n_bits;
        for sample in &mut samples {
            let shifted = *sample << unused;
            *sample = if pixels.signed { shifted >> unused } else { (shifted as u32 >> unused) as i32 };
        }
    }
    if pixels.n_samples == 1 {
        return samples;
    }
    if planar {
        samples = colour::interleaved(&samples, pixels.n_pixels());
    }
    if !is_rgb && matches!(pixels.photometric, Photometric::YbrFull | Photometric::YbrFull422) {
        colour::to_rgb(&mut samples, n_bits);
    }
    samples
}

/// Bit patterns of an uncompressed frame. The number of bytes was checked.
fn unpack(pixels: &Pixels, bytes: &[u8], skipped_bits: u32, big_endian: bool) -> Raster {
    let n_stored = (pixels.frame_bits() / u64::from(pixels.bits_allocated)) as usize;
    let mut samples: Vec<i32> = match pixels.bits_allocated {
        1 => (0..n_stored)
            .map(|at| at + skipped_bits as usize)
            .map(|at| i32::from(bytes.get(at / 8).copied().unwrap_or_default() >> (at % 8) & 1))
            .collect(),
        8 => bytes.iter().take(n_stored).map(|&byte| i32::from(byte)).collect(),
        16 => {
            let (pairs, _) = bytes.as_chunks::<2>();
            let pairs = &pairs[..n_stored.min(pairs.len())];
            match big_endian {
                true => pairs.iter().map(|&pair| i32::from(u16::from_be_bytes(pair))).collect(),
                false => pairs.iter().map(|&pair| i32::from(u16::from_le_bytes(pair))).collect(),
            }
        }
        _ => {
            let (quads, _) = bytes.as_chunks::<4>();
            let word = if big_endian { i32::from_be_bytes } else { i32::from_le_bytes };
            quads.iter().take(n_stored).map(|&quad| word(quad)).collect()
        }
    };
    let below = pixels.high_bit + 1 - pixels.bits_stored;
    if below > 0 {
        for sample in &mut samples {
            *sample = (*sample as u32 >> below) as i32;
        }
    }
    if pixels.photometric == Photometric::YbrFull422 {
        samples = colour::unshared(&samples);
    }
    Raster { samples, planar: pixels.planar, is_rgb: false, precision: None }
}

fn inflate(bytes: &[u8], pixels: &Pixels) -> Result<Vec<u8>, Failure> {
    let n_bytes = pixels.frame_bits().div_ceil(8);
    // Deflate compresses by 1032 at most: 258 bytes in two bits.
    if n_bytes / 1032 > bytes.len() as u64 {
        return Err(Failure::Corrupt(format!("{} bytes, too few for {n_bytes}", bytes.len())));
    }
    let mut inflated = Vec::new();
    let read = DeflateDecoder::new(bytes).take(n_bytes).read_to_end(&mut inflated);
    read.map_err(|error| Failure::Corrupt(error.to_string()))?;
    if (inflated.len() as u64) < n_bytes {
        return Err(Failure::Corrupt(format!("{} of {n_bytes} bytes", inflated.len())));
    }
    Ok(inflated)
}
