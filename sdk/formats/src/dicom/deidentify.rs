//! De-identified copies of DICOM files: the pixels, and the elements that decoding needs.
//!
//! The copy has the transfer syntax of the file, so that it decodes to the same bits. [`super::kept_elements`] lists
//! the elements that stay. File meta information is written anew, without titles of application entities and names of
//! implementations. Unused bits of pixels, which may hold an overlay, become zero; so do comments within compressed
//! frames.

use std::fs::File;
use std::io::{self, BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags, uids};
use medcoss_sdk::Error;

use super::attributes::text;
use super::elements::{ElementReader, Encoding, Head, ITEM, ITEM_END};
use super::frames::{self, Frames, Piece};
use super::kept_elements::{Content, MAX_VALUE_BYTES, content};
use super::object::{EVERYTHING, Object, Start, explain};
use super::pixels::{Photometric, Pixels};
use super::scanner;
use super::transfer_syntax::{Coding, EXPLICIT_BIG_ENDIAN};
use crate::deidentify::jpeg;

/// Facts of a copy.
pub(crate) struct Copied {
    /// Whether the file states that its pixels show text about the patient: Burned In Annotation (0028,0301) is YES.
    pub(crate) burned_in_annotation: bool,
}

/// Bytes of native pixels that are copied at once; a whole number of samples.
const CHUNK: usize = 1 << 20;
/// De-identification Method (0012,0063), which PS3.15 requires.
const METHOD: &str = "medcoss: elements needed for decoding only";
const IMPLEMENTATION: &str = "2.25.1";
const STANDARD: &str = "1.2.840.10008.";
const UNDEFINED: u32 = u32::MAX;

/// Writes the de-identified copy of `path` to `target`. `replace_uid` returns the replacement of a UID.
///
/// # Errors
/// Those of [`Object::open`], frames that are not found, a copy that cannot be written.
pub(crate) fn write(path: &Path, target: &Path, replace_uid: &mut dyn FnMut(&str) -> String) -> Result<Copied, Error> {
    let mut object = Object::open(path)?;
    let pixels = Pixels::of(&object)?;
    let frames = Frames::find(&mut object, &pixels)?;
    let Start { meta, syntax, mut source, span } = Start::read(path)?;
    let failed = |error: io::Error| explain(path, &error);
    let scanned = scanner::scan(&mut *source, syntax.encoding, span, EVERYTHING).map_err(failed)?;
    let mut filter = Filter { encoding: syntax.encoding, replace_uid };
    let mut header = Vec::new();
    let mut is_marked = false;
    for element in &scanned.elements {
        let mut kept = Vec::new();
        let tag = filter.element(element, &mut kept).map_err(failed)?;
        if !is_marked && tag > tags::PATIENT_IDENTITY_REMOVED {
            filter.mark(&mut header);
            is_marked = true;
        }
        header.extend(kept);
    }
    if !is_marked {
        filter.mark(&mut header);
    }
    let transfer_syntax = match (syntax.coding, syntax.deflated, syntax.encoding, &meta.transfer_syntax) {
        (Coding::Native, _, Encoding { explicit: false, .. }, _) => uids::IMPLICIT_VR_LITTLE_ENDIAN,
        (Coding::Native, _, Encoding { big_endian: true, .. }, _) => EXPLICIT_BIG_ENDIAN,
        (Coding::Native, ..) if object.pixels.length.is_some() => uids::EXPLICIT_VR_LITTLE_ENDIAN,
        (.., Some(stated)) => stated,
        (.., None) => uids::EXPLICIT_VR_LITTLE_ENDIAN,
    };
    let unwritten =
        |error: io::Error| Error::unreadable(format!("{} cannot be written", target.display())).caused_by(&error);
    let file = File::create_new(target).map_err(unwritten)?;
    let mut out = BufWriter::new(file);
    let sop_class = Some(object.sop_class.as_str()).filter(|uid| uid.starts_with(STANDARD));
    out.write_all(&file_meta(transfer_syntax, sop_class)).map_err(unwritten)?;
    out.write_all(&header).map_err(unwritten)?;
    copy_pixels(&mut object, &pixels, &frames, &mut out)?;
    out.flush().map_err(unwritten)?;
    let burned_in_annotation = text(&object.header, tags::BURNED_IN_ANNOTATION).as_deref() == Some("YES");
    Ok(Copied { burned_in_annotation })
}

