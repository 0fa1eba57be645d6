//! Code streams of JPEG 2000 for DICOM and TIFF: decoded by `rust-j2k`, and those of high throughput (HTJ2K) by
//! `dicom-toolkit-jpeg2000`.

use dicom_toolkit_jpeg2000::{DecodeSettings, Image};
use rust_j2k::Error;

use crate::decode_failure::Failure;

/// First bytes of a code stream.
const BEGINS: [u8; 4] = [0xff, 0x4f, 0xff, 0x51];
/// Largest number of pixels per byte of code; empty images reach a few thousand.
const MAX_PIXELS_A_BYTE: usize = 1 << 16;

/// Second byte of the marker of extended capabilities, and of the first tile-part.
const CAPABILITIES: u8 = 0x50;
const TILE_PART: u8 = 0x90;
/// Where a code stream states its number of components, and where the first is described: sign and bits, and two distances of samples.
const N_COMPONENTS_AT: usize = 40;
const COMPONENTS_AT: usize = 42;

/// A decoded component.
pub(crate) struct Component {
    /// Columns of the component.
    pub width: usize,
    /// Pixels per sample, along rows and columns.
    pub sampling: [usize; 2],
    /// Bits of a sample.
    pub bit_depth: u32,
    /// Samples, row by row.
    pub samples: Vec<i32>,
}

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

/// The components of a code stream. The decoders undo the colour transform, where there is one.
pub(crate) fn decode(code: &[u8]) -> Result<Vec<Component>, Failure> {
    if is_high_throughput(code) {
        return high_throughput(code);
    }
    let image = rust_j2k::decode(&with_uncounted_parts(code)).map_err(|error| match error {
        Error::Unsupported(what) => Failure::Unsupported(format!("JPEG 2000 of an unsupported kind: {what}")),
        other => Failure::Corrupt(other.to_string()),
    })?;
    let component = |component: rust_j2k::Component| Component {
        width: component.width as usize,
        sampling: [component.x_sampling, component.y_sampling].map(|step| usize::from(step.max(1))),
        bit_depth: u32::from(component.bit_depth),
        samples: component.samples,
    };
    Ok(image.components.into_iter().map(component).collect())
}

