//! Code streams of JPEG 2000, decoded by `rust-j2k`, for DICOM and TIFF.

use rust_j2k::{Error, Image};

use crate::decode_failure::Failure;

/// First bytes of a code stream.
const BEGINS: [u8; 4] = [0xff, 0x4f, 0xff, 0x51];
/// Largest number of pixels per byte of code; empty images reach a few thousand.
const MAX_PIXELS_A_BYTE: usize = 1 << 16;

/// The code stream in `bytes`. Some writers wrap it in a JP2 file.
pub(crate) fn code(bytes: &[u8]) -> Result<&[u8], Failure> {
    let start = bytes.windows(BEGINS.len()).position(|window| window == BEGINS);
    Ok(&bytes[start.ok_or_else(|| Failure::Corrupt(String::from("no JPEG 2000 code")))?..])
}

/// Columns and rows that a code stream states, compared with its length before the decoder allocates memory for them.
pub(crate) fn size(code: &[u8]) -> Result<[usize; 2], Failure> {
    let cut = || Failure::Corrupt(String::from("JPEG 2000 code without a size"));
    let field = |at: usize| code.get(at..).and_then(<[u8]>::first_chunk).map(|&bytes| u32::from_be_bytes(bytes));
    let (width, height) = (field(8).zip(field(16)), field(12).zip(field(20)));
    let extent = |(end, start): (u32, u32)| end.saturating_sub(start) as usize;
    let (columns, rows) = (extent(width.ok_or_else(cut)?), extent(height.ok_or_else(cut)?));
    if columns.saturating_mul(rows) / MAX_PIXELS_A_BYTE > code.len() {
        return Err(Failure::Corrupt(format!("{} bytes for {columns}x{rows} pixels", code.len())));
    }
    Ok([columns, rows])
}

/// The components of a code stream. The decoder undoes the colour transform, where there is one.
pub(crate) fn decode(code: &[u8]) -> Result<Image, Failure> {
    rust_j2k::decode(&with_uncounted_parts(code)).map_err(|error| match error {
        Error::Unsupported(what) => Failure::Unsupported(format!("JPEG 2000 of an unsupported kind: {what}")),
        other => Failure::Corrupt(other.to_string()),
    })
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