/// Preamble, magic and file meta information.
fn file_meta(transfer_syntax: &str, sop_class: Option<&str>) -> Vec<u8> {
    let encoding = Encoding { explicit: true, big_endian: false };
    let mut group = Vec::new();
    push_element(encoding, Tag(2, 1), *b"OB", &[0, 1], &mut group);
    for (element, uid) in [(2, sop_class), (0x10, Some(transfer_syntax)), (0x12, Some(IMPLEMENTATION))] {
        if let Some(uid) = uid {
            push_element(encoding, Tag(2, element), *b"UI", &padded(uid, 0), &mut group);
        }
    }
    let mut out = vec![0; 128];
    out.extend(b"DICM");
    push_element(encoding, Tag(2, 0), *b"UL", &(group.len() as u32).to_le_bytes(), &mut out);
    out.extend(group);
    out
}

fn padded(text: &str, filling: u8) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    if bytes.len() % 2 == 1 {
        bytes.push(filling);
    }
    bytes
}

fn push_tag(encoding: Encoding, Tag(group, element): Tag, out: &mut Vec<u8>) {
    for number in [group, element] {
        out.extend(if encoding.big_endian { number.to_be_bytes() } else { number.to_le_bytes() });
    }
}

fn push_u32(encoding: Encoding, number: u32, out: &mut Vec<u8>) {
    out.extend(if encoding.big_endian { number.to_be_bytes() } else { number.to_le_bytes() });
}

/// Appends the header of an element whose value has `length` bytes.
fn push_head(encoding: Encoding, tag: Tag, vr: [u8; 2], length: u32, out: &mut Vec<u8>) {
    push_tag(encoding, tag, out);
    if !encoding.explicit {
        return push_u32(encoding, length, out);
    }
    out.extend(vr);
    if has_long_length(vr) {
        out.extend([0, 0]);
        push_u32(encoding, length, out);
    } else {
        // Other representations have 16-bit lengths. Lengths from a file fit, and our own values are short.
        let length = length as u16;
        out.extend(if encoding.big_endian { length.to_be_bytes() } else { length.to_le_bytes() });
    }
}

fn has_long_length(vr: [u8; 2]) -> bool {
    b"OBODOFOLOVOWSQSVUCUNURUTUV".chunks_exact(2).any(|long| long == vr)
}

fn push_element(encoding: Encoding, tag: Tag, vr: [u8; 2], value: &[u8], out: &mut Vec<u8>) {
    push_head(encoding, tag, vr, value.len() as u32, out);
    out.extend(value);
}

struct Filter<'a> {
    encoding: Encoding,
    replace_uid: &'a mut dyn FnMut(&str) -> String,
}

