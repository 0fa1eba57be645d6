//! Voxels of NIfTI files: some slices or all, scaled, in the order of [`Volume`](medcoss_sdk::volume::Volume).
//!
//! Only what is asked for is held in memory. In an uncompressed file what lies between is passed over; a compressed one
//! is read through to its end, where its checksum stands. The `nifti` crate's own stream can do neither.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use medcoss_sdk::Error;
use nifti::NiftiType;

use crate::nifti_header::Header;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const BUFFER_BYTES: usize = 1 << 16;

/// A file as it is without compression, read from front to back.
pub(crate) enum Source {
    Plain(BufReader<File>),
    Compressed(Box<MultiGzDecoder<BufReader<File>>>),
}

impl Source {
    /// Opens a file, and tells how many bytes it has on disk. Content decides whether it is compressed, not its name.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, u64)> {
        let file = File::open(path)?;
        let file_bytes = file.metadata()?.len();
        let mut file = BufReader::with_capacity(BUFFER_BYTES, file);
        let compressed = file.fill_buf()?.starts_with(&GZIP);
        let source = if compressed { Self::Compressed(Box::new(MultiGzDecoder::new(file))) } else { Self::Plain(file) };
        Ok((source, file_bytes))
    }

    pub(crate) fn is_compressed(&self) -> bool {
        matches!(self, Self::Compressed(_))
    }

    /// Passes over some bytes.
    pub(crate) fn skip(&mut self, n_bytes: u64) -> io::Result<()> {
        match self {
            // Seeks only where the target is beyond what is buffered.
            Self::Plain(file) => file.seek_relative(i64::try_from(n_bytes).map_err(io::Error::other)?),
            Self::Compressed(stream) => {
                let skipped = io::copy(&mut stream.take(n_bytes), &mut io::sink())?;
                if skipped < n_bytes { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
            }
        }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Compressed(stream) => stream.read(buffer),
        }
    }
}

/// Some slices of the first volume, as `[depth, rows, columns]`, from a source that stands on its first voxel.
pub(crate) fn read_slices(
    path: &Path,
    header: &Header,
    source: &mut Source,
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

    // The slices as places of the file: a range of one of its axes.
    let mut places = header.file_size.map(|n| 0..n);
    let (depth, mirrored) = (header.orientation.axis[0], header.orientation.mirrored[0]);
    let n_slices = header.file_size[depth];
    places[depth] = if mirrored { n_slices - slices.end..n_slices - slices.start } else { slices };
    let (first, [along_i, along_j, along_k]) = header.orientation.strides([0, 1, 2].map(|axis| places[axis].len()));

    let [n_i, n_j, _] = header.file_size.map(|n| n as u64);
    let n_bytes = header.datatype.size_of();
    let mut row = vec![0; places[0].len() * n_bytes];
    let mut values = Vec::with_capacity(places[0].len());
    let mut at = 0;
    for (z, k) in places[2].clone().enumerate() {
        for (y, j) in places[1].clone().enumerate() {
            // At most 2^51: three sides below 2^16, and 8 bytes.
            let start = ((k as u64 * n_j + j as u64) * n_i + places[0].start as u64) * n_bytes as u64;
            source.skip(start - at).and_then(|()| source.read_exact(&mut row)).map_err(failed)?;
            at = start + row.len() as u64;
            numbers(&row, header.datatype, header.big_endian, &mut values);
            let start = first.wrapping_add_signed(z as isize * along_k + y as isize * along_j);
            for (x, &value) in values.iter().enumerate() {
                let value = header.scaling.map_or(value, |[slope, inter]| value * slope + inter);
                voxels[start.wrapping_add_signed(x as isize * along_i)] = value as f32;
            }
        }
    }
    if source.is_compressed() && header.n_volumes == 1 {
        // The decompressor compares its checksum at the very end.
        io::copy(source, &mut io::sink()).map_err(failed)?;
    }
    Ok(voxels)
}

/// The numbers of a row, in place of those that `values` had.
fn numbers(row: &[u8], datatype: NiftiType, big_endian: bool, values: &mut Vec<f64>) {
    fn typed<const N: usize>(row: &[u8], big_endian: bool, values: &mut Vec<f64>, number: impl Fn([u8; N]) -> f64) {
        let (stored, _) = row.as_chunks::<N>();
        values.extend(stored.iter().map(|&(mut bytes)| {
            if big_endian {
                bytes.reverse();
            }
            number(bytes)
        }));
    }
    values.clear();
    match datatype {
        NiftiType::Uint8 => typed(row, big_endian, values, |bytes| u8::from_le_bytes(bytes).into()),
        NiftiType::Int8 => typed(row, big_endian, values, |bytes| i8::from_le_bytes(bytes).into()),
        NiftiType::Uint16 => typed(row, big_endian, values, |bytes| u16::from_le_bytes(bytes).into()),
        NiftiType::Int16 => typed(row, big_endian, values, |bytes| i16::from_le_bytes(bytes).into()),
        NiftiType::Uint32 => typed(row, big_endian, values, |bytes| u32::from_le_bytes(bytes).into()),
        NiftiType::Int32 => typed(row, big_endian, values, |bytes| i32::from_le_bytes(bytes).into()),
        NiftiType::Uint64 => typed(row, big_endian, values, |bytes| u64::from_le_bytes(bytes) as f64),
        NiftiType::Int64 => typed(row, big_endian, values, |bytes| i64::from_le_bytes(bytes) as f64),
        NiftiType::Float32 => typed(row, big_endian, values, |bytes| f32::from_le_bytes(bytes).into()),
        NiftiType::Float64 => typed(row, big_endian, values, f64::from_le_bytes),
        // Headers of other types are refused.
        _ => {}
    }
}

/// What went wrong with the bytes of a file.
pub(crate) fn explain(path: &Path, error: &io::Error) -> Error {
    let path = path.display();
    let explained = match error.kind() {
        // The decompressor says InvalidInput where it means InvalidData.
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Error::corrupt(format!("{path} is damaged")),
        io::ErrorKind::UnexpectedEof => Error::corrupt(format!("{path} ends before its last voxel")),
        _ => Error::unreadable(format!("{path} cannot be read")),
    };
    explained.caused_by(error)
}
