//! Choice of the epoch whose model is kept, by metrics on the validation set.

use crate::evaluation::Metric;
use crate::{EvaluationError, Result, SettingError};

/// Criterion of the best epoch: a metric or the sum of several. Metrics of which lower is better enter with the opposite sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Criterion {
    metrics: Vec<Metric>,
}

impl Criterion {
    /// The sum of metrics of one scale.
    ///
    /// # Errors
    /// No metric, the same metric twice, metrics of several scales.
    pub fn new(metrics: &[Metric]) -> Result<Self> {
        let wrong = |expected: &str| {
            let names: Vec<&str> = metrics.iter().map(|metric| metric.name()).collect();
            Err(SettingError::out_of_range("criterion", format!("{names:?}"), expected).into())
        };
        match metrics {
            [] => wrong("at least one metric"),
            [first, others @ ..] if others.iter().any(|metric| metric.scale() != first.scale()) => {
                wrong("metrics of one scale")
            }
            _ if (1..metrics.len()).any(|at| metrics[..at].contains(&metrics[at])) => wrong("each metric once"),
            _ => Ok(Self { metrics: metrics.to_vec() }),
        }
    }

    /// The reference's criterion of classification: accuracy + area under the ROC curve + macro F1.
    pub fn reference_classification() -> Self {
        Self { metrics: vec![Metric::Accuracy, Metric::Auc, Metric::MacroF1] }
    }

    /// The metrics, in the order of their values.
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// Name of the criterion: `accuracy + auc + macro_f1`.
    pub fn name(&self) -> String {
        self.metrics.iter().map(|metric| metric.name()).collect::<Vec<_>>().join(" + ")
    }

    /// Value of the criterion, higher for a better epoch; `values` are the metrics' values.
    ///
    /// # Errors
    /// Another number of values than metrics, a value that is not finite.
    pub fn value(&self, values: &[f64]) -> Result<f64> {
        if values.len() != self.metrics.len() {
            let (found, expected) = (format!("{} values", values.len()), format!("{}", self.metrics.len()));
            return Err(EvaluationError::array(format!("criterion {}", self.name()), found, expected).into());
        }
        let mut sum = 0.0;
        for (metric, value) in self.metrics.iter().zip(values) {
            if !value.is_finite() {
                return Err(EvaluationError::array(metric.name(), value, "a finite number").into());
            }
            sum += if metric.higher_is_better() { *value } else { -value };
        }
        Ok(sum)
    }
}

/// The best epoch so far: the largest value of a criterion, of equal ones the first.
#[derive(Debug, Clone, PartialEq)]
pub struct BestEpoch {
    criterion: Criterion,
    best: Option<(usize, f64)>,
}

impl BestEpoch {
    /// No epoch yet.
    pub fn new(criterion: Criterion) -> Self {
        Self { criterion, best: None }
    }

    /// Continues from the best epoch of an interrupted training and its value of the criterion.
    ///
    /// # Errors
    /// A value that is not finite.
    pub fn resumed(criterion: Criterion, best: Option<(usize, f64)>) -> Result<Self> {
        match best {
            Some((_, value)) if !value.is_finite() => {
                Err(EvaluationError::array(format!("criterion {}", criterion.name()), value, "a finite number").into())
            }
            _ => Ok(Self { criterion, best }),
        }
    }

    /// Takes note of an epoch's metrics, in the order of the criterion. Returns whether the epoch is the best so far.
    ///
    /// # Errors
    /// Those of [`Criterion::value`].
    pub fn observe(&mut self, epoch: usize, values: &[f64]) -> Result<bool> {
        let value = self.criterion.value(values)?;
        let is_best = self.best.is_none_or(|(_, best)| value > best);
        if is_best {
            self.best = Some((epoch, value));
        }
        Ok(is_best)
    }

    /// The best epoch and its value of the criterion; none before the first.
    pub fn best(&self) -> Option<(usize, f64)> {
        self.best
    }

    /// The criterion.
    pub fn criterion(&self) -> &Criterion {
        &self.criterion
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_epochs_stays_the_best() {
        let mut best = BestEpoch::new(Criterion::new(&[Metric::Dice]).unwrap());
        assert_eq!(best.best(), None);
        let found = [0.5, 0.7, 0.7, 0.6].map(|dice| best.observe((dice * 10.0) as usize, &[dice]).unwrap());
        assert_eq!((found, best.best()), ([true, true, false, false], Some((7, 0.7))));
        let mut resumed = BestEpoch::resumed(best.criterion().clone(), best.best()).unwrap();
        assert!(!resumed.observe(8, &[0.7]).unwrap() && resumed.observe(9, &[0.8]).unwrap());
        assert!(BestEpoch::resumed(best.criterion().clone(), Some((1, f64::NAN))).is_err());
    }

    #[test]
    fn smaller_distances_are_better() {
        let mut best = BestEpoch::new(Criterion::new(&[Metric::Hd95Mm]).unwrap());
        let found = [9.0, 4.0, 5.0].map(|distance| best.observe(0, &[distance]).unwrap());
        assert_eq!((found, best.best()), ([true, true, false], Some((0, -4.0))));
    }

    #[test]
    fn criteria_without_a_meaning_are_refused() {
        let message = |metrics: &[Metric]| Criterion::new(metrics).unwrap_err().to_string();
        assert_eq!(message(&[]), "criterion is [], expected at least one metric");
        assert!(
            message(&[Metric::Dice, Metric::Hd95Mm]).contains("[\"dice\", \"hd95_mm\"], expected metrics of one scale")
        );
        assert!(message(&[Metric::Dice, Metric::Dice]).contains("each metric once"));
        let criterion = Criterion::reference_classification();
        let error = criterion.value(&[1.0]).unwrap_err().to_string();
        assert_eq!(error, "criterion accuracy + auc + macro_f1 has 1 values, expected 3");
        assert_eq!(
            criterion.value(&[0.5, f64::NAN, 0.5]).unwrap_err().to_string(),
            "auc has NaN, expected a finite number"
        );
    }
}
