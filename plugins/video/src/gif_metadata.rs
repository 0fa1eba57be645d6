//! GIF without metadata: frames and how long they are shown. Comments, plain text and data of applications are left out, and whatever
//! follows the end.

const EXTENSION: u8 = 0x21;
const GRAPHIC_CONTROL: u8 = 0xf9;
const IMAGE: u8 = 0x2c;
const TRAILER: u8 = 0x3b;
/// Bytes of the header and the logical screen descriptor.
const HEAD: usize = 13;

/// The file without metadata; `None` where its blocks do not fit into it.
pub(crate) fn without_metadata(file: &[u8]) -> Option<Vec<u8>> {
    if !file.starts_with(b"GIF8") {
        return None;
    }
    let mut at = HEAD + colour_table(*file.get(10)?);
    let mut out = file.get(..at)?.to_vec();
    loop {
        let start = at;
        let stays = match *file.get(at)? {
            TRAILER => {
                out.push(TRAILER);
                return Some(out);
            }
            EXTENSION => {
                at += 2;
                file[start + 1..].first() == Some(&GRAPHIC_CONTROL)
            }
            IMAGE => {
                // The descriptor, its table of colours and the size of its codes.
                at += 10 + colour_table(*file.get(at + 9)?) + 1;
                true
            }
            _ => return None,
        };
        // Blocks, each with its length, to an empty one.
        loop {
            let n_bytes = usize::from(*file.get(at)?);
            at += 1 + n_bytes;
            if n_bytes == 0 {
                break;
            }
        }
        let block = file.get(start..at)?;
        if stays {
            out.extend(block);
        }
    }
}

/// Bytes of the table that the flags of a descriptor state.
fn colour_table(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_frames_stay() {
        let head = [b"GIF89a".as_slice(), &[3, 0, 2, 0, 0x80, 0, 0], &[1, 2, 3, 4, 5, 6]].concat();
        let control = [0x21, 0xf9, 4, 0, 10, 0, 0, 0];
        let comment = [&[0x21, 0xfe, 4][..], b"ANNA", &[0]].concat();
        let application = [&[0x21, 0xff, 11][..], b"XMP DataXMP", &[4], b"ANNA", &[0]].concat();
        let frame = [&[0x2c, 0, 0, 0, 0, 3, 0, 2, 0, 0x81][..], &[7; 12], &[2, 3, 9, 9, 9, 0]].concat();
        let file = [&head, comment.as_slice(), &control, &application, &frame, &comment, &[0x3b], b"ANNA"].concat();
        let copy = without_metadata(&file).unwrap();
        assert_eq!(copy, [&head, control.as_slice(), &frame, &[0x3b]].concat());
        for end in 0..file.len() - 5 {
            assert_eq!(without_metadata(&file[..end]), None, "{end}");
        }
    }
}
