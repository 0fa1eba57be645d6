//! Measurement of a stage's durations during a trial.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use medcoss_core::run::{EpochMetrics, StageState};
use medcoss_core::stage::{Observer, StageEndTask, StageReport, StepReport};

use crate::observer::{RunObserver, WorkObserver};

/// Fraction of an epoch spent waiting for data (without the first batch) from which the loader limits the speed.
const LOADER_DECIDES: f64 = 0.1;

/// Measured durations of a stage's parts, in seconds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Times {
    /// Name of the losses of the stage's own modality.
    pub own: String,
    /// Seconds before the first batch is trained.
    pub setup: f64,
    /// Seconds of a batch, by the name of its losses.
    pub batch: BTreeMap<String, f64>,
    /// Seconds of an epoch beside its batches.
    pub epoch: f64,
    /// Fraction of an epoch in which training waits for a batch to be loaded.
    pub waited: f64,
    /// Seconds of a checkpoint.
    pub checkpoint: f64,
    /// Seconds of one sample's features.
    pub features: f64,
    /// Seconds of one sample's contribution to the parameter importance.
    pub importance: f64,
    /// Seconds of writing the last files.
    pub finish: f64,
}

#[derive(Debug, Clone)]
struct Epoch {
    seconds: f64,
    waited: f64,
    /// Name of each batch, and the seconds since the previous batch or the begin of the epoch.
    batches: Vec<(String, f64)>,
}

/// Observer that times a stage, and ends its training after an epoch when enough epochs were measured.
pub(super) struct Stopwatch<'a> {
    observer: &'a dyn WorkObserver,
    budget: Duration,
    began: Instant,
    epoch_began: Instant,
    mark: Instant,
    epochs: Vec<Epoch>,
    current: Epoch,
    is_closing: bool,
    /// Tasks at the end of the stage, with the time and the number of their first finished samples.
    closing: Vec<(StageEndTask, Instant, usize)>,
    times: Times,
}

impl<'a> Stopwatch<'a> {
    /// A stopwatch that starts now. After a first epoch to warm up memory and file cache, epochs are measured until
    /// they fill the budget.
    pub(super) fn new(budget: Duration, observer: &'a dyn WorkObserver) -> Self {
        let now = Instant::now();
        let current = Epoch { seconds: 0.0, waited: 0.0, batches: Vec::new() };
        let (epochs, closing, times) = (Vec::new(), Vec::new(), Times::default());
        Self {
            observer,
            budget,
            began: now,
            epoch_began: now,
            mark: now,
            epochs,
            current,
            is_closing: false,
            closing,
            times,
        }
    }

    pub(super) fn n_epochs(&self) -> usize {
        self.epochs.len()
    }

    fn has_enough(&self) -> bool {
        let measured: f64 = self.epochs.iter().skip(1).map(|epoch| epoch.seconds).sum();
        self.epochs.len() >= 2 && measured >= self.budget.as_secs_f64()
    }

    /// Records that the training has ended with a checkpoint.
    pub(super) fn training_ended(&mut self) {
        self.is_closing = true;
        self.times.checkpoint = self.epoch_began.elapsed().as_secs_f64();
    }

    /// The measured durations.
    pub(super) fn times(&self) -> Times {
        let (batch, epoch) = of_batches(self.epochs.get(1..).unwrap_or_default());
        let seconds: f64 = self.epochs.iter().skip(1).map(|epoch| epoch.seconds).sum();
        let waited: f64 = self.epochs.iter().skip(1).map(|epoch| epoch.waited).sum();
        let first = self.epochs.first().and_then(|epoch| epoch.batches.first());
        let usual = first.and_then(|(label, _)| batch.get(label)).copied().unwrap_or_default();
        Times {
            setup: (self.times.setup - usual).max(0.0),
            batch,
            epoch,
            waited: if seconds > 0.0 { waited / seconds } else { 0.0 },
            ..self.times.clone()
        }
    }
}

