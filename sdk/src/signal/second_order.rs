//! Filters of second order without delay: above a frequency, below one, and all but one.

use std::f64::consts::{PI, SQRT_2};

use super::sections::{Section, forward_and_backward};
use crate::Error;

/// Sharpness of the notch: its frequency over its width.
const NOTCH_QUALITY: f64 = 30.0;
/// Values that are put before and behind a signal: three times the number of coefficients, or as many as a short signal allows.
const N_PADDING: usize = 9;

/// A filter of second order, run forward and backward, so that nothing is delayed. As SciPy's `filtfilt` with `butter(2, ..)` and
/// `iirnotch(.., 30)`. Where one end of a band lies near half of the sampling rate or is missing, these are what
/// [`BandPass`](super::BandPass) cannot be.
///
/// ```
/// use medcoss_sdk::signal::SecondOrder;
///
/// let mut flat = vec![7.0; 500];
/// SecondOrder::low_pass(40.0, 250.0)?.apply(&mut flat);
/// SecondOrder::notch(50.0, 250.0)?.apply(&mut flat);
/// assert!(flat.iter().all(|value| (value - 7.0).abs() < 1e-6));
/// # Ok::<(), medcoss_sdk::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SecondOrder {
    section: Section,
}

impl SecondOrder {
    /// Butterworth filter that lets pass what is above a frequency.
    ///
    /// # Errors
    /// A frequency that is not above 0 and below half of the sampling rate.
    pub fn high_pass(hz: f64, sampling_rate_hz: f64) -> Result<Self, Error> {
        let k = (PI * ratio(hz, sampling_rate_hz)?).tan();
        let norm = 1.0 / (1.0 + SQRT_2 * k + k * k);
        Ok(Self { section: Section { b: [norm, -2.0 * norm, norm], a: poles(k, norm) } })
    }

    /// Butterworth filter that lets pass what is below a frequency.
    ///
    /// # Errors
    /// As [`high_pass`](Self::high_pass).
    pub fn low_pass(hz: f64, sampling_rate_hz: f64) -> Result<Self, Error> {
        let k = (PI * ratio(hz, sampling_rate_hz)?).tan();
        let norm = 1.0 / (1.0 + SQRT_2 * k + k * k);
        let b = k * k * norm;
        Ok(Self { section: Section { b: [b, 2.0 * b, b], a: poles(k, norm) } })
    }

    /// Filter that lets pass all but a frequency, such as that of the mains, and a thirtieth of it around.
    ///
    /// # Errors
    /// As [`high_pass`](Self::high_pass).
    pub fn notch(hz: f64, sampling_rate_hz: f64) -> Result<Self, Error> {
        let w = 2.0 * PI * ratio(hz, sampling_rate_hz)?;
        let gain = 1.0 / (1.0 + (w / NOTCH_QUALITY / 2.0).tan());
        let a = -2.0 * gain * w.cos();
        Ok(Self { section: Section { b: [gain, a, gain], a: [a, 2.0 * gain - 1.0] } })
    }

    /// Filters a signal of any length in place.
    pub fn apply(&self, signal: &mut [f64]) {
        signal.copy_from_slice(&forward_and_backward(&[self.section], signal, N_PADDING));
    }
}

/// The frequency over the sampling rate.
fn ratio(hz: f64, sampling_rate_hz: f64) -> Result<f64, Error> {
    if hz > 0.0 && hz < sampling_rate_hz / 2.0 && sampling_rate_hz.is_finite() {
        return Ok(hz / sampling_rate_hz);
    }
    Err(Error::bad_request(format!(
        "a filter's frequency is {hz} Hz; it must be above 0 and below half of the {sampling_rate_hz} Hz"
    )))
}

fn poles(k: f64, norm: f64) -> [f64; 2] {
    [2.0 * (k * k - 1.0) * norm, (1.0 - SQRT_2 * k + k * k) * norm]
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
            (SecondOrder::high_pass(2.0, 100.0), [-1.324297058, 4.344809022, 8.229384386, 4.311113799, -1.146249768]),
            (
                SecondOrder::low_pass(15.0, 100.0),
                [-11.002477396, -6.120441086, 3.996148747, -6.122607481, -11.009284101],
            ),
            (SecondOrder::notch(20.0, 100.0), [-10.841548806, -4.420934854, 7.492549047, -4.49323384, -10.803221382]),
        ] {
            let (filter, mut found) = (filter.unwrap(), signal.clone());
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
            SecondOrder::low_pass(1.0, 10.0).unwrap().apply(&mut signal);
            assert!(signal.iter().all(|value| (value - 3.0).abs() < 1e-9), "{n}: {signal:?}");
            SecondOrder::high_pass(1.0, 10.0).unwrap().apply(&mut signal);
            assert!(signal.iter().all(|value| value.abs() < 1e-9), "{n}: {signal:?}");
        }
    }

    #[test]
    fn frequencies_that_the_signal_cannot_hold_are_refused() {
        for (hz, rate) in [(0.0, 10.0), (-1.0, 10.0), (5.0, 10.0), (f64::NAN, 10.0), (1.0, f64::INFINITY)] {
            for filter in [SecondOrder::high_pass, SecondOrder::low_pass, SecondOrder::notch] {
                let error = filter(hz, rate).unwrap_err();
                assert_eq!(error.code(), crate::code::BAD_REQUEST, "{hz} {rate}");
            }
        }
    }
}
