//! Samples of scans as the MedCoSS reference prepares and reads them, from raw files or from files that its scripts prepared.
//!
//! A file's array is used in stored order: its axes `(i, j, k)` become `[k, i, j]`, depth, rows, columns of a sample,
//! and the orientation in the header is ignored. `ct` and `mri` hold the steps of the two modalities, `spline` and
//! `squeeze` the two kinds of resampling. [`crate::sub_volumes`] makes this project's own samples, which follow the
//! axes of the body.
//!
//! A scan is prepared as a whole and cached within `cache_mb`. Sizes are checked before voxels are read.

mod ct;
mod dataset;
#[cfg(test)]
mod golden;
mod mri;
mod spline;
mod squeeze;

use medcoss_sdk::Error;
use medcoss_sdk::schemars::JsonSchema;
use medcoss_sdk::serde::{Deserialize, Serialize};

use crate::crop::{Crop, SubVolumeSettings};
use crate::volume_source::ScanRules;

pub use dataset::ReferenceVolumes;

/// Largest prepared scan in voxels: 2 GiB as `f32`.
const MAX_VOXELS: u64 = 1 << 29;
/// Largest prepared scan in voxels whatever the file: 256 MiB. A larger one must come from a large file, not from the
/// claim of a header.
const MAX_SMALL_VOXELS: u64 = 1 << 26;
/// Largest number of voxels of a large prepared scan for each voxel of its file.
const MAX_GROWTH: u64 = 8;

/// Whether a file of `n_in_file` voxels may give a prepared scan of `n_prepared`.
fn is_affordable(n_prepared: u64, n_in_file: u64) -> bool {
    n_prepared <= MAX_SMALL_VOXELS || n_prepared <= MAX_VOXELS.min(n_in_file.saturating_mul(MAX_GROWTH))
}

/// Preparation of scans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", crate = "medcoss_sdk::serde")]
#[schemars(crate = "medcoss_sdk::schemars")]
pub enum Preparation {
    /// Sub-volumes along the body's axes, see [`crate::sub_volumes`].
    #[default]
    SubVolumes,
    /// Raw scans, prepared as the reference's scripts and data sets do.
    Reference,
    /// Files that the reference's scripts prepared, each one sample.
    Prepared,
}

/// Preparation steps of the reference for raw scans.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ReferenceSteps {
    /// CT, clipped to a range of Hounsfield units.
    Ct {
        /// The range in Hounsfield units, the lower end first.
        hu_range: [f32; 2],
    },
    /// MRI, each tile clipped to percentiles and standardised.
    Mri {
        /// The percentiles (0 to 100), the lower first.
        percentiles: [f64; 2],
    },
    /// No steps: files are prepared already.
    Prepared,
}

/// Settings of samples that are prepared as the reference does.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceSettings {
    /// `[depth, rows, columns]` of a sample in voxels.
    pub size: [usize; 3],
    /// Preparation steps.
    pub steps: ReferenceSteps,
    /// Memory for prepared scans, in MiB.
    pub cache_mb: usize,
    /// Which DICOM files are scans of the modality, and what is outside of a scan.
    pub scans: ScanRules,
}

impl Preparation {
    /// Settings with which saved samples are opened again, see [`crate::volume_samples::VolumeSamples::save`].
    pub fn of_saved_samples(self) -> Self {
        match self {
            Self::SubVolumes => Self::SubVolumes,
            Self::Reference | Self::Prepared => Self::Prepared,
        }
    }

    /// Checks that no setting was changed that belongs to sub-volumes alone.
    ///
    /// # Errors
    /// The first setting that was changed, by its name in the options.
    pub fn check_without(self, sub_volumes: &SubVolumeSettings) -> Result<(), Error> {
        let options = [
            ("crop", sub_volumes.crop != Crop::Centre),
            ("stride", sub_volumes.stride.is_some()),
            ("stride_in_plane", sub_volumes.stride_in_plane.is_some()),
            ("spacing_mm", sub_volumes.spacing_mm.is_some()),
        ];
        let name = match self {
            Self::SubVolumes => return Ok(()),
            Self::Reference => "reference",
            Self::Prepared => "prepared",
        };
        match options.into_iter().find(|(_, is_set)| *is_set) {
            None => Ok(()),
            Some((option, _)) => Err(Error::bad_request(format!(
                "{option} is set, and preparation is \"{name}\", which has no such step\n\
                 hint: leave {option} out, or set preparation to \"sub-volumes\""
            ))),
        }
    }
}
