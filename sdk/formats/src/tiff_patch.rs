//! TIFF files for the `tiff` crate, with a few bytes changed while they are read.
//!
//! The crate reaches only directories of the main chain, decodes no pages with a palette, knows tiles by the tags of tiles alone, and
//! ignores FillOrder. Here a sub-directory is presented as the first of the chain, the indices of a palette as grey, tiles in the tags
//! of strips by those of tiles, and reversed bits in their usual order. Nothing else is changed, and the file itself never.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Tag PhotometricInterpretation.
const PHOTOMETRIC: u16 = 262;
/// Tags StripOffsets and StripByteCounts.
const STRIPS: [u16; 2] = [273, 279];
/// Tag TileWidth.
const TILE_WIDTH: u16 = 322;
/// Tags TileOffsets and TileByteCounts.
const TILES: [u16; 2] = [324, 325];
/// PhotometricInterpretation of grey with black as 0.
const BLACK_IS_ZERO: u8 = 1;
/// Field type of 16-bit numbers.
const SHORT: u16 = 3;
/// Bytes at the start of a file that state its byte order and version.
const KIND_BYTES: u64 = 4;

/// A file with patches.
pub(crate) struct PatchedFile {
    file: BufReader<File>,
    position: u64,
    /// Offsets, and the bytes that are read there.
    patches: Vec<(u64, Vec<u8>)>,
    /// First byte and end of the spans whose bytes are read with their bits reversed, in ascending order and apart.
    reversed: Vec<(u64, u64)>,
}

/// An entry of a directory.
struct Entry {
    tag: u16,
    format: u16,
    /// Offset of the entry, and of its value, in the file.
    at: u64,
    value_at: u64,
}

impl PatchedFile {
    /// Opens a file on its first page.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = Self::plain(path)?;
        // What is wrong with a header or directory is found by the decoder, which reports it.
        let first = Layout::read(&mut file).and_then(|layout| {
            let directory = if layout.big {
                file.seek(SeekFrom::Start(8)).and_then(|_| layout.number::<8>(&mut file))
            } else {
                layout.number::<4>(&mut file)
            }?;
            Ok((layout, directory))
        });
        if let Ok((layout, directory)) = first {
            file.name_tiles(&layout, directory);
        }
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }

    fn plain(path: &Path) -> io::Result<Self> {
        Ok(Self { file: BufReader::new(File::open(path)?), position: 0, patches: Vec::new(), reversed: Vec::new() })
    }

    /// Opens a file with the directory at this offset as its first.
    pub(crate) fn starting_at(path: &Path, directory: u64) -> io::Result<Self> {
        let mut file = Self::plain(path)?;
        let layout = Layout::read(&mut file)?;
        let patch = if layout.big { (8, layout.ordered(directory.to_le_bytes())) } else { (4, layout.u32(directory)?) };
        file.patches.push(patch);
        file.name_tiles(&layout, directory);
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }

    /// Opens a file with the palette indices of that page presented as grey; `None` where the page does not state
    /// PhotometricInterpretation, or not as a 16-bit number.
    pub(crate) fn with_indices_as_grey(path: &Path, directory: u64) -> io::Result<Option<Self>> {
        let mut file = Self::starting_at(path, directory)?;
        let layout = Layout::read(&mut file)?;
        let entries = file.entries(&layout, directory)?;
        let Some(entry) = entries.iter().find(|entry| entry.tag == PHOTOMETRIC && entry.format == SHORT) else {
            return Ok(None);
        };
        file.patches.push((entry.value_at, layout.ordered([BLACK_IS_ZERO, 0])));
        file.seek(SeekFrom::Start(0))?;
        Ok(Some(file))
    }

    /// Reverses the bits of each byte in these spans, each an offset and a length.
    pub(crate) fn reverse_bits(&mut self, mut spans: Vec<(u64, u64)>) {
        spans.sort_unstable();
        self.reversed.clear();
        for (start, length) in spans {
            let end = start.saturating_add(length);
            match self.reversed.last_mut() {
                Some((_, last)) if start <= *last => *last = end.max(*last),
                _ => self.reversed.push((start, end)),
            }
        }
    }

    /// Gives the places of tiles the tags of tiles, where they stand in those of strips.
    fn name_tiles(&mut self, layout: &Layout, directory: u64) {
        let entries = self.entries(layout, directory).unwrap_or_default();
        let has = |tag: u16| entries.iter().any(|entry| entry.tag == tag);
        if !has(TILE_WIDTH) || TILES.into_iter().any(has) || !STRIPS.into_iter().all(has) {
            return;
        }
        for (strips, tiles) in STRIPS.into_iter().zip(TILES) {
            let named = entries.iter().filter(|entry| entry.tag == strips);
            self.patches.extend(named.map(|entry| (entry.at, layout.ordered(tiles.to_le_bytes()))));
        }
    }

    /// The entries of a directory, up to the end of the file.
    fn entries(&mut self, layout: &Layout, directory: u64) -> io::Result<Vec<Entry>> {
        self.seek(SeekFrom::Start(directory))?;
        let n_entries = if layout.big { layout.number::<8>(self)? } else { layout.number::<2>(self)? };
        let n_value = if layout.big { 8 } else { 4 };
        let mut entries = Vec::new();
        for _ in 0..n_entries.min(u64::from(u16::MAX)) {
            let at = self.position;
            let (tag, format) = (layout.number::<2>(self)? as u16, layout.number::<2>(self)? as u16);
            let value_at = self.position + n_value;
            entries.push(Entry { tag, format, at, value_at });
            self.seek(SeekFrom::Start(value_at + n_value))?;
        }
        Ok(entries)
    }
}

