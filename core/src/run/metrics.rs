//! `metrics.jsonl`: one line an epoch. It holds no times, so that the same run gives the same bytes.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{read_lines, to_json_line, write_atomically};
use crate::{Error, Result};

/// Means over one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// Position of the stage in the run, from 1.
    pub stage: usize,
    /// Modality that is being learned.
    pub modality: String,
    /// From 1.
    pub epoch: usize,
    /// Batches seen in the stage.
    pub step: u64,
    /// At the last update of the epoch.
    pub learning_rate: f64,
    /// Mean pretext loss by modality.
    pub pretext: BTreeMap<String, f64>,
    /// Mean distillation loss by earlier modality.
    pub distillation: BTreeMap<String, f64>,
}

/// The file, appended to epoch by epoch.
pub(crate) struct MetricsLog {
    path: PathBuf,
}

impl MetricsLog {
    /// Keeps the lines up to an epoch and drops later ones, which a resumed run will write again.
    pub fn resume_at(path: PathBuf, epochs_done: usize) -> Result<Self> {
        let mut kept = String::new();
        if epochs_done > 0 {
            for line in read_lines::<EpochMetrics>(&path)?.iter().filter(|line| line.epoch <= epochs_done) {
                kept.push_str(&to_json_line(line, &path)?);
            }
        }
        write_atomically(&path, kept.as_bytes())?;
        Ok(Self { path })
    }

    pub fn append(&self, metrics: &EpochMetrics) -> Result<()> {
        let line = to_json_line(metrics, &self.path)?;
        let append = || {
            let mut file = OpenOptions::new().append(true).open(&self.path)?;
            file.write_all(line.as_bytes())?;
            file.sync_data()
        };
        append().map_err(Error::file("cannot write", &self.path))
    }
}

/// Reads a `metrics.jsonl`.
///
/// # Errors
/// A file that is missing or damaged.
pub fn read_metrics(path: &Path) -> Result<Vec<EpochMetrics>> {
    read_lines(path)
}
