//! Metadata of JPEG and JPEG-LS streams, overwritten with zeros in place, so that no offset of a file around them
//! changes.
//!
//! Kept are the segments that decoding needs, the fixed fields of JFIF and Adobe, which determine colour, and the
//! orientation in Exif data. Comments, all other application data, thumbnails and the bytes after the image are
//! overwritten.

use super::exif;

const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;
const COMMENT: u8 = 0xfe;
const EXIF: &[u8] = b"Exif\0\0";

/// Overwrites the metadata of one image.
pub(crate) fn blank(image: &mut [u8]) {
    if !image.starts_with(&[0xff, START_OF_IMAGE]) {
        return;
    }
    let mut at = 2;
    while let Some(start) = next_marker(image, at) {
        let marker = image[start];
        at = start + 1;
        match marker {
            END_OF_IMAGE => return image[at..].fill(0),
            // Markers without a length.
            0x01 | 0xd0..=0xd8 => {}
            _ => {
                let Some(&[high, low]) = image.get(at..).and_then(<[u8]>::first_chunk) else { return };
                let end = at + usize::from(u16::from_be_bytes([high, low])).max(2);
                let end = end.min(image.len());
                blank_segment(marker, &mut image[at + 2..end]);
                at = end;
            }
        }
    }
}

/// Index of the next marker's code: the byte after 0xff that is neither zero nor a restart within a scan.
fn next_marker(image: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = image.get(at..)?.iter().position(|&byte| byte == 0xff) {
        at += found + 1;
        match image.get(at)? {
            0x00 | 0xd0..=0xd7 => at += 1,
            // Fill byte before a marker.
            0xff => {}
            // In the coded data of JPEG-LS a zero bit follows 0xff instead of a zero byte.
            ..0x80 => at += 1,
            _ => return Some(at),
        }
    }
    None
}

fn blank_segment(marker: u8, payload: &mut [u8]) {
    let n_kept = match marker {
        COMMENT => 0,
        // Version, units and density stay; the size of the thumbnail after them becomes zero.
        0xe0 if payload.starts_with(b"JFIF\0") => 12,
        0xe1 if payload.starts_with(EXIF) => {
            let reduced = exif::with_orientation_only(&payload[EXIF.len()..]);
            payload[EXIF.len()..].fill(0);
            if let Some((reduced, place)) = reduced.zip(payload.get_mut(EXIF.len()..EXIF.len() + 26)) {
                place.copy_from_slice(&reduced);
            }
            return;
        }
        0xee if payload.starts_with(b"Adobe") => 12,
        0xe0..=0xef | 0xf0..=0xf6 | 0xf9..=0xfd => 0,
        _ => return,
    };
    if let Some(rest) = payload.get_mut(n_kept..) {
        rest.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(marker: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u16 + 2).to_be_bytes();
        [&[0xff, marker], length.as_slice(), payload].concat()
    }

    #[test]
    fn comments_and_application_data_are_overwritten_and_the_rest_stays() {
        let table = segment(0xdb, &[7; 65]);
        let scan = [segment(0xda, &[1, 2, 3]), vec![9, 0xff, 0x00, 8, 0xff, 0xd0, 7]].concat();
        let parts = [
            vec![0xff, 0xd8],
            segment(0xe0, b"JFIF\0\x01\x02\0\0\x01\0\x01\x01\x01ANNA"),
            segment(0xe1, b"http://ns.adobe.com/xap/1.0/\0ANNA"),
            segment(0xee, b"Adobe\0\x64\0\0\0\0\x01"),
            segment(COMMENT, b"ANNA"),
            table.clone(),
            scan.clone(),
            segment(COMMENT, b"ANNA"),
            scan.clone(),
            vec![0xff, 0xd9],
            b"ANNA".to_vec(),
        ];
        let mut image = parts.concat();
        let n_bytes = image.len();
        blank(&mut image);
        assert_eq!(image.len(), n_bytes);
        assert!(!image.windows(4).any(|window| window == b"ANNA"));
        let has = |part: &[u8]| image.windows(part.len()).filter(|window| *window == part).count();
        assert_eq!((has(&table), has(&scan)), (1, 2));
        assert_eq!((has(b"Adobe\0\x64\0\0\0\0\x01"), has(b"JFIF\0\x01\x02\0\0\x01\0\x01\0\0")), (1, 1));
    }

    #[test]
    fn damaged_images_are_left_without_a_panic() {
        for image in [
            &b""[..],
            b"\xff",
            b"\xff\xd8",
            b"\xff\xd8\xff",
            b"\xff\xd8\xff\xe1",
            b"\xff\xd8\xff\xe1\0",
            b"\xff\xd8\xff\xe1\xff\xffE",
        ] {
            blank(&mut image.to_vec());
        }
    }
}
