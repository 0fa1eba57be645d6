//! TIFF files for the `tiff` crate, with a few bytes changed while they are read.
//!
//! The crate reaches only directories of the main chain, and decodes no pages with a palette. Here a sub-directory is
//! presented as the first of the chain, and the indices of a palette as grey. Nothing else is changed, and the file
//! itself never.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Tag PhotometricInterpretation.
const PHOTOMETRIC: u16 = 262;
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
}

impl PatchedFile {
    /// Opens a file without patches.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: BufReader::new(File::open(path)?), position: 0, patches: Vec::new() })
    }

    /// Opens a file with the directory at this offset as its first.
    pub(crate) fn starting_at(path: &Path, directory: u64) -> io::Result<Self> {
        let mut file = Self::open(path)?;
        let layout = Layout::read(&mut file)?;
        let patch = if layout.big { (8, layout.ordered(directory.to_le_bytes())) } else { (4, layout.u32(directory)?) };
        file.patches.push(patch);
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }

    /// Opens a file with the palette indices of that page presented as grey; `None` where the page does not state
    /// PhotometricInterpretation, or not as a 16-bit number.
    pub(crate) fn with_indices_as_grey(path: &Path, directory: u64) -> io::Result<Option<Self>> {
        let mut file = Self::starting_at(path, directory)?;
        let layout = Layout::read(&mut file)?;
        file.seek(SeekFrom::Start(directory))?;
        let n_entries = if layout.big { layout.number::<8>(&mut file)? } else { layout.number::<2>(&mut file)? };
        for _ in 0..n_entries.min(u64::from(u16::MAX)) {
            let (tag, kind) = (layout.number::<2>(&mut file)?, layout.number::<2>(&mut file)?);
            let value_at = file.position + if layout.big { 8 } else { 4 };
            if tag == u64::from(PHOTOMETRIC) {
                if kind != u64::from(SHORT) {
                    return Ok(None);
                }
                file.patches.push((value_at, layout.ordered([BLACK_IS_ZERO, 0])));
                file.seek(SeekFrom::Start(0))?;
                return Ok(Some(file));
            }
            file.seek(SeekFrom::Start(value_at + if layout.big { 8 } else { 4 }))?;
        }
        Ok(None)
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
