//! Metrics of the epochs, `metrics.jsonl`: one line an epoch. Times are left out, so that the same run gives the same bytes.

use std::collections::BTreeMap;
use std::io::Write;

use serde::{Deserialize, Serialize};

use super::files::{read_lines, to_json_line, write_atomically};
use crate::confined_path::ConfinedPath;
use crate::{Error, Result};

/// Metrics of one epoch: losses as means over the epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// Position of the stage in the run, from 1.
    pub stage: usize,
    /// Modality that the stage learns.
    pub modality: String,
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// Number of batches so far in the stage.
    pub step: u64,
    /// Learning rate of the last update in the epoch.
    pub learning_rate: f64,
    /// Mean pretext loss by modality; `ct#6` is a modality that came again in stage 6.
    pub pretext: BTreeMap<String, f64>,
    /// Mean distillation loss by modality: of earlier modalities on their buffers, or of the new modality where a strategy distils on current-task
    /// batches.
    pub distillation: BTreeMap<String, f64>,
    /// Penalty on the parameters at the end of the epoch, for strategies with a penalty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub penalty: Option<f64>,
    /// Number of drawn samples that had nothing to learn; absent where there were none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub n_skipped: usize,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl EpochMetrics {
    /// Mean pretext loss of the stage's own modality.
    pub fn current_pretext(&self) -> Option<f64> {
        let again = format!("{}#{}", self.modality, self.stage);
        self.pretext.get(&again).or_else(|| self.pretext.get(&self.modality)).copied()
    }
}

/// File of the metrics, appended to epoch by epoch.
pub(crate) struct MetricsLog {
    path: ConfinedPath,
    text: String,
    /// Whether the file is written; false on all ranks but the root.
    is_written: bool,
}

impl MetricsLog {
    /// A log that starts with the lines of a checkpoint. Later lines are dropped: the resumed run writes them again. Lines are kept byte by byte.
    /// Without `is_written` there is no file.
    pub fn begin(path: ConfinedPath, text: String, is_written: bool) -> Result<Self> {
        if is_written {
            write_atomically(&path, text.as_bytes())?;
        }
        Ok(Self { path, text, is_written })
    }

    /// All lines of the log.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Appends the metrics of an epoch.
    pub fn append(&mut self, metrics: &EpochMetrics) -> Result<()> {
        let line = to_json_line(metrics, &self.path)?;
        self.text.push_str(&line);
        if !self.is_written {
            return Ok(());
        }
        let mut file = self.path.append()?;
        file.write_all(line.as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(Error::file("cannot write", &self.path.path()))
    }
}

/// Sums of losses by modality, from which means are computed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LossSums(BTreeMap<String, (f64, usize)>);

impl LossSums {
    /// Adds a loss to the sum of a modality.
    pub(crate) fn add(&mut self, modality: &str, loss: f32) {
        let entry = self.0.entry(modality.into()).or_default();
        entry.0 += f64::from(loss);
        entry.1 += 1;
    }

    /// Mean loss of each modality.
    pub(crate) fn means(&self) -> BTreeMap<String, f64> {
        self.0.iter().map(|(modality, (sum, n))| (modality.clone(), sum / *n as f64)).collect()
    }
}

/// Reads the metrics of a stage, `metrics.jsonl`.
///
/// # Errors
/// A file that is missing or damaged.
pub fn read_metrics(path: &ConfinedPath) -> Result<Vec<EpochMetrics>> {
    read_lines(path)
}
