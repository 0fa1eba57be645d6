//! Linear probe: logistic regression on frozen features.

use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_logistic::{MultiFittedLogisticRegression, MultiLogisticRegression};
use ndarray16::{Array1, Array2};

use super::labelled_features::LabelledFeatures;
use crate::ranges::check_not_negative;
use crate::{EvaluationError, Result};

/// Linear probe: multinomial logistic regression with an L2 penalty, by L-BFGS, on features that are standardised on the training split to mean 0 and
/// standard deviation 1. A constant value is left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearProbe {
    /// Strength of the L2 penalty, at least 0: the loss is the sum over samples of the cross-entropy plus `l2 / 2` times the sum of squared weights,
    /// without the intercepts. `l2` equals scikit-learn's `1 / C`, for two classes too, whose two rows of weights count once.
    pub l2: f64,
    /// Maximum number of iterations of L-BFGS.
    pub max_iterations: u64,
}

impl Default for LinearProbe {
    /// scikit-learn's default `C = 1`, with iterations enough to converge.
    fn default() -> Self {
        Self { l2: 1.0, max_iterations: 1000 }
    }
}

/// Tolerance of L-BFGS: norm of the gradient per training sample.
const TOLERANCE: f64 = 1e-6;

impl LinearProbe {
    /// Class probabilities `[n_test, n_classes]`, each row adding up to 1.
    ///
    /// # Errors
    /// A penalty out of range, empty splits, a class without training samples, features for which L-BFGS finds no way down.
    pub fn scores(&self, train: &LabelledFeatures, test: &LabelledFeatures, n_classes: usize) -> Result<Vec<f64>> {
        LabelledFeatures::check_pair(train, test)?;
        let Fitted { scale, regression } = self.fit(train, n_classes)?;
        let probabilities = regression.predict_probabilities(&scale.of(test)?);
        if probabilities.iter().any(|probability| !probability.is_finite()) {
            return Err(EvaluationError::LinearProbe { reason: "its probabilities are not finite".into() }.into());
        }
        Ok(probabilities.into_iter().collect())
    }

    /// Fits the probe to the training split.
    pub(super) fn fit(&self, train: &LabelledFeatures, n_classes: usize) -> Result<Fitted> {
        self.check()?;
        if let Some(absent) = (0..n_classes).find(|class| !train.labels.contains(class)) {
            return Err(EvaluationError::MissingClass { class: absent, n_classes, split: "training" }.into());
        }
        let scale = Standardised::on(train);
        // Two opposite rows of weights are equivalent to one row of twice the length, at half the penalty.
        let alpha = if n_classes == 2 { 2.0 * self.l2 } else { self.l2 };
        let regression = MultiLogisticRegression::default()
            .alpha(alpha)
            .max_iterations(self.max_iterations)
            .gradient_tolerance(TOLERANCE * train.len() as f64)
            .fit(&DatasetBase::new(scale.of(train)?, Array1::from(train.labels.clone())))
            .map_err(|error| EvaluationError::LinearProbe { reason: error.to_string() })?;
        Ok(Fitted { scale, regression })
    }

    /// Checks that the settings are in range.
    ///
    /// # Errors
    /// The setting that is not.
    pub fn check(&self) -> Result<()> {
        check_not_negative("l2", self.l2)
    }
}

/// A fitted linear probe.
pub(super) struct Fitted {
    pub scale: Standardised,
    /// Logistic regression on standardised features.
    pub regression: MultiFittedLogisticRegression<f64, usize>,
}

/// Standardisation: mean and standard deviation of each value on the training split.
pub(super) struct Standardised {
    pub mean: Vec<f64>,
    /// Standard deviation of each value; 0 for a constant value.
    pub deviation: Vec<f64>,
}

