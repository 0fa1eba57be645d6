//! Walking over the elements of a DICOM data set without interpreting them: where each begins and ends, and where the
//! pixels are.
//!
//! Every length is held against the file's before anything is read, so that a hostile header claims no memory. What is
//! worth interpreting is collected as bytes, in the encoding of the file, for `dicom-object`; overlays, private and
//! large elements are skipped without being read, and those that are damaged within ([`super::validate`]) are left out.
//! Pixels stay in the file.

use std::io::{self, Read, Seek, SeekFrom};

use dicom_core::Tag;

use super::validate::is_valid;

/// Nesting of sequences that is followed; real objects have less than ten.
pub(super) const MAX_DEPTH: usize = 32;
/// Largest value that is kept, other than of sequences. Lookup tables have 128 KiB.
const MAX_VALUE_BYTES: u64 = 1 << 20;
/// Most bytes that are kept of a header. A thousand frames of an enhanced object describe themselves in a few MiB.
const MAX_HEADER_BYTES: u64 = 1 << 28;

pub(super) const ITEM: Tag = Tag(0xfffe, 0xe000);
pub(super) const ITEM_END: Tag = Tag(0xfffe, 0xe00d);
pub(super) const SEQUENCE_END: Tag = Tag(0xfffe, 0xe0dd);
/// Float, double and integer pixels.
const PIXELS: [Tag; 3] = [Tag(0x7fe0, 0x0008), Tag(0x7fe0, 0x0009), Tag(0x7fe0, 0x0010)];

/// What bytes are read from: the file, or what was inflated from it.
pub(crate) trait Source: Read + Seek + Send {}
impl<T: Read + Seek + Send> Source for T {}

/// How elements are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoding {
    /// Whether every element states its value representation.
    pub(crate) explicit: bool,
    /// Byte order of tags, lengths and values.
    pub(crate) big_endian: bool,
}

/// Where the pixels of an object are.
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

/// A scanned data set.
pub(crate) struct ScannedElements {
    /// The elements worth interpreting, as they stand in the file.
    pub(crate) elements: Vec<Vec<u8>>,
    /// `None` in an object without pixels.
    pub(crate) pixels: Option<PixelPlace>,
}

/// The beginning of an element.
pub(super) struct Head {
    pub(super) tag: Tag,
    /// `None` in implicit files and for item tags.
    pub(super) vr: Option<[u8; 2]>,
    /// `None` when the end is marked instead.
    pub(super) length: Option<u64>,
    start: u64,
    value_start: u64,
}

