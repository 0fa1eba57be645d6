//! Resampling by a windowed sinc.

use std::ops::Range;

/// Lobes of the Lanczos kernel to each side.
const LOBES: f64 = 3.0;

/// Resampling in a record, in its own samples: `n` of them, `step` apart, from `first` on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resampling {
    /// Number of places.
    pub n: usize,
    /// The first place, 0 or more; it need not be whole.
    pub first: f64,
    /// Distance of places, above 0: the recording's rate over the new one.
    pub step: f64,
}

impl Resampling {
    /// The samples of a recording of `n_in` that count for these places.
    pub fn reach(&self, n_in: usize) -> Range<usize> {
        let half = self.half_width();
        let last = self.first + self.step * (self.n.max(1) - 1) as f64;
        let start = (self.first - half).ceil().max(0.0) as usize;
        let end = ((last + half).floor().max(0.0) as usize + 1).min(n_in);
        start.min(end)..end
    }

    /// Signals at the places, from samples that begin with number `offset` of the recording; all have equally many. Lanczos with
    /// three lobes, widened by the step when the rate falls, so that what the new rate cannot hold is filtered out. At the ends of
    /// the recording the kernel is cut off and brought to a sum of 1. Whole places with a step of 1 give the samples unchanged.
    pub fn resample(&self, signals: &[Vec<f32>], offset: usize) -> Vec<Vec<f32>> {
        let n_in = signals.first().map_or(0, Vec::len);
        let (width, half) = (self.step.max(1.0), self.half_width());
        let mut resampled = vec![Vec::with_capacity(self.n); signals.len()];
        let mut weights: Vec<f64> = Vec::new();
        for at in 0..self.n {
            let centre = self.first + self.step * at as f64 - offset as f64;
            if width == 1.0 && centre.fract() == 0.0 {
                // With a step below 1 the last place may lie up to a sample behind the recording.
                let at = (centre as usize).min(n_in.saturating_sub(1));
                resampled.iter_mut().zip(signals).for_each(|(values, signal)| values.push(signal[at]));
                continue;
            }
            let end = ((centre + half).floor().max(0.0) as usize + 1).min(n_in);
            let start = ((centre - half).ceil().max(0.0) as usize).min(end);
            weights.clear();
            weights.extend((start..end).map(|number| lanczos((number as f64 - centre) / width)));
            let sum: f64 = weights.iter().sum();
            for (values, signal) in resampled.iter_mut().zip(signals) {
                let weighted =
                    signal[start..end].iter().zip(&weights).map(|(&sample, weight)| weight * f64::from(sample));
                values.push((weighted.sum::<f64>() / sum) as f32);
            }
        }
        resampled
    }

    fn half_width(&self) -> f64 {
        LOBES * self.step.max(1.0)
    }
}

fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
    if x.abs() < LOBES { sinc(x) * sinc(x / LOBES) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(n: usize, hz: f64, sampling_rate_hz: f64) -> Vec<f32> {
        (0..n).map(|at| (std::f64::consts::TAU * hz * at as f64 / sampling_rate_hz).sin() as f32).collect()
    }

    #[test]
    fn whole_places_give_the_samples() {
        let samples = sine(50, 3.0, 50.0);
        let places = Resampling { n: 7, first: 11.0, step: 1.0 };
        assert_eq!(places.resample(&[samples[5..30].to_vec()], 5), [&samples[11..18]]);
        assert_eq!(places.reach(50), 8..21);
        assert_eq!(Resampling { n: 50, first: 0.0, step: 1.0 }.reach(50), 0..50);
    }

    #[test]
    fn a_place_up_to_a_sample_behind_the_recording_has_its_last_value() {
        // Of 13 samples at twice the rate, six samples of a record lack half a one.
        let samples: Vec<f32> = (0..6_u8).map(f32::from).collect();
        let resampled = Resampling { n: 13, first: 0.0, step: 0.5 }.resample(&[samples], 0).remove(0);
        assert_eq!((resampled[10], resampled[12]), (5.0, 5.0));
    }

    #[test]
    fn a_sine_at_another_rate_is_the_sine_at_that_rate() {
        // 10 Hz from 500 Hz to 250, 100 and 720 Hz, away from the ends: within 2 % of its height.
        let samples = sine(1000, 10.0, 500.0);
        for sampling_rate_hz in [250.0, 100.0, 720.0] {
            let step = 500.0 / sampling_rate_hz;
            let n = (1000.0 / step) as usize;
            let found = Resampling { n, first: 0.0, step }.resample(std::slice::from_ref(&samples), 0).remove(0);
            let expected = sine(n, 10.0, sampling_rate_hz);
            let margin = (20.0 / step) as usize + 20;
            for at in margin..n - margin {
                assert!(
                    (found[at] - expected[at]).abs() < 0.02,
                    "{sampling_rate_hz} Hz, {at}: {} {}",
                    found[at],
                    expected[at]
                );
            }
        }
    }

    #[test]
    fn what_the_new_rate_cannot_hold_is_filtered_out() {
        // Hum of 60 Hz in a signal that is brought to 100 Hz would come back as 40 Hz.
        let found = Resampling { n: 200, first: 0.0, step: 5.0 }.resample(&[sine(1000, 60.0, 500.0)], 0).remove(0);
        let highest = found[20..180].iter().fold(0.0_f32, |highest, value| highest.max(value.abs()));
        assert!(highest < 0.3, "{highest}");
        let found = Resampling { n: 200, first: 0.0, step: 5.0 }.resample(&[sine(1000, 90.0, 500.0)], 0).remove(0);
        assert!(found[20..180].iter().all(|value| value.abs() < 0.03));
    }

    #[test]
    fn a_stretch_gives_the_same_as_the_whole() {
        let samples = sine(1000, 7.0, 500.0);
        for places in [Resampling { n: 60, first: 123.4, step: 2.5 }, Resampling { n: 30, first: 960.0, step: 1.3 }] {
            let reach = places.reach(1000);
            let other: Vec<f32> = samples.iter().map(|value| 1.0 - value).collect();
            let part = places.resample(&[samples[reach.clone()].to_vec(), other[reach.clone()].to_vec()], reach.start);
            let whole = places.resample(&[samples.clone(), other], 0);
            assert!(part.concat().iter().zip(&whole.concat()).all(|(a, b)| (a - b).abs() < 1e-6), "{places:?}");
        }
    }
}
