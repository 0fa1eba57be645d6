//! Rate of work and the time left, from what this process has done: work of an earlier process says nothing about either.

use std::time::Instant;

/// Pace of work that is counted in steps, since a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    began: Instant,
    /// Number of steps that were done before.
    first: Option<usize>,
    done: usize,
    /// Number of samples in the steps of this process.
    n_samples: usize,
}

impl Pace {
    /// The pace of work that begins now.
    pub(crate) fn starting(now: Instant) -> Self {
        Self { began: now, first: None, done: 0, n_samples: 0 }
    }

    /// Work that goes on after `done` steps.
    pub(crate) fn after(now: Instant, done: usize) -> Self {
        Self { first: Some(done), done, ..Self::starting(now) }
    }

    /// A step has ended: it is number `done` of all, from 1. The first call tells where this process began.
    pub(crate) fn step(&mut self, done: usize, n_samples: usize) {
        self.first.get_or_insert(done.saturating_sub(1));
        self.done = done;
        self.n_samples += n_samples;
    }

    /// Number of finished steps, those of earlier processes included.
    pub(crate) fn done(&self) -> usize {
        self.done
    }

    /// Rate and time left of work of `all` steps: `12.3 samples/s, 40 s left`. Empty before the first step of this process.
    pub(crate) fn to_text(self, now: Instant, all: usize) -> String {
        let seconds = now.saturating_duration_since(self.began).as_secs_f64();
        let steps = self.done - self.first.unwrap_or(self.done).min(self.done);
        if steps == 0 || seconds <= 0.0 {
            return String::new();
        }
        let left = seconds / steps as f64 * all.saturating_sub(self.done) as f64;
        format!("{:.1} samples/s, {left:.0} s left", self.n_samples as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_the_steps_of_this_process_count() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut pace = Pace::starting(began);
        assert_eq!(pace.to_text(at(5), 1000), "");
        // An earlier process did 900 of 1000 steps. Ten steps of 8 samples take 20 s: 90 steps are left.
        for step in 901..=910 {
            pace.step(step, 8);
        }
        assert_eq!((pace.done(), pace.to_text(at(20), 1000)), (910, "4.0 samples/s, 180 s left".into()));
        // Without an earlier process.
        let mut pace = Pace::starting(began);
        (1..=10).for_each(|step| pace.step(step, 8));
        assert_eq!(pace.to_text(at(20), 100), "4.0 samples/s, 180 s left");
    }

    #[test]
    fn a_pace_has_no_value_without_time_or_steps() {
        let began = Instant::now();
        let mut pace = Pace::after(began, 320);
        assert_eq!(pace.to_text(began + Duration::from_secs(9), 1000), "");
        pace.step(640, 320);
        assert_eq!(pace.to_text(began, 1000), "");
        assert_eq!(pace.to_text(began + Duration::from_secs(32), 1000), "10.0 samples/s, 36 s left");
        // A clock that goes back, and more steps than were announced.
        assert_eq!(Pace::after(began + Duration::from_secs(9), 0).to_text(began, 10), "");
        pace.step(2000, 1);
        assert!(pace.to_text(began + Duration::from_secs(32), 1000).ends_with(", 0 s left"));
    }
}
