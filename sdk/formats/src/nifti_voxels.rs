//! Voxels of NIfTI files: some slices or all, scaled, in the order of [`Volume`](medcoss_sdk::volume::Volume).
//!
//! Only requested slices are held in memory. In an uncompressed file the bytes between them are skipped. A compressed
//! file is read to its end, where its checksum is, unless its access points are known ([`crate::gzip_stream`]). The
//! `nifti` crate's own stream can do neither.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use medcoss_sdk::Error;
use nifti::NiftiType;

use crate::gzip_stream::GzipStream;
use crate::nifti_header::Header;
use crate::orientation::place;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const BUFFER_BYTES: usize = 1 << 16;
/// Bytes of rows that are read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Largest number of bytes after the last voxel of a compressed file: they are decompressed for the checksum alone.
const MAX_BEHIND_BYTES: u64 = 1 << 28;

/// Decompressed content of a file, read from front to back.
pub(crate) enum VoxelStream<'a> {
    Plain(BufReader<File>),
    Compressed(Box<MultiGzDecoder<BufReader<File>>>),
    /// A compressed file whose access points are known or being recorded.
    Indexed(&'a mut GzipStream),
}

impl VoxelStream<'_> {
    /// Opens a file; also returns its length on disk in bytes. The content decides whether it is compressed, not its
    /// name.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, u64)> {
        let file = File::open(path)?;
        let file_bytes = file.metadata()?.len();
        let mut file = BufReader::with_capacity(BUFFER_BYTES, file);
        let compressed = file.fill_buf()?.starts_with(&GZIP);
        let source = if compressed { Self::Compressed(Box::new(MultiGzDecoder::new(file))) } else { Self::Plain(file) };
        Ok((source, file_bytes))
    }

    pub(crate) fn is_compressed(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    /// Skips bytes of content.
    pub(crate) fn skip(&mut self, n_bytes: u64) -> io::Result<()> {
        match self {
            // Seeks only where the target is beyond the buffer.
            Self::Plain(file) => file.seek_relative(i64::try_from(n_bytes).map_err(io::Error::other)?),
            Self::Compressed(stream) => {
                let skipped = io::copy(&mut stream.take(n_bytes), &mut io::sink())?;
                if skipped < n_bytes { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
            }
            Self::Indexed(stream) => stream.skip(n_bytes),
        }
    }

    /// Whether the stream must be read to its end to compare the checksum.
    fn is_to_be_ended(&self, header: &Header) -> bool {
        match self {
            Self::Plain(_) => false,
            // Of several volumes those after the first are not read for the checksum.
            Self::Compressed(_) => header.n_volumes == 1,
            Self::Indexed(stream) => stream.is_first(),
        }
    }
}

impl Read for VoxelStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Compressed(stream) => stream.read(buffer),
            Self::Indexed(stream) => stream.read(buffer),
        }
    }
}

/// Reads slices of the first volume, `[depth, rows, columns]`, from a stream at its first voxel.
pub(crate) fn read_slices(
    path: &Path,
    header: &Header,
    source: &mut VoxelStream<'_>,
    slices: Range<usize>,
) -> Result<Vec<f32>, Error> {
    let failed = |error: io::Error| explain(path, &error);
    let [_, n_rows, n_columns] = header.size;
    let n_voxels = slices.len() * n_rows * n_columns;
    let mut voxels = Vec::new();
    voxels.try_reserve_exact(n_voxels).map_err(|error| {
        Error::unsupported(format!("{} needs {} MiB of memory", path.display(), n_voxels >> 18)).caused_by(&error)
    })?;
    voxels.resize(n_voxels, 0.0);

    // The slices as a range of one axis of the file.
    let mut places = header.file_size.map(|n| 0..n);
    let (depth, flipped) = (header.orientation.axis[0], header.orientation.flipped[0]);
    let n_slices = header.file_size[depth];
    places[depth] = if flipped { n_slices - slices.end..n_slices - slices.start } else { slices };
    let (first, [along_i, along_j, along_k]) = header.orientation.strides([0, 1, 2].map(|axis| places[axis].len()));

    // Contiguous rows of the file are read many at a time, so that each call of the decompressor returns much.
    let [n_i, n_j, _] = header.file_size;
    let row_bytes = n_i * header.datatype.size_of();
    let most = (CHUNK_BYTES / row_bytes).max(1);
    let is_whole = places[1].len() == n_j;
    let (n_runs, n_rows) = match is_whole {
        true => (1, n_j * places[2].len()),
        false => (places[2].len(), places[1].len()),
    };
    let wanted = places[0].start * header.datatype.size_of()..places[0].end * header.datatype.size_of();
    let mut chunk = vec![0; row_bytes * most.min(n_rows)];
    let mut at = 0;
    for run in 0..n_runs {
        let first_row = (places[2].start + run) * n_j + places[1].start;
        // At most 2^51: three sides below 2^16, and 8 bytes.
        let start = (first_row * row_bytes) as u64;
        source.skip(start - at).map_err(failed)?;
        at = start + (n_rows * row_bytes) as u64;
        for done in (0..n_rows).step_by(most) {
            let chunk = &mut chunk[..row_bytes * most.min(n_rows - done)];
            source.read_exact(chunk).map_err(failed)?;
            for (row, bytes) in chunk.chunks_exact(row_bytes).enumerate() {
                let row = done + row;
                let (y, z) = if is_whole { (row % n_j, row / n_j) } else { (row, run) };
                let start = first.wrapping_add_signed(z as isize * along_k + y as isize * along_j);
                place_numbers(&bytes[wanted.clone()], header, &mut voxels, start, along_i);
            }
        }
    }
    if source.is_to_be_ended(header) {
        // The decompressor compares its checksum at the very end, after the other slices and volumes.
        let volume_bytes =
            header.file_size.iter().map(|&n| n as u64).product::<u64>() * header.datatype.size_of() as u64;
        source.skip(volume_bytes - at).map_err(failed)?;
        let most = volume_bytes.saturating_mul(header.n_volumes - 1).saturating_add(MAX_BEHIND_BYTES);
        let behind = io::copy(&mut source.take(most.saturating_add(1)), &mut io::sink()).map_err(failed)?;
        if behind > most {
            let (path, most) = (path.display(), MAX_BEHIND_BYTES >> 20);
            return Err(Error::corrupt(format!("{path} goes on for more than {most} MiB behind its last voxel")));
        }
    }
    Ok(voxels)
}