/// Whether a code stream states extended capabilities, as that of high throughput does and others do not.
fn is_high_throughput(code: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = code.get(at..).and_then(<[u8]>::first_chunk) {
        match marker {
            CAPABILITIES => return true,
            TILE_PART => return false,
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
    false
}

fn high_throughput(code: &[u8]) -> Result<Vec<Component>, Failure> {
    let cut = || Failure::Corrupt(String::from("JPEG 2000 code without components"));
    let unsupported = |what: String| Failure::Unsupported(format!("high-throughput JPEG 2000 {what}"));
    let n = code.get(N_COMPONENTS_AT..).and_then(<[u8]>::first_chunk).map(|&bytes| u16::from_be_bytes(bytes));
    let n = usize::from(n.ok_or_else(cut)?);
    let described = code.get(COMPONENTS_AT..COMPONENTS_AT + 3 * n).filter(|_| n > 0).ok_or_else(cut)?;
    let (components, _) = described.as_chunks::<3>();
    let [kind, ..] = components[0];
    // The decoder has one depth for all, and no negative numbers. The highest bit is the sign, the others are one less than the bits.
    if components.iter().any(|&component| component != [kind, 1, 1]) || kind >= 16 {
        return Err(unsupported(String::from("of signed, subsampled or unequal components, or of more than 16 bits")));
    }
    let [columns, rows] = size(code)?;
    let settings = DecodeSettings { strict: true, ..DecodeSettings::default() };
    let decoded = Image::new(code, &settings).and_then(|image| image.decode_native());
    let decoded = decoded.map_err(|error| Failure::Corrupt(format!("high-throughput JPEG 2000: {error}")))?;
    let n_bytes = usize::from(decoded.bytes_per_sample);
    let expected = columns.saturating_mul(rows).saturating_mul(n).saturating_mul(n_bytes);
    if usize::from(decoded.num_components) != n || decoded.data.len() != expected || !matches!(n_bytes, 1 | 2) {
        return Err(Failure::Corrupt(format!("{} bytes of {columns}x{rows}x{n} samples", decoded.data.len())));
    }
    let sample = |bytes: &[u8]| match bytes {
        [low, high] => i32::from(u16::from_le_bytes([*low, *high])),
        _ => i32::from(bytes[0]),
    };
    let component = |number: usize| Component {
        width: columns,
        sampling: [1, 1],
        bit_depth: u32::from(kind) + 1,
        samples: decoded.data.chunks_exact(n_bytes).skip(number).step_by(n).map(sample).collect(),
    };
    Ok((0..n).map(component).collect())
}

/// The code stream without the numbers of tile-parts (TNsot), which some writers count wrongly and the decoder does not
/// need.
fn with_uncounted_parts(code: &[u8]) -> Vec<u8> {
    let mut code = code.to_vec();
    // After the start marker: marker segments until the first tile-part.
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = code.get(at..).and_then(<[u8]>::first_chunk) {
        if marker != TILE_PART {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Grey of 6 rows of 8 pixels of 16 bits, 83 times their number, by OpenJPH 0.26.3 (imagecodecs 2026.3.6), reversible.
    const HIGH_THROUGHPUT: &[u8] = b"\
\xff\x4f\xff\x51\x00\x29\x40\x00\x00\x00\x00\x08\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x06\
\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x0f\x01\x01\xff\x50\x00\x08\x00\x02\x00\x00\x00\x0a\xff\x52\x00\x0c\x00\x02\x00\x01\x00\
\x05\x04\x04\x40\x01\xff\x5c\x00\x13\x20\x88\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x88\x88\x88\xff\x64\x00\x17\x00\x01\
\x4f\x70\x65\x6e\x4a\x50\x48\x20\x56\x65\x72\x20\x30\x2e\x32\x36\x2e\x33\x2e\xff\x90\x00\x0a\x00\x00\x00\x00\x00\x5b\x00\x01\xff\
\x93\xc0\x00\x26\xcf\xf3\x05\x07\x74\x00\x00\x00\xc0\x00\x13\x40\x00\x13\x00\xf4\xfe\x02\x07\x74\x00\x0a\xf6\x03\x87\x74\x00\xc0\
\x00\x13\x40\x00\x13\x00\x74\x74\x01\x82\x74\x00\xa5\xa5\x00\x42\x34\x00\xc0\x00\x2a\x60\x00\x15\x80\x24\x12\xe9\xa0\x42\x31\x02\
\x76\x00\x2e\x75\xa9\x4b\x5d\xfa\xc0\x52\x81\xbe\xb6\x00\xff\xd9";

    #[test]
    fn code_of_high_throughput_is_decoded() {
        assert_eq!(size(HIGH_THROUGHPUT).unwrap(), [8, 6]);
        let components = decode(code(HIGH_THROUGHPUT).unwrap()).unwrap();
        let [component] = components.as_slice() else { panic!("{} components", components.len()) };
        assert_eq!((component.width, component.bit_depth), (8, 16));
        assert_eq!(component.samples, (0..48).map(|at| at * 83 % 4096).collect::<Vec<_>>());
    }

    #[test]
    fn signed_code_of_high_throughput_is_refused_and_cut_code_is_damaged() {
        let mut signed = HIGH_THROUGHPUT.to_vec();
        signed[COMPONENTS_AT] |= 0x80;
        assert!(matches!(decode(&signed), Err(Failure::Unsupported(what)) if what.contains("signed")));
        // What a stream that is cut within its pixels still gives is the decoder's business; the head is not.
        for end in 0..127 {
            assert!(decode(&HIGH_THROUGHPUT[..end]).is_err(), "{end}");
        }
    }
}
