//! Exif data reduced to the orientation, with which an image is displayed. Names, dates, places and previews are left
//! out.

/// Length in bytes of an Exif block that holds only the orientation.
const N_BYTES: usize = 26;
const ORIENTATION: u16 = 0x0112;
const SHORT: u16 = 3;

/// An Exif block that holds only the orientation of `exif`: `II*\0`, one directory, one entry. `None` without an
/// orientation.
pub(super) fn with_orientation_only(exif: &[u8]) -> Option<[u8; N_BYTES]> {
    let orientation = orientation(exif)?;
    let mut block = [0; N_BYTES];
    block[..10].copy_from_slice(b"II*\0\x08\0\0\0\x01\0");
    block[10..12].copy_from_slice(&ORIENTATION.to_le_bytes());
    block[12..14].copy_from_slice(&SHORT.to_le_bytes());
    block[14] = 1;
    block[18..20].copy_from_slice(&orientation.to_le_bytes());
    Some(block)
}

/// The orientation (1 to 8), found as the `image` crate finds it: the first entry in the first directory with its tag,
/// type and count.
fn orientation(exif: &[u8]) -> Option<u16> {
    let big_endian = match exif.first_chunk()? {
        b"II*\0" => false,
        b"MM\0*" => true,
        _ => return None,
    };
    let u16_at = |at: usize| {
        let bytes = *exif.get(at..)?.first_chunk()?;
        Some(if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let u32_at = |at: usize| {
        let bytes = *exif.get(at..)?.first_chunk()?;
        Some(if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    };
    let directory = u32_at(4)? as usize;
    for entry in 0..usize::from(u16_at(directory)?) {
        let at = directory.checked_add(2 + 12 * entry)?;
        let (tag, format, count, value) = (u16_at(at)?, u16_at(at + 2)?, u32_at(at + 4)?, u16_at(at + 8)?);
        if (tag, format, count) == (ORIENTATION, SHORT, 1) {
            return (1..=8).contains(&value).then_some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_orientation_of_exif_data_stays() {
        // Artist "ANNA", then orientation 6, in big-endian order.
        let mut exif = b"MM\0*\0\0\0\x08\0\x02".to_vec();
        exif.extend(b"\x01\x3b\0\x02\0\0\0\x04ANNA");
        exif.extend(b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0");
        exif.extend(b"\0\0\0\0");
        let block = with_orientation_only(&exif).unwrap();
        assert_eq!(orientation(&block), Some(6));
        assert!(!block.windows(4).any(|window| window == b"ANNA"));
        assert_eq!(with_orientation_only(&exif[..20]), None);
        assert_eq!(with_orientation_only(b""), None);
    }
}
