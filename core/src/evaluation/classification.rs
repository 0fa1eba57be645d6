//! Metrics of classification, with scikit-learn's definitions.

use crate::{EvaluationError, Result};

/// Samples with a true class and predicted scores.
#[derive(Debug, Clone, Copy)]
pub struct Labelled<'a> {
    /// True class of each sample, in `0..n_classes`.
    pub labels: &'a [usize],
    /// Score of each class, `[n, n_classes]`, higher where a class is more likely.
    pub scores: &'a [f64],
    /// Number of classes.
    pub n_classes: usize,
}

/// Average of the area under the ROC curve over several classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum MultiClassAuc {
    /// One versus one: mean over all pairs of classes (Hand and Till, 2001), as in the reference implementation.
    #[default]
    #[serde(rename = "ovo")]
    OneVersusOne,
    /// One versus rest: mean over classes, each against all others.
    #[serde(rename = "ovr")]
    OneVersusRest,
}

impl<'a> Labelled<'a> {
    /// Predicted class of each sample: the class with the highest score; of equal scores the first.
    pub fn predicted(&self) -> Vec<usize> {
        let best =
            |scores: &[f64]| (1..scores.len()).fold(0, |best, at| if scores[at] > scores[best] { at } else { best });
        self.scores.chunks_exact(self.n_classes.max(1)).map(best).collect()
    }

    /// Scores of one class, by sample.
    pub(super) fn of_class(&self, class: usize) -> impl Iterator<Item = f64> + use<'a> {
        self.scores.iter().skip(class).step_by(self.n_classes.max(1)).copied()
    }

    /// Checks that there are samples, labels are classes, and each sample has a score of each class.
    pub(super) fn check_shape(&self) -> Result<()> {
        if self.labels.is_empty() {
            return Err(EvaluationError::EmptySplit { split: "test" }.into());
        }
        if let Some(at) = self.labels.iter().position(|label| *label >= self.n_classes) {
            let (found, expected) = (format!("label {} for sample {at}", self.labels[at]), self.n_classes);
            return Err(EvaluationError::array("the array of labels", found, format!("labels below {expected}")).into());
        }
        if self.labels.len().checked_mul(self.n_classes) != Some(self.scores.len()) {
            let expected = format!("{} samples of {} classes", self.labels.len(), self.n_classes);
            let found = format!("{} values", self.scores.len());
            return Err(EvaluationError::array("the array of scores", found, expected).into());
        }
        Ok(())
    }

    /// Checks that every class occurs.
    fn check(&self) -> Result<()> {
        for class in 0..self.n_classes {
            if !self.labels.contains(&class) {
                return Err(EvaluationError::Undefined {
                    metric: "the area under the curve",
                    reason: format!("class {class} of {} has no sample", self.n_classes),
                }
                .into());
            }
        }
        Ok(())
    }
}

/// Accuracy: fraction of samples whose class is predicted; in [0, 1].
pub fn accuracy(labels: &[usize], predicted: &[usize]) -> f64 {
    let right = labels.iter().zip(predicted).filter(|(label, predicted)| label == predicted).count();
    right as f64 / labels.len().max(1) as f64
}

/// Macro F1: mean over classes of the harmonic mean of precision and recall; in [0, 1]. A class that is neither true nor predicted for any sample
/// counts as 0, as with scikit-learn's `zero_division=0`.
pub fn macro_f1(labels: &[usize], predicted: &[usize], n_classes: usize) -> f64 {
    let f1 = |class: usize| {
        let count = |label: bool, predicted_label: bool| {
            labels
                .iter()
                .zip(predicted)
                .filter(|(l, p)| (**l == class) == label && (**p == class) == predicted_label)
                .count() as f64
        };
        let (both, missed, wrong) = (count(true, true), count(true, false), count(false, true));
        if both == 0.0 { 0.0 } else { 2.0 * both / (2.0 * both + missed + wrong) }
    };
    (0..n_classes).map(f1).sum::<f64>() / n_classes.max(1) as f64
}

