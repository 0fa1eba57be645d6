//! NIfTI files as volumes: version 1 and 2, in one file (`.nii`) or as a pair (`.hdr` and `.img`), gzipped or not.
//!
//! Reads any integer or floating point type up to 64 bit in either byte order, scaled as the header says and turned to
//! the axes of [`Volume`](medcoss_sdk::volume::Volume). The content decides whether a file is compressed, not its name.
//! Of several volumes the first is read; of a volume that is too large for memory, some slices. `nifti_header` says
//! what is refused, and why.

use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use medcoss_sdk::{Error, FoundFile};

use crate::nifti_fields::{BYTES_1, Fields, header_bytes};
use crate::nifti_header::stated;
use crate::nifti_pair::{header_of, is_voxels_name, voxels_of};
use crate::orientation::STORED_ORDER;
pub use crate::stored_file::{Decoded, GzipIndex};
use crate::stored_file::{FASTEST_FIRST, StoredFile};
use crate::stored_volume::Content;
pub use crate::stored_volume::{MAX_VOXELS, StoredVolume};
use crate::stored_voxels::explain;
use crate::voxel_stream::VoxelStream;

/// Supported file formats, for display.
pub const FILE_FORMATS: &str = "NIfTI-1 and NIfTI-2 (.nii, .hdr with .img; gzipped or not)";

pub use crate::nifti_pair::has_known_extension;

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
pub fn read_header(path: &Path) -> Result<StoredVolume, Error> {
    open(path).map(|opened| opened.volume)
}

/// Reads the volume of a file. Voxels that are infinite or NaN become `outside`: such files have no values around the scan.
///
/// # Errors
/// Those of [`read_header`], a volume above [`MAX_VOXELS`], damaged or missing voxels, a volume without a finite voxel.
pub fn read_volume(path: &Path, outside: f32) -> Result<Decoded, Error> {
    open(path)?.with_outside(outside).read(path)
}

/// Reads some slices of a file's volume: a part of [`read_volume`] along the depth. Of a compressed file the first call
/// reads everything and fills `gzip_index`, which belongs to this file alone; later calls decompress what they need.
///
/// # Errors
/// Those of [`read_header`], slices that the volume does not have, damaged or missing voxels.
pub fn read_slab(
    path: &Path,
    size: [usize; 3],
    slices: Range<usize>,
    gzip_index: &GzipIndex,
    outside: f32,
) -> Result<Decoded, Error> {
    open(path)?.with_outside(outside).read_slab(path, size, slices, gzip_index)
}

/// Opens a file and checks its header. Either file of a pair may be named.
pub(crate) fn open(named: &Path) -> Result<StoredFile<'static>, Error> {
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
    let (mut source, mut file_bytes) = VoxelStream::open(path).map_err(failed)?;
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
    let stated = stated(path, &fields)?;
    let (offset, mut ahead) = (stated.offset, stated.offset);
    let mut voxels = path.to_owned();
    if fields.separate {
        voxels = voxels_of(path).ok_or_else(|| {
            Error::unreadable(format!(
                "{} is the header of a NIfTI pair, and there are no voxels beside it; they are in an .img of the same name",
                path.display()
            ))
        })?;
        (source, file_bytes) = VoxelStream::open(&voxels).map_err(|error| explain(&voxels, &error))?;
    } else {
        ahead -= n_bytes as u64;
    }
    let content = Content { bytes: file_bytes, compressed: source.is_compressed() };
    let volume = StoredVolume::check(path, stated, content)?;
    let gzip_offset = content.compressed.then_some(offset);
    Ok(StoredFile {
        volume,
        voxels,
        source,
        ahead,
        gzip_offset,
        stored_order: STORED_ORDER,
        index_order: FASTEST_FIRST,
        outside: 0.0,
    })
}
