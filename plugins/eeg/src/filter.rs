//! Filters of second order, forwards and backwards, so that nothing is shifted in time.
//!
//! Coefficients are those of `scipy.signal.butter(2, ..)` and `iirnotch(.., 30)`; [`Filter::apply`] is
//! `scipy.signal.filtfilt`.

use std::f64::consts::{PI, SQRT_2};

/// Sharpness of the notch: its frequency over its width.
const NOTCH_QUALITY: f64 = 30.0;
/// Samples by which a signal is continued at either end, turned about the end: three times the number of coefficients.
const PADDING: usize = 9;

/// A filter `b[0] x + b[1] x' + b[2] x'' - a[0] y' - a[1] y''`, where a prime is the sample before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Filter {
    b: [f64; 3],
    a: [f64; 2],
}

impl Filter {
    /// Butterworth filter of what is above a frequency; `ratio` is that frequency over the sampling rate, below 1/2.
    pub(crate) fn high_pass(ratio: f64) -> Self {
        let k = (PI * ratio).tan();
        let norm = 1.0 / (1.0 + SQRT_2 * k + k * k);
        Self { b: [norm, -2.0 * norm, norm], a: Self::poles(k, norm) }
    }

    /// Butterworth filter of what is below a frequency.
    pub(crate) fn low_pass(ratio: f64) -> Self {
        let k = (PI * ratio).tan();
        let norm = 1.0 / (1.0 + SQRT_2 * k + k * k);
        let b = k * k * norm;
        Self { b: [b, 2.0 * b, b], a: Self::poles(k, norm) }
    }

    /// Filter of everything but a frequency.
    pub(crate) fn notch(ratio: f64) -> Self {
        let w = 2.0 * PI * ratio;
        let gain = 1.0 / (1.0 + (w / NOTCH_QUALITY / 2.0).tan());
        let a = -2.0 * gain * w.cos();
        Self { b: [gain, a, gain], a: [a, 2.0 * gain - 1.0] }
    }

    fn poles(k: f64, norm: f64) -> [f64; 2] {
        [2.0 * (k * k - 1.0) * norm, (1.0 - SQRT_2 * k + k * k) * norm]
    }

    /// Filters a signal in place, forwards and backwards.
    pub(crate) fn apply(&self, signal: &mut [f64]) {
        let (n, padding) = (signal.len(), PADDING.min(signal.len().saturating_sub(1)));
        let (Some(&first), Some(&last)) = (signal.first(), signal.last()) else { return };
        let before = (1..=padding).rev().map(|at| 2.0 * first - signal[at]);
        let behind = (1..=padding).map(|at| 2.0 * last - signal[n - 1 - at]);
        let mut padded: Vec<f64> = before.chain(signal.iter().copied()).chain(behind).collect();
        for _ in 0..2 {
            self.forwards(&mut padded);
            padded.reverse();
        }
        signal.copy_from_slice(&padded[padding..padding + n]);
    }

    /// In direct form II, transposed, from the state in which the first value has always been there.
    fn forwards(&self, signal: &mut [f64]) {
        let ([b0, b1, b2], [a1, a2]) = (self.b, self.a);
        let first = signal.first().copied().unwrap_or_default();
        let steady = (b0 + b1 + b2) / (1.0 + a1 + a2);
        let mut state = [(steady - b0) * first, (b2 - a2 * steady) * first];
        for value in signal {
            let x = *value;
            let y = b0 * x + state[0];
            state = [b1 * x - a1 * y + state[1], b2 * x - a2 * y];
            *value = y;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `filtfilt(*butter(2, 0.04, "high"), x)`, `filtfilt(*butter(2, 0.3), x)` and `filtfilt(*iirnotch(0.4, 30), x)` of
    /// SciPy 1.
    #[test]
    fn filters_are_those_of_scipy() {
        let signal: Vec<f64> = (0..24).map(|at| f64::from(7 * at * at % 23) - 11.0).collect();
        for (filter, expected) in [
            (Filter::high_pass(0.02), [-1.324297058, 4.344809022, 8.229384386, 4.311113799, -1.146249768]),
            (Filter::low_pass(0.15), [-11.002477396, -6.120441086, 3.996148747, -6.122607481, -11.009284101]),
            (Filter::notch(0.2), [-10.841548806, -4.420934854, 7.492549047, -4.49323384, -10.803221382]),
        ] {
            let mut found = signal.clone();
            filter.apply(&mut found);
            for (at, expected) in [0, 1, 11, 22, 23].into_iter().zip(expected) {
                assert!((found[at] - expected).abs() < 1e-8, "{filter:?} at {at}: {} {expected}", found[at]);
            }
        }
    }

    #[test]
    fn signals_of_any_length_are_filtered() {
        for n in 0..12 {
            let mut signal = vec![3.0; n];
            Filter::low_pass(0.1).apply(&mut signal);
            assert!(signal.iter().all(|value| (value - 3.0).abs() < 1e-9), "{n}: {signal:?}");
            Filter::high_pass(0.1).apply(&mut signal);
            assert!(signal.iter().all(|value| value.abs() < 1e-9), "{n}: {signal:?}");
        }
    }
}
