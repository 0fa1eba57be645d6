//! `medcoss finetune`: trains a run's model on a task, and keeps it.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::finetuning::{EpochReport, StoredTaskModel};
use medcoss_core::run::FolderLock;
use medcoss_runtime::Run;
use medcoss_runtime::finetuning::{FinetuneOptions, FinetuneReport, TuningObserver, finetune_run};

use crate::arguments::{DeviceArgs, PluginArgs, ProgressArgs, ResultArgs, TaskArgs, check_invalid_fraction};
use crate::failure::Failure;
use crate::interrupt;
use crate::pace::Pace;
use crate::tables::finetuning;

/// Fine-tune a run's model on a task and keep it
///
/// The task is one of a tasks file that has a section `finetune`: classification, several labels of which some may be unknown,
/// ordinal classes, a number, or segmentation with a decoder. Head and backbone are trained end to end (or the head alone, or
/// low-rank adapters), an epoch is chosen on a validation share, and the kept model is scored on the test split.
///
/// The folder MODEL gets weights.safetensors, model.json, metrics.jsonl and cases.csv; `medcoss predict` reads it. The same command goes on
/// with a training that was interrupted.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss finetune runs/first task.toml --out models/pneumonia
  medcoss finetune runs/first task.toml --from-scratch --seed 1 --out models/random
  medcoss finetune runs/first task.toml --fraction 0.1 --out models/tenth --json | jq .scores
  medcoss finetune runs/first --recipe glas --data-root downloads --set finetune.training.epochs=50 --out models/glas")]
pub(crate) struct Finetune {
    /// Run folder
    run: PathBuf,
    #[command(flatten)]
    task: TaskArgs,
    /// Folder for the model
    #[arg(long, value_name = "MODEL")]
    out: PathBuf,
    /// Begin with the model after this stage, from 1; 0 for the initial model [default: the latest]
    #[arg(long, value_name = "N", conflicts_with = "from_scratch")]
    stage: Option<usize>,
    /// Begin with fresh parameters instead of the run's, for a comparison
    #[arg(long)]
    from_scratch: bool,
    /// Seed of splits, head and training
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Fraction of the training samples to use, drawn by class and group
    #[arg(long, value_name = "RATIO", default_value_t = 1.0)]
    fraction: f64,
    /// Largest fraction of unreadable samples, not rounded [default: the run's data.max_invalid_fraction]
    #[arg(long, value_name = "RATIO")]
    max_invalid_fraction: Option<f64>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    result: ResultArgs,
    #[command(flatten)]
    progress: ProgressArgs,
}

impl Finetune {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let registry = self.plugins.registry()?;
        let report = self.finetune(&registry).map_err(Failure::of_run)?;
        self.progress.say(&format!("Next: medcoss predict {} DATA --out predictions", self.out.display()));
        self.result.print(&report, finetuning::to_text)
    }

    fn finetune(&self, registry: &medcoss_plugin_host::PluginRegistry) -> Result<FinetuneReport> {
        interrupt::listen("the same command goes on from the last checkpoint");
        let (file, base) = self.task.read()?;
        let run = Run::open(&self.run)?;
        self.max_invalid_fraction.map_or(Ok(()), check_invalid_fraction)?;
        let folder = ConfinedPath::create_root(&self.out)?;
        let _lock = FolderLock::take(&folder)?;
        let stored = StoredTaskModel::of(folder.clone());
        if stored.is_complete()? {
            bail!("--out {} holds a finished model\nhint: name another folder, or remove this one", self.out.display());
        }
        let options = FinetuneOptions {
            task: self.task.task.as_deref(),
            stage: self.stage,
            from_scratch: self.from_scratch,
            seed: self.seed,
            fraction: self.fraction,
            base: &base,
            device: &self.device.name,
            max_invalid_fraction: self.max_invalid_fraction,
        };
        let mut observer = Shown::new(&self.progress);
        finetune_run(&run, &file, &options, registry, &folder, &mut observer)
    }
}

/// Shows the progress as lines: at most one an interval, and one an epoch.
pub(crate) struct Shown<'a> {
    progress: &'a ProgressArgs,
    state: RefCell<State>,
}

struct State {
    n_all: usize,
    n_epochs: usize,
    done: usize,
    epoch: usize,
    pace: Pace,
    last_line: Instant,
}

impl<'a> Shown<'a> {
    pub(crate) fn new(progress: &'a ProgressArgs) -> Self {
        let now = Instant::now();
        let state = State { n_all: 0, n_epochs: 0, done: 0, epoch: 0, pace: Pace::starting(now), last_line: now };
        Self { progress, state: RefCell::new(state) }
    }
}

impl TuningObserver for Shown<'_> {
    fn opened(&mut self, n_train: usize, n_validation: usize, n_test: usize, n_epochs: usize) {
        let state = self.state.get_mut();
        (state.n_all, state.n_epochs) = (n_epochs * (n_train + n_validation) + n_test, n_epochs);
        state.pace = Pace::starting(Instant::now());
        self.progress.say(&format!(
            "{n_train} training, {n_validation} validation and {n_test} test samples; {n_epochs} epochs"
        ));
    }

    fn samples(&mut self, n: usize) {
        let state = self.state.get_mut();
        state.done += n;
        state.pace.step(state.done, n);
        let now = Instant::now();
        if now.duration_since(state.last_line) >= Duration::from_secs(self.progress.interval()) {
            state.last_line = now;
            let percent = 100.0 * state.done as f64 / state.n_all.max(1) as f64;
            // Work is counted in samples here, of which a step may have several.
            let rate = state.pace.to_text(now, state.n_all);
            let line =
                format!("epoch {}/{}, {percent:.0} %, {rate}", (state.epoch + 1).min(state.n_epochs), state.n_epochs);
            self.progress.say(&line);
        }
    }

    fn epoch(&mut self, report: &EpochReport, restored: bool) {
        let state = self.state.get_mut();
        state.epoch = report.epoch;
        if restored {
            // Samples of earlier processes are done, and say nothing about the pace.
            state.done = (state.n_all * report.epoch).checked_div(state.n_epochs.max(1)).unwrap_or_default();
            state.pace = Pace::after(Instant::now(), state.done);
            return;
        }
        let validation = match (report.validation_loss, report.metric) {
            (Some(loss), Some(metric)) => format!(", validation loss {loss:.4}, metric {metric:.4}"),
            (Some(loss), None) => format!(", validation loss {loss:.4}"),
            _ => String::new(),
        };
        self.progress.say(&format!(
            "epoch {}/{}: loss {:.4}{validation}, rate {:.2e}, gradient norm {:.2}",
            report.epoch, state.n_epochs, report.loss, report.learning_rate, report.gradient_norm
        ));
    }

    fn stop_requested(&self) -> bool {
        interrupt::requested()
    }
}
