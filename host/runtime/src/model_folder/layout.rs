//! Libraries that load exported folders.

use serde::Serialize;

/// Library that loads a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FolderLayout {
    /// Hugging Face transformers, with code in the folder.
    Huggingface,
    /// timm (PyTorch Image Models), with its own `VisionTransformer`.
    Timm,
}
