//! Which dataset of an HDF5 file is the volume, and which of its axes is depth. The format says neither.

use medcoss_sdk::schemars::JsonSchema;
use medcoss_sdk::serde::{Deserialize, Serialize};

/// The axis of a dataset that is depth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", crate = "medcoss_sdk::serde")]
#[schemars(crate = "medcoss_sdk::schemars")]
pub enum SliceAxis {
    /// `[x, y, slice]`: columns, rows, slices.
    #[default]
    Last,
    /// `[slice, row, column]`.
    First,
}

/// What is read of the HDF5 files of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hdf5Rules {
    /// Name of the dataset with the scan; `None` where a file has one dataset of three axes.
    pub dataset: Option<String>,
    /// The same of masks, which may lie in the file of their scan.
    pub mask_dataset: Option<String>,
    /// The axis that is depth, of scans and masks.
    pub slice_axis: SliceAxis,
}

/// What is read of an HDF5 file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hdf5Choice {
    pub(crate) dataset: Option<String>,
    pub(crate) slice_axis: SliceAxis,
    /// The option that names a dataset; `None` where the user has none.
    pub(crate) option: Option<&'static str>,
}

impl Hdf5Rules {
    /// The only dataset of three axes, with slices along its last one.
    pub const ONLY_DATASET: Self = Self { dataset: None, mask_dataset: None, slice_axis: SliceAxis::Last };

    #[cfg(feature = "volume")]
    pub(crate) fn of_scans(&self) -> Hdf5Choice {
        let Self { dataset, slice_axis, .. } = self;
        Hdf5Choice { dataset: dataset.clone(), slice_axis: *slice_axis, option: Some("dataset") }
    }

    #[cfg(feature = "volume")]
    pub(crate) fn of_masks(&self) -> Hdf5Choice {
        let Self { mask_dataset, slice_axis, .. } = self;
        Hdf5Choice { dataset: mask_dataset.clone(), slice_axis: *slice_axis, option: Some("mask_dataset") }
    }
}
