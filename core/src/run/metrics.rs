//! `metrics.jsonl`: one line an epoch. It holds no times, so that the same run gives the same bytes.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{read_lines, to_json_line, write_atomically};
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
    /// Mean pretext loss by modality; `ct#6` is a modality that came again in stage 6.
    pub pretext: BTreeMap<String, f64>,
    /// Mean distillation loss by modality: of earlier ones on their buffers, or of the new one where a strategy distils on that.
    pub distillation: BTreeMap<String, f64>,
    /// The penalty on the parameters at the end of the epoch, where a strategy has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub penalty: Option<f64>,
}

impl EpochMetrics {
    /// Mean pretext loss of the stage's own modality.
    pub fn own_pretext(&self) -> Option<f64> {
        let again = format!("{}#{}", self.modality, self.stage);
        self.pretext.get(&again).or_else(|| self.pretext.get(&self.modality)).copied()
    }
}

/// The file, appended to epoch by epoch.
pub(crate) struct MetricsLog {
    path: PathBuf,
    text: String,
}

impl MetricsLog {
    /// Begins with the lines of a checkpoint; later ones, which a resumed run will write again, are dropped. Lines are kept as
    /// they stand.
    pub fn begin(path: PathBuf, text: String) -> Result<Self> {
        write_atomically(&path, text.as_bytes())?;
        Ok(Self { path, text })
    }

    /// All lines.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn append(&mut self, metrics: &EpochMetrics) -> Result<()> {
        let line = to_json_line(metrics, &self.path)?;
        self.text.push_str(&line);
        let append = || {
            let mut file = OpenOptions::new().append(true).open(&self.path)?;
            file.write_all(line.as_bytes())?;
            file.sync_data()
        };
        append().map_err(Error::file("cannot write", &self.path))
    }
}

/// Sums of losses by modality, of which means are made.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LossSums(BTreeMap<String, (f64, usize)>);

impl LossSums {
    pub(crate) fn add(&mut self, modality: &str, loss: f32) {
        let entry = self.0.entry(modality.into()).or_default();
        entry.0 += f64::from(loss);
        entry.1 += 1;
    }

    pub(crate) fn means(&self) -> BTreeMap<String, f64> {
        self.0.iter().map(|(modality, (sum, n))| (modality.clone(), sum / *n as f64)).collect()
    }
}

/// Reads a `metrics.jsonl`.
///
/// # Errors
/// A file that is missing or damaged.
pub fn read_metrics(path: &Path) -> Result<Vec<EpochMetrics>> {
    read_lines(path)
}
