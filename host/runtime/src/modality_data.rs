//! Data of one modality, as a caller specifies them.

use std::path::PathBuf;

use crate::config::{OneOrMore, StageSection};
use crate::data_source::DataSource;

/// Data of one modality: the plugin's id, the paths, and the plugin's options.
#[derive(Debug, Clone, PartialEq)]
pub struct ModalityData {
    /// Id of the modality's plugin.
    pub modality: String,
    /// Files and folders with the data, relative to the data root.
    pub paths: Vec<PathBuf>,
    /// Options of the plugin.
    pub options: toml::Table,
}

impl ModalityData {
    /// Data that are read with the options of the run's stage of that modality, or else the plugin's defaults.
    pub fn new(modality: &str, paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        let paths = paths.into_iter().map(Into::into).collect();
        Self { modality: modality.into(), paths, options: toml::Table::new() }
    }

    /// The data as a stage of a configuration.
    pub(crate) fn section(&self) -> StageSection {
        let data = match self.paths.as_slice() {
            [one] => DataSource::Paths(OneOrMore::One(one.clone())),
            several => DataSource::of_paths(several.to_vec()),
        };
        StageSection { options: self.options.clone(), ..StageSection::new(&self.modality, data) }
    }
}
