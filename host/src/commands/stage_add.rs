//! `medcoss stage add`: adds a stage to a run: a new modality, or an earlier one with new data.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use medcoss_core::ranks::Ranks;
use medcoss_plugin_host::PluginRegistry;
use medcoss_runtime::run_summary::Summary;
use medcoss_runtime::{ModalityData, NewStage, Resources, Run, relative_paths};

use super::pretrain::{print, train};
use crate::arguments::{DataRootArgs, DeviceArgs, PluginArgs, ProgressArgs, RanksArgs, ResultArgs};
use crate::failure::Failure;

/// Train a finished run on one more modality
///
/// The stage starts from the run's last model and replays the buffers of all earlier stages. The data of earlier stages
/// are needed only where their samples are kept by reference; a run with buffer.store = "materialised" holds the
/// samples itself. A modality may be repeated with new data. Settings that are not given are those of the run.
#[derive(Debug, Args)]
#[command(mut_arg("data_root", |root| {
    root.help("Folder that data paths are relative to, also those of earlier stages [default: the current folder]")
}))]
#[command(after_help = "Examples:
  medcoss stage add runs/first --modality mri --data /data/mri
  medcoss stage add runs/first --modality ct --data ct/2026 --data-root /data --set epochs=20
  medcoss stage add runs/first --modality text --data notes.csv --set options.text_column=note --set batch_size=32")]
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
    /// Change a setting of the stage, such as epochs=3 or options.size=96, or a setting of the run that may change
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    ranks: RanksArgs,
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
        let ranks = self.ranks.join().map_err(Failure::of_run)?;
        print(self.train(&registry, &ranks), &ranks, &self.result)
    }

    fn train(&self, registry: &PluginRegistry, ranks: &Ranks) -> Result<Summary> {
        let run = Run::open(&self.run)?;
        let (data_root, paths) = self.place()?;
        let stage = NewStage { data: ModalityData::new(&self.modality, paths), settings: self.settings.clone() };
        let resources = Resources { registry, data_root, device: self.device.name.clone() };
        let training = run.training_with(&stage, &resources)?;
        let before = run.plugins()?;
        train(&training, ranks, &self.progress).map_err(|error| match ranks.is_root() {
            true => run.without_refused_stage(&before, error),
            false => error,
        })
    }

    /// The folder that all data paths are relative to, and the new paths relative to it. Absolute paths are made
    /// relative to `--data-root`, or else to the folder that contains them, since a run holds no absolute path.
    fn place(&self) -> Result<(PathBuf, Vec<PathBuf>)> {
        if !self.data_root.is_given() && self.data.iter().any(|path| !relative_paths::is_below(path)) {
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
        Ok((self.data_root.or_current()?, self.data.clone()))
    }
}
