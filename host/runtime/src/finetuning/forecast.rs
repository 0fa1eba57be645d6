//! What a fine-tuning would take, from the pace of its first batches.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::tuning::TuningObserver;

/// Least time over which the pace is measured, unless the first epoch ends before.
const MEASURED: Duration = Duration::from_secs(10);
/// Time of a sample without gradients, as a share of one with: the backward pass takes about twice the forward pass.
const SHARE_WITHOUT_GRADIENTS: f64 = 1.0 / 3.0;

/// Follows a fine-tuning, and asks it to stop when its pace is known.
#[derive(Debug, Default)]
pub struct FinetuneTrial {
    n_samples: [usize; 3],
    n_epochs: usize,
    /// End of the first batch, which may also have compiled kernels or filled caches.
    first: Option<Instant>,
    n_measured: usize,
    n_after_first: usize,
    measured: Duration,
    is_over: bool,
}

/// What a fine-tuning would take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FinetuneForecast {
    /// Number of training, validation and test samples.
    pub n_samples: [usize; 3],
    /// Number of epochs.
    pub n_epochs: usize,
    /// Training samples in a second; none where a batch is all there was to measure.
    pub samples_per_second: Option<f64>,
    /// Time of the whole in seconds, if no epoch ends the training early.
    pub seconds: Option<f64>,
}

impl FinetuneTrial {
    /// The forecast, after the fine-tuning was stopped or has ended.
    pub fn forecast(&self) -> FinetuneForecast {
        let [n_train, n_validation, n_test] = self.n_samples;
        let pace = (self.n_after_first > 0 && !self.measured.is_zero())
            .then(|| self.n_after_first as f64 / self.measured.as_secs_f64());
        let without = (self.n_epochs * n_validation + n_test) as f64 * SHARE_WITHOUT_GRADIENTS;
        let work = (self.n_epochs * n_train) as f64 + without;
        FinetuneForecast {
            n_samples: self.n_samples,
            n_epochs: self.n_epochs,
            samples_per_second: pace,
            seconds: pace.map(|pace| work / pace),
        }
    }
}

impl TuningObserver for FinetuneTrial {
    fn opened(&mut self, n_train: usize, n_validation: usize, n_test: usize, n_epochs: usize) {
        (self.n_samples, self.n_epochs) = ([n_train, n_validation, n_test], n_epochs);
    }

    fn samples(&mut self, n: usize) {
        self.n_measured += n;
        let now = Instant::now();
        match self.first {
            None => self.first = Some(now),
            Some(first) => {
                self.n_after_first += n;
                self.measured = now.duration_since(first);
            }
        }
        self.is_over |= self.measured >= MEASURED || self.n_measured >= self.n_samples[0];
    }

    fn stop_requested(&self) -> bool {
        self.is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_is_epochs_of_training_and_a_third_of_the_pace_elsewhere() {
        let mut trial = FinetuneTrial::default();
        trial.opened(40, 6, 3, 10);
        trial.samples(4);
        assert!(!trial.stop_requested());
        trial.samples(36);
        assert!(trial.stop_requested());
        trial.measured = Duration::from_secs(9);
        let found = trial.forecast();
        // 36 samples in 9 s; 400 to learn from, and 63 a third each.
        assert_eq!(found.samples_per_second, Some(4.0));
        assert!((found.seconds.unwrap() - (400.0 + 21.0) / 4.0).abs() < 1e-9, "{found:?}");
    }
}
