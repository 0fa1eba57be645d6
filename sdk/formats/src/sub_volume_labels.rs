//! Segmentation masks of sub-volumes: files of whole numbers in a format of arrays, cropped and resampled like their scans.
//!
//! A mask is turned to the same axes as its scan by its own header, must have the scan's size and spacing, and is
//! cropped and resampled at the same positions as the scan, each label from the nearest voxel. Only the slices of a
//! sample are held in memory. Origins are not compared: two files of one size and spacing are taken to be aligned.

use medcoss_sdk::label_map::{LabelMap, check_fits};
use medcoss_sdk::{Error, FoundFile};

use crate::sub_volumes::{SLAB_VOXELS, SubVolumes};
use crate::volume_source::{Decoded, GzipIndex, VolumeInfo, VolumeSource};

/// File extensions of supported masks.
pub const MASK_EXTENSIONS: &[&str] = &[
    ".nii", ".nii.gz", ".hdr", ".hdr.gz", ".mha", ".mhd", ".nrrd", ".nhdr", ".npy", ".npz", ".mgh", ".mgz", ".h5",
    ".hdf5",
];
/// Largest relative difference of spacings that count as equal.
const SPACING_TOLERANCE: f32 = 1e-3;
/// Largest distance of a scaled number from the label that it stands for.
const LABEL_TOLERANCE: f32 = 1e-3;

impl SubVolumes {
    /// Id of a sample's scan, by which its mask is found. For a DICOM series that is alone in its folder it is the
    /// folder.
    pub fn file_id(&self, index: usize) -> &str {
        let id = self.scans[self.windows[index].0].source.id();
        let folder = |id: &str| id.split_once("#series=").map(|(folder, _)| folder.len());
        match folder(id) {
            Some(end)
                if self.scans.iter().filter(|scan| scan.source.id()[..].starts_with(&id[..end + 1])).count() == 1 =>
            {
                &id[..end]
            }
            _ => id,
        }
    }

    /// Labels of a sub-volume, `[depth, rows, columns]`, from the mask of its scan; 0 outside of the scan.
    ///
    /// # Errors
    /// A mask that cannot be read, has another size, spacing or orientation than its scan, or has numbers that are not
    /// labels.
    pub fn label_map(&self, index: usize, mask: &FoundFile) -> Result<LabelMap, Error> {
        let scan = &self.scans[self.windows[index].0];
        let info = scan.info.as_ref().map_err(Error::clone)?;
        let source = VolumeSource::of_file(mask, 0.0, self.settings.scans.hdf5.of_masks());
        check_alike(&mask.id, &source.info()?, scan.source.id(), info)?;
        let samplings = self.samplings(index, None)?;
        let slices = samplings[0].nearest(info.size[0]);
        let touched = || slices.iter().flatten().copied();
        let (Some(start), Some(last)) = (touched().min(), touched().max()) else {
            return Err(Error::bad_request(format!("samples that are {samplings:?} miss {}", scan.source.id())));
        };
        let [_, rows, columns] = info.size;
        let most = (SLAB_VOXELS / (rows * columns)).max(1);
        let mut labels = Vec::new();
        // The index serves the slabs of this mask only, of which there is nearly always one.
        let gzip_index = GzipIndex::new(0);
        for at in (start..=last).step_by(most) {
            let slab = source.read_slab(info.size, at..(at + most).min(last + 1), &gzip_index)?;
            labels.extend(labels_of(&mask.id, &slab)?);
        }
        let map = LabelMap::new(&[last + 1 - start, rows, columns], labels)?;
        let [depth, rest @ ..] = samplings;
        let spacing = [0, 1, 2].map(|axis| f64::from(info.spacing_mm[axis]) * samplings[axis].step());
        map.sampled(&[depth.shifted(-(start as f64)), rest[0], rest[1]])?.with_spacing_mm(&spacing)
    }
}

/// Checks that a mask and its scan have the same grid of voxels.
fn check_alike(mask: &str, found: &VolumeInfo, scan: &str, expected: &VolumeInfo) -> Result<(), Error> {
    check_fits(mask, &found.size, scan, &expected.size)?;
    if expected.states_orientation() && !found.states_orientation() {
        return Err(Error::bad_request(format!(
            "mask {mask} does not state its orientation, and {scan} does: their alignment is not known\n\
             hint: write the mask with the orientation of its scan, for NIfTI as sform or qform"
        )));
    }
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= SPACING_TOLERANCE * b.abs();
    if !found.spacing_mm.iter().zip(&expected.spacing_mm).all(near) {
        return Err(Error::bad_request(format!(
            "mask {mask} has a spacing of {:?} mm, and {scan} of {:?} mm; both must be the same\n\
             hint: export the mask in the geometry of its scan",
            found.spacing_mm, expected.spacing_mm
        )));
    }
    Ok(())
}

/// The labels of a mask's voxels.
pub(crate) fn labels_of(mask: &str, decoded: &Decoded) -> Result<Vec<u16>, Error> {
    if decoded.n_replaced > 0 {
        let n = decoded.n_replaced;
        return Err(Error::corrupt(format!("mask {mask} has {n} voxels that are infinite or NaN")));
    }
    decoded.volume.voxels().iter().map(|&value| label(value).ok_or_else(|| no_label(mask, value))).collect()
}

fn label(value: f32) -> Option<u16> {
    let whole = value.round();
    ((value - whole).abs() <= LABEL_TOLERANCE && (0.0..=65535.0).contains(&whole)).then_some(whole as u16)
}

fn no_label(mask: &str, value: f32) -> Error {
    Error::corrupt(format!("mask {mask} has a voxel of {value}; labels are whole numbers from 0 to 65535"))
}
