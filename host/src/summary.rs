//! The table at the end of a run, and the same as JSON.

use std::path::Path;

use anyhow::Result;
use medcoss_core::run::{EpochMetrics, StageFolder, StageState, read_metrics};
use serde::Serialize;

use crate::progress::EpochTime;
use crate::stage_plugin::{MissingPlugin, StagePlugin};
use crate::table::Table;

/// One run.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Its stages.
    pub stages: Vec<StageSummary>,
    /// Plugins that made it.
    pub plugins: Vec<PluginSummary>,
    /// Largest resident memory of this process, in bytes, where the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// Where it lies.
    pub run: String,
}

/// One stage.
#[derive(Debug, Serialize)]
pub struct StageSummary {
    /// From 1.
    pub stage: usize,
    /// Modality.
    pub modality: String,
    /// Token family.
    pub family: String,
    /// Samples of the modality.
    pub n_samples: usize,
    /// Samples in its buffer.
    pub n_buffer: usize,
    /// Samples that could not be read.
    pub n_bad: usize,
    /// Mean pretext loss of the first epoch.
    pub pretext_first: Option<f64>,
    /// Mean pretext loss of the last epoch.
    pub pretext_last: Option<f64>,
    /// Mean distillation loss of the last epoch, by earlier modality.
    pub distillation_last: Vec<(String, f64)>,
    /// Seconds of training.
    pub seconds: f64,
    /// Of them, seconds in which it stood still because a batch was not loaded yet; none where no epoch says so.
    pub waited_seconds: Option<f64>,
}

/// One plugin.
#[derive(Debug, Serialize)]
pub struct PluginSummary {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its file, or `built-in`, or that it is missing.
    pub source: String,
}

impl Summary {
    /// Reads what the stages left in their folders.
    ///
    /// # Errors
    /// Files that are missing or damaged.
    pub fn read(run: &Path, states: &[StageState], plugins: &[StagePlugin]) -> Result<Self> {
        let mut used: Vec<PluginSummary> = Vec::new();
        for plugin in plugins {
            let (id, version, source) = match plugin {
                StagePlugin::Loaded(plugin) => {
                    let description = plugin.description();
                    (description.id.clone(), description.version.clone(), plugin.source().to_string())
                }
                StagePlugin::Missing(MissingPlugin { locked, .. }) => {
                    (locked.id.clone(), locked.version.clone(), "missing; its kept tokens were used".into())
                }
            };
            if used.iter().all(|known| known.id != id) {
                used.push(PluginSummary { id, version, source });
            }
        }
        Ok(Self {
            stages: states.iter().map(|state| stage(run, state)).collect::<Result<_>>()?,
            plugins: used,
            peak_memory_bytes: peak_memory(),
            run: run.display().to_string(),
        })
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let mut stages = Table::new(&[
            "stage",
            "modality",
            "family",
            "samples",
            "buffer",
            "pretext loss",
            "distillation loss",
            "time",
        ]);
        for stage in &self.stages {
            let loss = |loss: Option<f64>| loss.map_or("-".into(), |loss| format!("{loss:.4}"));
            let distilled =
                stage.distillation_last.iter().map(|(modality, loss)| format!("{modality} {}", scientific(*loss)));
            let distilled = distilled.collect::<Vec<_>>().join("  ");
            let samples = match stage.n_bad {
                0 => stage.n_samples.to_string(),
                n_bad => format!("{} ({n_bad} bad)", stage.n_samples),
            };
            stages.row([
                stage.stage.to_string(),
                stage.modality.clone(),
                stage.family.clone(),
                samples,
                stage.n_buffer.to_string(),
                match (stage.pretext_first, stage.pretext_last) {
                    (None, None) => "joined".into(),
                    (first, last) => format!("{} -> {}", loss(first), loss(last)),
                },
                if distilled.is_empty() { "-".into() } else { distilled },
                format!("{:.1} s", stage.seconds.max(0.0)),
            ]);
        }
        let mut plugins = Table::new(&["plugin", "version", "loaded from"]);
        for plugin in &self.plugins {
            plugins.row([plugin.id.clone(), plugin.version.clone(), plugin.source.clone()]);
        }
        let waited = self.stages.iter().filter_map(|stage| stage.waited_seconds).reduce(|all, more| all + more);
        let waited = waited.map(|seconds| format!("waited {seconds:.1} s for data, ")).unwrap_or_default();
        let memory = self.peak_memory_bytes.map(|bytes| format!("peak memory {:.0} MiB, ", bytes as f64 / 1_048_576.0));
        let memory = memory.unwrap_or_default();
        format!("{}\n{}\n{memory}{waited}run folder {}\n", stages.lines(), plugins.lines(), self.run)
    }
}

fn stage(run: &Path, state: &StageState) -> Result<StageSummary> {
    let folder = StageFolder::new(run, state.stage, &state.modality);
    let metrics = read_metrics(&folder.file("metrics.jsonl"))?;
    let pretext = |line: Option<&EpochMetrics>| line?.own_pretext();
    let times = times(&folder.file("timing.jsonl"));
    let distillation_last = metrics.last().map(|line| line.distillation.clone().into_iter().collect());
    Ok(StageSummary {
        stage: state.stage,
        modality: state.modality.clone(),
        family: state.family.clone(),
        n_samples: state.n_samples,
        n_buffer: folder.buffer()?.entries.len(),
        n_bad: state.invalid_samples.len(),
        pretext_first: pretext(metrics.first()),
        pretext_last: pretext(metrics.last()),
        distillation_last: distillation_last.unwrap_or_default(),
        seconds: times.iter().map(|time| time.seconds).sum(),
        waited_seconds: times.iter().filter_map(|time| time.waited_seconds).reduce(|all, more| all + more),
    })
}

/// The recorded times; lines that cannot be read count as nothing, since times decide nothing.
fn times(path: &Path) -> Vec<EpochTime> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn scientific(value: f64) -> String {
    if value >= 0.001 { format!("{value:.4}") } else { format!("{value:.1e}") }
}

/// Largest resident memory so far, on Linux.
pub(crate) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
