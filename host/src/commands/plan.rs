//! `medcoss plan`: estimates time, memory and disk of a run before it is trained.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use medcoss_plugin_host::PluginRegistry;
use medcoss_runtime::is_interruption;
use medcoss_runtime::plan::{Forecast, TrialRun, scratch_beside};
use medcoss_runtime::stage_plugin::plugins_of;

use crate::arguments::{BarArgs, ConfigurationArgs, DeviceArgs, PluginArgs, ResultArgs};
use crate::failure::Failure;
use crate::{interrupt, tables};

/// Estimate the time, memory and disk that a run takes
///
/// The command opens all data, trains each stage on a few batches in a scratch folder, and extrapolates. It uses the
/// plugins, loader, strategy and buffers of the run, so it also finds a wrong setting or path. Plugins that cache
/// decoded files may need more memory after they have read all files.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss plan run.toml
  medcoss plan run.toml --data-root /data --set model.preset=vit-small --set training.batch_size=16
  medcoss plan run.toml --device cuda --json")]
pub(crate) struct Plan {
    /// Run folder that would be written; the trial uses the same disk [default: as for pretrain]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    configuration: ConfigurationArgs,
    /// Shortest time in seconds to measure each stage, after one epoch of a few batches to warm up
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    result: ResultArgs,
    #[command(flatten)]
    bar: BarArgs,
}

impl Plan {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let registry = self.plugins.registry()?;
        let forecast = self.forecast(&registry).map_err(Failure::of_run)?;
        self.result.print(&forecast, tables::plan::to_text)
    }

    fn forecast(&self, registry: &PluginRegistry) -> Result<Forecast> {
        let config = self.configuration.read()?;
        let base = self.configuration.data_root()?;
        let plugins = plugins_of(&config, registry, None)?;
        let scratch = scratch_beside(&self.configuration.run_folder(self.out.as_deref()))?;
        interrupt::listen("without a trace of the trial");
        let bar = self.bar.begin("{msg:20} [{bar:24}] {pos} of {len} stages, {elapsed}");
        let trial = TrialRun {
            config: &config,
            base,
            scratch: scratch.path().to_path_buf(),
            device: &self.device.name,
            plugins: &plugins,
            budget: Duration::from_secs(self.seconds),
            observer: &bar,
        };
        let forecast = trial.forecast();
        bar.finish();
        forecast.map_err(|error| match is_interruption(&error) {
            true => error.context("interrupted; nothing was written"),
            false => error,
        })
    }
}
