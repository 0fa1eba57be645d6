//! Stored model of a run: path of the parameters, and configuration.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::Device;

use super::files::write_atomically;
use super::layout::RunLayout;
use super::stage_folder::StageFolder;
use super::stage_state::StageState;
use crate::model::{Model, ModelConfig};
use crate::{Error, Result};

/// Stored model: path of the parameters, and configuration.
#[derive(Debug, Clone)]
pub struct StoredModel {
    path: PathBuf,
    /// Configuration of the model: sizes and families.
    pub config: ModelConfig,
}

impl StoredModel {
    /// A stored model with its parameters at `path`.
    pub(crate) fn new(path: PathBuf, config: ModelConfig) -> Self {
        Self { path, config }
    }

    /// The model of a finished stage.
    pub fn of_stage(folder: &StageFolder, state: &StageState) -> Self {
        Self { path: folder.file(RunLayout::MODEL), config: state.model.clone() }
    }

    /// Path of the parameters.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Loads the model to a device.
    ///
    /// # Errors
    /// A file that is missing, damaged, or of other sizes.
    pub fn load(&self, device: &Device) -> Result<Model> {
        // Values are read over the initial ones; which these are does not matter.
        load_model(&self.path, Model::new(&self.config, 0, 0, device))
    }
}

/// Writes all parameters of a model to a file.
pub(crate) fn save_model(path: &Path, model: &Model) -> Result<()> {
    let bytes = model.valid().into_record().into_bytes().map_err(|error| Error::damaged(path, error))?;
    write_atomically(path, &bytes)
}

/// Reads all parameters from a file into a model of the same shape.
pub(crate) fn load_model(path: &Path, model: Model) -> Result<Model> {
    let record = ModuleRecord::load(path).map_err(|error| Error::damaged(path, error))?;
    model.try_load_record(record).map_err(|error| Error::damaged(path, error))
}
