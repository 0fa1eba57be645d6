//! A fine-tuned model in a folder: weights with their names, and what they are for.
//!
//! ```text
//! model.json              configuration, classes, where it comes from; checksums of the files beside it
//! weights.safetensors     parameters by their paths in the model
//! metrics.jsonl           losses and metric by epoch
//! assets/                 what the plugin learned from the data of the run, with a manifest.json
//! checkpoint/             while it is trained
//! ```

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Device;
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use super::settings::FinetuneConfig;
use super::task_config::{TaskModelConfig, is_of_pretext};
use super::task_model::TaskModel;
use crate::confined_path::ConfinedPath;
use crate::model::{Model, visit_parameters_of, with_parameters_of};
use crate::run::{check_file, read_document, sha256_of, write_document};
use crate::weights::{TensorFile, TensorOut, floats_to_bytes, write_safetensors};
use crate::{Error, Result};

/// Whether a parameter of a task's model is kept.
fn is_kept(path: &str) -> bool {
    path.strip_prefix("backbone.").is_none_or(|path| !is_of_pretext(path))
}

/// What `model.json` says of a model: `Source` is what the program knows of where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskModelInfo<Source> {
    /// Version of the run format.
    pub format: u32,
    /// SHA-256 of the file itself, where it stands in the file; otherwise zeros.
    pub checksum: String,
    /// Configuration of the model.
    pub config: TaskModelConfig,
    /// Settings of the fine-tuning.
    pub finetuning: FinetuneConfig,
    /// Where the model comes from, and the data it reads.
    pub source: Source,
    /// SHA-256 of the files beside it, by name.
    #[serde(default)]
    pub checksums: BTreeMap<String, String>,
}

/// Names of a model's files.
#[derive(Debug, Clone)]
pub struct StoredTaskModel {
    folder: ConfinedPath,
}

impl StoredTaskModel {
    /// File of the description, written last.
    pub const DESCRIPTION: &str = "model.json";
    /// File of the parameters.
    pub const WEIGHTS: &str = "weights.safetensors";
    /// File of losses and metric by epoch.
    pub const METRICS: &str = "metrics.jsonl";
    /// Folder of the plugin's assets.
    pub const ASSETS: &str = "assets";

    /// The model in a folder that is open.
    pub fn of(folder: ConfinedPath) -> Self {
        Self { folder }
    }

    /// The folder.
    pub fn folder(&self) -> &ConfinedPath {
        &self.folder
    }

    /// Whether the model is complete.
    ///
    /// # Errors
    /// A description that is a link, or no file.
    pub fn is_complete(&self) -> Result<bool> {
        self.folder.join(Self::DESCRIPTION).is_file()
    }

    /// Writes the description, with the checksums of the files beside it, which are complete. It marks the model as complete.
    ///
    /// # Errors
    /// Files that cannot be read or written.
    pub fn finish<S: Serialize>(&self, mut info: TaskModelInfo<S>) -> Result<()> {
        for name in [Self::WEIGHTS, Self::METRICS] {
            info.checksums.insert(name.into(), sha256_of(&self.folder.join(name))?);
        }
        write_document(&self.folder.join(Self::DESCRIPTION), &info)
    }

    /// Reads the description.
    ///
    /// # Errors
    /// A file that is missing, damaged or of a later format; a model that cannot be built.
    pub fn info<S: serde::de::DeserializeOwned>(&self) -> Result<TaskModelInfo<S>> {
        let path = self.folder.join(Self::DESCRIPTION);
        let info: TaskModelInfo<S> = read_document(&path)?;
        info.config.check().map_err(|error| Error::damaged(&path.path(), error))?;
        Ok(info)
    }

    /// Reads the model onto a device, after the weights were compared with their checksum.
    ///
    /// # Errors
    /// Weights that are missing, damaged, not finite, or of other shapes.
    pub fn load<S>(&self, info: &TaskModelInfo<S>, device: &Device) -> Result<TaskModel> {
        let path = self.folder.join(Self::WEIGHTS);
        check_file(&path, info.checksums.get(Self::WEIGHTS).map(String::as_str).unwrap_or_default())?;
        let backbone = Model::new(&info.config.model, 0, 0, device);
        read_weights(&path, TaskModel::new(&info.config, backbone, 0, device)?)
    }
}

/// Writes the parameters of a model of a task, by their paths.
pub(super) fn write_weights(path: &ConfinedPath, model: &TaskModel) -> Result<()> {
    let model = model.valid();
    let mut tensors = Vec::new();
    visit_parameters_of(&model, &mut |parameter| {
        if is_kept(parameter.path) {
            let (name, shape) = (parameter.path.to_string(), parameter.shape.to_vec());
            tensors.push(TensorOut { name, shape, dtype: Dtype::F32 });
        }
        Ok(())
    })?;
    write_safetensors(path, &tensors, "", &mut |file| {
        visit_parameters_of(&model, &mut |parameter| {
            if !is_kept(parameter.path) {
                return Ok(());
            }
            file.write_all(&floats_to_bytes(&parameter.values()?)).map_err(Error::file("cannot write", &path.path()))
        })
    })
}

/// Reads the parameters of a model of a task from a file into one of the same shape.
pub(super) fn read_weights(path: &ConfinedPath, model: TaskModel) -> Result<TaskModel> {
    let file = TensorFile::open_confined(path)?;
    with_parameters_of(model, &mut |name, shape| {
        if !is_kept(name) {
            return Ok(None);
        }
        let damaged = |detail: String| Error::damaged(&path.path(), detail);
        let found = file.shape(name).map_err(|error| damaged(error.to_string()))?;
        if found != shape {
            return Err(damaged(format!("tensor {name} has the shape {found:?}; {shape:?} was expected")));
        }
        file.floats(name).map(Some)
    })
}
