//! Sources of volumes: NIfTI files, files of other formats of arrays, and DICOM series.
//!
//! A NIfTI file is a volume, and so is a DICOM series, which is one file or many. Formats that differ in their headers
//! alone are in `volume_file`. Another format is another variant of [`VolumeSource`]: [`find_volumes`] finds
//! it, and the functions below it read it.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use medcoss_sdk::{Account, Error, Fingerprint, Found, FoundFile, Inclusion, find_files_by_content};

use crate::dicom::find_series::find_series;
pub use crate::dicom::scan_rules::{MissingRescale, ScanRules};
use crate::dicom::series::{Series, SeriesInfo};
use crate::dicom::{self, Candidate, stack};
use crate::file_axes::FileAxes;
pub use crate::hdf5_choice::{Hdf5Choice, Hdf5Rules, SliceAxis};
use crate::nifti;
use crate::stored_file::StoredFile;
pub use crate::stored_file::{Decoded, GzipIndex};

use crate::volume_file::{self, DetachedFiles, VolumeFile};

/// Supported file formats, for display.
pub const FILE_FORMATS: &[&str] = &[
    nifti::FILE_FORMATS,
    volume_file::FILE_FORMATS[0],
    volume_file::FILE_FORMATS[1],
    volume_file::FILE_FORMATS[2],
    volume_file::FILE_FORMATS[3],
    volume_file::FILE_FORMATS[4],
    "DICOM series, single- and multi-frame (.dcm, .dicom, .ima, or by content)",
];

/// A volume that can be read.
#[derive(Debug, Clone)]
pub enum VolumeSource {
    /// A NIfTI file, or the header of a pair.
    Nifti {
        /// The file.
        file: FoundFile,
        /// Value of its voxels that are infinite or NaN.
        outside: f32,
    },
    /// A file of another format, or a header and its voxels.
    File {
        /// The file.
        file: VolumeFile,
        /// Value of its voxels that are infinite or NaN.
        outside: f32,
    },
    /// A DICOM series.
    Dicom(Box<Series>),
}

/// Size, spacing and notes of a volume, without its voxels.
#[derive(Debug, Clone, PartialEq)]
pub struct VolumeInfo {
    /// `[depth, rows, columns]` in voxels.
    pub size: [usize; 3],
    /// Distance between neighbouring voxels in the same order, in millimetres.
    pub spacing_mm: [f32; 3],
    /// Whether voxels are integers by the type in the file. `None` where only the voxels show it, as in DICOM files,
    /// whose numbers are rescaled.
    pub is_integer: Option<bool>,
    /// Notes for the user, each the end of a sentence that begins with "scans".
    pub notes: Vec<&'static str>,
    /// The axes of the file, and which of them are those of the volume.
    pub file_axes: FileAxes,
}

impl From<StoredFile<'_>> for VolumeInfo {
    fn from(file: StoredFile<'_>) -> Self {
        let (file_axes, stored) = (file.volume.file_axes(file.index_order), file.volume);
        let is_integer = Some(stored.is_integer());
        Self { size: stored.size, spacing_mm: stored.spacing_mm, is_integer, notes: stored.notes, file_axes }
    }
}

impl VolumeInfo {
    /// Whether the headers state how the volume lies in the body. Without a statement, readers assume one and add a
    /// note.
    pub(crate) fn states_orientation(&self) -> bool {
        let is_assumed =
            |note: &&str| *note == stack::NO_ORIENTATION || volume_file::ASSUMED_ORIENTATIONS.contains(note);
        !self.notes.iter().any(is_assumed)
    }

    /// Refuses a volume of a format that has no spacing, where `step` depends on it.
    ///
    /// # Errors
    /// An array without spacing.
    pub(crate) fn check_has_spacing(&self, step: &str) -> Result<(), Error> {
        match self.notes.iter().any(|note| volume_file::NO_GEOMETRY.contains(note)) {
            false => Ok(()),
            true => Err(Error::bad_request(format!(
                "it is an array that states no spacing, which {step} needs\n\
                 hint: write the scan as NIfTI, MetaImage or NRRD with its spacing, or leave {step} out"
            ))),
        }
    }

    /// Number of voxels in the volume.
    pub fn n_voxels(&self) -> u64 {
        // Files with more than 2^48 voxels are refused.
        self.size.iter().map(|&n| n as u64).product()
    }
}

/// The volumes of the data.
#[derive(Debug)]
pub struct FoundVolumes {
    /// In the order of their ids.
    pub sources: Vec<VolumeSource>,
    /// All files that were found.
    pub account: Account,
}

