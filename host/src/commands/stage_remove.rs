//! `medcoss stage remove`: removes the last stage of a run.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use medcoss_core::run::{RunLock, StageFolder};
use medcoss_runtime::config::RunConfig;
use medcoss_runtime::plugins_lock::PluginsLock;
use medcoss_runtime::run::open_layout;

use crate::failure::Failure;
use crate::output;

/// Remove the last stage of a run
///
/// Use this command for a stage that was added with wrong options or data, or whose plugin does not work: the settings
/// of a stage cannot change once it is part of a run, but the stage can be removed and added again. Earlier stages do
/// not depend on it and stay as they are. A finished stage is removed only with --finished; its training is then lost.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss stage remove runs/first
  medcoss stage remove runs/first --finished && medcoss stage add runs/first --modality ct --data ct")]
pub(crate) struct StageRemove {
    /// Run folder
    run: PathBuf,
    /// Remove the stage although it has finished
    #[arg(long)]
    finished: bool,
}

impl StageRemove {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let text = self.remove().map_err(Failure::user)?;
        output::print(&text)
    }

    fn remove(&self) -> Result<String> {
        let layout = open_layout(&self.run)?;
        let _lock = RunLock::take(&layout)?;
        let before = RunConfig::read_record(&layout.record())?;
        let (number, run) = (before.stages.len(), self.run.display());
        let mut config = before;
        let Some(section) = config.stages.pop() else { bail!("{run} has no stage to remove") };
        if config.stages.is_empty() && config.model.init.is_none() {
            bail!(
                "stage {} is the only one of {run}\nhint: remove the folder, or choose another with --out",
                section.modality
            );
        }
        let folder = StageFolder::new(&layout, number, &section.modality);
        let finished = folder.finished().with_context(|| format!("stage {number} {}", section.modality))?.is_some();
        if finished && !self.finished {
            bail!(
                "stage {number} {} of {run} has finished; what it learned would be lost\nhint: add --finished to remove it nevertheless",
                section.modality
            );
        }
        // The folder is removed first: a run whose record alone names the stage is valid, and the stage has not started.
        folder.remove()?;
        let lock = layout.plugins_lock();
        let mut plugins = PluginsLock::read(&lock)?;
        plugins.plugin.retain(|plugin| config.stages.iter().any(|stage| stage.modality == plugin.id));
        plugins.write(&lock)?;
        config.write_record(&layout.record())?;
        Ok(format!("Removed stage {number} {} of {run}; {} stages are left.\n", section.modality, number - 1))
    }
}
