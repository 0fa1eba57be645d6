//! RLE Lossless of DICOM: each byte of the samples is a segment of its own, the most significant first, packed as in
//! TIFF's PackBits.
//!
//! The codec of the DICOM-rs crates stops at 16 bits and panics on segments that end early.

use super::pixels::Pixels;
use super::raster::Raster;
use crate::decode_failure::Failure;
use crate::packbits;

const HEADER_BYTES: usize = 64;
const MAX_SEGMENTS: usize = 15;

/// Decodes a frame of RLE Lossless.
pub(crate) fn decode(bytes: &[u8], pixels: &Pixels) -> Result<Raster, Failure> {
    let corrupt = |what: String| Failure::Corrupt(what);
    let (header, _) = bytes.get(..HEADER_BYTES).map(<[u8]>::as_chunks::<4>).unwrap_or_default();
    let mut offsets = header.iter().map(|&offset| u32::from_le_bytes(offset) as usize);
    let n_segments = offsets.next().unwrap_or_default();
    let bytes_a_sample = pixels.bits_allocated.div_ceil(8) as usize;
    let expected = pixels.n_samples * bytes_a_sample;
    if n_segments != expected || n_segments > MAX_SEGMENTS {
        return Err(corrupt(format!("{n_segments} planes of bytes, where {expected} belong")));
    }
    // Two bytes give 128 at most; a short frame allocates no memory for a large image.
    let n_bytes = pixels.frame_bits() / 8;
    if n_bytes / 64 > bytes.len() as u64 {
        return Err(corrupt(format!("{} bytes, too few for {n_bytes}", bytes.len())));
    }
    let mut starts: Vec<usize> = offsets.take(n_segments).collect();
    starts.push(bytes.len());
    if pixels.bits_allocated == 1 {
        let packed = unpacked(bytes, [starts[0], starts[1]], pixels.n_pixels().div_ceil(8))?;
        let bit = |at: usize| i32::from(packed[at / 8] >> (at % 8) & 1);
        let samples = (0..pixels.n_pixels()).map(bit).collect();
        return Ok(Raster { samples, planar: false, is_rgb: false, precision: None });
    }
    let mut samples = vec![0; pixels.n_pixels() * pixels.n_samples];
    for (plane, channel) in samples.chunks_exact_mut(pixels.n_pixels()).enumerate() {
        for byte in 0..bytes_a_sample {
            let segment = plane * bytes_a_sample + byte;
            let values = unpacked(bytes, [starts[segment], starts[segment + 1]], pixels.n_pixels())?;
            for (sample, value) in channel.iter_mut().zip(values) {
                *sample = *sample << 8 | i32::from(value);
            }
        }
    }
    Ok(Raster { samples, planar: pixels.n_samples > 1, is_rgb: false, precision: None })
}

/// Unpacks the segment between two offsets to `n` bytes.
fn unpacked(bytes: &[u8], [start, end]: [usize; 2], n: usize) -> Result<Vec<u8>, Failure> {
    let segment = bytes.get(start..end).ok_or_else(|| Failure::Corrupt(format!("a plane from {start} to {end}")))?;
    let plane = packbits::unpacked(segment, n);
    if plane.len() < n {
        return Err(Failure::Corrupt(format!("{} of {n} bytes in a plane", plane.len())));
    }
    Ok(plane)
}
