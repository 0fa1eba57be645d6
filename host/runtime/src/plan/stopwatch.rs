//! Times of a stage during a trial.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use medcoss_core::run::{EpochMetrics, StageState};
use medcoss_core::stage::{Observer, StageEndTask, StageReport, StepReport};

use crate::observer::{RunObserver, WorkObserver};

/// Share of an epoch that is spent waiting for data, the first batch aside, above which the loader decides how fast it goes.
const LOADER_DECIDES: f64 = 0.1;

/// What parts of a stage take, in seconds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Times {
    /// Name of the losses of the stage's own modality.
    pub own: String,
    /// Until the first batch is learned.
    pub setup: f64,
    /// A batch, by the name of its losses.
    pub batch: BTreeMap<String, f64>,
    /// What an epoch takes beside its batches.
    pub epoch: f64,
    /// Share of an epoch in which learning stands still because a batch is not loaded yet.
    pub waited: f64,
    /// A checkpoint.
    pub checkpoint: f64,
    /// The features of a sample.
    pub features: f64,
    /// What a sample says about the importance of parameters.
    pub importance: f64,
    /// The last files.
    pub finish: f64,
}

#[derive(Debug, Clone)]
struct Epoch {
    seconds: f64,
    waited: f64,
    /// Of each batch its name, and the time since the one before it or since the epoch began.
    batches: Vec<(String, f64)>,
}

/// Watches a stage, and ends its training after an epoch when enough was seen.
pub(super) struct Stopwatch<'a> {
    observer: &'a dyn WorkObserver,
    budget: Duration,
    began: Instant,
    epoch_began: Instant,
    mark: Instant,
    epochs: Vec<Epoch>,
    current: Epoch,
    is_closing: bool,
    /// What the first samples of a closing work are, and when.
    closing: Vec<(StageEndTask, Instant, usize)>,
    times: Times,
}

impl<'a> Stopwatch<'a> {
    /// Watches from now on. After the first epoch, in which memory is claimed and files come into the system's cache, epochs are measured
    /// until they fill the budget.
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

    /// The training has ended with a checkpoint.
    pub(super) fn training_ended(&mut self) {
        self.is_closing = true;
        self.times.checkpoint = self.epoch_began.elapsed().as_secs_f64();
    }

    /// What was measured.
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

/// Means of batches by their name, and what an epoch takes beside them. The first batch of an epoch also bears what begins one, which counts as the epoch's,
/// unless later ones are waited for as well: then all of the waiting is theirs.
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
    // A batch that only ever came first is taken for an average one.
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
    fn what_begins_an_epoch_is_the_epochs() {
        let epochs = [
            epoch(5.0, 1.0, &[("ct", 2.0), ("ct", 1.0), ("text", 0.5), ("ct", 1.0)]),
            epoch(5.0, 1.0, &[("text", 1.5), ("ct", 1.0), ("ct", 1.0), ("ct", 1.0)]),
        ];
        let (batch, beside) = of_batches(&epochs);
        assert_eq!((batch["ct"], batch["text"]), (1.0, 0.5));
        assert_eq!(beside, 1.5);
    }

    #[test]
    fn where_the_loader_decides_batches_take_what_it_takes() {
        // Batches take 0.1 s and come every second, two of them at once.
        let batches = [("ct", 2.1), ("ct", 0.1), ("ct", 1.9), ("ct", 0.1), ("ct", 1.9), ("ct", 0.1)];
        let (batch, beside) = of_batches(&[epoch(6.2, 5.6, &batches)]);
        assert!((batch["ct"] - 6.2 / 6.0).abs() < 1e-9, "{batch:?}");
        assert_eq!(beside, 0.0);
    }

    #[test]
    fn what_only_ever_came_first_is_an_average_batch() {
        let (batch, _) = of_batches(&[epoch(3.5, 0.5, &[("text", 1.5), ("ct", 1.0), ("ct", 1.0)])]);
        assert_eq!(batch["text"], 1.0);
        let (batch, beside) = of_batches(&[epoch(3.0, 0.5, &[("ct", 2.9)])]);
        assert_eq!((batch["ct"], beside), (3.0, 0.0));
        assert_eq!(of_batches(&[]), (BTreeMap::new(), 0.0));
    }
}
