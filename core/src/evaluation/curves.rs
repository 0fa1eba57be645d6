//! ROC and precision-recall curves with scikit-learn's definitions, and areas for several classes and for labels of which some are unknown.

use super::classification::{Labelled, binary_auc};
use crate::{EvaluationError, Result};

/// Point of a ROC curve: rates among the samples with a score of at least `threshold`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RocPoint {
    /// Threshold; infinite for the first point, which no sample reaches.
    pub threshold: f64,
    /// Fraction of negative samples that reach the threshold.
    pub false_positive_rate: f64,
    /// Fraction of positive samples that reach the threshold (sensitivity, recall).
    pub true_positive_rate: f64,
}

/// Point of a precision-recall curve, for the samples with a score of at least `threshold`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrecisionRecallPoint {
    /// Threshold; infinite for the first point, which no sample reaches and whose precision is set to 1.
    pub threshold: f64,
    /// Fraction of these samples that are positive.
    pub precision: f64,
    /// Fraction of positive samples that are among these.
    pub recall: f64,
}

/// ROC curve from (0, 0) to (1, 1), a point for each distinct score, by falling threshold. The area below it is [`binary_auc`].
///
/// # Errors
/// Arrays of different lengths, scores that are not finite, samples of one kind only.
pub fn roc_curve(positive: &[bool], scores: &[f64]) -> Result<Vec<RocPoint>> {
    let counts = counts(positive, scores)?;
    let (n_positive, n_negative) = totals(positive);
    needs("the ROC curve", n_positive > 0 && n_negative > 0, n_positive, n_negative)?;
    let point = |&(threshold, n_true, n_false): &(f64, usize, usize)| RocPoint {
        threshold,
        false_positive_rate: n_false as f64 / n_negative as f64,
        true_positive_rate: n_true as f64 / n_positive as f64,
    };
    Ok(counts.iter().map(point).collect())
}

/// Precision-recall curve from recall 0 to 1, a point for each distinct score, by falling threshold.
///
/// # Errors
/// Arrays of different lengths, scores that are not finite, no positive sample.
pub fn precision_recall_curve(positive: &[bool], scores: &[f64]) -> Result<Vec<PrecisionRecallPoint>> {
    let counts = counts(positive, scores)?;
    let (n_positive, n_negative) = totals(positive);
    needs("the precision-recall curve", n_positive > 0, n_positive, n_negative)?;
    let point = |&(threshold, n_true, n_false): &(f64, usize, usize)| PrecisionRecallPoint {
        threshold,
        precision: if n_true + n_false == 0 { 1.0 } else { n_true as f64 / (n_true + n_false) as f64 },
        recall: n_true as f64 / n_positive as f64,
    };
    Ok(counts.iter().map(point).collect())
}

/// Average precision: the sum over thresholds of precision times the gain in recall, which interpolates nothing; in [0, 1].
///
/// # Errors
/// Arrays of different lengths, scores that are not finite, no positive sample.
pub fn average_precision(positive: &[bool], scores: &[f64]) -> Result<f64> {
    let curve = precision_recall_curve(positive, scores)?;
    Ok(curve.windows(2).map(|pair| (pair[1].recall - pair[0].recall) * pair[1].precision).sum())
}

/// Macro-averaged average precision over several classes, each against all others; in [0, 1].
///
/// # Errors
/// Arrays that do not fit, scores that are not finite, a class without samples.
pub fn average_precision_macro(samples: Labelled<'_>) -> Result<f64> {
    samples.check_shape()?;
    let mut sum = 0.0;
    for class in 0..samples.n_classes {
        let positive: Vec<bool> = samples.labels.iter().map(|label| *label == class).collect();
        let scores: Vec<f64> = samples.of_class(class).collect();
        sum += average_precision(&positive, &scores)?;
    }
    Ok(sum / samples.n_classes.max(1) as f64)
}

