//! Band-pass filter without delay.

use std::f64::consts::PI;

use super::sections::{Section, forward_and_backward};
use crate::Error;

/// Highest order: of higher ones the poles of narrow bands lie too close together for f64.
const MAX_ORDER: usize = 8;

/// A Butterworth band-pass filter in second-order sections, run forward and backward, so that nothing is delayed and the attenuation
/// is that of twice the order. As SciPy's `sosfiltfilt(butter(order, band, "bandpass", fs=rate, output="sos"), values)`.
///
/// ```
/// use medcoss_sdk::signal::BandPass;
///
/// let filter = BandPass::butterworth(3, [0.5, 40.0], 250.0)?;
/// let mut flat = vec![7.0; 500];
/// filter.apply(&mut flat)?;
/// assert!(flat.iter().all(|value| value.abs() < 1e-3));
/// # Ok::<(), medcoss_sdk::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct BandPass {
    sections: Vec<Section>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Complex {
    re: f64,
    im: f64,
}

impl BandPass {
    /// A filter of order 1 to 8 that lets `[low, high]` Hz pass; at these ends one run attenuates by 3 dB.
    ///
    /// # Errors
    /// Another order, ends that are not above 0, rising and below half of the sampling rate.
    pub fn butterworth(order: usize, [low_hz, high_hz]: [f64; 2], sampling_rate_hz: f64) -> Result<Self, Error> {
        if !(1..=MAX_ORDER).contains(&order) {
            return Err(Error::bad_request(format!("the order of a filter is {order}; it must be 1 to {MAX_ORDER}")));
        }
        if !(low_hz > 0.0 && low_hz < high_hz && high_hz < sampling_rate_hz / 2.0 && sampling_rate_hz.is_finite()) {
            return Err(Error::bad_request(format!(
                "a filter's band is {low_hz} to {high_hz} Hz; it must be above 0, rising and below half of the {sampling_rate_hz} Hz"
            )));
        }
        // The bilinear transform bends frequencies; the ends are bent beforehand to come out right.
        let twice = 2.0 * sampling_rate_hz;
        let [low, high] = [low_hz, high_hz].map(|hz| twice * (PI * hz / sampling_rate_hz).tan());
        let (width, centre_squared) = (high - low, low * high);
        let section = |[one, other]: [Complex; 2]| {
            let [below_one, below_other] = [one, other].map(|pole| Complex { re: twice - pole.re, im: -pole.im });
            let digital = |pole: Complex, below: Complex| Complex { re: twice + pole.re, im: pole.im }.over(below);
            let (first, second) = (digital(one, below_one), digital(other, below_other));
            let gain = width * twice / below_one.times(below_other).re;
            Section { b: [gain, 0.0, -gain], a: [-(first.re + second.re), first.times(second).re] }
        };
        let mut sections = Vec::with_capacity(order);
        // Poles of the low-pass prototype on the left half of the unit circle; of each conjugate pair, the one below.
        for at in (order + 1) % 2..order {
            if at % 2 != (order + 1) % 2 {
                continue;
            }
            let angle = PI * at as f64 / (2.0 * order as f64);
            let half = Complex { re: -angle.cos() * width / 2.0, im: -angle.sin() * width / 2.0 };
            let square = half.times(half);
            let root = Complex { re: square.re - centre_squared, im: square.im }.root();
            let poles = [half.plus(root), half.plus(Complex { re: -root.re, im: -root.im })];
            match at {
                // A real pole gives two that are real or each other's conjugates.
                0 => sections.push(section(poles)),
                _ => sections.extend(poles.map(|pole| section([pole, Complex { im: -pole.im, ..pole }]))),
            }
        }
        Ok(Self { sections })
    }

    /// Values that are put before and behind a signal, by turning its ends around: a signal must have more.
    pub fn n_padding(&self) -> usize {
        3 * (2 * self.sections.len() + 1)
    }

    /// Filters one signal.
    ///
    /// # Errors
    /// A signal of no more than [`n_padding`](Self::n_padding) values.
    pub fn apply(&self, values: &mut [f32]) -> Result<(), Error> {
        let wide: Vec<f64> = values.iter().map(|&value| value.into()).collect();
        values.iter_mut().zip(self.filtered(&wide)?).for_each(|(value, filtered)| *value = filtered as f32);
        Ok(())
    }

    fn filtered(&self, values: &[f64]) -> Result<Vec<f64>, Error> {
        let (n, n_padding) = (values.len(), self.n_padding());
        if n <= n_padding {
            return Err(Error::unsupported(format!(
                "a signal of {n} samples in time is too short for this filter, which needs more than {n_padding}"
            )));
        }
        Ok(forward_and_backward(&self.sections, values, n_padding))
    }
}

impl Complex {
    fn plus(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }

    fn times(self, other: Self) -> Self {
        Self { re: self.re * other.re - self.im * other.im, im: self.re * other.im + self.im * other.re }
    }

