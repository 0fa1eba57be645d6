//! Segmentation masks of a modality's samples, read by the plugin from a folder of mask files for core.

use std::path::{Path, PathBuf};

use medcoss_abi::message::{Continuous, Geometry, LabelMaps};
use medcoss_core::Error;
use medcoss_core::data::SampleReport;
use medcoss_core::evaluation::{LabelMap, LabelMapSource};

use crate::plugin_dataset::{PluginDataset, report_of};

/// Largest number of labels that are requested at once, 2 bytes each, since an answer is held in memory.
const AT_ONCE: usize = 1 << 25;

/// Location of the mask files of some data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MaskFiles {
    /// Files and folders with masks, relative to the folder that the data are relative to.
    pub data: Vec<PathBuf>,
    /// Suffix of the masks' file names before `.nii.gz` or `.png`.
    pub mask_suffix: String,
    /// Suffix of the sample files' names, which the masks' names lack.
    pub sample_suffix: String,
    /// Prefix of the masks' file names.
    pub mask_prefix: String,
    /// Prefix of the sample files' names, which the masks' names lack.
    pub sample_prefix: String,
}

/// The segmentation masks of a dataset's samples.
pub struct MaskedSource<'a> {
    source: &'a PluginDataset,
    grid: Vec<usize>,
    request: LabelMaps,
}

impl<'a> MaskedSource<'a> {
    /// The masks below `base` for the samples of a dataset.
    ///
    /// # Errors
    /// A modality whose plugin reads no masks, or whose samples have no grid.
    pub fn new(plugin_dataset: &'a PluginDataset, base: &Path, files: &MaskFiles) -> medcoss_core::Result<Self> {
        let dataset = plugin_dataset.dataset();
        let name = dataset.plugin().name();
        let Geometry::Continuous(Continuous { grid, .. }) = dataset.geometry() else {
            return Err(Error::Dataset(format!("plugin {name} gives ids of words, which have no masks")));
        };
        if !dataset.plugin().has_label_maps() {
            return Err(Error::Dataset(format!(
                "plugin {name} reads no masks\nhint: take a task with labels, or a plugin that offers `label-maps`"
            )));
        }
        let MaskFiles { data, mask_suffix, sample_suffix, mask_prefix, sample_prefix } = files.clone();
        let base = base.into();
        let indices = Vec::new();
        let request = LabelMaps { base, data, mask_suffix, sample_suffix, mask_prefix, sample_prefix, indices };
        Ok(Self { source: plugin_dataset, grid: grid.clone(), request })
    }
}

impl LabelMapSource for MaskedSource<'_> {
    fn grid(&self) -> &[usize] {
        &self.grid
    }

    fn label_maps(&self, indices: &[u64]) -> medcoss_core::Result<Vec<Result<LabelMap, SampleReport>>> {
        let mut maps = Vec::with_capacity(indices.len());
        let dataset = self.source.dataset();
        for some in indices.chunks((AT_ONCE / dataset.shape().n_values()).max(1)) {
            let first = maps.len();
            let request = LabelMaps { indices: some.to_vec(), ..self.request.clone() };
            let answer = dataset.label_maps(&request).map_err(|error| Error::Dataset(error.to_string()))?;
            maps.extend(answer.into_iter().map(|map| {
                map.map(|map| LabelMap { shape: map.shape, spacing_mm: map.spacing_mm, values: map.values }).map_err(
                    |failure| {
                        let report = report_of(&failure, self.source);
                        SampleReport { slot: first + report.slot, ..report }
                    },
                )
            }));
        }
        Ok(maps)
    }
}
