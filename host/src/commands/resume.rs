//! `medcoss resume`: goes on with a run from what its folder tells.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::pretrain::{DeviceArgs, OutputArgs, data_root, train};
use crate::cli::PluginArgs;
use crate::config::RunConfig;
use crate::failure::Failure;
use crate::plugins::Catalogue;
use crate::stage_plugin::plugins_of;
use crate::summary::Summary;
use crate::training::{RECORD, Training};

/// Go on with a run that was stopped
///
/// The run's own record of its configuration is used. The numbers are those of a run that was never stopped, on the same
/// machine and build. May change: data.loader_threads, data.max_bad_ratio, training.checkpoint_every,
/// training.checkpoint_every_steps, training.loss_every_steps, the device (whose rounding then differs) and everything about output. Nothing else may.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss resume runs/first
  medcoss resume runs/first --data-root /data
  medcoss resume runs/first --set data.loader_threads=8")]
pub(crate) struct Resume {
    /// Run folder
    run: PathBuf,
    /// Folder that data paths are relative to [default: the current folder]
    #[arg(long, value_name = "DIR")]
    data_root: Option<PathBuf>,
    /// Change one of the settings that may change: key=value
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Resume {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let catalogue = self.plugins.survey()?;
        self.train(&catalogue).map_err(Failure::of_run)?.show(self.output.json)
    }

    fn train(&self, catalogue: &Catalogue) -> Result<Summary> {
        let config = RunConfig::read_record(&self.run.join(RECORD))?.with_settings(&self.settings)?;
        let base = data_root(self.data_root.as_deref(), PathBuf::new())?;
        let plugins = plugins_of(&config, catalogue, Some(&self.run))?;
        let (out, device) = (self.run.clone(), self.device.name.as_str());
        train(&Training { config: &config, base, out, resume: true, device, plugins: &plugins }, &self.output)
    }
}