/// Writes the scaled numbers of a row to voxels from `start` on, `step` apart.
fn place_numbers(row: &[u8], header: &Header, voxels: &mut [f32], start: usize, step: isize) {
    struct Row<'a> {
        bytes: &'a [u8],
        header: &'a Header,
        voxels: &'a mut [f32],
        start: usize,
        step: isize,
    }
    impl Row<'_> {
        fn of<const N: usize>(self, number: impl Fn([u8; N]) -> f64) {
            let Self { bytes, header, voxels, start, step } = self;
            let (stored, _) = bytes.as_chunks::<N>();
            // One loop for each case, which the compiler can vectorise.
            match (header.big_endian, header.scaling) {
                (false, None) => place(voxels, start, step, stored.iter().map(|&bytes| number(bytes) as f32)),
                (false, Some([slope, inter])) => {
                    place(voxels, start, step, stored.iter().map(|&bytes| (number(bytes) * slope + inter) as f32));
                }
                (true, scaling) => {
                    let [slope, inter] = scaling.unwrap_or([1.0, 0.0]);
                    let numbers = stored.iter().map(|&(mut bytes)| {
                        bytes.reverse();
                        if scaling.is_some() { number(bytes) * slope + inter } else { number(bytes) }
                    });
                    place(voxels, start, step, numbers.map(|number| number as f32));
                }
            }
        }
    }
    let row = Row { bytes: row, header, voxels, start, step };
    match header.datatype {
        NiftiType::Uint8 => row.of(|bytes| u8::from_le_bytes(bytes).into()),
        NiftiType::Int8 => row.of(|bytes| i8::from_le_bytes(bytes).into()),
        NiftiType::Uint16 => row.of(|bytes| u16::from_le_bytes(bytes).into()),
        NiftiType::Int16 => row.of(|bytes| i16::from_le_bytes(bytes).into()),
        NiftiType::Uint32 => row.of(|bytes| u32::from_le_bytes(bytes).into()),
        NiftiType::Int32 => row.of(|bytes| i32::from_le_bytes(bytes).into()),
        NiftiType::Uint64 => row.of(|bytes| u64::from_le_bytes(bytes) as f64),
        NiftiType::Int64 => row.of(|bytes| i64::from_le_bytes(bytes) as f64),
        NiftiType::Float32 => row.of(|bytes| f32::from_le_bytes(bytes).into()),
        NiftiType::Float64 => row.of(f64::from_le_bytes),
        // Headers of other types were refused.
        _ => {}
    }
}

/// An error about the bytes of a file, with its name.
pub(crate) fn explain(path: &Path, error: &io::Error) -> Error {
    let path = path.display();
    let explained = match error.kind() {
        // The decompressor returns InvalidInput where it means InvalidData.
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Error::corrupt(format!("{path} is damaged")),
        io::ErrorKind::UnexpectedEof => Error::corrupt(format!("{path} ends before its last voxel")),
        _ => Error::unreadable(format!("{path} cannot be read")),
    };
    explained.caused_by(error)
}
