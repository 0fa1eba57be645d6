//! BMP without metadata: headers, masks, palette and pixels stay. Gaps, colour profiles and what follows the pixels are left out.

/// Bytes of the header of the file, before that of the image.
const FILE_HEADER_BYTES: usize = 14;
/// Bytes of the oldest header of an image, and of the usual one, which later ones begin with.
const OLD_HEADER_BYTES: usize = 12;
const USUAL_HEADER_BYTES: usize = 40;
/// Bytes of an image's header from which on it describes colours: their space, its profile, and the profile's place.
const COLOUR_SPACE_FROM: usize = 56;
/// Compressions: none, and the two with masks after a usual header.
const NONE: u32 = 0;
const MASKS: u32 = 3;
const MASKS_WITH_ALPHA: u32 = 6;

/// A BMP file without its metadata; `None` where a part does not fit into the file.
pub(super) fn without_metadata(file: &[u8]) -> Option<Vec<u8>> {
    let long = |at: usize| file.get(at..).and_then(<[u8]>::first_chunk).map(|&bytes| u32::from_le_bytes(bytes));
    let short = |at: usize| file.get(at..).and_then(<[u8]>::first_chunk).map(|&bytes| u16::from_le_bytes(bytes));
    let (pixels, header) = (long(10)? as usize, long(FILE_HEADER_BYTES)? as usize);
    let header_end = FILE_HEADER_BYTES.checked_add(header)?;
    let is_old = header == OLD_HEADER_BYTES;
    let (width, height, bits, compression) = if is_old {
        (u64::from(short(18)?), u64::from(short(20)?), short(24)?, NONE)
    } else {
        (u64::from(long(18)?), u64::from((long(22)? as i32).unsigned_abs()), short(28)?, long(30)?)
    };
    let n_masks = match compression {
        MASKS if header == USUAL_HEADER_BYTES => 12,
        MASKS_WITH_ALPHA if header == USUAL_HEADER_BYTES => 16,
        _ => 0,
    };
    let n_colours = match (bits, if is_old { 0 } else { long(46)? }) {
        (1..=8, 0) => 1 << bits,
        (1..=8, stated) => (stated as usize).min(1 << bits),
        _ => 0,
    };
    let colours_end = header_end.checked_add(n_masks + n_colours * if is_old { 3 } else { 4 })?;
    let stated = if is_old { 0 } else { long(34)? };
    let n_bytes = match compression {
        NONE | MASKS | MASKS_WITH_ALPHA => (width * u64::from(bits)).div_ceil(32).checked_mul(4 * height)?,
        // Compressed pixels end where the header says, or else with the file.
        _ if stated > 0 => u64::from(stated),
        _ => file.len() as u64,
    };
    let end = (pixels as u64).checked_add(n_bytes)?.min(file.len() as u64) as usize;
    let mut copy = file.get(..end)?.to_vec();
    // Sizes that the file's header states, and its reserved words.
    copy.get_mut(2..10)?.fill(0);
    let colour_space = FILE_HEADER_BYTES + COLOUR_SPACE_FROM.min(header);
    copy.get_mut(colour_space..header_end)?.fill(0);
    if let Some(gap) = copy.get_mut(colours_end.min(pixels)..pixels) {
        gap.fill(0);
    }
    Some(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_and_behind_the_parts_of_a_file_is_left_out() {
        // Three rows of five pixels with a palette of two colours, a gap, and a text behind them.
        let mut file = [b"BM\0\0\0\0name".as_slice(), &68u32.to_le_bytes(), &40u32.to_le_bytes()].concat();
        file.extend([5u32.to_le_bytes(), 3u32.to_le_bytes()].as_flattened());
        file.extend([1, 0, 8, 0]);
        file.extend([0u32, 0, 0, 0, 2, 0].map(u32::to_le_bytes).as_flattened());
        file.extend([1, 2, 3, 0, 4, 5, 6, 0]);
        file.extend(b"name!!");
        file.extend(vec![7; 24]);
        file.extend(b"name");
        let copy = without_metadata(&file).unwrap();
        assert_eq!(copy.len(), 68 + 24);
        assert!(!copy.windows(4).any(|part| part == b"name"));
        assert_eq!((&copy[10..62], &copy[68..]), (&file[10..62], &file[68..92]));
        assert_eq!(without_metadata(&file[..40]), None);
    }
}
