//! Another sampling rate: a sinc of eight lobes to either side under a Hann window, widened where the rate falls, so
//! that what the new rate cannot hold is filtered out.

use std::f64::consts::PI;
use std::ops::Range;

/// Lobes of the kernel to each side.
const LOBES: f64 = 8.0;
/// Places that are nearer to a sample than this are the sample: positions are sums of rounded numbers.
const SAME_PLACE: f64 = 1e-6;

/// Places in a signal, in its own samples: `n` of them, `step` apart, from `first` on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Places {
    pub n: usize,
    pub first: f64,
    pub step: f64,
}

impl Places {
    /// The samples of a signal of `n_in` that count for these places.
    pub(crate) fn reach(&self, n_in: u64) -> Range<u64> {
        let half = self.half_width();
        let last = self.first + self.step * self.n.saturating_sub(1) as f64;
        // Conversions saturate.
        let start = (self.first - half).floor().max(0.0) as u64;
        let end = ((last + half).ceil().max(0.0) as u64).saturating_add(1).min(n_in);
        start.min(end)..end
    }

    /// Signals at the places, from samples that begin with number `offset`; all have equally many, at least one. At the
    /// ends the kernel is cut off and brought to a sum of 1.
    pub(crate) fn resampled(&self, signals: &[Vec<f64>], offset: u64) -> Vec<Vec<f64>> {
        let n_in = signals.first().map_or(0, Vec::len);
        let (width, half) = (self.step.max(1.0), self.half_width());
        let mut resampled = vec![Vec::with_capacity(self.n); signals.len()];
        let mut weights: Vec<f64> = Vec::new();
        for at in 0..self.n {
            let centre = self.first + self.step * at as f64 - offset as f64;
            let nearest = centre.round();
            let is_sample = width == 1.0 && (centre - nearest).abs() < SAME_PLACE;
            let (centre, half) = if is_sample { (nearest, 0.0) } else { (centre, half) };
            // With a step below 1 the last place may lie up to a sample behind the signal.
            let end = ((centre + half).floor().max(0.0) as usize + 1).min(n_in);
            let start = ((centre - half).ceil().max(0.0) as usize).min(end.saturating_sub(1));
            weights.clear();
            weights.extend((start..end).map(|sample| kernel((sample as f64 - centre) / width)));
            let sum: f64 = weights.iter().sum();
            for (values, signal) in resampled.iter_mut().zip(signals) {
                let weighted = signal[start..end].iter().zip(&weights).map(|(sample, weight)| weight * sample);
                values.push(if sum.abs() > 1e-9 {
                    weighted.sum::<f64>() / sum
                } else {
                    signal.get(start).copied().unwrap_or(0.0)
                });
            }
        }
        resampled
    }

    fn half_width(&self) -> f64 {
        LOBES * self.step.max(1.0)
    }
}

fn kernel(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    if x.abs() >= LOBES {
        return 0.0;
    }
    (PI * x).sin() / (PI * x) * (0.5 + 0.5 * (PI * x / LOBES).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(n: usize, hz: f64, rate_hz: f64) -> Vec<f64> {
        (0..n).map(|at| (std::f64::consts::TAU * hz * at as f64 / rate_hz).sin()).collect()
    }

    #[test]
    fn whole_places_give_the_samples_even_behind_the_last() {
        let samples = sine(50, 3.0, 50.0);
        let places = Places { n: 7, first: 11.000_000_000_1, step: 1.0 };
        assert_eq!(places.resampled(&[samples[3..40].to_vec()], 3), [&samples[11..18]]);
        assert_eq!(places.reach(50), 3..27);
        let doubled =
            Places { n: 13, first: 0.0, step: 0.5 }.resampled(&[(0..6).map(f64::from).collect()], 0).remove(0);
        assert_eq!((doubled[10], doubled[12]), (5.0, 5.0));
    }

    #[test]
    fn a_sine_at_another_rate_is_the_sine_at_that_rate() {
        let samples = sine(2560, 17.0, 256.0);
        for rate_hz in [200.0, 100.0, 500.0] {
            let step = 256.0 / rate_hz;
            let n = (2560.0 / step) as usize;
            let found = Places { n, first: 0.0, step }.resampled(std::slice::from_ref(&samples), 0).remove(0);
            let expected = sine(n, 17.0, rate_hz);
            for at in 60..n - 60 {
                assert!((found[at] - expected[at]).abs() < 5e-3, "{rate_hz} Hz, {at}: {} {}", found[at], expected[at]);
            }
        }
    }

    #[test]
    fn what_the_new_rate_cannot_hold_is_filtered_out() {
        // Mains of 60 Hz in a signal that is brought to 100 Hz would come back as 40 Hz.
        let found = Places { n: 400, first: 0.0, step: 5.0 }.resampled(&[sine(2000, 60.0, 500.0)], 0).remove(0);
        assert!(found[40..360].iter().all(|value| value.abs() < 0.01));
    }

    #[test]
    fn a_stretch_gives_the_same_as_the_whole() {
        let samples = sine(1000, 7.0, 500.0);
        for places in [Places { n: 60, first: 123.4, step: 2.5 }, Places { n: 30, first: 960.0, step: 1.3 }] {
            let reach = places.reach(1000);
            let part = samples[reach.start as usize..reach.end as usize].to_vec();
            let (part, whole) =
                (places.resampled(&[part], reach.start), places.resampled(std::slice::from_ref(&samples), 0));
            assert!(part[0].iter().zip(&whole[0]).all(|(a, b)| (a - b).abs() < 1e-9), "{places:?}");
        }
    }
}
