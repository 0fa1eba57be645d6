//! What a run's stages left in its folder, in short.

use std::path::Path;

use anyhow::Result;
use medcoss_core::run::{EpochMetrics, RunLayout, StageFolder, StageState, read_metrics};
use serde::Serialize;

use crate::stage_plugin::{MissingPlugin, StagePlugin};
use crate::timing::{EpochTime, peak_memory};

/// One run.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Its stages.
    pub stages: Vec<StageSummary>,
    /// Plugins that made it.
    pub plugins: Vec<PluginSummary>,
    /// Largest resident memory of this process, in bytes, where the system reports it.
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
    pub n_invalid: usize,
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
    pub location: String,
}

impl Summary {
    /// Reads what the stages left in their folders.
    ///
    /// # Errors
    /// Files that are missing or damaged.
    pub fn read(run: &Path, states: &[StageState], plugins: &[StagePlugin]) -> Result<Self> {
        let mut used: Vec<PluginSummary> = Vec::new();
        for plugin in plugins {
            let (id, version, location) = match plugin {
                StagePlugin::Loaded(plugin) => {
                    let description = plugin.description();
                    (description.id.clone(), description.version.clone(), plugin.location().to_string())
                }
                StagePlugin::Missing(MissingPlugin { locked, .. }) => {
                    (locked.id.clone(), locked.version.clone(), "missing; its buffer tokens were used".into())
                }
            };
            if used.iter().all(|known| known.id != id) {
                used.push(PluginSummary { id, version, location });
            }
        }
        Ok(Self {
            stages: states.iter().map(|state| stage(run, state)).collect::<Result<_>>()?,
            plugins: used,
            peak_memory_bytes: peak_memory(),
            run: run.display().to_string(),
        })
    }
}

fn stage(run: &Path, state: &StageState) -> Result<StageSummary> {
    let folder = StageFolder::new(run, state.stage, &state.modality);
    let metrics = read_metrics(&folder.file(RunLayout::METRICS))?;
    let pretext = |line: Option<&EpochMetrics>| line?.own_pretext();
    let times = EpochTime::read(&folder.file(RunLayout::TIMING));
    let distillation_last = metrics.last().map(|line| line.distillation.clone().into_iter().collect());
    Ok(StageSummary {
        stage: state.stage,
        modality: state.modality.clone(),
        family: state.family.clone(),
        n_samples: state.n_samples,
        n_buffer: folder.buffer()?.entries.len(),
        n_invalid: state.invalid_samples.len(),
        pretext_first: pretext(metrics.first()),
        pretext_last: pretext(metrics.last()),
        distillation_last: distillation_last.unwrap_or_default(),
        seconds: times.iter().map(|time| time.seconds).sum(),
        waited_seconds: times.iter().filter_map(|time| time.waited_seconds).reduce(|all, more| all + more),
    })
}
