//! Content of files from some byte on, decompressed, read from front to back.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::Crc;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use crate::gzip_stream::GzipStream;
#[cfg(feature = "volume")]
use crate::hdf5_rows::Hdf5Rows;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const BUFFER_BYTES: usize = 1 << 16;

/// Decompressed content of a file.
pub(crate) enum VoxelStream<'a> {
    Plain(BufReader<File>),
    Gzip(Box<MultiGzDecoder<BufReader<File>>>),
    Zlib(Box<ZlibDecoder<BufReader<File>>>),
    /// An entry of a zip archive.
    Entry(Box<DeflatedEntry>),
    /// A gzipped file whose access points are known or being recorded.
    Indexed(&'a mut GzipStream),
    /// A dataset of an HDF5 file.
    #[cfg(feature = "volume")]
    Rows(Box<Hdf5Rows>),
}

/// How content is stored from some byte of a file on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    Gzip,
    /// Gzip or zlib: the first bytes say which.
    Deflated,
    /// Deflated data without a header, as in zip archives.
    Entry {
        compressed_bytes: u64,
        checksum: u32,
    },
}

impl VoxelStream<'_> {
    /// Opens a file; also returns its length on disk in bytes. The content decides whether it is compressed, not its
    /// name.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, u64)> {
        let (mut file, file_bytes) = open_at(path, 0)?;
        let compressed = file.fill_buf()?.starts_with(&GZIP);
        let source = if compressed { Self::Gzip(Box::new(MultiGzDecoder::new(file))) } else { Self::Plain(file) };
        Ok((source, file_bytes))
    }

    /// Opens the content of a file from a byte on; also returns the length on disk of the file from there in bytes.
    pub(crate) fn open_at(path: &Path, offset: u64, encoding: Encoding) -> io::Result<(Self, u64)> {
        let (mut file, mut bytes) = open_at(path, offset)?;
        let source = match encoding {
            Encoding::Plain => Self::Plain(file),
            Encoding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(file))),
            Encoding::Deflated if file.fill_buf()?.starts_with(&GZIP) => {
                Self::Gzip(Box::new(MultiGzDecoder::new(file)))
            }
            Encoding::Deflated => Self::Zlib(Box::new(ZlibDecoder::new(file))),
            Encoding::Entry { compressed_bytes, checksum } => {
                bytes = bytes.min(compressed_bytes);
                let decoder = DeflateDecoder::new(file.take(compressed_bytes));
                Self::Entry(Box::new(DeflatedEntry { decoder, crc: Crc::new(), checksum }))
            }
        };
        Ok((source, bytes))
    }

    pub(crate) fn is_compressed(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            // Skipping costs nothing, whatever its chunks are.
            #[cfg(feature = "volume")]
            Self::Rows(_) => false,
            Self::Gzip(_) | Self::Zlib(_) | Self::Entry(_) | Self::Indexed(_) => true,
        }
    }

    /// Whether the checksum of the content is compared at its end, and must be.
    pub(crate) fn ends_with_checksum(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            #[cfg(feature = "volume")]
            Self::Rows(_) => false,
            Self::Gzip(_) | Self::Zlib(_) | Self::Entry(_) => true,
            Self::Indexed(stream) => stream.is_first(),
        }
    }

    /// Skips bytes of content.
    pub(crate) fn skip(&mut self, n_bytes: u64) -> io::Result<()> {
        match self {
            // Seeks only where the target is beyond the buffer.
            Self::Plain(file) => file.seek_relative(i64::try_from(n_bytes).map_err(io::Error::other)?),
            Self::Indexed(stream) => stream.skip(n_bytes),
            #[cfg(feature = "volume")]
            Self::Rows(rows) => {
                rows.skip(n_bytes);
                Ok(())
            }
            Self::Gzip(_) | Self::Zlib(_) | Self::Entry(_) => {
                let skipped = io::copy(&mut self.take(n_bytes), &mut io::sink())?;
                if skipped < n_bytes { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
            }
        }
    }
}

impl Read for VoxelStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Gzip(stream) => stream.read(buffer),
            Self::Zlib(stream) => stream.read(buffer),
            Self::Entry(stream) => stream.read(buffer),
            Self::Indexed(stream) => stream.read(buffer),
            #[cfg(feature = "volume")]
            Self::Rows(rows) => rows.read(buffer),
        }
    }
}

/// A deflated entry of a zip archive. Its end is an error where the checksum differs.
pub(crate) struct DeflatedEntry {
    decoder: DeflateDecoder<io::Take<BufReader<File>>>,
    crc: Crc,
    checksum: u32,
}

impl Read for DeflatedEntry {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.decoder.read(buffer)?;
        self.crc.update(&buffer[..n]);
        if n == 0 && !buffer.is_empty() && self.crc.sum() != self.checksum {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum does not fit"));
        }
        Ok(n)
    }
}

/// A file from a byte on, and its length from there in bytes.
fn open_at(path: &Path, offset: u64) -> io::Result<(BufReader<File>, u64)> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len().saturating_sub(offset);
    if offset > 0 {
        file.seek(SeekFrom::Start(offset))?;
    }
    Ok((BufReader::with_capacity(BUFFER_BYTES, file), bytes))
}
