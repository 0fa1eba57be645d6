//! Times of a stage's epochs, which `metrics.jsonl` omits. They are written to `timing.jsonl` while a stage runs, and
//! read again.

use std::io::Write;
use std::time::{Duration, Instant};

use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::run::{EpochMetrics, StageState, read_text};
use medcoss_core::stage::{Observer, StageEndTask, StageReport, StepReport};
use serde::{Deserialize, Serialize};

use crate::observer::RunObserver;

/// Duration and memory of one epoch: a line of `timing.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochTime {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Number of trained samples, replayed samples included.
    pub n_samples: usize,
    /// Wall-clock duration in seconds.
    pub seconds: f64,
    /// Largest resident memory of the process so far, in bytes, where the system reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_rss_bytes: Option<u64>,
    /// Seconds of `seconds` in which training waited for a batch. Earlier versions did not measure them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_seconds: Option<f64>,
}

impl EpochTime {
    /// Reads the recorded times of a stage. Invalid lines are skipped, since nothing depends on times.
    pub fn read(path: &ConfinedPath) -> Vec<Self> {
        let text = read_text(path).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// Largest resident memory of this process so far, in bytes; `None` on systems other than Linux.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Observer that writes the times of one stage's epochs, and passes all events on to another observer.
pub(crate) struct Timed<'a> {
    inner: &'a mut dyn RunObserver,
    file: ConfinedPath,
    epoch_began: Instant,
    n_samples: usize,
    waited: Option<Duration>,
}

impl<'a> Timed<'a> {
    pub(crate) fn new(inner: &'a mut dyn RunObserver, file: ConfinedPath) -> Self {
        Self { inner, file, epoch_began: Instant::now(), n_samples: 0, waited: None }
    }

    fn append(&self, epoch: usize) -> anyhow::Result<()> {
        let time = EpochTime {
            epoch,
            n_samples: self.n_samples,
            seconds: self.epoch_began.elapsed().as_secs_f64(),
            peak_rss_bytes: peak_memory(),
            waited_seconds: self.waited.map(|waited| waited.as_secs_f64()),
        };
        let line = serde_json::to_string(&time)?;
        Ok(writeln!(self.file.append()?, "{line}")?)
    }
}

impl Observer for Timed<'_> {
    fn stage_started(&mut self, report: &StageReport<'_>) {
        (self.epoch_began, self.n_samples, self.waited) = (Instant::now(), 0, None);
        self.inner.stage_started(report);
    }

    fn step(&mut self, report: &StepReport<'_>) {
        self.n_samples += report.n_samples;
        self.inner.step(report);
    }

    fn waited(&mut self, time: Duration) {
        self.waited = Some(time);
        self.inner.waited(time);
    }

    fn epoch_finished(&mut self, metrics: &EpochMetrics) {
        if let Err(error) = self.append(metrics.epoch) {
            self.inner.warning(&format!("times cannot be written to {}: {error}", self.file.display()));
        }
        (self.epoch_began, self.n_samples, self.waited) = (Instant::now(), 0, None);
        self.inner.epoch_finished(metrics);
    }

    fn stage_end(&mut self, work: StageEndTask, done: usize, all: usize) {
        self.inner.stage_end(work, done, all);
    }

    fn invalid_sample(&mut self, modality: &str, id: &str, message: &str) {
        self.inner.invalid_sample(modality, id, message);
    }

    fn warning(&mut self, message: &str) {
        self.inner.warning(message);
    }

    fn stop_requested(&self) -> bool {
        self.inner.stop_requested()
    }

    fn stage_finished(&mut self, state: &StageState) {
        self.inner.stage_finished(state);
    }
}
