//! `metrics.jsonl`: one line an epoch. It holds no times, so that the same run gives the same bytes.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
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
    /// Keeps the lines up to an epoch and drops later ones, which a resumed run will write again. Kept lines are copied as they
    /// stand: a number that is read and written again may differ in its last digit.
    pub fn resume_at(path: PathBuf, epochs_done: usize) -> Result<Self> {
        let mut kept = String::new();
        if epochs_done > 0 {
            let epochs = read_lines::<EpochMetrics>(&path)?.into_iter().map(|line| line.epoch);
            let text = fs::read_to_string(&path).map_err(Error::file("cannot read", &path))?;
            for (line, _) in text.lines().zip(epochs).filter(|(_, epoch)| *epoch <= epochs_done) {
                kept.push_str(line);
                kept.push('\n');
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resuming_keeps_earlier_lines_byte_for_byte_and_drops_later_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let log = MetricsLog::resume_at(path.clone(), 0).unwrap();
        let line = |epoch: usize| EpochMetrics {
            stage: 1,
            modality: "a".into(),
            epoch,
            step: epoch as u64,
            learning_rate: 0.1,
            // Sums of float32 values over odd counts: all digits are needed.
            pretext: (0..40).map(|at| (format!("{at}"), f64::from(0.1f32 * (at + 7) as f32) / 11.0)).collect(),
            distillation: BTreeMap::new(),
        };
        (1..=3).for_each(|epoch| log.append(&line(epoch)).unwrap());
        let before = fs::read_to_string(&path).unwrap();
        let expected: String = before.lines().take(2).map(|line| format!("{line}\n")).collect();
        MetricsLog::resume_at(path.clone(), 2).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    }
}
