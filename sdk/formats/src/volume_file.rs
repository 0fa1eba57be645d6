//! Files of volumes beside NIfTI and DICOM: MetaImage, NRRD, NumPy, FreeSurfer, which differ in their headers alone, and HDF5.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use medcoss_sdk::{Error, FoundFile, Inclusion};

use crate::hdf5_choice::Hdf5Choice;
use crate::stored_file::StoredFile;
use crate::{detached_file, hdf5, meta_image, mgh, nrrd, numpy, numpy_header, stored_volume};

/// Supported file formats, for display.
pub(crate) const FILE_FORMATS: [&str; 5] =
    [meta_image::FILE_FORMATS, nrrd::FILE_FORMATS, numpy::FILE_FORMATS, mgh::FILE_FORMATS, hdf5::FILE_FORMATS];
/// File extensions of all formats, without those of detached voxels.
pub(crate) const EXTENSIONS: [&str; 10] =
    [".mha", ".mhd", ".nrrd", ".nhdr", ".npy", ".npz", ".mgh", ".mgz", ".h5", ".hdf5"];
/// Extensions of headers that may name another file.
const HEADERS: [&str; 4] = [".mha", ".mhd", ".nrrd", ".nhdr"];
/// Notes on files whose orientation is assumed.
pub(crate) const ASSUMED_ORIENTATIONS: [&str; 6] = [
    stored_volume::NO_ORIENTATION,
    meta_image::NO_ORIENTATION,
    mgh::NO_ORIENTATION,
    NO_GEOMETRY[0],
    NO_GEOMETRY[1],
    NO_GEOMETRY[2],
];
/// Notes on files that state neither spacing nor orientation.
pub(crate) const NO_GEOMETRY: [&str; 3] = [numpy::NO_GEOMETRY, hdf5::SLICES_LAST, hdf5::SLICES_FIRST];
/// Formats of volumes that are not read, and why not.
const NOT_READ: [(&[&str], &str); 2] = [
    (&[".mat"], "MATLAB, which is not read; convert it to NIfTI or .npy"),
    (&[".mnc"], "MINC, which is not read; convert it to NIfTI"),
];
/// Reasons of arrays that are no volumes.
const NO_VOLUME: &str = "a NumPy array that has not three axes";
const NO_VOLUME_IN_HDF5: &str = "an HDF5 file without a dataset of three axes";

/// Format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    MetaImage,
    Nrrd,
    NumPy,
    Mgh,
    Hdf5,
}

/// A file, or a header and its file of voxels.
#[derive(Debug, Clone)]
pub struct VolumeFile {
    format: Format,
    /// The header first.
    files: Vec<FoundFile>,
    /// What is read of it if it is HDF5.
    hdf5: Arc<Hdf5Choice>,
}

impl VolumeFile {
    /// A file of one of the formats, by its extension, or else by its first bytes; `None` for other files.
    pub(crate) fn of(file: &FoundFile, hdf5: &Arc<Hdf5Choice>) -> Option<Self> {
        let format = format_by_name(&file.path).or_else(|| format_by_content(&file.path))?;
        // An invalid header is reported when it is read.
        let detached = detached(format, &file.path).and_then(|path| detached_file::found(file, path));
        let files = std::iter::once(file.clone()).chain(detached).collect();
        Some(Self { format, files, hdf5: Arc::clone(hdf5) })
    }

    /// The header.
    pub(crate) fn header(&self) -> &FoundFile {
        // There is always one.
        &self.files[0]
    }

    pub(crate) fn files(&self) -> &[FoundFile] {
        &self.files
    }