impl Read for PatchedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_read = self.file.read(buffer)?;
        let end = self.position + n_read as u64;
        for (at, bytes) in &self.patches {
            let (from, to) = ((*at).max(self.position), (at + bytes.len() as u64).min(end));
            if from < to {
                let place = (from - self.position) as usize..(to - self.position) as usize;
                buffer[place].copy_from_slice(&bytes[(from - at) as usize..(to - at) as usize]);
            }
        }
        let first = self.reversed.partition_point(|&(_, span_end)| span_end <= self.position);
        for &(start, span_end) in self.reversed[first..].iter().take_while(|&&(start, _)| start < end) {
            let (from, to) = (start.max(self.position), span_end.min(end));
            let place = (from - self.position) as usize..(to - self.position) as usize;
            buffer[place].iter_mut().for_each(|byte| *byte = byte.reverse_bits());
        }
        self.position = end;
        Ok(n_read)
    }
}

impl Seek for PatchedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match to {
            // Seeks within the buffer read nothing again.
            SeekFrom::Start(to) => match i64::try_from(i128::from(to) - i128::from(self.position)) {
                Ok(distance) => {
                    self.file.seek_relative(distance)?;
                    self.position = to;
                }
                Err(_) => self.position = self.file.seek(SeekFrom::Start(to))?,
            },
            other => self.position = self.file.seek(other)?,
        }
        Ok(self.position)
    }
}

/// Storage of numbers in a file.
struct Layout {
    /// Whether the file is BigTIFF, with 64-bit offsets and counts.
    big: bool,
    big_endian: bool,
}

impl Layout {
    /// Reads the layout from the header of the file.
    fn read(file: &mut PatchedFile) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        let mut kind = [0; KIND_BYTES as usize];
        file.read_exact(&mut kind)?;
        let big_endian = kind[0] == b'M';
        Ok(Self { big: kind[if big_endian { 3 } else { 2 }] == 43, big_endian })
    }

    /// Reads a number of `N` bytes at the position of the file.
    fn number<const N: usize>(&self, file: &mut PatchedFile) -> io::Result<u64> {
        let mut stored = [0; N];
        file.read_exact(&mut stored)?;
        let mut number = [0; 8];
        number[..N].copy_from_slice(&self.ordered(stored));
        Ok(u64::from_le_bytes(number))
    }

    /// Little-endian bytes in the byte order of the file.
    fn ordered<const N: usize>(&self, mut bytes: [u8; N]) -> Vec<u8> {
        if self.big_endian {
            bytes.reverse();
        }
        bytes.to_vec()
    }

    fn u32(&self, value: u64) -> io::Result<Vec<u8>> {
        let value = u32::try_from(value).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(self.ordered(value.to_le_bytes()))
    }
}
