//! Resampling by a windowed sinc.

use std::f64::consts::PI;
use std::ops::Range;

/// Places that are nearer to a sample than this are the sample: positions are sums of rounded numbers.
const SAME_PLACE: f64 = 1e-6;
/// Weights with a smaller sum than this are those of samples that count for nothing.
const NO_WEIGHT: f64 = 1e-9;

/// The window of the sinc.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kernel {
    /// Lanczos with three lobes to each side: short, for signals whose details lie well below half of either rate.
    #[default]
    Lanczos,
    /// A Hann window over eight lobes to each side: what is to stay and what is filtered out lie closer together.
    Hann,
}

/// A value of a signal.
pub trait SignalValue: Copy + Default + Into<f64> {
    /// The nearest of this type.
    fn nearest(value: f64) -> Self;
}

impl SignalValue for f32 {
    fn nearest(value: f64) -> Self {
        value as Self
    }
}

impl SignalValue for f64 {
    fn nearest(value: f64) -> Self {
        value
    }
}

/// Resampling in a record, in its own samples: `n` of them, `step` apart, from `first` on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resampling {
    /// Number of places.
    pub n: usize,
    /// The first place, 0 or more; it need not be whole.
    pub first: f64,
    /// Distance of places, above 0: the recording's rate over the new one.
    pub step: f64,
    /// The window of the sinc.
    pub kernel: Kernel,
}

impl Resampling {
    /// The samples of a recording of `n_in` that count for these places.
    pub fn reach(&self, n_in: usize) -> Range<usize> {
        let half = self.half_width();
        let last = self.first + self.step * self.n.saturating_sub(1) as f64;
        // Conversions saturate.
        let start = (self.first - half).floor().max(0.0) as usize;
        let end = ((last + half).ceil().max(0.0) as usize).saturating_add(1).min(n_in);
        start.min(end)..end
    }

    /// Signals at the places, from samples that begin with number `offset` of the recording; all have equally many. The kernel is widened by
    /// the step when the rate falls, so that what the new rate cannot hold is filtered out. At the ends of the recording it is cut off and
    /// brought to a sum of 1. Whole places with a step of up to 1 give the samples unchanged.
    pub fn resample<T: SignalValue>(&self, signals: &[Vec<T>], offset: usize) -> Vec<Vec<T>> {
        let n_in = signals.first().map_or(0, Vec::len);
        let (width, half) = (self.step.max(1.0), self.half_width());
        let mut resampled = vec![Vec::with_capacity(self.n); signals.len()];
        let mut weights: Vec<f64> = Vec::new();
        for at in 0..self.n {
            let centre = self.first + self.step * at as f64 - offset as f64;
            let nearest = centre.round();
            let is_sample = width == 1.0 && (centre - nearest).abs() < SAME_PLACE;
            let (centre, half) = if is_sample { (nearest, 0.0) } else { (centre, half) };
            // With a step below 1 the last place may lie up to a sample behind the recording.
            let end = ((centre + half).floor().max(0.0) as usize).saturating_add(1).min(n_in);
            let start = ((centre - half).ceil().max(0.0) as usize).min(end.saturating_sub(1));
            weights.clear();
            weights.extend((start..end).map(|number| self.kernel.weight((number as f64 - centre) / width)));
            let sum: f64 = weights.iter().sum();
            for (values, signal) in resampled.iter_mut().zip(signals) {
                if sum.abs() <= NO_WEIGHT {
                    values.push(signal.get(start).copied().unwrap_or_default());
                    continue;
                }
                let weighted = signal[start..end].iter().zip(&weights).map(|(&sample, weight)| weight * sample.into());
                values.push(T::nearest(weighted.sum::<f64>() / sum));
            }
        }
        resampled
    }

    fn half_width(&self) -> f64 {
        self.kernel.n_lobes() * self.step.max(1.0)
    }
}

