//! PNG without metadata. Only the chunks that decoding needs and the orientation in Exif data stay; texts, times,
//! profiles and data after the end of the image are left out.

use flate2::Crc;

use super::exif;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
const KEPT: [&[u8; 4]; 6] = [b"IHDR", b"sBIT", b"PLTE", b"tRNS", b"IDAT", b"IEND"];

/// A PNG file without its metadata; `None` where a chunk does not fit into the file.
pub(super) fn without_metadata(file: &[u8]) -> Option<Vec<u8>> {
    let mut rest = file.strip_prefix(SIGNATURE)?;
    let mut out = SIGNATURE.to_vec();
    let mut has_exif = false;
    loop {
        let n_bytes = u32::from_be_bytes(*rest.first_chunk()?) as usize;
        let kind: &[u8; 4] = rest.get(4..)?.first_chunk()?;
        let end = n_bytes.checked_add(12)?;
        let chunk = rest.get(..end)?;
        if KEPT.contains(&kind) {
            out.extend(chunk);
        } else if kind == b"eXIf" && !has_exif {
            has_exif = true;
            if let Some(reduced) = exif::with_orientation_only(&chunk[8..8 + n_bytes]) {
                push(kind, &reduced, &mut out);
            }
        }
        if kind == b"IEND" {
            return Some(out);
        }
        rest = &rest[end..];
    }
}

fn push(kind: &[u8; 4], content: &[u8], out: &mut Vec<u8>) {
    let mut crc = Crc::new();
    crc.update(kind);
    crc.update(content);
    out.extend((content.len() as u32).to_be_bytes());
    out.extend(kind);
    out.extend(content);
    out.extend(crc.sum().to_be_bytes());
}
