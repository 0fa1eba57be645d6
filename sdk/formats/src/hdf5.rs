//! HDF5 files as volumes: a dataset of three axes of real numbers, in chunks or not.
//!
//! Axes are those of the dataset's index, whatever lies in memory: `[x, y, slice]`, or `[slice, row, column]` where the user says so. The
//! format states neither spacing nor orientation: 1 mm is assumed, and axes that run to superior, posterior and left. A file of
//! several such datasets is refused unless one is named. Links by name, into the same file or another, are not followed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use hdf5_pure::{ChunkIndex, Layout};
use medcoss_sdk::Error;

use crate::hdf5_choice::{Hdf5Choice, SliceAxis};
use crate::hdf5_datasets::{Array, chosen, datasets};
use crate::hdf5_errors::{OLDER_FORM, explained};
use crate::hdf5_rows::{Hdf5Rows, MAX_ROWS_BYTES};
use crate::hdf5_source::CountedFile;
use crate::number_type::NumberType;
use crate::orientation::{Orientation, STORED_ORDER};
use crate::stored_file::StoredFile;
use crate::stored_volume::{Content, Stated, StoredVolume, axes};
use crate::stored_voxels::explain;
use crate::voxel_stream::VoxelStream;

/// Supported file formats, for display.
pub(crate) const FILE_FORMATS: &str = "HDF5 datasets of three axes (.h5, .hdf5)";
/// The first bytes of a file.
pub(crate) const MAGIC: &[u8; 6] = b"\x89HDF\r\n";

/// Notes on every dataset.
pub(crate) const SLICES_LAST: &str = "are HDF5 datasets that state neither spacing nor orientation; 1 mm is assumed, and axes [x, y, slice] \
                                      that run to left, posterior, superior (slice_axis = \"last\")";
pub(crate) const SLICES_FIRST: &str = "are HDF5 datasets that state neither spacing nor orientation; 1 mm is assumed, and axes \
                                       [slice, row, column] that run to superior, posterior, left (slice_axis = \"first\")";

/// Largest chunk in bytes: it is decompressed as a whole.
const MAX_CHUNK_BYTES: u64 = 1 << 29;
/// Filters that are undone: Deflate, Shuffle, Fletcher-32, Scale-Offset, LZF.
const FILTERS: [u16; 5] = [1, 2, 3, 6, 32_000];
/// Names of others that are in use.
const OTHER_FILTERS: [(u16, &str); 7] = [
    (4, "SZIP"),
    (5, "N-Bit"),
    (32_001, "Blosc"),
    (32_004, "LZ4"),
    (32_008, "Bitshuffle"),
    (32_015, "Zstandard"),
    (32_026, "Blosc2"),
];

/// Opens the dataset of a file at its numbers.
///
/// # Errors
/// A file that is missing or damaged, that has no dataset of three axes or several of them, a dataset of another kind of numbers or behind
/// a filter that is not undone.
pub(crate) fn open(path: &Path, choice: &Hdf5Choice) -> Result<StoredFile<'static>, Error> {
    guarded(path, || {
        let file = opened(path)?;
        let array = chosen(path, &file, choice)?;
        let bytes = file.file_size();
        stored_file(path, array, bytes, choice.slice_axis)
    })
}

/// Names of the datasets of three axes; `None` of a file that cannot be read.
pub(crate) fn volumes(path: &Path) -> Option<Vec<String>> {
    let all = guarded(path, || datasets(path, &opened(path)?)).ok()?;
    Some(all.into_iter().filter(Array::is_volume).map(|array| array.name).collect())
}

/// What a call of the library gives: the bytes are untrusted, and a panic would not name the file. The library only reads.
fn guarded<T>(path: &Path, call: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err(Error::corrupt(format!("{} is no valid HDF5 file", path.display()))))
}

fn opened(path: &Path) -> Result<hdf5_pure::File, Error> {
    let file = CountedFile::open(path).map_err(|error| explain(path, &error))?;
    hdf5_pure::File::from_source(file).map_err(|error| explained(path, &error))
}