    /// Names of the datasets of three axes of an HDF5 file; of others there are none.
    pub(crate) fn datasets(&self) -> Vec<String> {
        match self.format {
            Format::Hdf5 => hdf5::volumes(&self.header().path).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    /// Opens the file at its voxels.
    ///
    /// # Errors
    /// Those of the format.
    pub(crate) fn open(&self) -> Result<StoredFile<'static>, Error> {
        let path = &self.header().path;
        match self.format {
            Format::MetaImage => meta_image::open(path),
            Format::Nrrd => nrrd::open(path),
            Format::NumPy => numpy::open(path),
            Format::Mgh => mgh::open(path),
            Format::Hdf5 => hdf5::open(path, &self.hdf5),
        }
    }
}

fn format_by_name(path: &Path) -> Option<Format> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let extension = EXTENSIONS.iter().find(|extension| name.ends_with(**extension))?;
    Some(match *extension {
        ".mha" | ".mhd" => Format::MetaImage,
        ".nrrd" | ".nhdr" => Format::Nrrd,
        ".npy" | ".npz" => Format::NumPy,
        ".h5" | ".hdf5" => Format::Hdf5,
        _ => Format::Mgh,
    })
}

fn format_by_content(path: &Path) -> Option<Format> {
    let mut first = [0; 6];
    File::open(path).ok()?.read_exact(&mut first).ok()?;
    match &first {
        b"NRRD00" => Some(Format::Nrrd),
        numpy_header::MAGIC => Some(Format::NumPy),
        hdf5::MAGIC => Some(Format::Hdf5),
        _ => None,
    }
}

/// The file of voxels that a header names.
fn detached(format: Format, header: &Path) -> Option<PathBuf> {
    match format {
        Format::MetaImage => meta_image::detached(header).ok()?,
        Format::Nrrd => nrrd::detached(header).ok()?,
        Format::NumPy | Format::Mgh | Format::Hdf5 => None,
    }
}

/// Whether a file of a folder is used, by its lower-case name; `None` for files of other kinds.
pub(crate) fn inclusion(path: &Path, lower_case_name: &str) -> Option<Inclusion> {
    if EXTENSIONS.iter().any(|extension| lower_case_name.ends_with(extension)) {
        // What cannot be read is reported as an invalid sample.
        let reason = match format_by_name(path) {
            Some(Format::NumPy) if numpy::n_axes(path).is_some_and(|n| n != 3) => Some(NO_VOLUME),
            Some(Format::Hdf5) if hdf5::volumes(path).is_some_and(|found| found.is_empty()) => Some(NO_VOLUME_IN_HDF5),
            _ => None,
        };
        return Some(reason.map_or(Inclusion::Included, |reason| Inclusion::Excluded(reason.into())));
    }
    let is_of = |extensions: &[&str]| extensions.iter().any(|extension| lower_case_name.ends_with(extension));
    let (_, reason) = NOT_READ.iter().find(|(extensions, _)| is_of(extensions))?;
    Some(Inclusion::Excluded((*reason).into()))
}

/// Files of voxels that headers of the same folder name, whatever their extension. Each folder is looked through once.
#[derive(Default)]
pub(crate) struct DetachedFiles {
    by_folder: RefCell<HashMap<PathBuf, HashSet<PathBuf>>>,
}

impl DetachedFiles {
    /// Whether a header beside the file names it.
    pub(crate) fn contains(&self, path: &Path) -> bool {
        let Some(folder) = path.parent() else { return false };
        let mut by_folder = self.by_folder.borrow_mut();
        by_folder.entry(folder.to_owned()).or_insert_with(|| named_in(folder)).contains(path)
    }
}

fn named_in(folder: &Path) -> HashSet<PathBuf> {
    // A folder that cannot be listed is reported by the search for files.
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let headers = entries.map(|entry| entry.file_name()).filter(|name| {
        let name = name.to_string_lossy().to_lowercase();
        HEADERS.iter().any(|extension| name.ends_with(extension)) && !name.starts_with('.')
    });
    let named = headers.filter_map(|name| {
        let header = folder.join(name);
        detached(format_by_name(&header)?, &header)
    });
    named.collect()
}
