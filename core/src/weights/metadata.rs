//! Metadata of an exported file, beside its tensors.

use serde::{Deserialize, Serialize};

use super::tensor_file::TensorFile;
use crate::model::ModelConfig;
use crate::{Error, Result, WeightsError};

/// Layout of an exported file: names and shapes of tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Published layout, which the reference implementation loads.
    Medcoss,
    /// Layout of medcoss: paths in the model, linear layers as `[input, output]`, all families.
    MedcossRs,
}

impl std::fmt::Display for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Medcoss => "medcoss",
            Self::MedcossRs => "medcoss-rs",
        })
    }
}

/// Metadata of an exported file: layout and model configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Metadata {
    /// Layout of the tensors.
    pub layout: Layout,
    /// Configuration of the model: sizes and families.
    pub model: ModelConfig,
}

impl Metadata {
    /// Metadata of a file that medcoss wrote; `None` for other files.
    pub fn of(file: &TensorFile) -> Result<Option<Self>> {
        let wrong = |error: serde_json::Error| {
            Error::from(WeightsError::Metadata { path: file.path().into(), reason: error.to_string() })
        };
        file.note().map(|note| serde_json::from_str(note).map_err(wrong)).transpose()
    }

    /// JSON text of the metadata.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain structures become JSON")
    }
}
