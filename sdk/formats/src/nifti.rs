//! NIfTI files as volumes: version 1 and 2, in one file (`.nii`) or as a pair (`.hdr` and `.img`), gzipped or not.
//!
//! Reads any integer or floating point type up to 64 bit in either byte order, scaled as the header says and turned to
//! the axes of [`Volume`]. The content decides whether a file is compressed, not its name. Of several volumes the first
//! is read; of a volume that is too large for memory, some slices. [`Header`] says what is refused, and why.

use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use medcoss_sdk::volume::Volume;
use medcoss_sdk::{Error, FoundFile};

use crate::gzip_stream::{self, GzipStream};
use crate::nifti_fields::{BYTES_1, Fields, header_bytes};
use crate::nifti_header::VoxelFile;
pub use crate::nifti_header::{Header, MAX_VOXELS};
use crate::nifti_pair::{header_of, is_voxels_name, voxels_of};
use crate::nifti_voxels::{VoxelStream, explain, read_slices};
use crate::orientation::replace_not_finite;

/// Supported file formats, for display.
pub const FILE_FORMATS: &str = "NIfTI-1 and NIfTI-2 (.nii, .hdr with .img; gzipped or not)";

pub use crate::nifti_pair::has_known_extension;

/// A decoded volume.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The volume.
    pub volume: Volume,
    /// Number of voxels that were infinite or NaN; they became the value outside of the scan.
    pub n_replaced: usize,
}

/// Removes the voxel files of pairs from the files of a folder: a pair is listed once, by its header. Voxel files
/// without a header stay, and reading them reports the missing header.
pub fn without_voxels_of_pairs(mut files: Vec<FoundFile>) -> Vec<FoundFile> {
    let listed: std::collections::BTreeSet<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
    files.retain(|file| !header_of(&file.path).is_some_and(|header| listed.contains(&header)));
    files
}

/// The other file of a pair: the voxels of a header, or the header of voxels.
pub fn other_of_pair(file: &FoundFile) -> Option<FoundFile> {
    let path = voxels_of(&file.path).or_else(|| header_of(&file.path))?;
    let metadata = path.metadata().ok()?;
    let (bytes, modified) = (metadata.len(), metadata.modified().ok());
    let name = path.file_name()?.to_string_lossy().into_owned();
    let id = file.id.rsplit_once('/').map_or(name.clone(), |(folder, _)| format!("{folder}/{name}"));
    Some(FoundFile { path, id, entry: file.entry, bytes, modified })
}

/// Reads and checks a file's header, without its voxels.
///
/// # Errors
/// A file that is missing, damaged, or of an unsupported kind.
pub fn read_header(path: &Path) -> Result<Header, Error> {
    open(path).map(|opened| opened.header)
}

/// Reads a header in stored order: the file's axes `(i, j, k)` become `[k, i, j]`, and its orientation is ignored.
///
/// # Errors
/// Those of [`read_header`].
pub fn read_stored_header(path: &Path) -> Result<Header, Error> {
    open(path).map(|opened| opened.header.in_stored_order())
}

/// Whether some slices cost as much as all of them: the file is not stored slice by slice, or it is compressed and its
/// slices are not contiguous. Other compressed files are read whole once, to fill their [`GzipIndex`].
///
/// # Errors
/// Those of [`read_header`].
pub fn needs_whole_file(path: &Path) -> Result<bool, Error> {
    let Opened { header, source, .. } = open(path)?;
    Ok(match header.orientation.axis[0] {
        0 => true,
        1 => source.is_compressed(),
        _ => false,
    })
}

/// Reads the volume of a file. Voxels that are infinite or NaN become `outside`: such files have no values around the scan.
///
/// # Errors
/// Those of [`read_header`], a volume above [`MAX_VOXELS`], damaged or missing voxels, a volume without a finite voxel.
pub fn read_volume(path: &Path, outside: f32) -> Result<Decoded, Error> {
    read_whole(path, open(path)?, outside)
}

/// Reads a volume as [`read_volume`] does, in stored order: see [`read_stored_header`].
///
/// # Errors
/// Those of [`read_volume`].
pub fn read_stored_volume(path: &Path, outside: f32) -> Result<Decoded, Error> {
    let opened = open(path)?;
    read_whole(path, Opened { header: opened.header.in_stored_order(), ..opened }, outside)
}

fn read_whole(path: &Path, opened: Opened<'_>, outside: f32) -> Result<Decoded, Error> {
    let n_voxels = opened.header.n_voxels();
    if n_voxels > MAX_VOXELS {
        let ([i, j, k], path) = (opened.header.file_size, path.display());
        return Err(Error::unsupported(format!(
            "{path} has {i}x{j}x{k} voxels; at most {MAX_VOXELS} are read at once"
        )));
    }
    let all = 0..opened.header.size[0];
    let decoded = opened.read(path, all, outside)?;
    if decoded.n_replaced as u64 == n_voxels {
        return Err(Error::corrupt(format!("{} has no finite voxel", path.display())));
    }
    Ok(decoded)
}

