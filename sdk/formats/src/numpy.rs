//! NumPy arrays as volumes: `.npy`, and `.npz` that holds one array.
//!
//! An array of three axes is taken for slices, rows and columns, as SimpleITK gives and takes arrays. It states neither
//! spacing nor orientation: 1 mm is assumed, and axes that run to superior, posterior and left. Arrays of other axes
//! are refused, since nothing says which of their axes are in space. Pickled objects and structures are refused.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use medcoss_sdk::Error;
use zip::{CompressionMethod, ZipArchive};

use crate::header_lines::start_of;
use crate::number_type::NumberType;
use crate::numpy_header::ArrayHeader;
use crate::orientation::{Orientation, STORED_ORDER};
use crate::stored_file::{FASTEST_FIRST, StoredFile};
use crate::stored_volume::{Content, Stated, StoredVolume, axes};
use crate::stored_voxels::explain;
use crate::voxel_stream::{Encoding, VoxelStream};

/// Supported file formats, for display.
pub const FILE_FORMATS: &str = "NumPy arrays [slices, rows, columns] (.npy, .npz with one array)";

/// Note on every array.
pub(crate) const NO_GEOMETRY: &str = "are arrays that state neither spacing nor orientation; 1 mm is assumed, and \
                                      axes that are slices to superior, rows to posterior, columns to left";
/// Largest number of bytes that are read to find the array of an archive.
const MAX_DIRECTORY_BYTES: usize = 1 << 23;
/// Largest number of names of arrays in a message.
const MAX_NAMES: usize = 8;

/// Opens an array at its numbers.
///
/// # Errors
/// A file that is missing or damaged, an archive of several arrays, an array that has not three axes, numbers that are
/// not real, objects.
pub(crate) fn open(path: &Path) -> Result<StoredFile<'static>, Error> {
    let damaged = |error: io::Error| explain(path, &error);
    let (start, encoding) = if is_archive(path) { entry(path)? } else { (0, Encoding::Plain) };
    let (mut source, content_bytes) = VoxelStream::open_at(path, start, encoding).map_err(damaged)?;
    let header = ArrayHeader::read(&mut source)
        .map_err(|error| Error::corrupt(format!("{} is no valid NumPy array", path.display())).caused_by(&error))?;
    let (number, big_endian) = number_type(path, header.descr.as_deref())?;
    let shape: [u64; 3] = header.shape.as_slice().try_into().map_err(|_| {
        let n = header.shape.len();
        Error::unsupported(format!(
            "{} is an array of {n} axes {:?}; arrays of slices, rows and columns are read",
            path.display(),
            header.shape
        ))
    })?;
    if shape.contains(&0) {
        let path = path.display();
        return Err(Error::corrupt(format!("{path} is an array of {shape:?} numbers; each side is at least 1")));
    }
    // Sizes with the fastest axis first. Columns, rows and slices are the first, second and third axis in stored order
    // however they lie in memory.
    let mut sizes = shape;
    let (axis, stored_order, index_order) = if header.fortran_order {
        ([0, 1, 2], [0, 2, 1], FASTEST_FIRST)
    } else {
        sizes.reverse();
        ([2, 1, 0], STORED_ORDER, [2, 1, 0])
    };
    let (file_size, n_volumes) = axes(path, &sizes)?;
    let stated = Stated {
        file_size,
        n_volumes,
        n_components: 1,
        number,
        big_endian,
        scaling: None,
        orientation: Orientation { axis, flipped: [false; 3], spacing: [1.0; 3] },
        to_ras_mm: None,
        offset: header.n_bytes,
        notes: vec![NO_GEOMETRY],
    };
    let content = Content { bytes: content_bytes, compressed: source.is_compressed() };
    let mut volume = StoredVolume::check(path, stated, content)?.without_stated_spacing();
    // Behind an array in an archive are other entries.
    if start == 0 {
        volume.note_surplus(header.n_bytes, content);
    }
    // The source is behind the header.
    Ok(StoredFile {
        volume,
        voxels: path.to_owned(),
        source,
        ahead: 0,
        gzip_offset: None,
        stored_order,
        index_order,
        outside: 0.0,
    })
}