/// Walks from `start` to the pixels, to the end of the file, or behind the elements up to `last`, whichever comes first.
///
/// # Errors
/// Elements that do not fit into the file, kept headers above the limit; the message says what was found.
pub(crate) fn scan(
    source: &mut dyn Source,
    encoding: Encoding,
    [start, end]: [u64; 2],
    last: Tag,
) -> io::Result<ScannedElements> {
    let mut walker = ElementScanner { source, encoding, at: start, end };
    walker.source.seek(SeekFrom::Start(start))?;
    let mut elements = Vec::new();
    let mut n_kept = 0;
    loop {
        let Some(head) = walker.head()? else { return Ok(ScannedElements { elements, pixels: None }) };
        if PIXELS.contains(&head.tag) {
            let words = head.vr == Some(*b"OW");
            let pixels = PixelPlace { tag: head.tag, start: head.value_start, length: head.length, words };
            return Ok(ScannedElements { elements, pixels: Some(pixels) });
        }
        if head.tag > last {
            return Ok(ScannedElements { elements, pixels: None });
        }
        walker.skip_value(&head, 0)?;
        if !is_kept(&head, walker.at) {
            continue;
        }
        let n_bytes = walker.at - head.start;
        n_kept += n_bytes;
        if n_kept > MAX_HEADER_BYTES {
            return Err(invalid(format!("its header is larger than {} MiB", MAX_HEADER_BYTES >> 20)));
        }
        walker.source.seek(SeekFrom::Start(head.start))?;
        // Within the file and the limit.
        let mut element = vec![0; n_bytes as usize];
        walker.source.read_exact(&mut element)?;
        if is_valid(&element, encoding) {
            elements.push(element);
        }
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

/// Whether these are the letters of a value representation.
pub(crate) fn is_known(vr: [u8; 2]) -> bool {
    const KNOWN: &[u8] = b"AEASATCSDADSDTFLFDISLOLTOBODOFOLOVOWPNSHSLSQSSSTSVTMUCUIULUNURUSUTUV";
    KNOWN.chunks_exact(2).any(|known| known == vr)
}

/// A place in a data set.
pub(super) struct ElementScanner<'a> {
    pub(super) source: &'a mut dyn Source,
    pub(super) encoding: Encoding,
    pub(super) at: u64,
    pub(super) end: u64,
}

impl ElementScanner<'_> {
    fn read<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes)?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn u16(&self, bytes: [u8; 2]) -> u16 {
        if self.encoding.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.encoding.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    /// The next element's beginning; `None` at the end of the file, or in zeros that pad it.
    pub(super) fn head(&mut self) -> io::Result<Option<Head>> {
        let start = self.at;
        if self.end.saturating_sub(start) < 8 {
            return Ok(None);
        }
        let [a, b, c, d, e, f, g, h] = self.read::<8>()?;
        let tag = Tag(self.u16([a, b]), self.u16([c, d]));
        if tag == Tag(0, 0) {
            return Ok(None);
        }
        let is_item = tag.0 == 0xfffe;
        let (vr, length) = if self.encoding.explicit && !is_item {
            match &[e, f] {
                vr @ (b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT"
                | b"UV") => (Some(*vr), self.long_length()?),
                vr if is_known(*vr) => (Some(*vr), u32::from(self.u16([g, h]))),
                vr => (Some(*vr), self.long_length()?),
            }
        } else {
            (None, self.u32([e, f, g, h]))
        };
        let length = (length != u32::MAX).then_some(u64::from(length));
        Ok(Some(Head { tag, vr, length, start, value_start: self.at }))
    }

    fn long_length(&mut self) -> io::Result<u32> {
        let bytes = self.read::<4>()?;
        Ok(self.u32(bytes))
    }

    /// Goes behind an element's value.
    fn skip_value(&mut self, head: &Head, depth: usize) -> io::Result<()> {
        if let Some(length) = head.length {
            let (tag, left) = (head.tag, self.end - self.at);
            if length > left {
                return Err(invalid(format!("element {tag} states {length} bytes where {left} are left")));
            }
            self.at += length;
            self.source.seek(SeekFrom::Start(self.at))?;
            return Ok(());
        }
        if depth == MAX_DEPTH {
            return Err(invalid(format!("its sequences are nested more than {MAX_DEPTH} deep")));
        }
        // Within an unknown element, elements are implicit whatever the file's encoding.
        let outer = self.encoding;
        self.encoding.explicit &= head.vr != Some(*b"UN");
        let ended = self.skip_items(depth);
        self.encoding = outer;
        ended
    }

    /// Goes behind the items of a sequence whose end is marked.
    fn skip_items(&mut self, depth: usize) -> io::Result<()> {
        while let Some(item) = self.head()? {
            match (item.tag, item.length) {
                (SEQUENCE_END, _) => return Ok(()),
                (ITEM, Some(_)) => self.skip_value(&item, depth)?,
                (ITEM, None) => self.skip_elements(depth)?,
                (tag, _) => return Err(invalid(format!("element {tag} stands where an item of a sequence belongs"))),
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    /// Goes behind the elements of an item whose end is marked.
    fn skip_elements(&mut self, depth: usize) -> io::Result<()> {
        while let Some(head) = self.head()? {
            if head.tag == ITEM_END {
                return Ok(());
            }
            self.skip_value(&head, depth + 1)?;
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

pub(super) fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
