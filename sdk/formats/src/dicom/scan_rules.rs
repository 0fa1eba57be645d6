//! Rules of a modality for the files of a folder: which are its scans, and what their numbers must state.

use medcoss_sdk::schemars::JsonSchema;
use medcoss_sdk::serde::{Deserialize, Serialize};

use crate::hdf5_choice::Hdf5Rules;

/// What becomes of scans whose stored numbers have no usable rescale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", crate = "medcoss_sdk::serde")]
#[schemars(crate = "medcoss_sdk::schemars")]
pub enum MissingRescale {
    /// They are not read.
    #[default]
    Refuse,
    /// Stored numbers are taken for Hounsfield units; a missing slope is 1 and a missing intercept 0.
    StoredValues,
}

/// Rules for the scans of a modality.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanRules {
    /// Modality (0008,0060) that files in folders must state to be used: `CT`, `MR`. Files that state none, or `OT`,
    /// are used as well.
    pub modality: &'static str,
    /// Whether derived reformats and projections are used: see `image_kind`.
    pub reformats: bool,
    /// Scans without a usable rescale; `None` where stored numbers need no unit, as in MRI.
    pub missing_rescale: Option<MissingRescale>,
    /// Value of voxels outside of the scan: padding of DICOM images, infinite and NaN voxels of NIfTI files.
    pub outside: f32,
    /// What is read of HDF5 files.
    pub hdf5: Hdf5Rules,
}

impl ScanRules {
    /// CT: reformats are left out, scans without a usable rescale are refused, and outside of a scan is air.
    pub const CT: Self = Self {
        modality: "CT",
        reformats: false,
        missing_rescale: Some(MissingRescale::Refuse),
        outside: -1024.0,
        hdf5: Hdf5Rules::ONLY_DATASET,
    };
    /// MRI: reformats are left out, numbers need no rescale, and outside of a scan is 0.
    pub const MR: Self =
        Self { modality: "MR", reformats: false, missing_rescale: None, outside: 0.0, hdf5: Hdf5Rules::ONLY_DATASET };
}
