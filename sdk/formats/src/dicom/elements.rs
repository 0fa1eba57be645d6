//! Reader of the elements of a DICOM data set: headers are parsed, values are skipped and not interpreted.

use std::io::{self, Read, Seek, SeekFrom};

use dicom_core::Tag;

/// Largest depth of nested sequences; real objects have less than ten levels.
pub(super) const MAX_DEPTH: usize = 32;

/// Largest number of elements and items that are visited, skipped ones included.
const MAX_HEADS: usize = 1 << 24;

pub(super) const ITEM: Tag = Tag(0xfffe, 0xe000);
pub(super) const ITEM_END: Tag = Tag(0xfffe, 0xe00d);
pub(super) const SEQUENCE_END: Tag = Tag(0xfffe, 0xe0dd);
/// The bytes of a data set: the file, or its inflated content.
pub(crate) trait ByteSource: Read + Seek + Send {}
impl<T: Read + Seek + Send> ByteSource for T {}

/// The encoding of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoding {
    /// Whether every element states its value representation.
    pub(crate) explicit: bool,
    /// Byte order of tags, lengths and values.
    pub(crate) big_endian: bool,
}

/// Header of an element.
pub(super) struct Head {
    pub(super) tag: Tag,
    /// Value representation; `None` in implicit VR files and for item tags.
    pub(super) vr: Option<[u8; 2]>,
    /// Length of the value in bytes; `None` for undefined length, whose end is marked.
    pub(super) length: Option<u64>,
    pub(super) start: u64,
    pub(super) value_start: u64,
}

/// Whether two letters are a known value representation.
pub(crate) fn is_known(vr: [u8; 2]) -> bool {
    const KNOWN: &[u8] = b"AEASATCSDADSDTFLFDISLOLTOBODOFOLOVOWPNSHSLSQSSSTSVTMUCUIULUNURUSUTUV";
    KNOWN.chunks_exact(2).any(|known| known == vr)
}

/// A reader of elements, at a position of a data set.
pub(super) struct ElementReader<'a> {
    pub(super) source: &'a mut dyn ByteSource,
    pub(super) encoding: Encoding,
    pub(super) at: u64,
    pub(super) end: u64,
    /// Number of headers of elements and items that were read.
    pub(super) n_heads: usize,
}

impl ElementReader<'_> {
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

    /// Reads the header of the next element; `None` at the end of the file, or in zeros that pad it.
    pub(super) fn head(&mut self) -> io::Result<Option<Head>> {
        let start = self.at;
        if self.end.saturating_sub(start) < 8 {
            return Ok(None);
        }
        self.n_heads += 1;
        if self.n_heads > MAX_HEADS {
            return Err(invalid(format!("it has more than {MAX_HEADS} elements before its pixels")));
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

    /// Skips an element's value.
    pub(super) fn skip_value(&mut self, head: &Head, depth: usize) -> io::Result<()> {
        if let Some(length) = head.length {
            let (tag, left) = (head.tag, self.end - self.at);
            if length > left {
                return Err(invalid(format!("element {tag} states {length} bytes where {left} remain")));
            }
            self.at += length;
            self.source.seek(SeekFrom::Start(self.at))?;
            return Ok(());
        }
        if depth == MAX_DEPTH {
            return Err(invalid(format!("its sequences are nested more than {MAX_DEPTH} deep")));
        }
        // Elements within UN are implicit VR, whatever the file's encoding.
        let outer = self.encoding;
        self.encoding.explicit &= head.vr != Some(*b"UN");
        let ended = self.skip_items(depth);
        self.encoding = outer;
        ended
    }

    /// Skips the items of a sequence of undefined length.
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

    /// Skips the elements of an item of undefined length.
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
