//! What an import did with the entries of a file, so that a person can tell whether it was what they meant.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::tensor_file::TensorFile;

/// What an import took, left out and initialised.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImportReport {
    /// Parts that were taken: what, tensors, values.
    pub taken: Vec<TakenPart>,
    /// Parts of the model that the file does not have, which begin with fresh values.
    pub fresh: Vec<String>,
    /// Entries of the file that were not taken, with the reason.
    pub left: Vec<LeftEntry>,
    /// Tensors of another element type than float32 that were converted, by type.
    pub converted: BTreeMap<String, usize>,
    /// Sizes that are not in the shapes and were not given, and what they were taken from.
    pub assumed: Vec<String>,
}

/// A part of the model that was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TakenPart {
    /// Which.
    pub part: String,
    /// Number of tensors.
    pub n_tensors: usize,
    /// Number of values.
    pub n_values: usize,
}

/// An entry that was not taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeftEntry {
    /// Its name, or the names' common beginning.
    pub key: String,
    /// How many there are of that beginning.
    pub n: usize,
    /// Why.
    pub why: String,
}

/// Counts a tensor to its part.
pub(super) fn count(taken: &mut BTreeMap<String, TakenPart>, part: &str, shape: &[usize]) {
    let entry = taken.entry(part.into()).or_insert_with(|| TakenPart { part: part.into(), n_tensors: 0, n_values: 0 });
    entry.n_tensors += 1;
    entry.n_values += shape.iter().product::<usize>();
}

/// Tensors among the used ones that are no float32, by element type.
pub(super) fn converted(file: &TensorFile, used: &BTreeSet<String>) -> BTreeMap<String, usize> {
    let mut converted = BTreeMap::new();
    for dtype in used.iter().filter_map(|key| file.tensors().get(key)).map(|tensor| tensor.dtype()) {
        if dtype != "float32" {
            *converted.entry(dtype.to_string()).or_insert(0) += 1;
        }
    }
    converted
}

/// What was not used, those with the same reason and the same beginning together.
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