impl Filter<'_> {
    /// Appends Patient Identity Removed (0012,0062) and De-identification Method (0012,0063).
    fn mark(&self, out: &mut Vec<u8>) {
        push_element(self.encoding, tags::PATIENT_IDENTITY_REMOVED, *b"CS", &padded("YES", b' '), out);
        push_element(self.encoding, tags::DEIDENTIFICATION_METHOD, *b"LO", &padded(METHOD, b' '), out);
    }

    /// Appends the part of a validated element that stays.
    fn element(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<Tag> {
        let mut source = Cursor::new(bytes);
        let end = bytes.len() as u64;
        let mut reader = ElementReader { source: &mut source, encoding: self.encoding, at: 0, end, n_heads: 0 };
        let Some(head) = reader.head()? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        self.filtered(&head, bytes, out)?;
        Ok(head.tag)
    }

    /// Appends the part of an element that stays. `bytes` is the whole element, header included.
    fn filtered(&mut self, head: &Head, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let Some(kept) = content(head.tag) else { return Ok(()) };
        let value = &bytes[(head.value_start - head.start) as usize..];
        let dictionary = StandardDataDictionary.by_tag(head.tag).map_or(VR::UN, |entry| entry.vr().relaxed());
        let stated = head.vr.unwrap_or(*b"UN");
        if kept == Content::Items {
            if (stated == *b"SQ" || head.vr.is_none()) && dictionary == VR::SQ {
                self.items(head, value, out)?;
            }
            return Ok(());
        }
        if head.length.is_none() {
            return Ok(());
        }
        // For an unknown representation (UN) the dictionary decides, as it does in the reader.
        let meant = if stated == *b"UN" { dictionary.to_bytes() } else { stated };
        let is_text = is_text(meant);
        let value = match kept {
            Content::Numbers | Content::Words(_) | Content::StandardUid | Content::OwnUid
                if value.len() > MAX_VALUE_BYTES =>
            {
                return Ok(());
            }
            Content::Numbers if is_text => padded(&joined(value, number), b' '),
            Content::Numbers | Content::Table if !is_text => value.to_vec(),
            Content::Words(known) if is_text => padded(&joined(value, |word| word_of(known, word)), b' '),
            Content::StandardUid | Content::OwnUid if is_text => {
                let uid = joined(value, |uid| uid);
                let replaced = match kept {
                    Content::OwnUid if uid.is_empty() => uid,
                    Content::OwnUid => (self.replace_uid)(&uid),
                    _ if uid.starts_with(STANDARD) => joined(value, |uid| if is_uid(uid) { uid } else { "" }),
                    _ => return Ok(()),
                };
                padded(&replaced, 0)
            }
            _ => return Ok(()),
        };
        push_element(self.encoding, head.tag, stated, &value, out);
        Ok(())
    }

    /// Appends the part of a sequence that stays, with the sequence and its items of undefined length.
    fn items(&mut self, head: &Head, value: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        push_head(self.encoding, head.tag, *b"SQ", UNDEFINED, out);
        let mut source = Cursor::new(value);
        let mut reader =
            ElementReader { source: &mut source, encoding: self.encoding, at: 0, end: value.len() as u64, n_heads: 0 };
        while let Some(item) = reader.head()? {
            if item.tag != ITEM {
                break;
            }
            push_tag(self.encoding, ITEM, out);
            push_u32(self.encoding, UNDEFINED, out);
            let item_end = item.length.map(|length| item.value_start + length);
            while item_end.is_none_or(|end| reader.at < end) {
                let Some(inner) = reader.head()? else { break };
                if inner.tag == ITEM_END {
                    break;
                }
                reader.skip_value(&inner, 0)?;
                self.filtered(&inner, &value[inner.start as usize..reader.at as usize], out)?;
            }
            push_tag(self.encoding, ITEM_END, out);
            push_u32(self.encoding, 0, out);
        }
        push_tag(self.encoding, super::elements::SEQUENCE_END, out);
        push_u32(self.encoding, 0, out);
        Ok(())
    }
}

fn is_text(vr: [u8; 2]) -> bool {
    !b"ATFDFLOBODOFOLOVOWSLSSSVULUNUSUV".chunks_exact(2).any(|binary| binary == vr)
}

/// The values of a text, each replaced by the result of `allowed`.
fn joined<'a>(value: &'a [u8], allowed: impl Fn(&'a str) -> &'a str) -> String {
    let text = std::str::from_utf8(value).unwrap_or("?");
    let values = text.split('\\').map(|value| allowed(value.trim_matches(['\0', ' '])));
    values.collect::<Vec<_>>().join("\\")
}

/// The value if it is empty or a number, else "?".
fn number(value: &str) -> &str {
    let is_number = value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    if value.is_empty() || is_number && value.parse::<f64>().is_ok() { value } else { "?" }
}

