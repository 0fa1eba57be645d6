//! What an exported file says of itself, beside its tensors.

use serde::{Deserialize, Serialize};

use super::tensor_file::TensorFile;
use crate::model::ModelConfig;
use crate::{Error, Result, WeightsError};

/// Names and shapes of an exported file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// The published one, which the reference implementation loads.
    Medcoss,
    /// Our own: paths in the model, linear layers as `[input, output]`, all families.
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

/// The note.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Metadata {
    /// Names and shapes.
    pub layout: Layout,
    /// Sizes and families of the model.
    pub model: ModelConfig,
}

impl Metadata {
    /// The note of a file that we wrote.
    pub fn of(file: &TensorFile) -> Result<Option<Self>> {
        let wrong = |error: serde_json::Error| {
            Error::from(WeightsError::Metadata { path: file.path().into(), reason: error.to_string() })
        };
        file.note().map(|note| serde_json::from_str(note).map_err(wrong)).transpose()
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain structures become JSON")
    }
}
