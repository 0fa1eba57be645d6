//! Stored model of a run: path of the parameters, and configuration.

use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, Device};

use super::files::write_atomically;
use super::layout::RunLayout;
use super::stage_folder::StageFolder;
use super::stage_state::StageState;
use crate::confined_path::ConfinedPath;
use crate::model::{Model, ModelConfig};
use crate::{Error, Result};

/// Number of bytes of a parameter.
const N_BYTES: u64 = 4;

/// Largest size of what precedes and separates the values in a file, in bytes.
const MAX_HEADER: u64 = 64 << 20;

/// Stored model: path of the parameters, and configuration.
#[derive(Debug, Clone)]
pub struct StoredModel {
    path: ConfinedPath,
    /// Configuration of the model: sizes and families.
    pub config: ModelConfig,
}

impl StoredModel {
    /// A stored model with its parameters at `path`.
    pub(crate) fn new(path: ConfinedPath, config: ModelConfig) -> Self {
        Self { path, config }
    }

    /// The model of a finished stage.
    pub fn of_stage(folder: &StageFolder, state: &StageState) -> Self {
        Self { path: folder.file(RunLayout::MODEL), config: state.model.clone() }
    }

    /// Path of the parameters.
    pub(crate) fn path(&self) -> &ConfinedPath {
        &self.path
    }

    /// Loads the model to a device.
    ///
    /// # Errors
    /// A file that is missing, damaged, or of other sizes.
    pub fn load(&self, device: &Device) -> Result<Model> {
        load_new_model(&self.path, &self.config, device)
    }
}

/// Writes all parameters of a model to a file.
pub(crate) fn save_model(path: &ConfinedPath, model: &Model) -> Result<()> {
    let bytes = model.valid().into_record().into_bytes().map_err(|error| Error::damaged(&path.path(), error))?;
    write_atomically(path, &bytes)
}

/// Largest size of a file with the parameters of a model, in bytes.
pub(crate) fn max_model_bytes(n_parameters: u64) -> u64 {
    n_parameters.saturating_mul(N_BYTES).saturating_add(MAX_HEADER)
}

/// Reads all parameters from a file into a new model. The sizes are compared with the file before memory is claimed.
pub(crate) fn load_new_model(path: &ConfinedPath, config: &ModelConfig, device: &Device) -> Result<Model> {
    config.check()?;
    let (found, n_parameters) = (path.n_bytes()?, config.n_parameters());
    if found < n_parameters.saturating_mul(N_BYTES) {
        let detail = format!("it has {found} bytes, its model has {n_parameters} parameters of {N_BYTES}");
        return Err(Error::damaged(&path.path(), detail));
    }
    // Values are read over the initial ones; which these are does not matter.
    load_model(path, Model::new(config, 0, 0, device))
}

/// Reads all parameters from a file into a model of the same shape.
pub(crate) fn load_model(path: &ConfinedPath, model: Model) -> Result<Model> {
    let damaged = |error: &dyn std::fmt::Display| Error::damaged(&path.path(), error);
    let bytes = path.read(max_model_bytes(model.n_parameters() as u64))?;
    let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes)).map_err(|error| damaged(&error))?;
    let model = model.try_load_record(record).map_err(|error| damaged(&error))?;
    match model.not_finite()? {
        None => Ok(model),
        Some(parameter) => Err(damaged(&format!("parameter {parameter} has values that are not finite"))),
    }
}