fn word_of(known: &[&'static str], word: &str) -> &'static str {
    known.iter().find(|known| **known == word).or(known.last()).copied().unwrap_or_default()
}

fn is_uid(uid: &str) -> bool {
    uid.len() <= 64 && uid.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit())
}

fn copy_pixels(object: &mut Object, pixels: &Pixels, frames: &Frames, out: &mut impl Write) -> Result<(), Error> {
    let path = object.path.clone();
    let failed = |error: io::Error| Error::unreadable(format!("{} cannot be copied", path.display())).caused_by(&error);
    let encoding = object.encoding;
    let mut head = Vec::new();
    match frames {
        Frames::Native { start, frame_bits } => {
            let n_bytes = frame_bits.saturating_mul(pixels.n_frames as u64).div_ceil(8);
            let Ok(length) = u32::try_from(n_bytes.next_multiple_of(2)) else {
                return Err(Error::unsupported(format!("{} has more than 4 GiB of pixels", path.display())));
            };
            let vr = if object.pixels.words { *b"OW" } else { *b"OB" };
            push_head(encoding, tags::PIXEL_DATA, vr, length, &mut head);
            out.write_all(&head).map_err(failed)?;
            // In byte-swapped words the last of an odd number of bytes is in the second half of its word.
            let stored = if object.swaps_bytes { u64::from(length) } else { n_bytes };
            copy_native(object, pixels, (*start, stored), out).map_err(failed)?;
            out.write_all(&[0; 1][..(u64::from(length) - stored) as usize]).map_err(failed)
        }
        Frames::Pieces(frames) => {
            push_head(encoding, tags::PIXEL_DATA, *b"OB", UNDEFINED, &mut head);
            out.write_all(&head).map_err(failed)?;
            copy_fragments(object, frames, out)
        }
    }
}

fn copy_native(object: &mut Object, pixels: &Pixels, (start, n_bytes): Piece, out: &mut impl Write) -> io::Result<()> {
    let unused_below = pixels.high_bit + 1 - pixels.bits_stored;
    let is_whole = pixels.bits_stored == pixels.bits_allocated || pixels.photometric == Photometric::YbrFull422;
    let mask = ((1_u64 << pixels.bits_stored) - 1) << unused_below;
    let mask = match pixels.bits_allocated {
        _ if is_whole => Vec::new(),
        bits if object.encoding.big_endian => mask.to_be_bytes()[8 - bits as usize / 8..].to_vec(),
        bits => mask.to_le_bytes()[..bits as usize / 8].to_vec(),
    };
    object.source.seek(SeekFrom::Start(start))?;
    let mut left = n_bytes.min(object.end - start);
    let missing = n_bytes - left;
    let mut chunk = vec![0; CHUNK];
    while left > 0 {
        let n = left.min(CHUNK as u64) as usize;
        object.source.read_exact(&mut chunk[..n])?;
        if !mask.is_empty() {
            chunk[..n].iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte &= mask);
        }
        out.write_all(&chunk[..n])?;
        left -= n as u64;
    }
    out.write_all(&[0; 1][..missing.min(1) as usize])
}

/// Copies the fragments in order, with an offset table where the reader needs one.
fn copy_fragments(object: &mut Object, frames: &[Vec<Piece>], out: &mut impl Write) -> Result<(), Error> {
    let path = object.path.clone();
    let failed = |error: io::Error| Error::unreadable(format!("{} cannot be copied", path.display())).caused_by(&error);
    let too_far = || Error::unsupported(format!("{} has frames after 4 GiB of fragments", path.display()));
    let n_fragments: usize = frames.iter().map(Vec::len).sum();
    let mut table = Vec::new();
    if frames.len() > 1 && n_fragments != frames.len() {
        let mut offset = 0_u64;
        for frame in frames {
            table.extend(u32::try_from(offset).map_err(|_| too_far())?.to_le_bytes());
            offset += frame.iter().map(|(_, length)| length + 8).sum::<u64>();
        }
    }
    let item = |length: u64| -> Result<[u8; 8], Error> {
        let length = u32::try_from(length).map_err(|_| too_far())?.to_le_bytes();
        let mut head = [0; 8];
        head[..4].copy_from_slice(&frames::ITEM);
        head[4..].copy_from_slice(&length);
        Ok(head)
    };
    out.write_all(&item(table.len() as u64)?).and_then(|()| out.write_all(&table)).map_err(failed)?;
    for frame in frames {
        let mut bytes = Vec::new();
        for &piece in frame {
            bytes.extend(frames::read_piece(object, piece).map_err(failed)?);
        }
        match object.coding {
            Coding::Jpeg | Coding::JpegLs => jpeg::blank(&mut bytes),
            Coding::Jpeg2000 => blank_jpeg2000(&mut bytes),
            Coding::Native | Coding::Deflated | Coding::Rle => {}
        }
        let mut rest = bytes.as_slice();
        for &(_, length) in frame {
            let (fragment, after) = rest.split_at(length as usize);
            rest = after;
            out.write_all(&item(length)?).and_then(|()| out.write_all(fragment)).map_err(failed)?;
        }
    }
    let mut end = frames::SEQUENCE_END.to_vec();
    end.extend([0; 4]);
    out.write_all(&end).map_err(failed)
}

