//! A model in a run: where its parameters lie, and its sizes.

use std::path::PathBuf;

use burn::tensor::Device;

use super::checkpoint::load_model;
use super::{StageFolder, StageState};
use crate::Result;
use crate::model::{Model, ModelConfig};

/// Name of the file with a model's parameters.
pub(crate) const MODEL: &str = "model.bpk";

/// Where a model's parameters lie, and its sizes.
#[derive(Debug, Clone)]
pub struct StoredModel {
    path: PathBuf,
    /// Sizes and families.
    pub config: ModelConfig,
}

impl StoredModel {
    pub(crate) fn new(path: PathBuf, config: ModelConfig) -> Self {
        Self { path, config }
    }

    /// The model of a finished stage.
    pub fn of_stage(folder: &StageFolder, state: &StageState) -> Self {
        Self { path: folder.file(MODEL), config: state.model.clone() }
    }

    /// Where its parameters lie.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Reads it.
    ///
    /// # Errors
    /// A file that is missing, damaged, or of other sizes.
    pub fn load(&self, device: &Device) -> Result<Model> {
        // Values are read over the initial ones; which these are does not matter.
        load_model(&self.path, Model::new(&self.config, 0, 0, device))
    }
}
