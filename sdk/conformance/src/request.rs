//! The request of a check.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The plugin's data and options, and the extent of the check. The defaults suit a test: a few seconds for a plugin of small files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// The id that the plugin's symbol carries. None where there is no symbol, as in an author's tests.
    pub id: Option<String>,
    /// Data to read samples from, in addition to the plugin's synthetic samples. They are only read.
    pub data: Option<Data>,
    /// Options by name, which override those of `synthesise`; null for none.
    pub options: Value,
    /// Samples that are synthesised and read: at least 3.
    pub n_samples: usize,
    /// Threads that read at once: at least 2.
    pub n_threads: usize,
    /// Calls in each round in which growth of memory, threads and files is measured: at least 1.
    pub n_calls: usize,
    /// Threads of this process before the library was loaded, where nothing else than the check starts any; otherwise
    /// none, and threads that a plugin starts once and keeps are not seen.
    pub n_threads_before: Option<usize>,
    /// Seed of the check itself.
    pub seed: u64,
    /// Rules that are not checked, by name.
    pub skipped_rules: Vec<String>,
}

/// Data of the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// Folder that `paths` are relative to.
    pub base: PathBuf,
    /// Files and folders, as a configuration names them.
    pub paths: Vec<PathBuf>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            id: None,
            data: None,
            options: Value::Null,
            n_samples: 8,
            n_threads: 4,
            n_calls: 12,
            n_threads_before: None,
            seed: 7,
            skipped_rules: Vec::new(),
        }
    }
}
