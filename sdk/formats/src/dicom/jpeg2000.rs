//! JPEG 2000 frames, decoded by `rust-j2k`.

use rust_j2k::{Error, Image};

use super::pixels::Pixels;
use super::raster::{Failure, Raster};

/// First bytes of a code stream.
const BEGINS: [u8; 4] = [0xff, 0x4f, 0xff, 0x51];
/// Largest number of samples per byte of code; empty images reach a few thousand.
const MAX_SAMPLES_A_BYTE: usize = 1 << 16;

/// Decodes a frame of JPEG 2000.
pub(crate) fn decode(bytes: &[u8], pixels: &Pixels) -> Result<Raster, Failure> {
    // Some writers wrap the code stream in a JP2 file, which the standard forbids.
    let start = bytes.windows(BEGINS.len()).position(|window| window == BEGINS);
    let code = &bytes[start.ok_or_else(|| Failure::Corrupt(String::from("no JPEG 2000 code")))?..];
    check_size(code, pixels)?;
    let image = rust_j2k::decode(&with_uncounted_parts(code)).map_err(|error| match error {
        Error::Unsupported(what) => Failure::Unsupported(format!("JPEG 2000 of an unsupported kind: {what}")),
        other => Failure::Corrupt(other.to_string()),
    })?;
    let precision = image.components.first().map(|component| u32::from(component.bit_depth));
    let samples = interleaved(image, pixels)?;
    // The decoder undoes the colour transform, where there is one.
    Ok(Raster { samples, planar: false, is_rgb: false, precision })
}

/// The code stream without the numbers of tile-parts (TNsot), which some writers count wrongly and the decoder does not
/// need.
fn with_uncounted_parts(code: &[u8]) -> Vec<u8> {
    let mut code = code.to_vec();
    // After the start marker: marker segments until the first tile-part.
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = code.get(at..).and_then(<[u8]>::first_chunk) {
        if marker != 0x90 {
            at += 2 + usize::from(u16::from_be_bytes([high, low]));
            continue;
        }
        let Some(part) = code.get_mut(at..at + 12) else { break };
        part[11] = 0;
        let length = u32::from_be_bytes([part[6], part[7], part[8], part[9]]) as usize;
        if length < 12 {
            break;
        }
        at += length;
    }
    code
}

/// Compares the size in the code stream with the header, before the decoder allocates memory for it.
fn check_size(code: &[u8], pixels: &Pixels) -> Result<(), Failure> {
    let cut = || Failure::Corrupt(String::from("JPEG 2000 code without a size"));
    let field = |at: usize| code.get(at..).and_then(<[u8]>::first_chunk).map(|&bytes| u32::from_be_bytes(bytes));
    let (width, height) = (field(8).zip(field(16)), field(12).zip(field(20)));
    let extent = |(end, start): (u32, u32)| end.saturating_sub(start) as usize;
    let (columns, rows) = (extent(width.ok_or_else(cut)?), extent(height.ok_or_else(cut)?));
    if (rows, columns) != (pixels.rows, pixels.columns) {
        let Pixels { rows: header_rows, columns: header_columns, .. } = pixels;
        return Err(Failure::Corrupt(format!(
            "an image of {columns}x{rows}, where the header states {header_columns}x{header_rows}"
        )));
    }
    if pixels.n_pixels() / MAX_SAMPLES_A_BYTE > code.len() {
        return Err(Failure::Corrupt(format!("{} bytes for {columns}x{rows} pixels", code.len())));
    }
    Ok(())
}

fn interleaved(image: Image, pixels: &Pixels) -> Result<Vec<i32>, Failure> {
    let n = image.components.len();
    let is_whole = |component: &rust_j2k::Component| component.samples.len() == pixels.n_pixels();
    if n != pixels.n_samples || !image.components.iter().all(is_whole) {
        return Err(Failure::Unsupported(format!("JPEG 2000 of {n} components that are not of the image's size")));
    }
    let planes: Vec<Vec<i32>> = image.components.into_iter().map(|component| component.samples).collect();
    Ok(match planes.as_slice() {
        [first, second, third] => (0..pixels.n_pixels()).flat_map(|at| [first[at], second[at], third[at]]).collect(),
        _ => planes.into_iter().next().unwrap_or_default(),
    })
}
