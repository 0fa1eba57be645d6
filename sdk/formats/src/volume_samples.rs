//! Samples of a volume dataset: sub-volumes of this project, or samples as the reference makes them.

use std::path::{Path, PathBuf};

use medcoss_sdk::label_map::LabelMap;
use medcoss_sdk::volume::Volume;
use medcoss_sdk::{Account, Error, FileGrid, Fingerprint, FoundFile, SampleRecord, saved_samples};

use crate::nifti_write::{NiftiFile, NumberType, in_file_order};
use crate::reference_preparation::{Preparation, ReferenceSettings, ReferenceSteps, ReferenceVolumes};
use crate::sub_volumes::{SubVolumeSettings, SubVolumes};

/// Settings of the samples.
#[derive(Debug, Clone, PartialEq)]
pub enum VolumeSettings {
    /// Settings of sub-volumes along the axes of the body.
    SubVolumes(SubVolumeSettings),
    /// Settings of samples as the reference makes them.
    Reference(ReferenceSettings),
}

impl VolumeSettings {
    /// Settings of a preparation: of its own sub-volumes as `sub_volumes` says, of raw scans by the reference's steps `raw`, which have the
    /// size, scans and memory of `sub_volumes`.
    pub fn of(preparation: Preparation, sub_volumes: SubVolumeSettings, raw: ReferenceSteps) -> Self {
        let steps = match preparation {
            Preparation::SubVolumes => return Self::SubVolumes(sub_volumes),
            Preparation::Reference => raw,
            Preparation::Prepared => ReferenceSteps::Prepared,
        };
        let SubVolumeSettings { size, cache_mb, scans, .. } = sub_volumes;
        Self::Reference(ReferenceSettings { size, steps, cache_mb, scans })
    }
}

/// Samples of a dataset. Many threads may use them at once.
#[derive(Debug)]
pub enum VolumeSamples {
    /// Sub-volumes along the body's axes.
    SubVolumes(SubVolumes),
    /// Samples as the reference makes them.
    Reference(ReferenceVolumes),
}

impl VolumeSamples {
    /// Lists the samples of the entries' volumes.
    ///
    /// # Errors
    /// Those of [`SubVolumes::open`] and [`ReferenceVolumes::open`].
    pub fn open(base: &Path, entries: &[PathBuf], settings: VolumeSettings) -> Result<Self, Error> {
        match settings {
            VolumeSettings::SubVolumes(settings) => SubVolumes::open(base, entries, settings).map(Self::SubVolumes),
            VolumeSettings::Reference(settings) => ReferenceVolumes::open(base, entries, settings).map(Self::Reference),
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        match self {
            Self::SubVolumes(samples) => samples.len(),
            Self::Reference(samples) => samples.len(),
        }
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Record of a sample. The samples of a scan are one group.
    pub fn record(&self, index: usize) -> SampleRecord {
        let (id, scan, entry) = match self {
            Self::SubVolumes(samples) => (samples.id(index), samples.file_id(index), samples.entry(index)),
            Self::Reference(samples) => (samples.id(index), samples.file_id(index), samples.entry(index)),
        };
        SampleRecord::new(id).of_file(scan).of_entry(entry).in_group(scan)
    }

    /// Fingerprint of the dataset; changes when the files do.
    pub fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::SubVolumes(samples) => samples.fingerprint(),
            Self::Reference(samples) => samples.fingerprint(),
        }
    }

    /// Files that are used and left out.
    pub fn account(&self) -> &Account {
        match self {
            Self::SubVolumes(samples) => samples.account(),
            Self::Reference(samples) => &samples.account,
        }
    }

    /// The grid of a sample's file; `None` where it is not known.
    pub fn grid(&self, index: usize) -> Option<FileGrid> {
        match self {
            Self::SubVolumes(samples) => samples.grid(index),
            Self::Reference(samples) => samples.grid(index),
        }
    }

    /// Labels of a sample from the mask of its scan.
    ///
    /// # Errors
    /// Those of [`SubVolumes::label_map`] and [`ReferenceVolumes::label_map`].
    pub fn label_map(&self, index: usize, mask: &FoundFile) -> Result<LabelMap, Error> {
        match self {
            Self::SubVolumes(samples) => samples.label_map(index, mask),
            Self::Reference(samples) => samples.label_map(index, mask),
        }
    }

    /// Writes the voxels of a sample, `[depth, rows, columns]`, into a file and returns the file's name. The file is
    /// opened again as its samples are, with the sample's size: as a sub-volume without stride, spacing and dropped
    /// ends, or as a prepared file. Voxels are then equal to the bit. See [`medcoss_sdk::Dataset::save_samples`].
    ///
    /// # Errors
    /// Voxels that do not have this size, a file that cannot be written.
    pub fn save(&self, size: [usize; 3], voxels: Vec<f32>, position: usize, folder: &Path) -> Result<PathBuf, Error> {
        // The first axis of a prepared file is that of the rows.
        let facing = match self {
            Self::SubVolumes(_) => "LPS",
            Self::Reference(_) => "PLS",
        };
        let (file_size, values, placement) = in_file_order(&Volume::new(size, [1.0; 3], voxels)?, facing)?;
        let name = saved_samples::name(position, ".nii.gz");
        let file = NiftiFile {
            size: &file_size,
            stored_values: &values,
            datatype: NumberType::F32,
            placement,
            scaling: [1.0, 0.0],
            big_endian: false,
        };
        file.write(&folder.join(&name))?;
        Ok(name.into())
    }
}
