//! Strips and tiles of TIFF that the `tiff` crate does not decode: JPEG 2000, samples of 9 to 15 bits, and colours of less than 8.

use std::io::Read;

use flate2::read::ZlibDecoder;
use weezl::{BitOrder, LzwStatus};

use crate::decode_failure::Failure;
use crate::{jpeg2000_stream, packbits};

/// Pixels that a tile may have beyond its page's grid: encoders pad blocks.
const MAX_PADDING: usize = 64;

/// Planes of decoded samples, in the byte order of this machine.
pub(crate) struct Planes {
    /// One plane with all samples of a pixel side by side, or one plane per sample.
    pub planes: Vec<Vec<u8>>,
    /// Distance between rows in bytes.
    pub row_stride: usize,
}

/// Decodes JPEG 2000. `sides` are the columns and rows of a strip or tile; those that are `needed` lie within the page. `n_samples`
/// components of `bits` give a plane each; one of fewer columns or rows is enlarged by repetition.
pub(crate) fn jpeg2000(
    bytes: &[u8],
    sides: [usize; 2],
    needed: [usize; 2],
    n_samples: usize,
    bits: usize,
) -> Result<Planes, Failure> {
    let code = jpeg2000_stream::code(bytes)?;
    let found = jpeg2000_stream::size(code)?;
    let fits = (0..2).all(|axis| (needed[axis]..=sides[axis] + MAX_PADDING).contains(&found[axis]));
    if !fits {
        let ([columns, rows], [expected_columns, expected_rows]) = (found, sides);
        return Err(Failure::Corrupt(format!(
            "a JPEG 2000 image of {columns}x{rows} pixels in a strip or tile of {expected_columns}x{expected_rows}"
        )));
    }
    let components = jpeg2000_stream::decode(code)?;
    let depths: Vec<_> = components.iter().map(|component| component.bit_depth as usize).collect();
    if depths.len() != n_samples || depths.iter().any(|&depth| depth != bits) {
        return Err(Failure::Unsupported(format!(
            "a JPEG 2000 image of components of {depths:?} bits, where {n_samples} of {bits} bits are expected"
        )));
    }
    let n_bytes = bits.div_ceil(8);
    let mut planes = Vec::with_capacity(n_samples);
    for component in &components {
        let [across, down] = component.sampling;
        let mut plane = Vec::with_capacity(needed[0] * needed[1] * n_bytes);
        for y in 0..needed[1] {
            for x in 0..needed[0] {
                let sample =
                    component.samples.get(y / down * component.width + x / across).copied().unwrap_or_default();
                match n_bytes {
                    1 => plane.push(sample as u8),
                    _ => plane.extend((sample as u16).to_ne_bytes()),
                }
            }
        }
        planes.push(plane);
    }
    Ok(Planes { planes, row_stride: needed[0] * n_bytes })
}

/// Unpacks samples of `bits`, up to 15, that follow each other without gaps in rows of `n_samples`, to numbers of 16 bits.
pub(crate) fn packed(
    bytes: &[u8],
    compression: u64,
    [n_samples, n_rows]: [usize; 2],
    bits: usize,
    inverted: bool,
) -> Result<Planes, Failure> {
    let n_row = (n_samples * bits).div_ceil(8);
    let n_bytes = n_row * n_rows;
    let stored = decompressed(bytes, compression, n_bytes)?;
    if stored.len() < n_bytes {
        return Err(Failure::Corrupt(format!("{} of {n_bytes} bytes in a strip or tile", stored.len())));
    }
    let most = (1_u32 << bits) - 1;
    let mut plane = Vec::with_capacity(2 * n_samples * n_rows);
    for row in stored.chunks_exact(n_row) {
        for number in 0..n_samples {
            let (byte, bit) = (number * bits / 8, number * bits % 8);
            // A sample reaches over three bytes at most.
            let three = (0..3).fold(0, |three, at| three << 8 | u32::from(row.get(byte + at).copied().unwrap_or(0)));
            let sample = three >> (24 - bits - bit) & most;
            let sample = if inverted { most - sample } else { sample };
            plane.extend((sample as u16).to_ne_bytes());
        }
    }
    Ok(Planes { planes: vec![plane], row_stride: 2 * n_samples })
}

/// Compressions that are undone here.
pub(crate) fn is_decompressed(compression: u64) -> bool {
    matches!(compression, 1 | 5 | 8 | 32946 | 32773)
}

/// Up to `n` bytes of a strip or tile.
fn decompressed(bytes: &[u8], compression: u64, n: usize) -> Result<Vec<u8>, Failure> {
    match compression {
        5 => {
            let mut decoder = weezl::decode::Decoder::with_tiff_size_switch(BitOrder::Msb, 8);
            let (mut out, mut n_read, mut n_written) = (vec![0; n], 0, 0);
            loop {
                let step = decoder.decode_bytes(&bytes[n_read..], &mut out[n_written..]);
                n_read += step.consumed_in;
                n_written += step.consumed_out;
                let goes_on = step.consumed_in + step.consumed_out > 0 && n_written < n;
                if !(goes_on && matches!(step.status, Ok(LzwStatus::Ok))) {
                    break;
                }
            }
            out.truncate(n_written);
            Ok(out)
        }
        8 | 32946 => {
            let mut out = Vec::new();
            let read = ZlibDecoder::new(bytes).take(n as u64).read_to_end(&mut out);
            read.map_err(|error| Failure::Corrupt(error.to_string()))?;
            Ok(out)
        }
        32773 => Ok(packbits::unpacked(bytes, n)),
        _ => Ok(bytes[..n.min(bytes.len())].to_vec()),
    }
}
