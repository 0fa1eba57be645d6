//! File meta information: preamble, magic, transfer syntax and SOP class.
//!
//! The parser is lenient: real files lack the group's length, single elements, or all of it. It also tells DICOM files
//! from others without reading further.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::elements::{Encoding, is_known};

const PREAMBLE_BYTES: u64 = 128;
const MAGIC: &[u8; 4] = b"DICM";
/// Largest length of meta information that is searched; real files have less.
const MAX_META_BYTES: u64 = 1 << 16;

/// File meta information, which precedes the data set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Meta {
    /// Whether the magic `DICM` was found.
    pub(crate) has_magic: bool,
    /// Transfer Syntax UID (0002,0010).
    pub(crate) transfer_syntax: Option<String>,
    /// Media Storage SOP Class UID (0002,0002); empty where it is not stated.
    pub(crate) sop_class: String,
    /// Offset of the data set in the file.
    pub(crate) end: u64,
}

impl Meta {
    /// Reads the meta information of a file of `file_bytes` bytes.
    ///
    /// # Errors
    /// Errors of reading. Malformed elements are left out without an error.
    pub(crate) fn read(file: &mut (impl Read + Seek), file_bytes: u64) -> io::Result<Self> {
        let mut start = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.by_ref().take(MAX_META_BYTES.min(file_bytes)).read_to_end(&mut start)?;
        let mut meta = Self::default();
        let mut at = 0;
        if start.get(PREAMBLE_BYTES as usize..).is_some_and(|rest| rest.starts_with(MAGIC)) {
            (meta.has_magic, at) = (true, PREAMBLE_BYTES as usize + MAGIC.len());
        } else if start.starts_with(MAGIC) {
            (meta.has_magic, at) = (true, MAGIC.len());
        }
        // Meta information is always explicit VR little-endian.
        while let Some(&[2, 0, element, 0, a, b, c, d]) = start.get(at..).and_then(<[u8]>::first_chunk) {
            let (n_head, length) = match [a, b] {
                [b'O', b'B'] | [b'U', b'N'] => {
                    let Some(&length) = start.get(at + 8..).and_then(<[u8]>::first_chunk) else { break };
                    (12, u32::from_le_bytes(length) as usize)
                }
                _ => (8, usize::from(u16::from_le_bytes([c, d]))),
            };
            let Some(value) = start.get(at + n_head..at + n_head + length) else { break };
            let value = || String::from_utf8_lossy(value).trim_end_matches(['\0', ' ']).trim().to_owned();
            match element {
                0x02 => meta.sop_class = value(),
                0x10 => meta.transfer_syntax = Some(value()).filter(|uid| !uid.is_empty()),
                _ => {}
            }
            at += n_head + length;
        }
        meta.end = at as u64;
        Ok(meta)
    }

    /// Guesses the encoding of the elements from `start` on; `None` where they do not look like elements.
    ///
    /// # Errors
    /// Errors of reading.
    pub(crate) fn guess(file: &mut (impl Read + Seek), start: u64, file_bytes: u64) -> io::Result<Option<Encoding>> {
        if file_bytes.saturating_sub(start) < 8 {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(start))?;
        let mut head = [0; 8];
        file.read_exact(&mut head)?;
        let [a, b, _, _, e, f, g, h] = head;
        // Data sets nearly always begin with group 8, or with group 2 where the meta information is malformed.
        let (little, big) = (u16::from_le_bytes([a, b]), u16::from_be_bytes([a, b]));
        let explicit = is_known([e, f]);
        Ok(match (little, big) {
            (2..=0x20, _) if explicit => Some(Encoding { explicit, big_endian: false }),
            (_, 2..=0x20) if explicit => Some(Encoding { explicit, big_endian: true }),
            (2..=0x20, _) if u64::from(u32::from_le_bytes([e, f, g, h])) <= file_bytes => {
                Some(Encoding { explicit, big_endian: false })
            }
            _ => None,
        })
    }
}

/// The meta information of a file that has a preamble and the magic; `None` for other files.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn sniff(path: &Path) -> io::Result<Option<Meta>> {
    let mut file = std::fs::File::open(path)?;
    let file_bytes = file.metadata()?.len();
    let mut first = [0; PREAMBLE_BYTES as usize + MAGIC.len()];
    if file_bytes < first.len() as u64 {
        return Ok(None);
    }
    file.read_exact(&mut first)?;
    if !first.ends_with(MAGIC) {
        return Ok(None);
    }
    let n_bytes = file_bytes.min(2048);
    Meta::read(&mut file, n_bytes).map(Some)
}