/// Finds the volumes of the entries, in the order of their ids. An entry that is itself a file is used whatever its
/// name. DICOM files in folders are left out if they are of another modality than that of `rules`, in colour, without an
/// image, or no scan: localisers, screen captures, pages with doses, reformats.
///
/// # Errors
/// Those of [`find_files_by_content`]; all files are left out.
pub fn find_volumes(base: &Path, entries: &[PathBuf], rules: &ScanRules) -> Result<FoundVolumes, Error> {
    let detached = DetachedFiles::default();
    let inclusion = |path: &Path, name: &str| match dicom_or_other(path, name) {
        _ if nifti::has_known_extension(name) => Inclusion::Included,
        Inclusion::AnotherKind if detached.contains(path) => Inclusion::Included,
        other => other,
    };
    let Found { files, mut account } = find_files_by_content(base, entries, inclusion, &FILE_FORMATS.join(", "))?;
    let (arrays, files) = arrays(files, &rules.hdf5);
    let (niftis, dicoms): (Vec<_>, Vec<_>) = files.into_iter().partition(is_nifti);
    let named: Vec<PathBuf> = entries.iter().map(|entry| base.join(entry)).collect();
    let series = find_series(dicoms, rules, |file| named.contains(&file.path), &mut account);
    let niftis = nifti::without_voxels_of_pairs(niftis);
    let outside = rules.outside;
    let mut sources: Vec<_> = niftis.into_iter().map(|file| VolumeSource::Nifti { file, outside }).collect();
    sources.extend(arrays.into_iter().map(|file| VolumeSource::File { file, outside }));
    sources.extend(series.into_iter().map(Box::new).map(VolumeSource::Dicom));
    if sources.is_empty() {
        let (modality, left) = (rules.modality, account.summary());
        return Err(Error::unreadable(format!("no scan of modality {modality} among the data; left out: {left}")));
    }
    sources.sort_by(|a, b| a.id().cmp(b.id()));
    Ok(FoundVolumes { sources, account })
}

fn dicom_or_other(path: &Path, name: &str) -> Inclusion {
    volume_file::inclusion(path, name).unwrap_or_else(|| dicom::candidate(path, name).inclusion())
}

/// Takes the files of [`VolumeFile`]s from the files of a dataset. A header and its voxels are one.
fn arrays(mut files: Vec<FoundFile>, hdf5: &Hdf5Rules) -> (Vec<VolumeFile>, Vec<FoundFile>) {
    let (hdf5, is_nifti) =
        (Arc::new(hdf5.of_scans()), |file: &FoundFile| nifti::has_known_extension(&lower_case_name(&file.path)));
    let others = files.iter().filter(|file| !is_nifti(file));
    let arrays: Vec<VolumeFile> = others.filter_map(|file| VolumeFile::of(file, &hdf5)).collect();
    let taken: HashSet<PathBuf> = arrays.iter().flat_map(VolumeFile::files).map(|file| file.path.clone()).collect();
    files.retain(|file| !taken.contains(&file.path));
    (arrays, files)
}

fn lower_case_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// Whether a file is read as NIfTI: by its extension, or, with another one given by the user, because it is not DICOM.
fn is_nifti(file: &FoundFile) -> bool {
    let name = lower_case_name(&file.path);
    nifti::has_known_extension(&name)
        || dicom::candidate(&file.path, &name) == Candidate::Other && nifti::read_header(&file.path).is_ok()
}

impl VolumeSource {
    /// A volume that is one file, or a header and its voxels: by the extension, else NIfTI. Voxels that are infinite or NaN become
    /// `outside`. Of HDF5 files `hdf5` is read.
    pub(crate) fn of_file(file: &FoundFile, outside: f32, hdf5: Hdf5Choice) -> Self {
        match VolumeFile::of(file, &Arc::new(hdf5)) {
            Some(file) => Self::File { file, outside },
            None => Self::Nifti { file: file.clone(), outside },
        }
    }

    /// Id of the volume: the entry and the path below it, with the end of the UID for a series, and what tells several
    /// scans of one file or UID apart.
    pub fn id(&self) -> &str {
        match self {
            Self::Nifti { file, .. } => &file.id,
            Self::File { file, .. } => &file.header().id,
            Self::Dicom(series) => series.id(),
        }
    }

    /// Ids of the files that it is read from.
    pub fn file_ids(&self) -> Vec<&str> {
        match self {
            Self::Nifti { file, .. } => vec![&file.id],
            Self::File { file, .. } => file.files().iter().map(|file| file.id.as_str()).collect(),
            Self::Dicom(series) => series.used_files(),
        }
    }

    /// Index of the entry of the data that the volume was found in.
    pub fn entry(&self) -> u32 {
        match self {
            Self::Nifti { file, .. } => file.entry,
            Self::File { file, .. } => file.header().entry,
            Self::Dicom(series) => series.entry(),
        }
    }

