//! Voxels of files: some slices or all, scaled, in the order of [`Volume`](medcoss_sdk::volume::Volume).
//!
//! Only requested slices are held in memory. In an uncompressed file the bytes between them are skipped. A compressed
//! file is read to its end, where its checksum is, unless its access points are known ([`crate::gzip_stream`]). The
//! `nifti` crate's own stream can do neither.

use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use medcoss_sdk::Error;

use crate::number_type::NumberType;
use crate::orientation::place;
use crate::stored_volume::StoredVolume;
use crate::voxel_stream::VoxelStream;

/// Bytes of rows that are read at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// Largest number of bytes after the last voxel of a compressed file: they are decompressed for the checksum alone.
const MAX_BEHIND_BYTES: u64 = 1 << 28;

/// Reads slices of the first volume, `[depth, rows, columns]`, from a stream at its first voxel.
pub(crate) fn read_slices(
    path: &Path,
    stored: &StoredVolume,
    source: &mut VoxelStream<'_>,
    slices: Range<usize>,
) -> Result<Vec<f32>, Error> {
    let failed = |error: io::Error| explain(path, &error);
    let [_, n_rows, n_columns] = stored.size;
    let n_voxels = slices.len() * n_rows * n_columns;
    let mut voxels = Vec::new();
    voxels.try_reserve_exact(n_voxels).map_err(|error| {
        Error::unsupported(format!("{} needs {} MiB of memory", path.display(), n_voxels >> 18)).caused_by(&error)
    })?;
    voxels.resize(n_voxels, 0.0);

    // The slices as a range of one axis of the file.
    let mut places = stored.file_size.map(|n| 0..n);
    let (depth, flipped) = (stored.orientation.axis[0], stored.orientation.flipped[0]);
    let n_slices = stored.file_size[depth];
    places[depth] = if flipped { n_slices - slices.end..n_slices - slices.start } else { slices };
    let (first, [along_i, along_j, along_k]) = stored.orientation.strides([0, 1, 2].map(|axis| places[axis].len()));

    // Contiguous rows of the file are read many at a time, so that each call of the decompressor returns much.
    let [n_i, n_j, _] = stored.file_size;
    let row_bytes = n_i * stored.voxel_bytes();
    let most = (CHUNK_BYTES / row_bytes).max(1);
    let is_whole = places[1].len() == n_j;
    let (n_runs, n_rows) = match is_whole {
        true => (1, n_j * places[2].len()),
        false => (places[2].len(), places[1].len()),
    };
    let wanted = places[0].start * stored.voxel_bytes()..places[0].end * stored.voxel_bytes();
    let mut chunk = vec![0; row_bytes * most.min(n_rows)];
    let mut row_of_first = Vec::new();
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
                let bytes = first_numbers(&bytes[wanted.clone()], stored, &mut row_of_first);
                place_numbers(bytes, stored, &mut voxels, start, along_i);
            }
        }
    }
    // Of several volumes those after the first are not read for the checksum, unless an index is being recorded.
    let is_indexed = matches!(source, VoxelStream::Indexed(_));
    if source.ends_with_checksum() && (is_indexed || stored.n_volumes == 1) {
        // The decompressor compares its checksum at the very end, after the other slices and volumes.
        let volume_bytes = stored.n_voxels() * stored.voxel_bytes() as u64;
        source.skip(volume_bytes - at).map_err(failed)?;
        let most = volume_bytes.saturating_mul(stored.n_volumes - 1).saturating_add(MAX_BEHIND_BYTES);
        let behind = io::copy(&mut source.take(most.saturating_add(1)), &mut io::sink()).map_err(failed)?;
        if behind > most {
            let (path, most) = (path.display(), MAX_BEHIND_BYTES >> 20);
            return Err(Error::corrupt(format!("{path} goes on for more than {most} MiB behind its last voxel")));
        }
    }
    Ok(voxels)
}

/// The first number of each voxel of a row.
fn first_numbers<'a>(row: &'a [u8], stored: &StoredVolume, room: &'a mut Vec<u8>) -> &'a [u8] {
    if stored.n_components == 1 {
        return row;
    }
    room.clear();
    row.chunks_exact(stored.voxel_bytes()).for_each(|voxel| room.extend(&voxel[..stored.number.n_bytes()]));
    room
}

/// Writes the scaled numbers of a row to voxels from `start` on, `step` apart.
fn place_numbers(row: &[u8], stored: &StoredVolume, voxels: &mut [f32], start: usize, step: isize) {
    struct Row<'a> {
        bytes: &'a [u8],
        stored: &'a StoredVolume,
        voxels: &'a mut [f32],
        start: usize,
        step: isize,
    }
    impl Row<'_> {
        fn of<const N: usize>(self, number: impl Fn([u8; N]) -> f64) {
            let Self { bytes, stored, voxels, start, step } = self;
            let (numbers, _) = bytes.as_chunks::<N>();
            // One loop for each case, which the compiler can vectorise.
            match (stored.big_endian, stored.scaling) {
                (false, None) => place(voxels, start, step, numbers.iter().map(|&bytes| number(bytes) as f32)),
                (false, Some([slope, inter])) => {
                    place(voxels, start, step, numbers.iter().map(|&bytes| (number(bytes) * slope + inter) as f32));
                }
                (true, scaling) => {
                    let [slope, inter] = scaling.unwrap_or([1.0, 0.0]);
                    let numbers = numbers.iter().map(|&(mut bytes)| {
                        bytes.reverse();
                        if scaling.is_some() { number(bytes) * slope + inter } else { number(bytes) }
                    });
                    place(voxels, start, step, numbers.map(|number| number as f32));
                }
            }
        }
    }
    let row = Row { bytes: row, stored, voxels, start, step };
    match stored.number {
        NumberType::U8 => row.of(|bytes| u8::from_le_bytes(bytes).into()),
        NumberType::I8 => row.of(|bytes| i8::from_le_bytes(bytes).into()),
        NumberType::U16 => row.of(|bytes| u16::from_le_bytes(bytes).into()),
        NumberType::I16 => row.of(|bytes| i16::from_le_bytes(bytes).into()),
        NumberType::U32 => row.of(|bytes| u32::from_le_bytes(bytes).into()),
        NumberType::I32 => row.of(|bytes| i32::from_le_bytes(bytes).into()),
        NumberType::U64 => row.of(|bytes| u64::from_le_bytes(bytes) as f64),
        NumberType::I64 => row.of(|bytes| i64::from_le_bytes(bytes) as f64),
        NumberType::F32 => row.of(|bytes| f32::from_le_bytes(bytes).into()),
        NumberType::F64 => row.of(f64::from_le_bytes),
        NumberType::F16 => row.of(|bytes| half::f16::from_le_bytes(bytes).to_f64()),
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
