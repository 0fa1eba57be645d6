//! `medcoss stage add`: one more stage for a run: a new modality, or an old one with new data.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use medcoss_core::run::{RunLayout, StageFolder};

use super::pretrain::train;
use crate::arguments::{DataRootArgs, DeviceArgs, PluginArgs, ProgressArgs, ResultArgs};
use crate::failure::Failure;
use crate::tables;
use medcoss_plugin_host::PluginRegistry;
use medcoss_runtime::config::{OneOrMore, RunConfig, StageSection};
use medcoss_runtime::run_summary::Summary;
use medcoss_runtime::stage_plugin::plugins_of;
use medcoss_runtime::training::Training;

/// Settings that are a stage's own; `--set` takes all others for the run's.
const STAGE_SETTINGS: [&str; 5] = ["epochs", "warmup_epochs", "batch_size", "gradient_accumulation", "options"];

/// Learn one more modality with the model of a finished run
///
/// The stage starts from the run's last model and rehearses all earlier ones. Their data are needed only where their samples
/// were kept by reference; a run with buffer.store = "materialised" carries them along. A modality may come again with new
/// data. Settings that are not given are those of the run.
#[derive(Debug, Args)]
#[command(mut_arg("data_root", |root| {
    root.help("Folder that data paths are relative to, also those of earlier stages [default: the current folder]")
}))]
#[command(after_help = "Examples:
  medcoss stage add runs/first --modality mri --data /data/mri
  medcoss stage add runs/first --modality ct --data ct/2026 --data-root /data --set epochs=20
  medcoss stage add runs/first --modality text --data notes.csv --set options.column=note --set batch_size=32")]
pub(crate) struct StageAdd {
    /// Run folder
    run: PathBuf,
    /// Id of the modality's plugin
    #[arg(long, value_name = "ID")]
    modality: String,
    /// File or folder with the data; may be given several times
    #[arg(long, value_name = "PATH", required = true)]
    data: Vec<PathBuf>,
    #[command(flatten)]
    data_root: DataRootArgs,
    /// Change a setting of the stage, such as epochs=3 or options.size=96, or one of the run that may change
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    result: ResultArgs,
    #[command(flatten)]
    progress: ProgressArgs,
}

impl StageAdd {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let registry = self.plugins.registry()?;
        let summary = self.train(&registry).map_err(Failure::of_run)?;
        self.result.print(&summary, tables::run_summary::to_text)
    }

    fn train(&self, registry: &PluginRegistry) -> Result<Summary> {
        let before = RunConfig::read_record(&self.run.join(RunLayout::RECORD))?;
        self.refuse_unfinished(&before)?;
        let (base, data) = self.place()?;
        let config = self.configuration(&before, data)?;
        let plugins = plugins_of(&config, registry, Some(&self.run))?;
        let (out, device) = (self.run.clone(), self.device.name.as_str());
        train(&Training { config: &config, base, out, resume: true, device, plugins: &plugins }, &self.progress)
    }

    /// What is added goes on from the last model: the stage before must have one.
    fn refuse_unfinished(&self, before: &RunConfig) -> Result<()> {
        for (at, section) in before.stages.iter().enumerate() {
            let (number, run) = (at + 1, self.run.display());
            if StageFolder::new(&self.run, number, &section.modality).finished()?.is_none() {
                bail!(
                    "stage {number} {} of {run} is not finished\n\
                     hint: finish it with `medcoss resume {run}`; if it was added by mistake, `medcoss stage remove {run}` takes it back",
                    section.modality
                );
            }
        }
        Ok(())
    }

    /// The run's configuration with the new stage at its end.
    fn configuration(&self, before: &RunConfig, data: Vec<PathBuf>) -> Result<RunConfig> {
        let mut config = before.clone();
        let position = config.stages.len() + 1;
        let data = match data.as_slice() {
            [one] => OneOrMore::One(one.clone()),
            _ => OneOrMore::More(data),
        };
        config.stages.push(StageSection::new(&self.modality, data));
        let settings: Vec<String> = self
            .settings
            .iter()
            .map(|setting| {
                let first = setting.split(['.', '=']).next().unwrap_or_default().trim();
                let of_stage = STAGE_SETTINGS.contains(&first);
                if of_stage { format!("stage.{position}.{setting}") } else { setting.clone() }
            })
            .collect();
        config.with_settings(&settings)
    }

    /// The folder that all data paths are relative to, and the new ones relative to it. Absolute paths are made relative to
    /// `--data-root`, or else to the folder that they lie in: a run holds no absolute path.
    fn place(&self) -> Result<(PathBuf, Vec<PathBuf>)> {
        if !self.data_root.is_given() && self.data.iter().any(|path| !is_below(path)) {
            let [one] = self.data.as_slice() else {
                bail!(
                    "several paths of which not all lie in the current folder\nhint: give the folder that holds them with --data-root DIR, and the paths below it"
                );
            };
            let path = one.canonicalize().with_context(|| format!("data {} not found", one.display()))?;
            return match (path.parent(), path.file_name()) {
                (Some(parent), Some(name)) => Ok((parent.to_path_buf(), vec![name.into()])),
                _ => bail!("data {} has no folder that it lies in", one.display()),
            };
        }
        let base = self.data_root.or_current()?;
        let relative = |path: &PathBuf| {
            let below = path.strip_prefix(&base).map(Path::to_path_buf).unwrap_or_else(|_| path.clone());
            if !is_below(&below) {
                bail!(
                    "data {} does not lie in the data root {}\nhint: name another with --data-root DIR; it also holds the data of \
                     earlier stages whose samples were kept by reference",
                    path.display(),
                    base.display()
                );
            }
            Ok(below)
        };
        let data = self.data.iter().map(relative).collect::<Result<_>>()?;
        Ok((base, data))
    }
}

fn is_below(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}