/// Area under the ROC curve: the fraction of pairs of a positive and a negative sample in the right order, ties counting one half (Mann and Whitney,
/// 1947); in [0, 1].
///
/// # Errors
/// Samples of one kind only.
pub fn binary_auc(positive: &[bool], scores: &[f64]) -> Result<f64> {
    let n_positive = positive.iter().filter(|positive| **positive).count();
    let n_negative = positive.len() - n_positive;
    if n_positive == 0 || n_negative == 0 {
        return Err(EvaluationError::Undefined {
            metric: "the area under the curve",
            reason: format!("{n_positive} positive and {n_negative} negative samples, both are needed"),
        }
        .into());
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let mut rank_sum = 0.0;
    let mut start = 0;
    for tied in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        // Ranks from 1; tied samples share their mean.
        let rank = start as f64 + (tied.len() + 1) as f64 / 2.0;
        rank_sum += rank * tied.iter().filter(|at| positive[**at]).count() as f64;
        start += tied.len();
    }
    let (p, n) = (n_positive as f64, n_negative as f64);
    Ok((rank_sum - p * (p + 1.0) / 2.0) / (p * n))
}

/// Macro-averaged area under the ROC curve over several classes; in [0, 1].
///
/// # Errors
/// A class without samples, fewer than two classes.
pub fn auc_macro(samples: Labelled<'_>, kind: MultiClassAuc) -> Result<f64> {
    samples.check()?;
    let n = samples.n_classes;
    if n < 2 {
        return Err(EvaluationError::Undefined {
            metric: "the area under the curve",
            reason: format!("{n} classes, two are needed"),
        }
        .into());
    }
    let mut areas = Vec::new();
    for class in 0..n {
        match kind {
            MultiClassAuc::OneVersusRest => {
                let positive: Vec<bool> = samples.labels.iter().map(|label| *label == class).collect();
                areas.push(binary_auc(&positive, &samples.of_class(class).collect::<Vec<_>>())?);
            }
            MultiClassAuc::OneVersusOne => {
                for other in class + 1..n {
                    let of_pair: Vec<usize> =
                        (0..samples.labels.len()).filter(|at| [class, other].contains(&samples.labels[*at])).collect();
                    let area = |positive_class: usize| {
                        let positive: Vec<bool> =
                            of_pair.iter().map(|at| samples.labels[*at] == positive_class).collect();
                        let scores: Vec<f64> =
                            of_pair.iter().map(|at| samples.scores[at * n + positive_class]).collect();
                        binary_auc(&positive, &scores)
                    };
                    areas.push((area(class)? + area(other)?) / 2.0);
                }
            }
        }
    }
    Ok(areas.iter().sum::<f64>() / areas.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_count_half() {
        assert_eq!(binary_auc(&[false, true], &[0.5, 0.5]).unwrap(), 0.5);
        assert_eq!(binary_auc(&[false, true, true], &[0.1, 0.1, 0.9]).unwrap(), 0.75);
        assert_eq!(binary_auc(&[true, false], &[0.1, 0.9]).unwrap(), 0.0);
        assert!(binary_auc(&[true, true], &[0.1, 0.9]).unwrap_err().to_string().contains("0 negative"));
    }

    #[test]
    fn f1_of_a_class_that_is_never_predicted_is_zero() {
        // Class 0: 1 right, 1 missed, 1 wrong: 0.5. Class 1: 1 right, 1 wrong: 2/3. Class 2: missed.
        let f1 = macro_f1(&[0, 0, 1, 2], &[0, 1, 1, 0], 3);
        assert!((f1 - (0.5 + 2.0 / 3.0) / 3.0).abs() < 1e-12, "{f1}");
        assert_eq!(accuracy(&[0, 0, 1, 2], &[0, 1, 1, 0]), 0.5);
    }

    #[test]
    fn a_class_without_samples_is_named() {
        let samples = Labelled { labels: &[0, 2], scores: &[1.0; 6], n_classes: 3 };
        let error = auc_macro(samples, MultiClassAuc::OneVersusOne).unwrap_err().to_string();
        assert!(error.contains("class 1 of 3 has no sample"), "{error}");
    }
}