/// Number of axes of an array, by its header alone; `None` where the header cannot be read.
pub(crate) fn n_axes(path: &Path) -> Option<usize> {
    let (start, encoding) = if is_archive(path) { entry(path).ok()? } else { (0, Encoding::Plain) };
    let (mut source, _) = VoxelStream::open_at(path, start, encoding).ok()?;
    ArrayHeader::read(&mut source).ok().map(|header| header.shape.len())
}

/// A file of which so many bytes are read at most: the directory of an archive is kept in memory.
struct AtMost {
    file: File,
    left: usize,
}

impl Read for AtMost {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.left = self.left.checked_sub(n).ok_or_else(|| {
            let most = MAX_DIRECTORY_BYTES >> 20;
            io::Error::new(io::ErrorKind::InvalidData, format!("its list of entries takes more than {most} MiB"))
        })?;
        Ok(n)
    }
}

impl Seek for AtMost {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

fn is_archive(path: &Path) -> bool {
    let mut first = [0; 4];
    File::open(path).is_ok_and(|mut file| file.read_exact(&mut first).is_ok()) && first == *b"PK\x03\x04"
}

/// The only array of an archive: the byte at which it begins, and how it is stored.
fn entry(path: &Path) -> Result<(u64, Encoding), Error> {
    let shown = path.display();
    let damaged =
        |error: zip::result::ZipError| Error::corrupt(format!("{shown} is no valid .npz archive")).caused_by(&error);
    let file = File::open(path).map_err(|error| explain(path, &error))?;
    let file = AtMost { file, left: MAX_DIRECTORY_BYTES };
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
    let arrays: Vec<usize> = archive
        .file_names_raw()
        .enumerate()
        .filter_map(|(index, name)| name.ends_with(b".npy").then_some(index))
        .collect();
    let [index] = arrays[..] else {
        let name =
            |index: &usize| archive.file_names_raw().nth(*index).map(|name| start_of(&name.escape_ascii().to_string()));
        let names: Vec<String> = arrays.iter().take(MAX_NAMES).filter_map(name).collect();
        return Err(Error::unsupported(format!(
            "{shown} holds {} arrays ({}); an archive of one array is read\n\
             hint: write the scan alone into an .npy",
            arrays.len(),
            names.join(", ")
        )));
    };
    let entry = archive.by_index_raw(index).map_err(damaged)?;
    let missing = || Error::corrupt(format!("{shown} does not state where its array begins"));
    let start = entry.data_start().ok_or_else(missing)?;
    let encoding = match entry.compression() {
        _ if entry.encrypted() => return Err(Error::unsupported(format!("{shown} is encrypted"))),
        CompressionMethod::Stored => Encoding::Plain,
        CompressionMethod::DEFLATE => {
            Encoding::Entry { compressed_bytes: entry.compressed_size(), checksum: entry.crc32() }
        }
        other => {
            return Err(Error::unsupported(format!(
                "{shown} is compressed by {other:?}; archives of NumPy's savez and savez_compressed are read"
            )));
        }
    };
    Ok((start, encoding))
}

/// The type of the numbers and whether their highest byte is first.
fn number_type(path: &Path, descr: Option<&str>) -> Result<(NumberType, bool), Error> {
    let path = path.display();
    let refused = |what: String| {
        Error::unsupported(format!("{path} is an array of {what}; integers and floating point numbers are read"))
    };
    let descr = descr.ok_or_else(|| refused("structures".into()))?;
    let (order, kind) = descr.split_at_checked(1).unwrap_or_default();
    let number = match kind {
        // Truth values are bytes of 0 or 1.
        "u1" | "b1" => NumberType::U8,
        "i1" => NumberType::I8,
        "u2" => NumberType::U16,
        "i2" => NumberType::I16,
        "u4" => NumberType::U32,
        "i4" => NumberType::I32,
        "u8" => NumberType::U64,
        "i8" => NumberType::I64,
        "f2" => NumberType::F16,
        "f4" => NumberType::F32,
        "f8" => NumberType::F64,
        "O" => return Err(refused("pickled objects".into())),
        _ => return Err(refused(format!("type {:?}", start_of(descr)))),
    };
    match order {
        "<" | "|" => Ok((number, false)),
        ">" => Ok((number, true)),
        _ => Err(refused(format!("type {:?}", start_of(descr)))),
    }
}