/// Positions from which a compressed file can be decompressed, shared by all reads of its slices.
#[derive(Debug)]
pub struct GzipIndex {
    known: gzip_stream::GzipIndex,
    limit_bytes: usize,
}

impl GzipIndex {
    /// An empty index of at most `limit_bytes`: about 43 KiB for each access point, of which there is at least one.
    /// Access points are a MiB of content apart, or more where they would not fit.
    pub fn new(limit_bytes: usize) -> Self {
        Self { known: gzip_stream::GzipIndex::default(), limit_bytes }
    }
}

/// Reads some slices of a file's volume: a part of [`read_volume`] along the depth. Of a compressed file the first call
/// reads everything and fills `gzip_index`, which belongs to this file alone; later calls decompress what they need.
///
/// # Errors
/// Those of [`read_header`], a volume of another size, slices that it does not have, damaged or missing voxels.
pub fn read_slab(
    path: &Path,
    size: [usize; 3],
    slices: Range<usize>,
    gzip_index: &GzipIndex,
    outside: f32,
) -> Result<Decoded, Error> {
    let opened = open(path)?;
    let found = opened.header.size;
    if found != size || slices.is_empty() || slices.end > size[0] {
        return Err(Error::bad_request(format!(
            "{} has {found:?} slices, rows and columns; slices {slices:?} of {size:?} were asked for",
            path.display()
        )));
    }
    let n_bytes = opened.header.n_voxels() * opened.header.datatype.size_of() as u64;
    if !opened.source.is_compressed() || n_bytes < 2 * gzip_stream::DISTANCE {
        return opened.read(path, slices, outside);
    }
    let Opened { header, voxels, .. } = opened;
    let read = |stream: &mut GzipStream| {
        let ahead = header.offset;
        let opened = Opened { header, voxels: voxels.clone(), source: VoxelStream::Indexed(stream), ahead };
        opened.read(path, slices, outside)
    };
    gzip_index.known.stream(&voxels, gzip_index.limit_bytes, read).map_err(|error| explain(&voxels, &error))?
}

struct Opened<'a> {
    header: Header,
    /// Path of the file with the voxels.
    voxels: PathBuf,
    source: VoxelStream<'a>,
    /// Bytes of `source` before the first voxel.
    ahead: u64,
}

impl Opened<'_> {
    fn read(mut self, path: &Path, slices: Range<usize>, outside: f32) -> Result<Decoded, Error> {
        self.source.skip(self.ahead).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::corrupt(format!("{} ends before its voxels", path.display())),
            _ => explain(&self.voxels, &error),
        })?;
        let n_slices = slices.len();
        let mut voxels = read_slices(&self.voxels, &self.header, &mut self.source, slices)?;
        let n_replaced = replace_not_finite(&mut voxels, outside);
        let [_, rows, columns] = self.header.size;
        let volume = Volume::new([n_slices, rows, columns], self.header.spacing_mm, voxels)?;
        Ok(Decoded { volume, n_replaced })
    }
}

/// Opens a file and checks its header. Either file of a pair may be named.
fn open(named: &Path) -> Result<Opened<'static>, Error> {
    let path = if is_voxels_name(named) {
        &header_of(named).ok_or_else(|| {
            Error::unreadable(format!(
                "{} has no header beside it; a NIfTI pair is an .hdr and an .img of the same name",
                named.display()
            ))
        })?
    } else {
        named
    };
    let failed = |error: io::Error| explain(path, &error);
    let (mut source, file_bytes) = VoxelStream::open(path).map_err(failed)?;
    let mut bytes = Vec::with_capacity(BYTES_1);
    source.by_ref().take(4).read_to_end(&mut bytes).map_err(failed)?;
    // Any file may begin with one of these lengths; its magic number decides whether it is a header.
    let n_bytes = match *bytes {
        [a, b, c, d] => header_bytes([a, b, c, d]).ok_or_else(|| {
            let begins = bytes.escape_ascii();
            Error::corrupt(format!("{} is no NIfTI file; it begins with \"{begins}\"", path.display()))
        })?,
        _ => BYTES_1,
    };
    source.by_ref().take((n_bytes - bytes.len()) as u64).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() < n_bytes {
        return Err(Error::corrupt(format!("{} ends within the {n_bytes} bytes of its header", path.display())));
    }
    let fields = Fields::parse(path, &bytes)?;
    if !fields.separate {
        let voxels = VoxelFile { bytes: file_bytes, compressed: source.is_compressed() };
        let header = Header::check(path, &fields, voxels)?;
        let ahead = header.offset - n_bytes as u64;
        return Ok(Opened { header, voxels: path.to_owned(), source, ahead });
    }
    let voxels = voxels_of(path).ok_or_else(|| {
        Error::unreadable(format!(
            "{} is the header of a NIfTI pair, and there are no voxels beside it; they are in an .img of the same name",
            path.display()
        ))
    })?;
    let (source, file_bytes) = VoxelStream::open(&voxels).map_err(|error| explain(&voxels, &error))?;
    let header = Header::check(path, &fields, VoxelFile { bytes: file_bytes, compressed: source.is_compressed() })?;
    let ahead = header.offset;
    Ok(Opened { header, voxels, source, ahead })
}
