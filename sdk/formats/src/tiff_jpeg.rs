//! Size that a JPEG states in its markers, to compare it with the strip or tile that the JPEG fills.
//!
//! A few bytes can state an image of a gigabyte, for which the decoder would allocate memory first. Nothing is decoded
//! here.

use std::io::{self, Read, Seek, SeekFrom};

/// Largest number of markers read before the frame; files have a dozen.
const MAX_MARKERS: usize = 1000;

/// Columns and rows of the JPEG at an offset of a file. `None` where no frame is found, which the decoder then reports.
pub(crate) fn stated_size(file: &mut (impl Read + Seek), at: u64) -> io::Result<Option<[usize; 2]>> {
    file.seek(SeekFrom::Start(at))?;
    if take::<2>(file)? != [0xff, 0xd8] {
        return Ok(None);
    }
    let mut next = at + 2;
    for _ in 0..MAX_MARKERS {
        file.seek(SeekFrom::Start(next))?;
        let [fill, marker] = take(file)?;
        if fill != 0xff {
            return Ok(None);
        }
        match marker {
            // Fill bytes.
            0xff => next += 1,
            // Markers without a length.
            0x01 | 0xd0..=0xd8 => next += 2,
            // Frame headers; the other three of this range are tables.
            0xc0..=0xcf if ![0xc4, 0xc8, 0xcc].contains(&marker) => {
                let [_, _, _, height, low, width, low_width] = take(file)?;
                let side = |high, low| usize::from(u16::from_be_bytes([high, low]));
                return Ok(Some([side(width, low_width), side(height, low)]));
            }
            // The end, or pixels before a frame.
            0xd9 | 0xda => return Ok(None),
            _ => next += 2 + u64::from(u16::from_be_bytes(take(file)?)),
        }
    }
    Ok(None)
}

fn take<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn size(bytes: &[u8]) -> Option<[usize; 2]> {
        stated_size(&mut Cursor::new([b"ahead", bytes].concat()), 5).ok().flatten()
    }

    #[test]
    fn the_size_is_found_behind_other_segments() {
        let frame = [0xff, 0xc2, 0, 17, 8, 1, 2, 3, 4, 3];
        let segments = [0xff, 0xd8, 0xff, 0xe0, 0, 4, 0xff, 0xc0, 0xff, 0xff, 0xdb, 0, 2];
        assert_eq!(size(&[&segments[..], &frame].concat()), Some([0x304, 0x102]));
        assert_eq!(size(&[&[0xff, 0xd8][..], &frame].concat()), Some([0x304, 0x102]));
    }

    #[test]
    fn files_that_are_not_jpeg_have_no_size() {
        for bytes in [&b"II*\0"[..], &[0xff, 0xd8], &[0xff, 0xd8, 0xff, 0xda, 0, 2], &[0xff, 0xd8, 0, 0], &[]] {
            assert_eq!(size(bytes), None);
        }
    }
}
