//! Where volumes come from: one place that decides by the kind of a file.
//!
//! Today every volume is one NIfTI file. A DICOM series, which is many files, becomes a second kind of
//! [`VolumeSource`]: found in [`find_volumes`], and read in the functions below it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use medcoss_sdk::volume::Volume;
use medcoss_sdk::{Error, Fingerprint, FoundFile, find_files};

use crate::nifti;
pub use crate::nifti::Decoded;

/// The kinds that are read, for people.
pub const KINDS: &[&str] = &[nifti::KINDS];

/// A volume that can be read.
#[derive(Debug, Clone)]
pub enum VolumeSource {
    /// A NIfTI file, or the header of a pair.
    Nifti(FoundFile),
}

/// What is known of a volume without its voxels.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// `[depth, rows, columns]`.
    pub size: [usize; 3],
    /// Distance of neighbouring voxels in the same order.
    pub spacing_mm: [f32; 3],
    /// What a user should know, as the end of a sentence that begins with the volume's name.
    pub notes: Vec<&'static str>,
}

/// The volumes of the entries, in the order of their ids. An entry that is itself a file is taken whatever its name.
///
/// # Errors
/// Those of [`find_files`].
pub fn find_volumes(base: &Path, entries: &[PathBuf]) -> Result<Vec<VolumeSource>, Error> {
    let files = find_files(base, entries, nifti::has_known_name, &KINDS.join(", "))?;
    Ok(nifti::without_voxels_of_pairs(files).into_iter().map(VolumeSource::Nifti).collect())
}

impl Decoded {
    /// Some slices of a volume that was read as a whole, and that must be of `size`: for kinds without a shorter way.
    ///
    /// # Errors
    /// A volume of another size, slices that it does not have.
    pub fn cut(self, size: [usize; 3], slices: Range<usize>) -> Result<Self, Error> {
        let found = self.volume.size();
        if found != size || slices.is_empty() || slices.end > size[0] {
            return Err(Error::bad_request(format!(
                "{found:?} voxels, where slices {slices:?} of {size:?} are wanted"
            )));
        }
        let plane = size[1] * size[2];
        let voxels = self.volume.voxels()[slices.start * plane..slices.end * plane].to_vec();
        let volume = Volume::new([slices.len(), size[1], size[2]], self.volume.spacing_mm(), voxels)?;
        Ok(Self { volume, n_replaced: self.n_replaced })
    }
}

impl VolumeSource {
    /// Id: the entry and the path below it.
    pub fn id(&self) -> &str {
        match self {
            Self::Nifti(file) => &file.id,
        }
    }

    /// Adds what identifies the files.
    pub fn add_to(&self, fingerprint: &mut Fingerprint) {
        match self {
            Self::Nifti(file) => {
                fingerprint.add_file(file);
                if let Some(other) = nifti::other_of_pair(file) {
                    fingerprint.add_file(&other);
                }
            }
        }
    }

    /// Size, spacing and oddities, from headers alone.
    ///
    /// # Errors
    /// Files that are missing, damaged, or of a kind that is not read.
    pub fn outline(&self) -> Result<Outline, Error> {
        match self {
            Self::Nifti(file) => {
                let header = nifti::read_header(&file.path)?;
                Ok(Outline { size: header.size, spacing_mm: header.spacing_mm, notes: header.notes })
            }
        }
    }

    /// The volume.
    ///
    /// # Errors
    /// Those of [`VolumeSource::outline`], damaged voxels.
    pub fn read(&self) -> Result<Decoded, Error> {
        match self {
            Self::Nifti(file) => nifti::read_volume(&file.path),
        }
    }

    /// Some slices of the volume, which is of `size`. A kind without a shorter way reads the whole and cuts it.
    ///
    /// # Errors
    /// Those of [`VolumeSource::read`], a volume that is no longer of this size.
    pub fn read_slab(&self, size: [usize; 3], slices: Range<usize>) -> Result<Decoded, Error> {
        match self {
            Self::Nifti(file) => nifti::read_slab(&file.path, size, slices),
        }
    }

    /// Whether some slices cost as much as all of them.
    pub fn slices_need_everything(&self) -> bool {
        match self {
            Self::Nifti(file) => nifti::slices_need_the_whole_file(&file.path).unwrap_or(false),
        }
    }
}