/// Samples with several independent labels each, of which some are unknown. All arrays are `[n, n_labels]`.
#[derive(Debug, Clone, Copy)]
pub struct MultiLabelled<'a> {
    /// Whether a label applies; of no meaning where it is unknown.
    pub labels: &'a [bool],
    /// Whether a label is known. Unknown labels enter no metric.
    pub known: &'a [bool],
    /// Score of each label, higher where it is more likely.
    pub scores: &'a [f64],
    /// Number of labels.
    pub n_labels: usize,
}

/// Metric of several labels.
#[derive(Debug, Clone, PartialEq)]
pub struct MacroMean {
    /// Mean over the labels for which the metric is defined, in [0, 1].
    pub value: f64,
    /// Value for each label; none where too few samples are known.
    pub by_label: Vec<Option<f64>>,
}

impl MultiLabelled<'_> {
    /// Macro-averaged area under the ROC curve. A label without a known positive or a known negative sample is left out of the mean.
    ///
    /// # Errors
    /// Arrays that do not fit, known scores that are not finite, no label with samples of both kinds.
    pub fn roc_auc(&self) -> Result<MacroMean> {
        self.mean("the area under the curve", |positive, scores| {
            let (n_positive, n_negative) = totals(positive);
            (n_positive > 0 && n_negative > 0).then(|| binary_auc(positive, scores)).transpose()
        })
    }

    /// Macro-averaged average precision. A label without a known positive sample is left out of the mean.
    ///
    /// # Errors
    /// Arrays that do not fit, known scores that are not finite, no label with a positive sample.
    pub fn average_precision(&self) -> Result<MacroMean> {
        self.mean("the average precision", |positive, scores| {
            positive.contains(&true).then(|| average_precision(positive, scores)).transpose()
        })
    }

    fn mean(
        &self,
        metric: &'static str,
        of_label: impl Fn(&[bool], &[f64]) -> Result<Option<f64>>,
    ) -> Result<MacroMean> {
        let n = self.labels.len();
        if self.n_labels == 0 || !n.is_multiple_of(self.n_labels) || n != self.known.len() || n != self.scores.len() {
            let found =
                format!("{n} values, {} of which is known whether and {} scores", self.known.len(), self.scores.len());
            let expected = format!("as many of each, a multiple of {} labels", self.n_labels);
            return Err(EvaluationError::array("the array of labels", found, expected).into());
        }
        let mut by_label = Vec::with_capacity(self.n_labels);
        for label in 0..self.n_labels {
            let known = (label..n).step_by(self.n_labels).filter(|at| self.known[*at]);
            let (positive, scores): (Vec<bool>, Vec<f64>) = known.map(|at| (self.labels[at], self.scores[at])).unzip();
            check_scores(&positive, &scores)?;
            by_label.push(of_label(&positive, &scores)?);
        }
        let defined: Vec<f64> = by_label.iter().copied().flatten().collect();
        if defined.is_empty() {
            let reason = format!("none of {} labels has enough known samples", self.n_labels);
            return Err(EvaluationError::Undefined { metric, reason }.into());
        }
        Ok(MacroMean { value: defined.iter().sum::<f64>() / defined.len() as f64, by_label })
    }
}

/// Numbers of positive and negative samples.
fn totals(positive: &[bool]) -> (usize, usize) {
    let n_positive = positive.iter().filter(|positive| **positive).count();
    (n_positive, positive.len() - n_positive)
}

fn needs(metric: &'static str, enough: bool, n_positive: usize, n_negative: usize) -> Result<()> {
    if enough {
        return Ok(());
    }
    let reason = format!("there are {n_positive} positive and {n_negative} negative samples");
    Err(EvaluationError::Undefined { metric, reason }.into())
}

fn check_scores(positive: &[bool], scores: &[f64]) -> Result<()> {
    if positive.len() != scores.len() {
        let (found, expected) = (format!("{} values", scores.len()), format!("{}, one a label", positive.len()));
        return Err(EvaluationError::array("the array of scores", found, expected).into());
    }
    match scores.iter().position(|score| !score.is_finite()) {
        None => Ok(()),
        Some(at) => {
            let found = format!("{} at position {at}", scores[at]);
            Err(EvaluationError::array("the array of scores", found, "finite numbers").into())
        }
    }
}

