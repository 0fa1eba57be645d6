//! Progress of stages and other work: a bar on a terminal, one plain line per interval elsewhere.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use medcoss_core::run::StageState;
use medcoss_core::stage::{Observer, StageEndTask, StageReport, StepReport};
use medcoss_core::weights::InitialModel;
use medcoss_runtime::{DataReport, RunObserver, WorkObserver, WorkReport};

use crate::pace::Pace;
use crate::tables::data_account;
use crate::terminal::{self, escaped};
use crate::{interrupt, messages, tables};

/// A bar over `n` samples, on a terminal; hidden elsewhere.
pub(crate) fn bar(template: &str, n: usize, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(n as u64);
    // Templates are constants. With a wrong template the default style still shows progress.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// Observer that shows the progress of a run's stages.
pub struct Progress {
    /// The progress bar on a terminal.
    bar: Option<ProgressBar>,
    quiet: bool,
    interval: Duration,
    prefix: String,
    /// Name of the stage's own losses.
    own: String,
    epochs: usize,
    /// Number of the stage's steps.
    n_steps: usize,
    /// Pace of the training.
    pace: Pace,
    /// The task after the last epoch, with its pace.
    end_task: Option<(StageEndTask, Pace)>,
    stage_began: Instant,
    last_line: Instant,
    /// Latest loss by kind and modality.
    losses: BTreeMap<String, f32>,
    /// Number of the invalid samples by modality that were not shown.
    skipped: BTreeMap<String, usize>,
}

impl Progress {
    /// An observer that writes a line every `interval` where standard error is no terminal; with `quiet` it shows
    /// only warnings, and the number of skipped samples in place of their names.
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
            pace: Pace::starting(now),
            end_task: None,
            stage_began: now,
            last_line: now,
            losses: BTreeMap::new(),
            skipped: BTreeMap::new(),
        }
    }

    /// Shows a line for people, above the bar if there is one.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.always_say(line);
        }
    }

    fn always_say(&self, line: &str) {
        let line = messages::indented(line);
        match &self.bar {
            Some(bar) => bar.println(escaped(&line)),
            None => terminal::write_error_line(&line),
        }
    }

    /// Removes the bar, and says how many samples were skipped without a word. Later lines start on a clean line.
    pub fn clear(&mut self) {
        for (modality, n_skipped) in std::mem::take(&mut self.skipped) {
            self.always_say(&format!(
                "warning: {modality}: samples that cannot be read were skipped: {n_skipped}; state.json of the stage names them"
            ));
        }
        if let Some(bar) = self.bar.take() {
            messages::show_above(None);
            bar.finish_and_clear();
        }
    }

    fn message(&self) -> String {
        let losses = self.losses.iter().map(|(name, loss)| format!("{name} {loss:.4}"));
        losses.collect::<Vec<_>>().join(", ")
    }

    /// Rate, time left and latest losses.
    fn figures(&self) -> String {
        let pace = self.pace.to_text(Instant::now(), self.n_steps);
        [pace, self.message()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
    }

    fn plain_line(&self, epoch: usize) -> String {
        let percent = 100.0 * self.pace.done() as f64 / self.n_steps.max(1) as f64;
        format!("{}: epoch {epoch}/{}, {percent:.0} %, {}", self.prefix, self.epochs, self.figures())
    }

    /// A task after the last epoch in words, with rate and time left where its work is counted in samples.
    fn end_text(&mut self, what: StageEndTask, done: usize, all: usize) -> String {
        let now = Instant::now();
        let text = format!("{what} {done} of {all} samples");
        if matches!(what, StageEndTask::KMeans { .. }) {
            return text;
        }
        let pace = match &mut self.end_task {
            Some((task, pace)) if *task == what => pace,
            other => &mut other.insert((what, Pace::after(now, done))).1,
        };
        pace.step(done, done.saturating_sub(pace.done()));
        match pace.to_text(now, all) {
            empty if empty.is_empty() => text,
            pace => format!("{text}, {pace}"),
        }
    }
}