/// The file at the numbers of a dataset of three axes. `file_bytes` is its length.
fn stored_file(
    path: &Path,
    array: Array,
    file_bytes: u64,
    slice_axis: SliceAxis,
) -> Result<StoredFile<'static>, Error> {
    let (Ok(shape), Ok((number, big_endian))) = (<[u64; 3]>::try_from(array.shape.as_slice()), array.number.clone())
    else {
        return Err(Error::unsupported(format!("{} is no dataset of three axes", array.shown())));
    };
    if shape.contains(&0) {
        let (path, shown) = (path.display(), array.shown());
        return Err(Error::corrupt(format!("{path} has the dataset {shown}; each side is at least 1")));
    }
    let chunk = check_storage(path, &array, number, file_bytes)?;
    // Sizes and axes are counted from the last index on, which is the fastest.
    let (sizes, index_order) = ([shape[2], shape[1], shape[0]], [2, 1, 0]);
    let (file_size, n_volumes) = axes(path, &sizes)?;
    let (axis, stored_order, note) = match slice_axis {
        SliceAxis::Last => ([0, 1, 2], [0, 2, 1], SLICES_LAST),
        SliceAxis::First => ([2, 1, 0], STORED_ORDER, SLICES_FIRST),
    };
    let stated = Stated {
        file_size,
        n_volumes,
        n_components: 1,
        number,
        big_endian,
        scaling: None,
        orientation: Orientation { axis, flipped: [false; 3], spacing: [1.0; 3] },
        to_ras_mm: None,
        offset: 0,
        notes: vec![note],
    };
    let content = Content { bytes: file_bytes, compressed: chunk.is_some() };
    let volume = StoredVolume::check(path, stated, content)?.without_stated_spacing();
    // Each side is below 2^16, and a number has at most 8 bytes.
    let row_bytes = shape[1] * shape[2] * number.n_bytes() as u64;
    if row_bytes > MAX_ROWS_BYTES {
        let (path, most) = (path.display(), MAX_ROWS_BYTES >> 20);
        return Err(Error::unsupported(format!(
            "{path} has a dataset of {}x{} numbers behind each index of its first axis; up to {most} MiB are read",
            shape[1], shape[2]
        )));
    }
    let rows = Hdf5Rows::new(array.dataset, shape[0], row_bytes, chunk.map(|[rows, ..]| rows));
    Ok(StoredFile {
        volume,
        voxels: path.to_owned(),
        source: VoxelStream::Rows(Box::new(rows)),
        ahead: 0,
        gzip_offset: None,
        stored_order,
        index_order,
        outside: 0.0,
    })
}

/// Checks how a dataset is stored; returns the sides of its chunks.
fn check_storage(path: &Path, array: &Array, number: NumberType, file_bytes: u64) -> Result<Option<[u64; 3]>, Error> {
    let (shown, name) = (path.display(), array.shown());
    if let Some(filter) = array.dataset.filters().into_iter().find(|filter| !FILTERS.contains(filter)) {
        let known = OTHER_FILTERS.iter().find(|(id, _)| *id == filter).map_or("", |(_, name)| *name);
        return Err(Error::unsupported(format!(
            "{shown} has the dataset {name}, which is compressed by filter {filter} {known}; Deflate (gzip), Shuffle, Fletcher-32, \
             Scale-Offset and LZF are read\nhint: h5repack -f GZIP=4 IN OUT"
        )));
    }
    let chunk = match array.dataset.layout().map_err(|error| explained(path, &error))? {
        Layout::Compact { .. } | Layout::Contiguous { address: Some(_), .. } => return Ok(None),
        Layout::Chunked { index: ChunkIndex::BTreeV2, .. } => {
            return Err(Error::unsupported(format!(
                "{shown} has the dataset {name}, which may grow along several axes\nhint: {OLDER_FORM}"
            )));
        }
        Layout::Chunked { chunk_shape, .. } => chunk_shape,
        _ => {
            return Err(Error::unsupported(format!(
                "{shown} has the dataset {name}, whose numbers are not in this file: none were written, or they are in other files\n\
                 hint: read it with h5py, and write its numbers into one file"
            )));
        }
    };
    let Some(chunk) = <[u64; 3]>::try_from(chunk).ok().filter(|chunk| !chunk.contains(&0)) else {
        return Err(Error::corrupt(format!("{shown} has the dataset {name} in chunks of another number of axes")));
    };
    let chunk_bytes = chunk.iter().fold(number.n_bytes() as u64, |n, &side| n.saturating_mul(side));
    if chunk_bytes > MAX_CHUNK_BYTES {
        let ([a, b, c], most) = (chunk, MAX_CHUNK_BYTES >> 20);
        return Err(Error::unsupported(format!(
            "{shown} has the dataset {name} in chunks of {a}x{b}x{c}; chunks of up to {most} MiB are read\n\
             hint: h5repack -l CHUNK=64x64x64 IN OUT"
        )));
    }
    let chunks = array.dataset.chunks().map_err(|error| explained(path, &error))?;
    let mut left = file_bytes.saturating_mul(2);
    for stored in chunks {
        let is_inside = stored.address.checked_add(stored.storage_size).is_some_and(|end| end <= file_bytes);
        left = left.checked_sub(stored.storage_size).filter(|_| is_inside).ok_or_else(|| {
            Error::corrupt(format!(
                "{shown} has the dataset {name} in chunks that are not in the file, or in one another"
            ))
        })?;
    }
    Ok(Some(chunk))
}
