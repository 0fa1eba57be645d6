//! Scanner of the elements of a DICOM data set: where each begins and ends, and where the pixel data are. Values are
//! not interpreted.
//!
//! Every length is compared with the file's before anything is read, so that a hostile header cannot claim memory.
//! Needed elements are collected as bytes, in the encoding of the file, for `dicom-object`. Overlays, large elements and most
//! private ones are skipped without being read, and invalid ones ([`super::validate`]) are left out. Pixel data stay in the
//! file.

use std::io::{self, SeekFrom};

use dicom_core::Tag;

use super::elements::{ByteSource, ElementReader, Encoding, Head, invalid, is_known};
use super::private_elements;
use super::validate::{Parts, valid_parts};

/// Largest kept value in bytes, sequences excepted. Lookup tables have 128 KiB.
const MAX_VALUE_BYTES: u64 = 1 << 20;
/// Largest kept header in bytes. An enhanced object describes a thousand frames in one MiB.
const MAX_HEADER_BYTES: u64 = 1 << 26;
/// Largest number of kept elements outside of sequences; the dictionary has some thousand.
const MAX_KEPT_ELEMENTS: usize = 1 << 16;
/// Largest number of elements and items in all kept elements. The parser needs more than a KiB for an item, and a tenth
/// of that for an element.
const MAX_PARTS: Parts = Parts { n_elements: 1 << 21, n_items: 1 << 19 };

/// Tags of pixel data: float, double and integer.
const PIXELS: [Tag; 3] = [Tag(0x7fe0, 0x0008), Tag(0x7fe0, 0x0009), Tag(0x7fe0, 0x0010)];

/// Location of an object's pixel data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PixelPlace {
    /// Tag of the element.
    pub(crate) tag: Tag,
    /// First byte of its value.
    pub(crate) start: u64,
    /// Length of the value in bytes; `None` for a sequence of fragments.
    pub(crate) length: Option<u64>,
    /// Whether pixels are stored as 16-bit words, which big-endian files swap even when pixels have 8 bits.
    pub(crate) words: bool,
}

/// The elements of a scanned data set.
pub(crate) struct ScannedElements {
    /// Elements to interpret, as they stand in the file.
    pub(crate) elements: Vec<Vec<u8>>,
    /// Location of the pixel data; `None` in an object without pixels.
    pub(crate) pixels: Option<PixelPlace>,
}

/// Scans from `start` to the pixel data, the end of the file or the end of the elements up to `last`, whichever comes
/// first.
///
/// # Errors
/// Elements that do not fit into the file, kept headers above the limit; the message says what was found.
pub(crate) fn scan(
    source: &mut dyn ByteSource,
    encoding: Encoding,
    [start, end]: [u64; 2],
    last: Tag,
) -> io::Result<ScannedElements> {
    let mut reader = ElementReader { source, encoding, at: start, end, n_heads: 0 };
    reader.source.seek(SeekFrom::Start(start))?;
    let mut elements = Vec::new();
    let (mut n_kept, mut parts) = (0, Parts::default());
    loop {
        let Some(head) = reader.head()? else { return Ok(ScannedElements { elements, pixels: None }) };
        if PIXELS.contains(&head.tag) {
            let words = head.vr == Some(*b"OW");
            let pixels = PixelPlace { tag: head.tag, start: head.value_start, length: head.length, words };
            return Ok(ScannedElements { elements, pixels: Some(pixels) });
        }
        if head.tag > last {
            return Ok(ScannedElements { elements, pixels: None });
        }
        reader.skip_value(&head, 0)?;
        if !is_kept(&head, reader.at) {
            continue;
        }
        let n_bytes = reader.at - head.start;
        n_kept += n_bytes;
        if n_kept > MAX_HEADER_BYTES {
            return Err(invalid(format!("its header is larger than {} MiB", MAX_HEADER_BYTES >> 20)));
        }
        reader.source.seek(SeekFrom::Start(head.start))?;
        // The length was checked against the file and the limit.
        let mut element = vec![0; n_bytes as usize];
        reader.source.read_exact(&mut element)?;
        let Some(Parts { n_elements, n_items }) = valid_parts(&element, encoding) else { continue };
        parts.n_elements += n_elements;
        parts.n_items += n_items;
        if parts.n_elements > MAX_PARTS.n_elements
            || parts.n_items > MAX_PARTS.n_items
            || elements.len() == MAX_KEPT_ELEMENTS
        {
            let Parts { n_elements, n_items } = MAX_PARTS;
            return Err(invalid(format!(
                "its header has more than {MAX_KEPT_ELEMENTS} elements, or more than {n_elements} in {n_items} items of sequences"
            )));
        }
        elements.push(element);
    }
}

/// The value of a private element, by the creator of its block; `None` where it is absent, or larger than a MiB.
///
/// # Errors
/// Elements that do not fit into the file.
pub(crate) fn private_value(
    source: &mut dyn ByteSource,
    encoding: Encoding,
    [start, end]: [u64; 2],
    creator: &str,
    Tag(group, element): Tag,
) -> io::Result<Option<Vec<u8>>> {
    let mut reader = ElementReader { source, encoding, at: start, end, n_heads: 0 };
    reader.source.seek(SeekFrom::Start(start))?;
    let mut block = None;
    while let Some(head) = reader.head()? {
        if head.tag.0 > group || PIXELS.contains(&head.tag) {
            break;
        }
        reader.skip_value(&head, 0)?;
        let names_block = head.tag.0 == group && (0x10..0x100).contains(&head.tag.1);
        let is_wanted = block.is_some_and(|block: u16| head.tag == Tag(group, block << 8 | element));
        let Some(length) = head.length.filter(|&length| length <= MAX_VALUE_BYTES && (names_block || is_wanted)) else {
            continue;
        };
        reader.source.seek(SeekFrom::Start(head.value_start))?;
        let mut value = vec![0; length as usize];
        reader.source.read_exact(&mut value)?;
        if is_wanted {
            return Ok(Some(value));
        }
        if value.trim_ascii_end().strip_suffix(b"\0").unwrap_or(value.trim_ascii_end()) == creator.as_bytes() {
            block = Some(head.tag.1);
        }
    }
    Ok(None)
}

/// Whether an element that ends at `end` is to be interpreted.
fn is_kept(head: &Head, end: u64) -> bool {
    let Tag(group, element) = head.tag;
    let is_sequence = head.vr == Some(*b"SQ") || head.length.is_none();
    // An element of UN and undefined length is a sequence in another encoding.
    let is_foreign = head.vr == Some(*b"UN") && head.length.is_none();
    // The offset tables of frames stand beside the pixel data.
    let is_table = group == 0x7fe0 && matches!(element, 1 | 2);
    let is_known_private = !is_sequence && private_elements::is_kept(head.tag, end - head.value_start);
    let has_place = (0x0008..0x5400).contains(&group) || is_table;
    let is_small = is_sequence || is_table || end - head.value_start <= MAX_VALUE_BYTES;
    // A group's length is not needed, and is often wrong.
    let is_public = group % 2 == 0 && has_place && is_small && !is_foreign && element != 0;
    (is_public || is_known_private) && head.vr.is_none_or(is_known)
}
