//! `medcoss pretrain`: trains the stages of a configuration file, one after another.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use medcoss_core::ranks::Ranks;
use medcoss_core::run::RunLayout;
use medcoss_plugin_host::PluginRegistry;
use medcoss_runtime::is_interruption;
use medcoss_runtime::run_summary::Summary;
use medcoss_runtime::stage_plugin::plugins_of;
use medcoss_runtime::training::Training;

use crate::arguments::{ConfigurationArgs, DeviceArgs, PluginArgs, ProgressArgs, RanksArgs, ResultArgs};
use crate::failure::Failure;
use crate::{interrupt, tables};

/// Pre-train one model, stage by stage, from a configuration file
///
/// Each stage trains on one modality. A fraction of its samples is kept in a buffer and replayed in later stages. The run
/// folder holds everything that is needed to continue the run, also on another machine: model, buffers, losses,
/// configuration.
///
/// Ctrl-C and the signals TERM, HUP and USR1 stop the run after its present update, with a checkpoint. mpirun passes USR1
/// on to all ranks and kills none of them: kill -USR1 is the way to stop a job of several ranks.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss pretrain run.toml --out runs/first
  medcoss pretrain run.toml --out runs/first --resume
  medcoss pretrain run.toml --set buffer.store=materialised
  medcoss pretrain run.toml --data-root /data --set training.epochs=5 --set stage.ct.batch_size=2
  mpirun -n 4 --bind-to none medcoss pretrain run.toml --out runs/first --ranks mpi
  medcoss pretrain run.toml --plugin-dir ~/my-plugins --no-builtin --json > summary.json")]
pub(crate) struct Pretrain {
    /// Run folder to write [default: the configuration's name with -run, in the current folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue the run in the folder from its last checkpoint
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    configuration: ConfigurationArgs,
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

impl Pretrain {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let registry = self.plugins.registry()?;
        let ranks = self.ranks.join().map_err(Failure::of_run)?;
        print(self.train(&registry, &ranks), &ranks, &self.result)
    }

    fn train(&self, registry: &PluginRegistry, ranks: &Ranks) -> Result<Summary> {
        let config = self.configuration.read()?;
        let base = self.configuration.data_root()?;
        let out = self.configuration.run_folder(self.out.as_deref());
        let run = if self.resume && out.exists() { Some(RunLayout::open(&out)?) } else { None };
        let plugins = plugins_of(&config, registry, run.as_ref())?;
        let training = Training::new(config, [base, out], self.resume, &self.device.name, plugins)?;
        train(&training, ranks, &self.progress)
    }
}

/// Trains all stages and shows progress on standard error, that of the root where there are several ranks. Ctrl-C stops
/// between two updates.
pub(crate) fn train(training: &Training, ranks: &Ranks, progress: &ProgressArgs) -> Result<Summary> {
    interrupt::listen("with a checkpoint");
    let mut progress = if ranks.is_root() { progress.begin() } else { progress.silenced().begin() };
    let states = training.run_on(ranks, &mut progress);
    progress.clear();
    let states = states.map_err(|error| {
        // The error comes from core, and does not name the run folder.
        let go_on = format!("{INTERRUPTED}\nhint: continue with: medcoss resume {}", training.out.display());
        if is_interruption(&error) { error.context(go_on) } else { error }
    })?;
    Summary::read(&RunLayout::open(&training.out)?, &states, &training.plugins)
}

/// Prints the summary of a training, on the root.
pub(crate) fn print(summary: Result<Summary>, ranks: &Ranks, result: &ResultArgs) -> Result<(), Failure> {
    of_root(summary.map(Some), ranks, |summary| result.print(summary, tables::run_summary::to_text))
}

/// Prints what a command of several ranks found, on the root. A failure of this rank ends the others.
pub(crate) fn of_root<T>(
    found: Result<Option<T>>,
    ranks: &Ranks,
    print: impl FnOnce(&T) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let found = found.inspect_err(|error| ranks.fail(&format!("{error:#}"))).map_err(Failure::of_run);
    let found = found.map_err(|failure| if ranks.is_root() { failure } else { failure.of_other_rank() })?;
    found.as_ref().filter(|_| ranks.is_root()).map_or(Ok(()), print)
}

const INTERRUPTED: &str = "interrupted";
