//! `medcoss pretrain`: the stages of a configuration file, one after another.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use crate::cli::PluginArgs;
use crate::config::RunConfig;
use crate::failure::{Failure, is_interruption};
use crate::interrupt;
use crate::output;
use crate::plugins::Catalogue;
use crate::progress::Progress;
use crate::stage_plugin::plugins_of;
use crate::summary::Summary;
use crate::training::Training;

/// Pre-train one model, stage by stage, as a configuration says
///
/// Each stage learns one modality; a share of its samples is kept and rehearsed in later stages. A run leaves everything
/// behind that is needed to continue it, also elsewhere: model, buffers, losses, configuration.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss pretrain run.toml --out runs/first
  medcoss pretrain run.toml --out runs/first --resume
  medcoss pretrain run.toml --set rehearsal.store=materialised
  medcoss pretrain run.toml --data-root /data --set training.epochs=5 --set stage.ct.batch_size=2
  medcoss pretrain run.toml --plugin-dir ~/my-plugins --no-builtin --json > summary.json")]
pub(crate) struct Pretrain {
    /// Configuration file (TOML)
    config: PathBuf,
    /// Run folder to write [default: the configuration's name with -run, in the current folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue the run in the folder from its last checkpoint
    #[arg(long)]
    resume: bool,
    /// Change a setting: key=value, such as training.epochs=3 or stage.xray.options.size=96
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Folder that data paths are relative to [default: the configuration file's folder]
    #[arg(long, value_name = "DIR")]
    data_root: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Where a command computes.
#[derive(Debug, Clone, Args)]
pub(crate) struct DeviceArgs {
    /// Where to compute: cpu, cuda or cuda:N
    #[arg(long = "device", value_name = "DEVICE", default_value = "cpu")]
    pub(crate) name: String,
}

/// How progress and results are shown.
#[derive(Debug, Clone, Args)]
pub(crate) struct OutputArgs {
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Seconds between progress lines where there is no terminal
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) interval: u64,
}

impl OutputArgs {
    /// A line for people.
    pub(crate) fn say(&self, line: &str) {
        if !self.quiet {
            eprintln!("{line}");
        }
    }
}

impl Pretrain {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let catalogue = self.plugins.survey()?;
        self.train(&catalogue).map_err(Failure::of_run)?.show(self.output.json)
    }

    fn train(&self, catalogue: &Catalogue) -> Result<Summary> {
        let config = RunConfig::read(&self.config, &self.settings)?;
        let beside = self.config.parent().map(Path::to_path_buf).unwrap_or_default();
        let base = data_root(self.data_root.as_deref(), beside)?;
        let out = run_folder(self.out.as_deref(), &self.config);
        let plugins = plugins_of(&config, catalogue, self.resume.then_some(out.as_path()))?;
        let (resume, device) = (self.resume, self.device.name.as_str());
        train(&Training { config: &config, base, out, resume, device, plugins: &plugins }, &self.output)
    }
}

/// The run folder: the given one, or one in the current folder with the configuration's name.
pub(crate) fn run_folder(given: Option<&Path>, config: &Path) -> PathBuf {
    let usual = || PathBuf::from(format!("{}-run", config.file_stem().unwrap_or_default().to_string_lossy()));
    given.map_or_else(usual, Path::to_path_buf)
}

/// The folder that data paths are relative to: the given one, which must be there, or the usual one.
pub(crate) fn data_root(given: Option<&Path>, usual: PathBuf) -> Result<PathBuf> {
    match given {
        Some(root) if !root.is_dir() => {
            bail!("data root {} is no folder\nhint: name a folder that exists with --data-root DIR", root.display())
        }
        Some(root) => Ok(root.to_path_buf()),
        None => Ok(usual),
    }
}

/// Runs all stages and shows progress on standard error. Ctrl-C stops between two updates.
pub(crate) fn train(training: &Training<'_>, output: &OutputArgs) -> Result<Summary> {
    interrupt::listen("with a checkpoint");
    let mut progress = Progress::new(output.quiet, Duration::from_secs(output.interval));
    let states = training.run(&mut progress);
    progress.clear();
    let states = states.map_err(|error| {
        // The run's own folder is not part of the error, which comes from deep below.
        let go_on = format!("{INTERRUPTED}\nhint: go on with: medcoss resume {}", training.out.display());
        if is_interruption(&error) { error.context(go_on) } else { error }
    })?;
    Summary::read(&training.out, &states, training.plugins)
}

const INTERRUPTED: &str = "interrupted";

impl Summary {
    /// To standard output.
    pub(crate) fn show(&self, as_json: bool) -> Result<(), Failure> {
        if as_json { output::print_json(self) } else { output::print(&self.to_text()) }
    }
}
