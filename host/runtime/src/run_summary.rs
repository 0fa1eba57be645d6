//! Summary of a run's stages, from the files in its folder.

use anyhow::Result;
use medcoss_core::run::{EpochMetrics, RunLayout, StageFolder, StageState, read_metrics};
use serde::Serialize;

use crate::stage_plugin::{MissingPlugin, StagePlugin};
use crate::timing::{EpochTime, peak_memory};

/// Summary of one run.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Summaries of the run's stages.
    pub stages: Vec<StageSummary>,
    /// Plugins of the run.
    pub plugins: Vec<PluginSummary>,
    /// Largest resident memory of this process, in bytes, where the system reports it.
    pub peak_memory_bytes: Option<u64>,
    /// Path of the run folder.
    pub run: String,
}

/// Summary of one stage.
#[derive(Debug, Serialize)]
pub struct StageSummary {
    /// Number of the stage, from 1.
    pub stage: usize,
    /// Id of the stage's modality.
    pub modality: String,
    /// Token family of the modality.
    pub family: String,
    /// Number of samples in the stage's data.
    pub n_samples: usize,
    /// Number of samples in the stage's buffer.
    pub n_buffer: usize,
    /// Number of samples that could not be read.
    pub n_invalid: usize,
    /// Mean pretext loss of the first epoch.
    pub pretext_first: Option<f64>,
    /// Mean pretext loss of the last epoch.
    pub pretext_last: Option<f64>,
    /// Mean distillation losses of the last epoch, by earlier modality.
    pub distillation_last: Vec<(String, f64)>,
    /// Duration of the training in seconds.
    pub seconds: f64,
    /// Seconds of the training spent waiting for a batch to be loaded; `None` where no epoch measured them.
    pub waited_seconds: Option<f64>,
}

/// Summary of one plugin.
#[derive(Debug, Serialize)]
pub struct PluginSummary {
    /// Id of the plugin.
    pub id: String,
    /// Version of the plugin.
    pub version: String,
    /// Path of the plugin's file, `built-in`, or a note that the plugin is missing.
    pub location: String,
}

impl Summary {
    /// Reads the summary from the stages' folders.
    ///
    /// # Errors
    /// Files that are missing or damaged.
    pub fn read(run: &RunLayout, states: &[StageState], plugins: &[StagePlugin]) -> Result<Self> {
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
            run: run.folder().display(),
        })
    }
}

fn stage(run: &RunLayout, state: &StageState) -> Result<StageSummary> {
    let folder = StageFolder::new(run, state.stage, &state.modality);
    let metrics = read_metrics(&folder.file(RunLayout::METRICS))?;
    let pretext = |line: Option<&EpochMetrics>| line?.current_pretext();
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