/// Numbers of positive and negative samples that reach each threshold: an infinite one, then each distinct score, falling.
fn counts(positive: &[bool], scores: &[f64]) -> Result<Vec<(f64, usize, usize)>> {
    check_scores(positive, scores)?;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let mut counts = vec![(f64::INFINITY, 0, 0)];
    let (mut n_true, mut n_false) = (0, 0);
    for tied in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        let n = tied.iter().filter(|at| positive[**at]).count();
        n_true += n;
        n_false += tied.len() - n;
        counts.push((scores[tied[0]], n_true, n_false));
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tied_scores_are_one_point() {
        let (positive, scores) = ([true, false, true, false], [0.9, 0.5, 0.5, 0.1]);
        let roc: Vec<_> = roc_curve(&positive, &scores)
            .unwrap()
            .into_iter()
            .map(|point| (point.threshold, point.false_positive_rate, point.true_positive_rate))
            .collect();
        assert_eq!(roc, [(f64::INFINITY, 0.0, 0.0), (0.9, 0.0, 0.5), (0.5, 0.5, 1.0), (0.1, 1.0, 1.0)]);
        let curve = precision_recall_curve(&positive, &scores).unwrap();
        let curve: Vec<_> = curve.into_iter().map(|point| (point.precision, point.recall)).collect();
        assert_eq!(curve, [(1.0, 0.0), (1.0, 0.5), (2.0 / 3.0, 1.0), (0.5, 1.0)]);
        assert!((average_precision(&positive, &scores).unwrap() - (0.5 + 0.5 * 2.0 / 3.0)).abs() < 1e-12);
    }

    #[test]
    fn what_a_curve_lacks_is_named() {
        let text = |error: crate::Error| error.to_string();
        assert!(text(roc_curve(&[true], &[0.5]).unwrap_err()).contains("1 positive and 0 negative"));
        assert!(text(average_precision(&[false], &[0.5]).unwrap_err()).contains("0 positive and 1 negative"));
        assert!(text(roc_curve(&[true], &[]).unwrap_err()).contains("0 values, expected 1, one a label"));
        assert!(text(average_precision(&[true], &[f64::NAN]).unwrap_err()).contains("NaN at position 0"));
        let samples = Labelled { labels: &[0, 0], scores: &[0.5; 4], n_classes: 2 };
        assert!(text(average_precision_macro(samples).unwrap_err()).contains("0 positive and 2 negative"));
        let samples = Labelled { labels: &[0, 1], scores: &[0.5; 3], n_classes: 2 };
        assert!(text(average_precision_macro(samples).unwrap_err()).contains("3 values"));
    }

    #[test]
    fn unknown_labels_change_nothing() {
        // Label 0: the unknown third sample would be wrong. Label 1 has no known positive.
        let labels = [true, true, false, false, true, false];
        let known = [true, false, true, true, false, true];
        let mut scores = [0.9, f64::NAN, 0.2, 0.1, f64::INFINITY, 0.5];
        let of = |scores: &[f64]| {
            let samples = MultiLabelled { labels: &labels, known: &known, scores, n_labels: 2 };
            [samples.roc_auc(), samples.average_precision()].map(Result::unwrap)
        };
        for found in of(&scores) {
            assert_eq!(found, MacroMean { value: 1.0, by_label: vec![Some(1.0), None] });
        }
        scores[2] = 0.95;
        assert_eq!(of(&scores).map(|found| found.value), [0.0, 0.5]);

        let nothing = MultiLabelled { labels: &labels, known: &[false; 6], scores: &scores, n_labels: 2 };
        assert!(nothing.roc_auc().unwrap_err().to_string().contains("none of 2 labels"));
        let other = MultiLabelled { n_labels: 4, ..nothing };
        assert!(other.roc_auc().unwrap_err().to_string().contains("a multiple of 4 labels"));
        assert!(MultiLabelled { n_labels: 0, ..nothing }.average_precision().is_err());
        let nan = MultiLabelled { known: &[true; 6], ..nothing };
        assert!(nan.roc_auc().unwrap_err().to_string().contains("finite numbers"));
    }
}