impl Standardised {
    /// The standardisation of a training split.
    pub fn on(set: &LabelledFeatures) -> Self {
        let n = set.len() as f64;
        let mut mean = vec![0.0; set.width];
        set.rows().for_each(|row| mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value) / n));
        let mut deviation = vec![0.0; set.width];
        for row in set.rows() {
            for ((sum, value), mean) in deviation.iter_mut().zip(row).zip(&mean) {
                *sum += (f64::from(*value) - mean).powi(2) / n;
            }
        }
        // A value that varies by rounding alone is constant.
        let varies = |(variance, mean): (f64, &f64)| {
            let deviation = variance.sqrt();
            if deviation > 1e-6 * mean.abs() { deviation } else { 0.0 }
        };
        let deviation = deviation.into_iter().zip(&mean).map(varies).collect();
        Self { mean, deviation }
    }

    fn of(&self, set: &LabelledFeatures) -> Result<Array2<f64>> {
        let value = |(at, value): (usize, &f32)| match self.deviation[at % set.width] {
            0.0 => 0.0,
            deviation => (f64::from(*value) - self.mean[at % set.width]) / deviation,
        };
        let values = set.values.iter().enumerate().map(value).collect();
        Array2::from_shape_vec((set.len(), set.width), values).map_err(|error| {
            EvaluationError::Features { detail: format!("features of the wrong size: {error}") }.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(values: &[f32], width: usize, labels: &[usize]) -> LabelledFeatures {
        LabelledFeatures { values: values.to_vec(), width, labels: labels.to_vec() }
    }

    #[test]
    fn two_classes_have_the_weight_that_a_bisection_finds() {
        // Standardised these are -1 and 1 twice, so the intercept is 0 and the one weight w is where the derivative of
        // 4 ln(1 + exp(-w)) + l2 w^2 / 2 vanishes: 4 / (1 + exp(w)) = l2 w.
        let train = set(&[3.0, 3.0, 7.0, 7.0], 1, &[0, 0, 1, 1]);
        let test = set(&[7.0, 5.0], 1, &[1, 0]);
        for l2 in [0.1, 1.0, 10.0] {
            let (mut low, mut high) = (0.0f64, 100.0f64);
            for _ in 0..200 {
                let middle = (low + high) / 2.0;
                if 4.0 / (1.0 + middle.exp()) > l2 * middle { low = middle } else { high = middle }
            }
            let found = LinearProbe { l2, ..LinearProbe::default() }.scores(&train, &test, 2).unwrap();
            let expected = 1.0 / (1.0 + (-low).exp());
            assert!((found[1] - expected).abs() < 1e-4, "l2 {l2}: {} instead of {expected}", found[1]);
            assert!((found[3] - 0.5).abs() < 1e-4);
        }
    }

    #[test]
    fn three_classes_in_three_corners_are_separated_and_constant_values_do_no_harm() {
        let corner = |class: usize, at: usize| {
            let shift = at as f32 * 0.1;
            let corners = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]];
            [corners[class][0] + shift, corners[class][1] - shift, 4.2]
        };
        let sets = [0..5, 5..9].map(|range: std::ops::Range<usize>| {
            let rows: Vec<f32> = range.clone().flat_map(|at| (0..3).flat_map(move |class| corner(class, at))).collect();
            set(&rows, 3, &range.flat_map(|_| 0..3).collect::<Vec<_>>())
        });
        let scores = LinearProbe::default().scores(&sets[0], &sets[1], 3).unwrap();
        for (row, label) in scores.chunks(3).zip(&sets[1].labels) {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            assert!(row[*label] > 0.8, "{row:?} of class {label}");
        }
    }

    #[test]
    fn features_that_cannot_be_fitted_are_an_error() {
        let train = set(&[1.0, 2.0], 1, &[0, 0]);
        let error = LinearProbe::default().scores(&train, &train, 2).unwrap_err().to_string();
        assert!(error.contains("class 1 of 2 has no sample"), "{error}");
        let error = LinearProbe { l2: -1.0, max_iterations: 9 }.scores(&train, &train, 1).unwrap_err().to_string();
        assert!(error.contains("l2 is -1"), "{error}");
    }
}
