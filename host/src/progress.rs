//! What a person sees while stages run: a bar on a terminal, one plain line per interval elsewhere. Also keeps the
//! times that `metrics.jsonl` leaves out.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use medcoss_core::run::{EpochMetrics, StageState};
use medcoss_core::stage::{ClosingWork, Observer, StageReport, StepReport};
use serde::{Deserialize, Serialize};

use crate::interrupt;
use crate::summary::peak_memory;

/// One line of `timing.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochTime {
    /// From 1.
    pub epoch: usize,
    /// Samples learned from, rehearsal included.
    pub n_samples: usize,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Largest resident memory of the process so far, in bytes, where the system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_rss_bytes: Option<u64>,
    /// Of the seconds, those in which learning stood still because a batch was not loaded yet. Earlier versions did not measure it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_seconds: Option<f64>,
}

/// A bar over `n` samples, on a terminal; hidden elsewhere.
pub(crate) fn bar(template: &str, n: usize, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(n as u64);
    // Templates are fixed; should one ever be wrong, the default style still shows progress.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// Watches the stages of a run.
pub struct Progress {
    /// On a terminal.
    bar: Option<ProgressBar>,
    quiet: bool,
    interval: Duration,
    prefix: String,
    /// Name of the stage's own losses.
    own: String,
    epochs: usize,
    /// Steps of the stage, and those already behind when it was continued.
    n_steps: usize,
    steps_done: usize,
    samples_done: usize,
    stage_began: Instant,
    epoch_began: Instant,
    epoch_samples: usize,
    /// In the epoch, for batches.
    waited: Option<Duration>,
    last_line: Instant,
    /// Latest loss by kind and modality.
    losses: BTreeMap<String, f32>,
    timing: PathBuf,
}

impl Progress {
    /// `quiet` shows nothing; otherwise a line every `interval` where standard error is no terminal.
    pub fn new(quiet: bool, interval: Duration) -> Self {
        let now = Instant::now();
        Self {
            bar: None,
            quiet,
            interval,
            prefix: String::new(),
            own: String::new(),
            epochs: 0,
            n_steps: 0,
            steps_done: 0,
            samples_done: 0,
            stage_began: now,
            epoch_began: now,
            epoch_samples: 0,
            waited: None,
            last_line: now,
            losses: BTreeMap::new(),
            timing: PathBuf::new(),
        }
    }

    /// Where the times of the next stage go.
    pub fn record_times_in(&mut self, path: PathBuf) {
        self.timing = path;
    }

    /// A line for people, above the bar if there is one.
    pub fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None if self.quiet => {}
            None => eprintln!("{line}"),
        }
    }

    /// Takes the bar away; what is told afterwards stands below a clean line.
    pub fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn message(&self) -> String {
        let losses = self.losses.iter().map(|(name, loss)| format!("{name} {loss:.4}"));
        losses.collect::<Vec<_>>().join(", ")
    }

    fn plain_line(&self, epoch: usize) -> String {
        let elapsed = self.stage_began.elapsed().as_secs_f64();
        let rate = self.samples_done as f64 / elapsed.max(1e-9);
        let fraction = self.steps_done as f64 / self.n_steps.max(1) as f64;
        let left = elapsed * (1.0 - fraction) / fraction.max(1e-9);
        format!(
            "{}: epoch {epoch}/{}, {:.0} %, {rate:.1} samples/s, {left:.0} s left, {}",
            self.prefix,
            self.epochs,
            100.0 * fraction,
            self.message()
        )
    }

    fn append_time(&self, epoch: usize) -> std::io::Result<()> {
        let seconds = self.epoch_began.elapsed().as_secs_f64();
        let time = EpochTime {
            epoch,
            n_samples: self.epoch_samples,
            seconds,
            peak_rss_bytes: peak_memory(),
            waited_seconds: self.waited.map(|waited| waited.as_secs_f64()),
        };
        let line = serde_json::to_string(&time)?;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.timing)?;
        writeln!(file, "{line}")
    }
}

impl Observer for Progress {
    fn stage_started(&mut self, report: &StageReport<'_>) {
        self.prefix = format!("stage {} {}", report.stage, report.modality);
        self.own = report.label.into();
        self.epochs = report.epochs;
        self.n_steps = report.epochs * report.n_steps;
        (self.steps_done, self.samples_done, self.epoch_samples) = (0, 0, 0);
        self.losses.clear();
        (self.stage_began, self.epoch_began, self.last_line) = (Instant::now(), Instant::now(), Instant::now());
        if report.epochs == 0 {
            self.say(&format!("{}: {} samples, to be learned with the last stage", self.prefix, report.n_samples));
        } else if !self.quiet && std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(self.n_steps as u64).with_prefix(self.prefix.clone());
            let template = "{prefix:20} [{bar:24}] {percent:>3} % {per_sec}, {eta} left  {msg}";
            // The template is fixed; should it ever be wrong, the default style still shows progress.
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("=> "));
            bar.enable_steady_tick(Duration::from_millis(250));
            self.bar = Some(bar);
        } else {
            self.say(&format!(
                "{}: {} samples, {} epochs of {} batches",
                self.prefix, report.n_samples, report.epochs, report.n_steps
            ));
        }
    }

    fn step(&mut self, report: &StepReport<'_>) {
        // A continued stage begins at a later epoch.
        let epochs_behind = (report.epoch - 1) * (self.n_steps / self.epochs.max(1));
        self.steps_done = epochs_behind + report.step;
        self.samples_done += report.n_samples;
        self.epoch_samples += report.n_samples;
        let name = match report.kind {
            "pretext" if report.label == self.own => "loss".to_string(),
            "pretext" => format!("{} loss", report.label),
            _ => format!("{} drift", report.label),
        };
        self.losses.insert(name, report.loss);
        if let Some(bar) = &self.bar {
            bar.set_position(self.steps_done as u64);
            bar.set_message(self.message());
        } else if self.last_line.elapsed() >= self.interval {
            self.last_line = Instant::now();
            self.say(&self.plain_line(report.epoch));
        }
    }

    fn waited(&mut self, time: Duration) {
        self.waited = Some(time);
    }

    fn epoch_finished(&mut self, metrics: &EpochMetrics) {
        if let Err(error) = self.append_time(metrics.epoch) {
            self.say(&format!("warning: times cannot be written to {}: {error}", self.timing.display()));
        }
        (self.epoch_began, self.epoch_samples, self.waited) = (Instant::now(), 0, None);
    }

    fn closing(&mut self, what: ClosingWork, done: usize, all: usize) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{what} {done} of {all} samples"));
        } else if self.last_line.elapsed() >= self.interval {
            self.last_line = Instant::now();
            self.say(&format!("{}: {what} {done} of {all} samples", self.prefix));
        }
    }

    fn invalid_sample(&mut self, modality: &str, id: &str, message: &str) {
        self.say(&format!("warning: {modality}: sample {id} is left out: {message}"));
    }

    fn warning(&mut self, message: &str) {
        self.say(&format!("warning: {message}"));
    }

    fn stop_requested(&self) -> bool {
        interrupt::requested()
    }

    fn stage_finished(&mut self, state: &StageState) {
        self.clear();
        if state.epochs == 0 {
            return;
        }
        let seconds = self.stage_began.elapsed().as_secs_f64();
        self.say(&format!("{}: done in {seconds:.1} s, {} batches", self.prefix, state.steps));
    }
}