/// Overwrites the bytes before and after a JPEG 2000 code stream, and its comments, with zeros.
fn blank_jpeg2000(bytes: &mut [u8]) {
    const COMMENT: u8 = 0x64;
    const START_OF_TILE_PART: u8 = 0x90;
    const START_OF_DATA: u8 = 0x93;
    let Some(start) = bytes.windows(4).position(|window| window == [0xff, 0x4f, 0xff, 0x51]) else { return };
    bytes[..start].fill(0);
    let mut at = start + 2;
    let mut part_end = None;
    while let Some(&[0xff, marker, high, low]) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        match marker {
            START_OF_DATA => match part_end {
                Some(end) if end > at => at = end,
                // The last tile-part reaches to the end.
                _ => return,
            },
            // End of the code stream.
            0xd9 => return bytes[at + 2..].fill(0),
            _ => {
                let end = (at + 2 + usize::from(u16::from_be_bytes([high, low])).max(2)).min(bytes.len());
                if marker == START_OF_TILE_PART {
                    let length = bytes.get(at + 6..).and_then(<[u8]>::first_chunk).copied().map(u32::from_be_bytes);
                    part_end = length.filter(|&length| length > 0).map(|length| at + length as usize);
                }
                if marker == COMMENT {
                    bytes[(at + 4).min(end)..end].fill(0);
                }
                at = end;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_stay_and_names_do_not() {
        assert_eq!(joined(b"40\\-1.5e3 ", number), "40\\-1.5e3");
        assert_eq!(joined(b"40\\DOE^ANNA\\inf", number), "40\\?\\?");
        assert_eq!(
            joined(b"DOE\\PRIMARY\\LABEL ", |word| word_of(&["PRIMARY", "LABEL", "OTHER"], word)),
            "OTHER\\PRIMARY\\LABEL"
        );
        assert!(is_uid("1.2.840.10008.1.2") && !is_uid("1.2.840.10008.DOE"));
    }

    #[test]
    fn comments_of_jpeg_2000_are_overwritten() {
        let siz = [&[0xff, 0x51, 0, 6][..], &[1, 2, 3, 4]].concat();
        let comment = [&[0xff, 0x64, 0, 8, 0, 1][..], b"ANNA"].concat();
        let part = [&[0xff, 0x90, 0, 10, 0, 0, 0, 0, 0, 28, 0, 1][..], &comment, &[0xff, 0x93, 5, 6, 7, 8]].concat();
        assert_eq!(part.len(), 28);
        let mut bytes = [b"jP  ANNA".as_slice(), &[0xff, 0x4f], &siz, &comment, &part, &[0xff, 0xd9], b"ANNA"].concat();
        let n_bytes = bytes.len();
        blank_jpeg2000(&mut bytes);
        assert_eq!(bytes.len(), n_bytes);
        assert!(!bytes.windows(4).any(|window| window == b"ANNA"));
        assert!(bytes.windows(6).any(|window| window == [0xff, 0x93, 5, 6, 7, 8]));
    }
}
