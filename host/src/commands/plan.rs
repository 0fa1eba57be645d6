//! `medcoss plan`: what a run would take, before anything is trained.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::pretrain::{DeviceArgs, data_root, run_folder};
use crate::cli::PluginArgs;
use crate::config::RunConfig;
use crate::failure::{Failure, is_interruption};
use crate::interrupt;
use crate::output;
use crate::plan::{Forecast, TrialRun, scratch_beside};
use crate::plugins::Catalogue;
use crate::stage_plugin::plugins_of;

/// Say how long a run would take, and how much memory and disk
///
/// Opens all data, lets each stage learn a few batches in a folder that is removed again, and multiplies. Everything is measured as it will be: with
/// the plugins, the loader, the strategy and its buffers. A wrong setting or path shows here too. Plugins that hold decoded files in memory may
/// need more of it as they come to see all of them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss plan run.toml
  medcoss plan run.toml --data-root /data --set model.preset=vit-small --set training.batch_size=16
  medcoss plan run.toml --device cuda --json")]
pub(crate) struct Plan {
    /// Configuration file (TOML)
    config: PathBuf,
    /// Run folder that would be written: the trial is made on the same disk [default: as of pretrain]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Change a setting: key=value, such as training.epochs=3 or stage.xray.options.size=96
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Folder that data paths are relative to [default: the configuration file's folder]
    #[arg(long, value_name = "DIR")]
    data_root: Option<PathBuf>,
    /// Seconds that are spent with measuring each stage, at least; one epoch of a few batches to warm up comes before
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    plugins: PluginArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

impl Plan {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let catalogue = self.plugins.survey()?;
        let forecast = self.forecast(&catalogue).map_err(Failure::of_run)?;
        if self.json { output::print_json(&forecast) } else { output::print(&forecast.page()) }
    }

    fn forecast(&self, catalogue: &Catalogue) -> Result<Forecast> {
        let config = RunConfig::read(&self.config, &self.settings)?;
        let beside = self.config.parent().map(Path::to_path_buf).unwrap_or_default();
        let base = data_root(self.data_root.as_deref(), beside)?;
        let plugins = plugins_of(&config, catalogue, None)?;
        let scratch = scratch_beside(&run_folder(self.out.as_deref(), &self.config))?;
        interrupt::listen("without a trace of the trial");
        let trial = TrialRun {
            config: &config,
            base,
            scratch: scratch.path().to_path_buf(),
            device: &self.device.name,
            plugins: &plugins,
            budget: Duration::from_secs(self.seconds),
            quiet: self.quiet,
        };
        trial.forecast().map_err(|error| match is_interruption(&error) {
            true => error.context("interrupted; nothing was written"),
            false => error,
        })
    }
}
