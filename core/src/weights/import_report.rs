//! Import report: taken, fresh and remaining entries, for a person to check.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::tensor_file::TensorFile;

/// Report of an import: taken, fresh, remaining, converted and assumed values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImportReport {
    /// Origin of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Parts that were taken from the file.
    pub taken: Vec<TakenPart>,
    /// Parts of the model that the file lacks: they have fresh values.
    pub fresh: Vec<String>,
    /// Entries of the file that were not taken, with the reason.
    pub left: Vec<LeftEntry>,
    /// Number of tensors that were converted to float32, by their element type.
    pub converted: BTreeMap<String, usize>,
    /// Sizes that neither the shapes nor the known sizes determine, with the source of each.
    pub assumed: Vec<String>,
    /// What the model does otherwise than MedCoSS's, what was folded into its parameters, and what it expects of samples.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// Origin of a file of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The reference implementation of MedCoSS, whose readers prepare files in a way of their own.
    Medcoss,
    /// Uni-Perceiver (Zhu et al., CVPR 2022), which the reference begins with.
    UniPerceiver,
    /// This program.
    Exported,
    /// timm (PyTorch Image Models).
    Timm,
    /// Masked autoencoders (facebookresearch/mae).
    Mae,
    /// DINOv2 (facebookresearch/dinov2).
    Dinov2,
    /// `ViTModel` of Hugging Face transformers.
    HuggingFaceVit,
    /// `ViTMAEForPreTraining` of Hugging Face transformers.
    HuggingFaceVitMae,
    /// `Dinov2Model` of Hugging Face transformers.
    HuggingFaceDinov2,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Medcoss => "MedCoSS",
            Self::UniPerceiver => "Uni-Perceiver",
            Self::Exported => "medcoss export",
            Self::Timm => "timm",
            Self::Mae => "facebookresearch/mae",
            Self::Dinov2 => "facebookresearch/dinov2",
            Self::HuggingFaceVit => "transformers, ViT",
            Self::HuggingFaceVitMae => "transformers, ViTMAE",
            Self::HuggingFaceDinov2 => "transformers, Dinov2",
        })
    }
}

/// Part of the model that was taken from the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TakenPart {
    /// Name of the part.
    pub part: String,
    /// Number of tensors.
    pub n_tensors: usize,
    /// Number of values.
    pub n_values: usize,
}

/// Entry of the file, or group of entries, that was not taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeftEntry {
    /// Name of the entry, or the common prefix of the group.
    pub key: String,
    /// Number of entries with this prefix.
    pub n: usize,
    /// Reason why the entry was not taken.
    pub why: String,
}

/// Adds a tensor to the count of its part.
pub(super) fn count(taken: &mut BTreeMap<String, TakenPart>, part: &str, shape: &[usize]) {
    let entry = taken.entry(part.into()).or_insert_with(|| TakenPart { part: part.into(), n_tensors: 0, n_values: 0 });
    entry.n_tensors += 1;
    entry.n_values += shape.iter().product::<usize>();
}

/// Number of used tensors that are not float32, by element type.
pub(super) fn converted(file: &TensorFile, used: &BTreeSet<String>) -> BTreeMap<String, usize> {
    let mut converted = BTreeMap::new();
    for dtype in used.iter().filter_map(|key| file.tensors().get(key)).map(|tensor| tensor.dtype()) {
        if dtype != "float32" {
            *converted.entry(dtype.to_string()).or_insert(0) += 1;
        }
    }
    converted
}

/// Unused entries, grouped by reason and prefix.
pub(super) fn left(file: &TensorFile, used: &BTreeSet<String>, why: &dyn Fn(&str) -> String) -> Vec<LeftEntry> {
    let mut left: BTreeMap<(String, String), (String, usize)> = BTreeMap::new();
    let unused = file.tensors().keys().filter(|key| !used.contains(*key)).map(|key| (key, why(key)));
    for (key, why) in unused {
        let beginning = key.split('.').next().unwrap_or(key).to_string();
        let entry = left.entry((beginning, why)).or_insert_with(|| (key.clone(), 0));
        entry.1 += 1;
    }
    let tensors = left.into_iter().map(|((beginning, why), (key, n))| {
        let key = if n == 1 { key } else { format!("{beginning}.*") };
        LeftEntry { key, n, why }
    });
    let others =
        file.others().iter().map(|(key, kind)| LeftEntry { key: key.clone(), n: 1, why: format!("no tensor: {kind}") });
    tensors.chain(others).collect()
}