impl Kernel {
    /// Lobes to each side.
    fn n_lobes(self) -> f64 {
        match self {
            Self::Lanczos => 3.0,
            Self::Hann => 8.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let n_lobes = self.n_lobes();
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
        match self {
            _ if x.abs() >= n_lobes => 0.0,
            Self::Lanczos => sinc(x) * sinc(x / n_lobes),
            Self::Hann => sinc(x) * (0.5 + 0.5 * (PI * x / n_lobes).cos()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNELS: [Kernel; 2] = [Kernel::Lanczos, Kernel::Hann];

    fn sine(n: usize, hz: f64, sampling_rate_hz: f64) -> Vec<f64> {
        (0..n).map(|at| (std::f64::consts::TAU * hz * at as f64 / sampling_rate_hz).sin()).collect()
    }

    /// As plugins hold recordings whose values are exact in 32 bits.
    fn narrow(values: &[f64]) -> Vec<f32> {
        values.iter().map(|&value| value as f32).collect()
    }

    #[test]
    fn whole_places_give_the_samples() {
        let samples = sine(50, 3.0, 50.0);
        for kernel in KERNELS {
            // What is left of sums of rounded numbers makes no difference.
            for first in [11.0, 11.000_000_000_1] {
                let places = Resampling { n: 7, first, step: 1.0, kernel };
                assert_eq!(places.resample(&[samples[3..40].to_vec()], 3), [&samples[11..18]]);
                let narrow = narrow(&samples);
                assert_eq!(places.resample(&[narrow[5..30].to_vec()], 5), [&narrow[11..18]]);
            }
            assert_eq!(Resampling { n: 50, first: 0.0, step: 1.0, kernel }.reach(50), 0..50);
        }
        let reach = |kernel, first| Resampling { n: 7, first, step: 1.0, kernel }.reach(50);
        assert_eq!(reach(Kernel::Lanczos, 11.0), 8..21);
        assert_eq!(reach(Kernel::Hann, 11.000_000_000_1), 3..27);
    }

    #[test]
    fn a_place_up_to_a_sample_behind_the_recording_has_its_last_value() {
        // Of 13 samples at twice the rate, six samples of a record lack half a one.
        let samples: Vec<f32> = (0..6_u8).map(f32::from).collect();
        for kernel in KERNELS {
            let places = Resampling { n: 13, first: 0.0, step: 0.5, kernel };
            let resampled = places.resample(std::slice::from_ref(&samples), 0).remove(0);
            assert_eq!((resampled[10], resampled[12]), (5.0, 5.0));
            assert_eq!(places.resample(&[Vec::<f32>::new()], 0), [vec![0.0; 13]], "a recording without samples");
        }
    }

    #[test]
    fn a_sine_at_another_rate_is_the_sine_at_that_rate() {
        // Away from the ends, to within these parts of its height.
        let cases = [
            (Kernel::Lanczos, 10.0, 500.0, [250.0, 100.0, 720.0], 0.02),
            (Kernel::Hann, 17.0, 256.0, [200.0, 100.0, 500.0], 5e-3),
        ];
        for (kernel, hz, from_hz, rates_hz, tolerance) in cases {
            let samples = sine(2560, hz, from_hz);
            for to_hz in rates_hz {
                let step = from_hz / to_hz;
                let n = (2560.0 / step) as usize;
                let places = Resampling { n, first: 0.0, step, kernel };
                let found = places.resample(std::slice::from_ref(&samples), 0).remove(0);
                let found_narrow = places.resample(&[narrow(&samples)], 0).remove(0);
                let expected = sine(n, hz, to_hz);
                for at in 60..n - 60 {
                    let (found, found_narrow) = (found[at], found_narrow[at]);
                    assert!((found - expected[at]).abs() < tolerance, "{kernel:?} to {to_hz} Hz, {at}: {found}");
                    assert!((found - f64::from(found_narrow)).abs() < 1e-6, "{kernel:?} to {to_hz} Hz, {at}");
                }
            }
        }
    }

    #[test]
    fn what_the_new_rate_cannot_hold_is_filtered_out() {
        // Hum of 60 Hz in a signal that is brought to 100 Hz would come back as 40 Hz.
        for (kernel, hz, most) in
            [(Kernel::Lanczos, 60.0, 0.3), (Kernel::Lanczos, 90.0, 0.03), (Kernel::Hann, 60.0, 0.01)]
        {
            let places = Resampling { n: 400, first: 0.0, step: 5.0, kernel };
            let found = places.resample(&[sine(2000, hz, 500.0)], 0).remove(0);
            let highest = found[40..360].iter().fold(0.0_f64, |highest, value| highest.max(value.abs()));
            assert!(highest < most, "{kernel:?}, {hz} Hz: {highest}");
        }
    }

    #[test]
    fn a_stretch_gives_the_same_as_the_whole() {
        let samples = sine(1000, 7.0, 500.0);
        let other: Vec<f64> = samples.iter().map(|value| 1.0 - value).collect();
        for kernel in KERNELS {
            for (n, first, step) in [(60, 123.4, 2.5), (30, 960.0, 1.3)] {
                let places = Resampling { n, first, step, kernel };
                let reach = places.reach(1000);
                let parts = [&samples, &other].map(|signal| signal[reach.clone()].to_vec());
                let part = places.resample(&parts, reach.start).concat();
                let whole = places.resample(&[samples.clone(), other.clone()], 0).concat();
                assert!(part.iter().zip(&whole).all(|(a, b)| (a - b).abs() < 1e-9), "{places:?}");
            }
        }
    }
}
