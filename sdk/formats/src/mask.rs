//! Segmentation masks as files, whatever their format: labels with their size and spacing.

use std::path::Path;

use medcoss_sdk::{Error, FoundFile};

use crate::label_image;
use crate::sub_volume_labels::{self, labels_of};
use crate::volume_source::{Hdf5Choice, VolumeSource};

/// A mask.
#[derive(Debug, Clone, PartialEq)]
pub struct Mask {
    /// `[rows, columns]` of an image; `[slices, rows, columns]` of a volume, along the body's axes where its file states them, so that two masks of one
    /// scan agree in whatever order their files lie.
    pub shape: Vec<usize>,
    /// Distance of neighbours along each axis in millimetres, of volumes that state it.
    pub spacing_mm: Option<Vec<f64>>,
    /// Labels, the last axis fastest.
    pub labels: Vec<u16>,
}

/// Extensions of masks that are read, in lower case.
pub fn extensions() -> impl Iterator<Item = &'static str> {
    label_image::MASK_EXTENSIONS.iter().chain(sub_volume_labels::MASK_EXTENSIONS).copied()
}

/// Reads a mask. `id` names it in messages.
///
/// # Errors
/// A file that is missing, damaged, of another kind, or has numbers that are no labels.
pub fn read_mask(path: &Path, id: &str) -> Result<Mask, Error> {
    let unreadable = |error: std::io::Error| Error::unreadable(format!("mask {id} cannot be read")).caused_by(&error);
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Error::unreadable(format!("mask {id} is no file")));
    }
    let (bytes, modified) = (metadata.len(), metadata.modified().ok());
    let file = FoundFile { path: path.into(), id: id.into(), entry: 0, bytes, modified };
    let name = id.to_ascii_lowercase();
    if label_image::MASK_EXTENSIONS.iter().any(|extension| name.ends_with(extension)) {
        let map = label_image::read_labels(&file)?;
        return Ok(Mask { shape: map.shape().to_vec(), spacing_mm: None, labels: map.values().to_vec() });
    }
    let source = VolumeSource::of_file(&file, 0.0, Hdf5Choice::default());
    let info = source.info()?;
    let decoded = source.read()?;
    let labels = labels_of(id, &decoded)?;
    let spacing_mm = Some(info.spacing_mm.iter().map(|mm| f64::from(*mm)).collect());
    Ok(Mask { shape: info.size.to_vec(), spacing_mm, labels })
}
