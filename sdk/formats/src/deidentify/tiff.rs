//! TIFF without metadata: the first page, with the tags that decoding needs.
//!
//! Strips, tiles and values keep their offsets. All other bytes of the copy are zeros, stored as holes. Other pages,
//! such as labels and overview photographs of slides, are left out with their directories.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::jpeg;

/// Tags that stay: size, type and location of the pixels.
pub(super) const KEPT: [u16; 26] = [
    256, // ImageWidth
    257, // ImageLength
    258, // BitsPerSample
    259, // Compression
    262, // PhotometricInterpretation
    266, // FillOrder
    273, // StripOffsets
    274, // Orientation
    277, // SamplesPerPixel
    278, // RowsPerStrip
    279, // StripByteCounts
    284, // PlanarConfiguration
    292, // T4Options
    293, // T6Options
    317, // Predictor
    320, // ColorMap
    322, // TileWidth
    323, // TileLength
    324, // TileOffsets
    325, // TileByteCounts
    338, // ExtraSamples
    339, // SampleFormat
    347, // JPEGTables
    530, // YCbCrSubSampling
    531, // YCbCrPositioning
    532, // ReferenceBlackWhite
];
const COMPRESSION: u16 = 259;
const STRIPS: [u16; 2] = [273, 279];
const TILES: [u16; 2] = [324, 325];
const JPEG_TABLES: u16 = 347;
/// Compressions whose strips and tiles are JPEG.
const JPEG: [u64; 2] = [6, 7];
/// Limits on the values of a tag and on the bytes of a JPEG strip or tile, above the reader's own limits.
const MAX_VALUES: u64 = 1 << 26;
const MAX_JPEG_BYTES: u64 = 1 << 28;

/// Writes the de-identified copy of `source` to `target`.
///
/// # Errors
/// A directory that does not fit into the file, files that cannot be read or written.
pub(super) fn copy(source: &mut File, target: &mut File) -> io::Result<()> {
    let file_bytes = source.metadata()?.len();
    let mut kind = [0; 4];
    source.seek(SeekFrom::Start(0))?;
    source.read_exact(&mut kind)?;
    let big_endian = kind[0] == b'M';
    let big = kind[if big_endian { 3 } else { 2 }] == 43;
    let mut page = Page { source, file_bytes, big, big_endian };

    let directory = page.first_directory()?;
    let entries = page.entries(directory)?;
    let [offsets, lengths] = if entries.contains_key(&TILES[0]) { TILES } else { STRIPS };
    let numbers = |page: &mut Page<'_>, tag: u16| entries.get(&tag).map_or(Ok(Vec::new()), |entry| page.numbers(entry));
    let in_jpeg = numbers(&mut page, COMPRESSION)?.first().is_some_and(|code| JPEG.contains(code));
    let pieces: BTreeSet<(u64, u64)> =
        numbers(&mut page, offsets)?.into_iter().zip(numbers(&mut page, lengths)?).filter(|&(_, n)| n > 0).collect();
    // Pieces that overlap are copied up to the end of the last one, so that no byte is copied twice.
    let mut copied_to = 0;
    for (start, length) in pieces {
        let end = start.saturating_add(length).min(file_bytes);
        if in_jpeg {
            page.copy_jpeg(start, end.saturating_sub(start), target)?;
        } else if end > copied_to {
            page.copy(start.max(copied_to), end, target)?;
            copied_to = end;
        }
    }
    for (&tag, entry) in &entries {
        let Some((start, n_bytes)) = entry.outside else { continue };
        match tag {
            JPEG_TABLES => page.copy_jpeg(start, n_bytes, target)?,
            _ => page.copy(start, start + n_bytes, target)?,
        }
    }
    page.write_directory(directory, &entries, target)
}

struct Page<'a> {
    source: &'a mut File,
    file_bytes: u64,
    /// Whether the file is BigTIFF, with 64-bit offsets and counts.
    big: bool,
    big_endian: bool,
}

struct Entry {
    /// Bytes of the entry, as they stand in the directory.
    bytes: Vec<u8>,
    format: u16,
    count: u64,
    /// Offset and length of values that do not fit into the entry.
    outside: Option<(u64, u64)>,
}