    fn over(self, other: Self) -> Self {
        let square = other.re * other.re + other.im * other.im;
        let Self { re, im } = self.times(Self { im: -other.im, ..other });
        Self { re: re / square, im: im / square }
    }

    /// The root on the right half.
    fn root(self) -> Self {
        let length = self.re.hypot(self.im);
        let re = ((length + self.re) / 2.0).max(0.0).sqrt();
        Self { re, im: ((length - self.re) / 2.0).max(0.0).sqrt().copysign(self.im) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values 0, 1, 17, 40 and 59 of `sosfiltfilt(butter(order, band, "bandpass", fs=rate, output="sos"), x)` of SciPy 1.17.1, where x is
    /// sin(0.37 k) + 0.5 cos(1.9 k) + 0.01 k + 0.3 for k of 0 to 59. The last has two real poles in one section.
    const SCIPY: [(usize, [f64; 2], f64, [f64; 5]); 5] = [
        (
            1,
            [0.5, 40.0],
            250.0,
            [-0.7018933862844962, -0.76156373806673, -1.0315454239488457, -0.20594282379690518, -0.5196146635194783],
        ),
        (
            2,
            [0.5, 40.0],
            250.0,
            [-0.8907736288727561, -0.8971584276834357, -1.3438136875058588, -0.6309217288849702, -1.1464156580334177],
        ),
        (
            3,
            [5.0, 15.0],
            100.0,
            [0.019656926228747956, 0.10644387475447356, -0.008066052580185445, 0.6829650470556881, 0.05249755187658167],
        ),
        (
            4,
            [1.0, 30.0],
            128.0,
            [0.028596698777766758, -0.15656633546705317, -0.16435958180364663, 0.7572362485260569, 0.18992616787618535],
        ),
        (
            3,
            [0.1, 45.0],
            100.0,
            [-0.04809776841036112, -0.34716819572062985, -0.1553778610572036, 0.7953308735346011, 0.07360426865658565],
        ),
    ];

    #[test]
    fn the_filter_is_that_of_scipy() {
        let wave = |k: f64| (0.37 * k).sin() + 0.5 * (1.9 * k).cos() + 0.01 * k + 0.3;
        let values: Vec<f64> = (0..60).map(|k| wave(f64::from(k))).collect();
        for (order, band, rate, expected) in SCIPY {
            let filter = BandPass::butterworth(order, band, rate).unwrap();
            assert_eq!(filter.sections.len(), order);
            let found = filter.filtered(&values).unwrap();
            let mut narrow: Vec<f32> = values.iter().map(|&value| value as f32).collect();
            filter.apply(&mut narrow).unwrap();
            for (at, expected) in [0, 1, 17, 40, 59].into_iter().zip(expected) {
                // Slow filters amplify rounding; SciPy pairs poles and zeros otherwise.
                assert!((found[at] - expected).abs() < 1e-9, "{order} {band:?}, {at}: {} {expected}", found[at]);
                assert!((f64::from(narrow[at]) - expected).abs() < 1e-5, "{order} {band:?}, {at}: {}", narrow[at]);
            }
        }
    }

    #[test]
    fn what_lies_in_the_band_stays_in_its_place_and_the_rest_goes() {
        let rate = 250.0;
        let sine = |hz: f64, at: usize| (2.0 * PI * hz * at as f64 / rate).sin();
        let filter = BandPass::butterworth(4, [2.0, 40.0], rate).unwrap();
        // 10 Hz among a wander of 0.3 Hz and hum of 100 Hz; away from the ends within 1 % of its height.
        let mut values: Vec<f32> =
            (0..2000).map(|at| (sine(10.0, at) + 3.0 * sine(0.3, at) + 2.0 * sine(100.0, at)) as f32).collect();
        filter.apply(&mut values).unwrap();
        for (at, value) in values.iter().enumerate().take(1500).skip(500) {
            assert!((f64::from(*value) - sine(10.0, at)).abs() < 0.01, "{at}: {value}");
        }
    }

    #[test]
    fn settings_and_signals_that_do_not_fit_are_refused() {
        for (order, band, rate) in [
            (0, [1.0, 2.0], 10.0),
            (9, [1.0, 2.0], 10.0),
            (2, [0.0, 2.0], 10.0),
            (2, [2.0, 2.0], 10.0),
            (2, [1.0, 5.0], 10.0),
            (2, [1.0, f64::NAN], 10.0),
            (2, [1.0, 2.0], f64::INFINITY),
        ] {
            let error = BandPass::butterworth(order, band, rate).unwrap_err();
            assert_eq!(error.code(), crate::code::BAD_REQUEST, "{order} {band:?} {rate}");
        }
        let filter = BandPass::butterworth(2, [1.0, 2.0], 10.0).unwrap();
        assert_eq!(filter.apply(&mut [0.0; 15]).unwrap_err().code(), crate::code::UNSUPPORTED);
        filter.apply(&mut [0.0; 16]).unwrap();
    }
}