    /// Path of the file that was found for it: of a header, where the voxels are beside it. `None` of a series.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Nifti { file, .. } => Some(&file.path),
            Self::File { file, .. } => Some(&file.header().path),
            Self::Dicom(_) => None,
        }
    }

    /// Adds the identity of the files to a fingerprint.
    pub fn add_to(&self, fingerprint: &mut Fingerprint) {
        match self {
            Self::Nifti { file, .. } => {
                fingerprint.add_file(file);
                if let Some(other) = nifti::other_of_pair(file) {
                    fingerprint.add_file(&other);
                }
            }
            Self::File { file, .. } => file.files().iter().for_each(|file| fingerprint.add_file(file)),
            Self::Dicom(series) => series.add_to(fingerprint),
        }
    }

    /// Checks that the files have not changed since they were found.
    ///
    /// # Errors
    /// A file that is gone, or that was written since.
    pub fn check_unchanged(&self) -> Result<(), Error> {
        match self {
            Self::Nifti { file, .. } => file.check_unchanged(),
            Self::File { file, .. } => file.files().iter().try_for_each(FoundFile::check_unchanged),
            Self::Dicom(series) => series.check_unchanged(),
        }
    }

    /// Size, spacing and notes of the volume, from headers alone.
    ///
    /// # Errors
    /// Files that are missing, damaged, or of an unsupported kind.
    pub fn info(&self) -> Result<VolumeInfo, Error> {
        match self {
            Self::Nifti { .. } | Self::File { .. } => self.opened(|opened, _| Ok(opened.into())),
            Self::Dicom(series) => {
                let SeriesInfo { size, spacing_mm, notes, file_axes } = series.info()?;
                Ok(VolumeInfo { size, spacing_mm, is_integer: None, notes, file_axes })
            }
        }
    }

    /// Reads the volume.
    ///
    /// # Errors
    /// Those of [`VolumeSource::info`], damaged voxels.
    pub fn read(&self) -> Result<Decoded, Error> {
        match self {
            Self::Nifti { .. } | Self::File { .. } => self.opened(StoredFile::read),
            Self::Dicom(series) => series.read().map(|(volume, n_replaced)| Decoded { volume, n_replaced }),
        }
    }

    /// As [`VolumeSource::info`], in stored order: the file's axes `(i, j, k)` become `[k, i, j]`, and its orientation
    /// is ignored.
    ///
    /// # Errors
    /// Those of [`VolumeSource::info`].
    pub fn stored_info(&self) -> Result<VolumeInfo, Error> {
        match self {
            Self::Nifti { .. } | Self::File { .. } => self.opened(|opened, _| Ok(opened.in_stored_order().into())),
            Self::Dicom(series) => Self::Dicom(Box::new(series.in_stored_order())).info(),
        }
    }

    /// Reads the volume as [`VolumeSource::read`] does, in stored order.
    ///
    /// # Errors
    /// Those of [`VolumeSource::read`].
    pub fn read_stored(&self) -> Result<Decoded, Error> {
        match self {
            Self::Nifti { .. } | Self::File { .. } => self.opened(|opened, path| opened.in_stored_order().read(path)),
            Self::Dicom(series) => Self::Dicom(Box::new(series.in_stored_order())).read(),
        }
    }

    /// Reads some slices of the volume, which has the size `size`. `gzip_index` belongs to this volume; only compressed
    /// files use it.
    ///
    /// # Errors
    /// Those of [`VolumeSource::read`], a volume that is no longer of this size.
    pub fn read_slab(&self, size: [usize; 3], slices: Range<usize>, gzip_index: &GzipIndex) -> Result<Decoded, Error> {
        match self {
            Self::Nifti { .. } | Self::File { .. } => {
                self.opened(|opened, path| opened.read_slab(path, size, slices, gzip_index))
            }
            Self::Dicom(series) => series.read_slab(slices).map(|(volume, n_replaced)| Decoded { volume, n_replaced }),
        }
    }

    /// Opens the file of an array, and passes it on with its path.
    fn opened<T>(&self, read: impl FnOnce(StoredFile<'static>, &Path) -> Result<T, Error>) -> Result<T, Error> {
        match self {
            Self::Nifti { file, outside } => read(nifti::open(&file.path)?.with_outside(*outside), &file.path),
            Self::File { file, outside } => read(file.open()?.with_outside(*outside), &file.header().path),
            Self::Dicom(series) => Err(Error::bad_request(format!("{} is a DICOM series", series.id()))),
        }
    }

    /// Whether some slices cost as much as all of them.
    pub fn needs_whole_file(&self) -> bool {
        match self {
            Self::Nifti { .. } | Self::File { .. } => {
                self.opened(|opened, _| Ok(opened.needs_whole_file())).unwrap_or(false)
            }
            Self::Dicom(series) => series.needs_whole_file(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assumed_orientation_is_not_stated_in_any_format() {
        let axes = [0, 1, 2];
        let file_axes = FileAxes { size: [1; 3], axis: axes, flipped: [false; 3], to_ras_mm: None, spacing_mm: None };
        let info =
            |note| VolumeInfo { size: [1; 3], spacing_mm: [1.0; 3], is_integer: None, notes: vec![note], file_axes };
        assert!(info("has several volumes").states_orientation());
        for note in volume_file::ASSUMED_ORIENTATIONS.into_iter().chain([stack::NO_ORIENTATION]) {
            assert!(!info(note).states_orientation(), "{note}");
        }
    }
}
