//! Validation of an element: the lengths in its sequences must nest.
//!
//! The parser of `dicom-object` allocates memory for a value before it reads it, so it is given only
//! elements that were validated here.

use std::io::{self, Cursor, SeekFrom};

use dicom_core::VR;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_dictionary_std::StandardDataDictionary;

use super::elements::{ElementReader, Encoding, Head, ITEM, ITEM_END, MAX_DEPTH, SEQUENCE_END, invalid};

/// Number of elements and items in an element, for limits on the parser's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Parts {
    pub(crate) n_elements: usize,
    /// Items of sequences, for each of which the parser builds a table.
    pub(crate) n_items: usize,
}

/// The parts of one element; `None` where its lengths do not nest.
pub(crate) fn valid_parts(element: &[u8], encoding: Encoding) -> Option<Parts> {
    let end = element.len() as u64;
    let mut source = Cursor::new(element);
    let mut reader = ElementReader { source: &mut source, encoding, at: 0, end, n_heads: 0 };
    let mut n_items = 0;
    reader.element(end, 0, &mut n_items).ok()?;
    Some(Parts { n_elements: reader.n_heads - n_items, n_items })
}

impl ElementReader<'_> {
    /// Validates an element that ends at `end` at the latest. False at an item delimiter.
    fn element(&mut self, end: u64, depth: usize, n_items: &mut usize) -> io::Result<bool> {
        let Some(head) = self.head()? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        if head.tag == ITEM_END {
            return Ok(false);
        }
        let stated_end = head.length.map(|length| self.at + length);
        if self.at > end || stated_end.is_some_and(|stated| stated > end) {
            return Err(invalid(format!("element {} reaches beyond what it is part of", head.tag)));
        }
        if is_sequence(&head) {
            self.items(stated_end, end, depth, n_items)?;
        } else if let Some(stated_end) = stated_end {
            self.at = stated_end;
            self.source.seek(SeekFrom::Start(self.at))?;
        }
        Ok(true)
    }

    /// Validates the items of a sequence that ends at `stated_end`, or else at a delimiter before `end`.
    fn items(&mut self, stated_end: Option<u64>, end: u64, depth: usize, n_items: &mut usize) -> io::Result<()> {
        if depth == MAX_DEPTH {
            return Err(invalid(format!("sequences are nested more than {MAX_DEPTH} deep")));
        }
        let end = stated_end.unwrap_or(end);
        while stated_end != Some(self.at) {
            let Some(item) = self.head()? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
            let item_end = item.length.map(|length| self.at + length);
            match item.tag {
                SEQUENCE_END if stated_end.is_none() => return Ok(()),
                ITEM if self.at <= end && item_end.is_none_or(|item_end| item_end <= end) => {}
                tag => return Err(invalid(format!("element {tag} stands where an item belongs"))),
            }
            *n_items += 1;
            while item_end != Some(self.at) {
                let is_element = self.element(item_end.unwrap_or(end), depth + 1, n_items)?;
                match (is_element, item_end) {
                    (true, _) => {}
                    (false, None) => break,
                    (false, Some(_)) => return Err(invalid(String::from("an item ends before its length"))),
                }
            }
        }
        Ok(())
    }
}

/// Whether the parser looks for items in an element.
fn is_sequence(head: &Head) -> bool {
    let is_in_dictionary =
        || StandardDataDictionary.by_tag(head.tag).is_some_and(|entry| entry.vr().relaxed() == VR::SQ);
    match head.vr {
        _ if head.length.is_none() => true,
        Some(vr) => vr == *b"SQ",
        None => is_in_dictionary(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPLICIT: Encoding = Encoding { explicit: true, big_endian: false };

    /// A sequence that states `sequence` bytes, with an item that states `item` bytes, with a text of 4 bytes that
    /// states `text`.
    fn nested(sequence: u32, item: u32, text: u16) -> Vec<u8> {
        let mut bytes = vec![0x08, 0, 0x15, 0x11, b'S', b'Q', 0, 0];
        bytes.extend(sequence.to_le_bytes());
        bytes.extend([0xfe, 0xff, 0x00, 0xe0]);
        bytes.extend(item.to_le_bytes());
        bytes.extend([0x08, 0, 0x60, 0, b'C', b'S']);
        bytes.extend(text.to_le_bytes());
        bytes.extend(b"ABCD");
        bytes
    }

    #[test]
    fn lengths_must_nest() {
        let is_valid = |element: &[u8], encoding| valid_parts(element, encoding).is_some();
        assert_eq!(valid_parts(&nested(20, 12, 4), EXPLICIT), Some(Parts { n_elements: 2, n_items: 1 }));
        for (sequence, item, text) in [(21, 12, 4), (20, 13, 4), (20, 12, 5), (20, 11, 4), (20, 12, 60000), (19, 12, 4)]
        {
            assert!(!is_valid(&nested(sequence, item, text), EXPLICIT), "{sequence} {item} {text}");
        }
        assert!(!is_valid(&nested(20, u32::MAX, 4), EXPLICIT), "its end is not marked");
        let mut marked = nested(u32::MAX, u32::MAX, 4);
        marked.extend([0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0, 0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0]);
        assert!(is_valid(&marked, EXPLICIT));
    }
}