impl Observer for Progress {
    fn stage_started(&mut self, report: &StageReport<'_>) {
        self.prefix = format!("stage {} {}", report.stage, report.modality);
        self.own = report.label.into();
        self.epochs = report.epochs;
        self.n_steps = report.epochs * report.n_steps;
        let now = Instant::now();
        (self.pace, self.end_task) = (Pace::starting(now), None);
        self.losses.clear();
        (self.stage_began, self.last_line) = (now, now);
        if report.epochs == 0 {
            self.say(&format!("{}: {} samples, to be learned with the last stage", self.prefix, report.n_samples));
        } else if !self.quiet && std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(self.n_steps as u64).with_prefix(escaped(&self.prefix).into_owned());
            // The bar's own rate and time left would count the steps of an earlier process.
            let template = "{prefix:20} [{bar:24}] {percent:>3} %  {msg}";
            // The template is a constant. With a wrong template the default style still shows progress.
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("=> "));
            bar.enable_steady_tick(Duration::from_millis(250));
            messages::show_above(Some(bar.clone()));
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
        self.pace.step(epochs_behind + report.step, report.n_samples);
        let name = match report.kind {
            "pretext" if report.label == self.own => "loss".to_string(),
            "pretext" => format!("{} loss", report.label),
            _ => format!("{} distillation", report.label),
        };
        self.losses.insert(name, report.loss);
        if let Some(bar) = &self.bar {
            bar.set_position(self.pace.done() as u64);
            bar.set_message(escaped(&self.figures()).into_owned());
        } else if self.last_line.elapsed() >= self.interval {
            self.last_line = Instant::now();
            self.say(&self.plain_line(report.epoch));
        }
    }

    fn stage_end(&mut self, what: StageEndTask, done: usize, all: usize) {
        let text = self.end_text(what, done, all);
        if let Some(bar) = &self.bar {
            bar.set_message(text);
        } else if self.last_line.elapsed() >= self.interval {
            self.last_line = Instant::now();
            self.say(&format!("{}: {text}", self.prefix));
        }
    }

    fn invalid_sample(&mut self, modality: &str, id: &str, message: &str) {
        if self.quiet {
            *self.skipped.entry(modality.into()).or_default() += 1;
        }
        self.say(&format!("warning: {modality}: sample {id} is skipped: {message}"));
    }

    fn warning(&mut self, message: &str) {
        self.always_say(&format!("warning: {message}"));
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

impl RunObserver for Progress {
    fn notice(&mut self, message: &str) {
        self.say(message);
    }

    fn data_opened(&mut self, report: &DataReport<'_>) {
        let DataReport { stage, modality, n_samples, account } = *report;
        let text = data_account::to_text(&format!("stage {stage} {modality}"), n_samples, account);
        // What asks for something is said in any case.
        match data_account::warns(account) {
            true => self.always_say(text.trim_end()),
            false => self.say(text.trim_end()),
        }
    }

    fn weights_imported(&mut self, model: &InitialModel) {
        tracing::info!("{}", tables::import::to_text(model));
    }
}

/// A bar over work of known length, on a terminal; hidden elsewhere.
pub(crate) struct WorkBar {
    bar: ProgressBar,
    activity: RefCell<String>,
}

impl WorkBar {
    /// A bar from an indicatif template with `msg` for the present activity.
    pub(crate) fn new(template: &str, quiet: bool) -> Self {
        let bar = bar(template, 0, quiet);
        messages::show_above(Some(bar.clone()));
        Self { bar, activity: RefCell::default() }
    }

    /// Removes the bar.
    pub(crate) fn finish(self) {
        messages::show_above(None);
        self.bar.finish_and_clear();
    }
}

impl WorkObserver for WorkBar {
    fn progress(&self, report: &WorkReport<'_>) {
        self.bar.set_length(report.total);
        self.bar.set_position(report.done);
        if *self.activity.borrow() != report.activity {
            self.bar.set_message(escaped(report.activity).into_owned());
            self.activity.replace(report.activity.into());
        }
    }

    fn stop_requested(&self) -> bool {
        interrupt::requested()
    }
}
