//! Configuration of a model of a task: backbone, samples, target and head.

use std::collections::BTreeMap;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::head::HeadConfig;
use super::targets::TargetKind;
use crate::data::TokenSpec;
use crate::decoders::{DecoderConfig, TokenGrid};
use crate::model::{Model, ModelConfig};
use crate::{Result, SettingError};

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
        if let Some(grid) = &self.grid {
            // Products of numbers from a file, which may be any.
            let product = |sides: &[usize]| sides.iter().try_fold(1usize, |n, side| n.checked_mul(*side)).unwrap_or(0);
            let [[a, b, c], [d, e, f]] = [grid.grid, grid.patch];
            let (n, d_own) = (product(&[a, b, c]), product(&[d, e, f, grid.channels]));
            if !matches!(self.tokens, TokenSpec::Continuous { n_tokens, d_token, .. } if n_tokens == n && d_token == d_own && n * d_own > 0)
            {
                let expected = format!("that of the tokens, {:?}", self.tokens);
                return Err(SettingError::out_of_range("grid of the model", format!("{grid:?}"), expected).into());
            }
        }
        match (&self.head, &self.grid) {
            (TaskHeadConfig::Voxels(decoder), Some(grid)) => decoder.check(grid),
            (TaskHeadConfig::Voxels(_), None) => {
                Err(SettingError::out_of_range("grid of the model", "none", "that of the voxels").into())
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

/// Configuration of the head of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskHeadConfig {
    /// Of whole samples.
    Samples(HeadConfig),
    /// Of voxels.
    Voxels(DecoderConfig),
}
