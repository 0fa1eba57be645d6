//! What became of the files of a dataset: used, left out for a reason, or read with a change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Files of a dataset, without their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataAccount {
    /// Number of files that are read for samples.
    pub n_used: u64,
    /// Number of files that are not, by the reason.
    #[serde(default)]
    pub left_out: BTreeMap<String, u64>,
    /// What is cut, filled in, converted or assumed.
    #[serde(default)]
    pub notices: Vec<DataNotice>,
}

/// Something that is not in the samples as it is in the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataNotice {
    /// What, as a phrase in the plural that follows the number: `reports are cut`.
    pub what: String,
    /// How often.
    pub n: u64,
    /// Of how many.
    pub of: u64,
    /// Whether the user should do something about it.
    pub warns: bool,
}

impl DataAccount {
    /// Number of files that are left out.
    pub fn n_left_out(&self) -> u64 {
        self.left_out.values().sum()
    }
}
