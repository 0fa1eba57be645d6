//! Means over seeds, and differences between runs of the same seed.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::statistics::Statistics;

/// Mean and standard deviation of one metric over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Number of seeds.
    pub n: usize,
    /// Mean over the seeds.
    pub mean: f64,
    /// Sample standard deviation (divisor n - 1); `None` for one seed.
    pub deviation: Option<f64>,
}

impl Spread {
    /// The spread of some values, or `None` without values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        let deviation = (n > 1).then(|| values.std_dev());
        (n > 0).then(|| Self { n, mean: values.mean(), deviation })
    }
}

/// Paired differences of one metric between two variants, seed by seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// Number of seeds that both variants have.
    pub n: usize,
    /// Mean difference: this variant minus the baseline.
    pub mean: f64,
    /// Sample standard deviation of the differences; `None` for one seed.
    pub deviation: Option<f64>,
    /// Ends of the 95 % confidence interval of the mean (Student's t with n - 1 degrees of freedom); `None` for one
    /// seed.
    pub interval: Option<[f64; 2]>,
}

impl Paired {
    /// The paired statistics of some differences, or `None` without values.
    pub fn of(differences: &[f64]) -> Option<Self> {
        let Spread { n, mean, deviation } = Spread::of(differences)?;
        let half = deviation.and_then(|deviation| {
            let quantile = StudentsT::new(0.0, 1.0, n as f64 - 1.0).ok()?.inverse_cdf(0.975);
            Some(quantile * deviation / (n as f64).sqrt())
        });
        Some(Self { n, mean, deviation, interval: half.map(|half| [mean - half, mean + half]) })
    }

    /// Whether the confidence interval excludes 0.
    pub fn is_clear(&self) -> bool {
        self.interval.is_some_and(|[low, high]| low > 0.0 || high < 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_seeds_by_hand() {
        let spread = Spread::of(&[1.0, 2.0, 6.0]).unwrap();
        assert_eq!((spread.n, spread.mean), (3, 3.0));
        assert!((spread.deviation.unwrap() - 7.0f64.sqrt()).abs() < 1e-12);
        // t(2) at 97.5 % is 4.302653: 3 +- 4.302653 * sqrt(7 / 3).
        let paired = Paired::of(&[1.0, 2.0, 6.0]).unwrap();
        let half = 4.302_652_73 * (7.0f64 / 3.0).sqrt();
        let [low, high] = paired.interval.unwrap();
        assert!((low - (3.0 - half)).abs() < 1e-6 && (high - (3.0 + half)).abs() < 1e-6, "{paired:?}");
        assert!(!paired.is_clear() && Paired::of(&[1.0, 1.1, 1.2]).unwrap().is_clear());
        assert_eq!(Spread::of(&[2.5]).unwrap().deviation, None);
        assert!(Spread::of(&[]).is_none() && Paired::of(&[]).is_none());
        assert!(!Paired::of(&[3.0]).unwrap().is_clear());
    }
}
