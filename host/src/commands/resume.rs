//! `medcoss resume`: continues a run from its folder.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use medcoss_core::ranks::Ranks;
use medcoss_plugin_host::PluginRegistry;
use medcoss_runtime::config::RunConfig;
use medcoss_runtime::run::open_layout;
use medcoss_runtime::run_summary::Summary;
use medcoss_runtime::stage_plugin::plugins_of;
use medcoss_runtime::training::Training;

use super::pretrain::{print, train};
use crate::arguments::{DataRootArgs, DeviceArgs, PluginArgs, ProgressArgs, RanksArgs, ResultArgs};
use crate::failure::Failure;

/// Continue a run that was stopped
///
/// The command uses the configuration that the run recorded. On the same machine and build, the numbers equal those of
/// a run that was never stopped. These may change: data.num_workers, data.max_invalid_fraction,
/// training.checkpoint_every, training.checkpoint_every_steps, training.loss_every_steps, the device (whose rounding
/// then differs) and all output options.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss resume runs/first
  medcoss resume runs/first --data-root /data
  medcoss resume runs/first --set data.num_workers=8
  mpirun -n 2 --bind-to none medcoss resume runs/first --ranks mpi")]
pub(crate) struct Resume {
    /// Run folder
    run: PathBuf,
    #[command(flatten)]
    data_root: DataRootArgs,
    /// Change a setting that may change: key=value
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

impl Resume {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let registry = self.plugins.registry()?;
        let ranks = self.ranks.join().map_err(Failure::of_run)?;
        print(self.train(&registry, &ranks), &ranks, &self.result)
    }

    fn train(&self, registry: &PluginRegistry, ranks: &Ranks) -> Result<Summary> {
        let layout = open_layout(&self.run)?;
        let config = RunConfig::read_record(&layout.record())?.with_settings(&self.settings)?;
        let base = self.data_root.or_current()?;
        let plugins = plugins_of(&config, registry, Some(&layout))?;
        let folders = [base, self.run.clone()];
        let training = Training::new(config, folders, true, &self.device.name, plugins)?;
        train(&training, ranks, &self.progress)
    }
}
