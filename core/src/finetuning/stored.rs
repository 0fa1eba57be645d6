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
use super::targets::TargetKind;
use super::task_model::{TaskHeadConfig, TaskModel};
use crate::confined_path::ConfinedPath;
use crate::data::TokenSpec;
use crate::decoders::TokenGrid;
use crate::model::{Model, ModelConfig, visit_parameters_of, with_parameters_of};
use crate::run::{check_file, read_document, sha256_of, write_document};
use crate::weights::{TensorFile, TensorOut, floats_to_bytes, write_safetensors};
use crate::{Error, Result};

/// Configuration of a model of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskModelConfig {
    /// The backbone, with the one family of the task's modality.
    pub model: ModelConfig,
    /// Shape of the samples.
    pub tokens: TokenSpec,
    /// Grid of the tokens, where samples have voxels.
    pub grid: Option<TokenGrid>,
    /// What the model gives.
    pub target: TargetKind,
    /// The head.
    pub head: TaskHeadConfig,
    /// Whether a decoder's features are computed beside the class token.
    pub class_token: bool,
}

impl TaskModelConfig {
    /// Numbers of the blocks that a decoder of voxels reads; none for other heads.
    pub fn blocks(&self) -> Vec<usize> {
        match (&self.head, &self.grid) {
            (TaskHeadConfig::Voxels(decoder), Some(grid)) => decoder.blocks(grid, self.model.dimensions.layers),
            _ => Vec::new(),
        }
    }

    /// Checks that model and head can be built.
    ///
    /// # Errors
    /// The first part that cannot.
    pub fn check(&self) -> Result<()> {
        self.model.check()?;
        match (&self.head, &self.grid) {
            (TaskHeadConfig::Voxels(decoder), Some(grid)) => decoder.check(grid),
            (TaskHeadConfig::Voxels(_), None) => {
                Err(crate::SettingError::out_of_range("grid of the model", "none", "that of the voxels").into())
            }
            (TaskHeadConfig::Samples(head), _) => head.check(),
        }
    }

    /// A backbone of this one family with the parameters of `model`, whose family number `family` it is.
    ///
    /// # Errors
    /// A device that does not give its values.
    pub fn backbone_of(&self, model: &Model, family: usize, device: &Device) -> Result<Model> {
        let mut values = BTreeMap::new();
        let own = format!("embedders.{family}.");
        model.visit_parameters(&mut |parameter| {
            let path = match parameter.path.strip_prefix(&own) {
                Some(rest) => format!("embedders.0.{rest}"),
                None if parameter.path.starts_with("embedders.") || is_of_pretext(parameter.path) => return Ok(()),
                None => parameter.path.to_string(),
            };
            values.insert(path, parameter.values()?);
            Ok(())
        })?;
        Model::new(&self.model, 0, 0, device).with_parameters(&mut |path, _| Ok(values.remove(path)))
    }
}

/// Whether a parameter of a backbone serves the pretext task alone: it is neither trained nor kept.
pub(super) fn is_of_pretext(path: &str) -> bool {
    ["decoder.", "heads.", "predictor."].iter().any(|part| path.starts_with(part))
}

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