impl Page<'_> {
    fn number(&self, bytes: &[u8]) -> u64 {
        let push = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
        if self.big_endian { bytes.iter().fold(0, push) } else { bytes.iter().rev().fold(0, push) }
    }

    fn read(&mut self, start: u64, n_bytes: u64) -> io::Result<Vec<u8>> {
        if start.checked_add(n_bytes).is_none_or(|end| end > self.file_bytes) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.source.seek(SeekFrom::Start(start))?;
        // `n_bytes` is no more than the file has.
        let mut bytes = vec![0; n_bytes as usize];
        self.source.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn first_directory(&mut self) -> io::Result<u64> {
        let bytes = if self.big { self.read(8, 8)? } else { self.read(4, 4)? };
        Ok(self.number(&bytes))
    }

    /// Length in bytes of the number of entries, and of an entry.
    fn sizes(&self) -> (u64, u64) {
        if self.big { (8, 20) } else { (2, 12) }
    }

    /// The entries that stay, by tag; of repeated tags the first.
    fn entries(&mut self, directory: u64) -> io::Result<BTreeMap<u16, Entry>> {
        let (n_head, n_entry) = self.sizes();
        let n = self.read(directory, n_head)?;
        let n = self.number(&n).min(u64::from(u16::MAX));
        let mut entries = BTreeMap::new();
        for at in 0..n {
            let bytes = self.read(directory + n_head + at * n_entry, n_entry)?;
            let (tag, format) = (self.number(&bytes[..2]) as u16, self.number(&bytes[2..4]) as u16);
            let n_count = if self.big { 8 } else { 4 };
            let (count, value) = bytes[4..].split_at(n_count);
            let count = self.number(count);
            if !KEPT.contains(&tag) || entries.contains_key(&tag) {
                continue;
            }
            let Some(n_bytes) = bytes_of(format, tag).and_then(|each| each.checked_mul(count)) else { continue };
            if count > MAX_VALUES {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("tag {tag} has {count} values")));
            }
            let outside = (n_bytes > value.len() as u64).then(|| (self.number(value), n_bytes));
            entries.insert(tag, Entry { bytes, format, count, outside });
        }
        Ok(entries)
    }

    /// The values of an entry as whole numbers.
    fn numbers(&mut self, entry: &Entry) -> io::Result<Vec<u64>> {
        let each = match entry.format {
            1 => 1,
            3 => 2,
            4 | 13 => 4,
            16 | 18 => 8,
            _ => return Ok(Vec::new()),
        };
        let bytes = match entry.outside {
            Some((start, n_bytes)) => self.read(start, n_bytes)?,
            None => entry.bytes[if self.big { 12 } else { 8 }..].to_vec(),
        };
        Ok(bytes.chunks_exact(each).take(entry.count as usize).map(|bytes| self.number(bytes)).collect())
    }

    fn copy(&mut self, start: u64, end: u64, target: &mut File) -> io::Result<()> {
        let end = end.min(self.file_bytes);
        if start >= end {
            return Ok(());
        }
        self.source.seek(SeekFrom::Start(start))?;
        target.seek(SeekFrom::Start(start))?;
        io::copy(&mut self.source.take(end - start), target)?;
        Ok(())
    }

    fn copy_jpeg(&mut self, start: u64, n_bytes: u64, target: &mut File) -> io::Result<()> {
        if n_bytes > MAX_JPEG_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a strip or tile has {n_bytes} bytes")));
        }
        let mut image = self.read(start, n_bytes)?;
        jpeg::blank(&mut image);
        target.seek(SeekFrom::Start(start))?;
        target.write_all(&image)
    }

    /// Writes the header of the file, and the directory at its offset as the only one.
    fn write_directory(&mut self, directory: u64, entries: &BTreeMap<u16, Entry>, target: &mut File) -> io::Result<()> {
        let head = self.read(0, if self.big { 16 } else { 8 })?;
        target.seek(SeekFrom::Start(0))?;
        target.write_all(&head)?;
        let (n_head, _) = self.sizes();
        let mut n = (entries.len() as u64).to_le_bytes()[..n_head as usize].to_vec();
        if self.big_endian {
            n.reverse();
        }
        target.seek(SeekFrom::Start(directory))?;
        target.write_all(&n)?;
        for entry in entries.values() {
            target.write_all(&self.without_remains(entry))?;
        }
        target.write_all(&[0; 8][..if self.big { 8 } else { 4 }])
    }

    /// The bytes of an entry, with zeros after a short value.
    fn without_remains(&self, entry: &Entry) -> Vec<u8> {
        let mut bytes = entry.bytes.clone();
        if entry.outside.is_none() {
            let start = if self.big { 12 } else { 8 };
            let each = bytes_of(entry.format, JPEG_TABLES).unwrap_or_default();
            let end = (start as u64 + each * entry.count).min(bytes.len() as u64) as usize;
            bytes[end..].fill(0);
        }
        bytes
    }
}

/// Bytes per value of a field type; `None` for text and types that are not numbers. Untyped bytes are accepted for JPEG
/// tables only.
fn bytes_of(format: u16, tag: u16) -> Option<u64> {
    match format {
        1 | 6 => Some(1),
        7 if tag == JPEG_TABLES => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16..=18 => Some(8),
        _ => None,
    }
}