/// Mean duration of batches by their name, and of the rest of an epoch. The first batch of an epoch includes the start
/// of the epoch, which counts as the epoch's, unless training also waits for later batches: then all waiting counts as
/// the batches'.
fn of_batches(epochs: &[Epoch]) -> (BTreeMap<String, f64>, f64) {
    let (mut sums, mut all) = (BTreeMap::<String, (f64, usize)>::new(), (0.0, 0usize));
    for (label, seconds) in epochs.iter().flat_map(|epoch| epoch.batches.iter().skip(1)) {
        let sum = sums.entry(label.clone()).or_default();
        *sum = (sum.0 + seconds, sum.1 + 1);
        all = (all.0 + seconds, all.1 + 1);
    }
    let overall = if all.1 > 0 {
        all.0 / all.1 as f64
    } else {
        let seconds: f64 = epochs.iter().map(|epoch| epoch.seconds).sum();
        seconds / epochs.iter().map(|epoch| epoch.batches.len()).sum::<usize>().max(1) as f64
    };
    // A kind of batch that was always first in its epoch counts as an average batch.
    let labels = epochs.iter().flat_map(|epoch| epoch.batches.iter().map(|(label, _)| label));
    let mut means: BTreeMap<String, f64> = labels.map(|label| (label.clone(), overall)).collect();
    means.extend(sums.into_iter().map(|(label, (seconds, n))| (label, seconds / n as f64)));

    let of_epoch = |epoch: &Epoch| epoch.batches.iter().map(|(label, _)| means[label]).sum::<f64>();
    let predicted: f64 = epochs.iter().map(of_epoch).sum();
    let seconds: f64 = epochs.iter().map(|epoch| epoch.seconds).sum();
    let beside = (seconds - predicted).max(0.0);
    let waited: f64 = epochs.iter().map(|epoch| epoch.waited).sum();
    if waited - beside > LOADER_DECIDES * seconds {
        means.values_mut().for_each(|mean| *mean *= seconds / predicted);
        return (means, 0.0);
    }
    (means, beside / epochs.len().max(1) as f64)
}

impl RunObserver for Stopwatch<'_> {}

impl Observer for Stopwatch<'_> {
    fn stage_started(&mut self, report: &StageReport<'_>) {
        self.times.own = report.label.into();
    }

    fn step(&mut self, report: &StepReport<'_>) {
        if self.epochs.is_empty() && self.current.batches.is_empty() {
            self.times.setup = self.began.elapsed().as_secs_f64();
        }
        self.current.batches.push((report.label.into(), self.mark.elapsed().as_secs_f64()));
        self.mark = Instant::now();
    }

    fn waited(&mut self, time: Duration) {
        self.current.waited = time.as_secs_f64();
    }

    fn epoch_finished(&mut self, _: &EpochMetrics) {
        let next = Epoch { seconds: 0.0, waited: 0.0, batches: Vec::new() };
        let ended = std::mem::replace(&mut self.current, next);
        self.epochs.push(Epoch { seconds: self.epoch_began.elapsed().as_secs_f64(), ..ended });
        self.epoch_began = Instant::now();
        self.mark = self.epoch_began;
    }

    fn stage_end(&mut self, work: StageEndTask, done: usize, _: usize) {
        let seconds = match work {
            StageEndTask::Importance => &mut self.times.importance,
            StageEndTask::Features => &mut self.times.features,
            StageEndTask::KMeans { .. } => return,
        };
        match self.closing.iter().find(|(known, ..)| *known == work) {
            Some((_, began, first)) => {
                *seconds = began.elapsed().as_secs_f64() / done.saturating_sub(*first).max(1) as f64;
            }
            None => self.closing.push((work, Instant::now(), done)),
        }
        self.mark = Instant::now();
    }

    fn stop_requested(&self) -> bool {
        (self.has_enough() && !self.is_closing) || self.observer.stop_requested()
    }

    fn stage_finished(&mut self, _: &StageState) {
        self.times.finish = self.mark.elapsed().as_secs_f64();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(seconds: f64, waited: f64, batches: &[(&str, f64)]) -> Epoch {
        Epoch { seconds, waited, batches: batches.iter().map(|(label, time)| ((*label).into(), *time)).collect() }
    }

    #[test]
    fn time_before_the_first_batch_belongs_to_the_epoch() {
        let epochs = [
            epoch(5.0, 1.0, &[("ct", 2.0), ("ct", 1.0), ("text", 0.5), ("ct", 1.0)]),
            epoch(5.0, 1.0, &[("text", 1.5), ("ct", 1.0), ("ct", 1.0), ("ct", 1.0)]),
        ];
        let (batch, beside) = of_batches(&epochs);
        assert_eq!((batch["ct"], batch["text"]), (1.0, 0.5));
        assert_eq!(beside, 1.5);
    }

    #[test]
    fn where_loading_is_the_bottleneck_batches_take_the_time_of_the_loader() {
        // Batches take 0.1 s and come every second, two of them at once.
        let batches = [("ct", 2.1), ("ct", 0.1), ("ct", 1.9), ("ct", 0.1), ("ct", 1.9), ("ct", 0.1)];
        let (batch, beside) = of_batches(&[epoch(6.2, 5.6, &batches)]);
        assert!((batch["ct"] - 6.2 / 6.0).abs() < 1e-9, "{batch:?}");
        assert_eq!(beside, 0.0);
    }

    #[test]
    fn a_batch_kind_that_only_came_first_takes_the_average_time() {
        let (batch, _) = of_batches(&[epoch(3.5, 0.5, &[("text", 1.5), ("ct", 1.0), ("ct", 1.0)])]);
        assert_eq!(batch["text"], 1.0);
        let (batch, beside) = of_batches(&[epoch(3.0, 0.5, &[("ct", 2.9)])]);
        assert_eq!((batch["ct"], beside), (3.0, 0.0));
        assert_eq!(of_batches(&[]), (BTreeMap::new(), 0.0));
    }
}
