//! A scanner of the elements of a DICOM data set, which does not interpret them: where each begins and ends, and where the
//! pixel data are.
//!
//! Every length is compared with the file's before anything is read, so that a hostile header cannot claim memory. Elements that are
//! needed are collected as bytes, in the encoding of the file, for `dicom-object`. Overlays, private and
//! large elements are skipped without being read, and invalid ones ([`super::validate`]) are excluded.
//! Pixel data stay in the file.

use std::io::{self, SeekFrom};

use dicom_core::Tag;

use super::elements::{ByteSource, ElementReader, Encoding, Head, invalid, is_known};
use super::validate::{Parts, valid_parts};

/// Largest value that is kept, other than of sequences. Lookup tables have 128 KiB.
const MAX_VALUE_BYTES: u64 = 1 << 20;
/// Most bytes that are kept of a header. A thousand frames of an enhanced object describe themselves in a MiB.
const MAX_HEADER_BYTES: u64 = 1 << 26;
/// Most kept elements that are no part of a sequence; the dictionary has some thousand.
const MAX_KEPT_ELEMENTS: usize = 1 << 16;
/// Most parts of all kept elements. The parser takes more than a KiB for an item, and a tenth of that for an element.
const MAX_PARTS: Parts = Parts { n_elements: 1 << 21, n_items: 1 << 19 };

/// Float, double and integer pixels.
const PIXELS: [Tag; 3] = [Tag(0x7fe0, 0x0008), Tag(0x7fe0, 0x0009), Tag(0x7fe0, 0x0010)];

/// Location of an object's pixel data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PixelPlace {
    /// The element that holds them.
    pub(crate) tag: Tag,
    /// First byte of its value.
    pub(crate) start: u64,
    /// Its length; `None` when it is a sequence of fragments.
    pub(crate) length: Option<u64>,
    /// Whether they are 16-bit words, which big-endian files swap even when pixels are bytes.
    pub(crate) words: bool,
}

/// The elements of a scanned data set.
pub(crate) struct ScannedElements {
    /// The elements worth interpreting, as they stand in the file.
    pub(crate) elements: Vec<Vec<u8>>,
    /// `None` in an object without pixels.
    pub(crate) pixels: Option<PixelPlace>,
}

/// Scans from `start` to the pixels, to the end of the file, or behind the elements up to `last`, whichever comes first.
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
        // Within the file and the limit.
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

/// Whether an element that ends at `end` is worth interpreting.
fn is_kept(head: &Head, end: u64) -> bool {
    let Tag(group, element) = head.tag;
    let is_sequence = head.vr == Some(*b"SQ") || head.length.is_none();
    // An unknown element of undefined length is a sequence in another encoding.
    let is_foreign = head.vr == Some(*b"UN") && head.length.is_none();
    // The tables of offsets of frames stand beside the pixels.
    let is_table = group == 0x7fe0 && matches!(element, 1 | 2);
    let has_place = (0x0008..0x5400).contains(&group) || is_table;
    let is_small = is_sequence || is_table || end - head.value_start <= MAX_VALUE_BYTES;
    // A group's length says nothing that is needed, and is often wrong.
    group % 2 == 0 && has_place && is_small && !is_foreign && element != 0 && head.vr.is_none_or(is_known)
}
