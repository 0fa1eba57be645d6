//! Calibration of predicted probabilities: reliability curve, expected calibration error, Brier score.

use super::classification::Labelled;
use crate::{EvaluationError, Result, SettingError};

/// By how much the probabilities of a sample may miss a sum of 1; 32-bit softmax misses it by less.
const SUM_TOLERANCE: f64 = 1e-3;

/// Bins of a reliability curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalibrationBins {
    /// This many bins of equal width over [0, 1].
    EqualWidth(usize),
    /// This many bins with as nearly equal numbers of samples as ties allow (adaptive bins; Nixon et al., 2019): their ends are quantiles of the
    /// confidences, and samples of equal confidence share a bin.
    EqualMass(usize),
}

impl Default for CalibrationBins {
    /// Fifteen bins of equal width (Guo et al., 2017).
    fn default() -> Self {
        Self::EqualWidth(15)
    }
}

/// A bin of a reliability curve: the samples with a confidence above `low` and up to `high`. The first bin has those at `low` too.
#[derive(Debug, Clone, PartialEq)]
pub struct ReliabilityBin {
    /// Lower end, in [0, 1].
    pub low: f64,
    /// Upper end, in [0, 1].
    pub high: f64,
    /// Number of samples, at least 1.
    pub n: usize,
    /// Mean confidence, in [0, 1].
    pub confidence: f64,
    /// Fraction of samples that came true: positive ones, or ones whose class was predicted; in [0, 1].
    pub frequency: f64,
}

/// Reliability curve (calibration curve): how often predictions of each confidence came true. Definitions are scikit-learn's `calibration_curve`.
#[derive(Debug, Clone, PartialEq)]
pub struct ReliabilityCurve {
    /// Bins with samples, by ascending confidence.
    pub bins: Vec<ReliabilityBin>,
}

impl ReliabilityCurve {
    /// Reliability curve of binary predictions: `confidences` are probabilities of what came true where `outcomes` says so.
    ///
    /// # Errors
    /// No samples, arrays of different lengths, confidences outside of [0, 1], a number of bins that is not 1 to 10,000.
    pub fn new(confidences: &[f64], outcomes: &[bool], bins: CalibrationBins) -> Result<Self> {
        let (CalibrationBins::EqualWidth(n_bins) | CalibrationBins::EqualMass(n_bins)) = bins;
        if !(1..=10_000).contains(&n_bins) {
            return Err(SettingError::out_of_range("the number of calibration bins", n_bins, "1 to 10000").into());
        }
        check_probabilities(confidences, outcomes.len())?;
        let ends: Vec<f64> = match bins {
            CalibrationBins::EqualWidth(n) => (0..=n).map(|at| at as f64 / n as f64).collect(),
            CalibrationBins::EqualMass(n) => quantiles(confidences, n),
        };
        let inner = &ends[1..n_bins];
        let mut sums = vec![(0usize, 0.0, 0usize); n_bins];
        for (confidence, outcome) in confidences.iter().zip(outcomes) {
            let (n, sum, n_true) = &mut sums[inner.partition_point(|end| end < confidence)];
            *n += 1;
            *sum += confidence;
            *n_true += usize::from(*outcome);
        }
        let filled = sums.into_iter().enumerate().filter(|(_, (n, ..))| *n > 0);
        let bin = |(at, (n, sum, n_true)): (usize, (usize, f64, usize))| ReliabilityBin {
            low: ends[at],
            high: ends[at + 1],
            n,
            confidence: sum / n as f64,
            frequency: n_true as f64 / n as f64,
        };
        Ok(Self { bins: filled.map(bin).collect() })
    }

    /// Reliability curve of predicted classes: the confidence of a sample is its largest probability, and it came true where that class is the label.
    ///
    /// # Errors
    /// As [`ReliabilityCurve::new`]; labels that are no class, probabilities of a sample whose sum is not 1.
    pub fn of_predicted_class(samples: Labelled<'_>, bins: CalibrationBins) -> Result<Self> {
        check_distributions(samples)?;
        let predicted = samples.predicted();
        let rows = samples.scores.chunks_exact(samples.n_classes);
        let confidences: Vec<f64> = rows.zip(&predicted).map(|(row, class)| row[*class]).collect();
        let outcomes: Vec<bool> = predicted.iter().zip(samples.labels).map(|(class, label)| class == label).collect();
        Self::new(&confidences, &outcomes, bins)
    }

    /// Expected calibration error (ECE; Naeini et al., 2015): mean over samples of the distance between their bin's confidence and frequency; in [0, 1],
    /// 0 is best.
    pub fn expected_error(&self) -> f64 {
        let n: usize = self.bins.iter().map(|bin| bin.n).sum();
        self.bins.iter().map(|bin| bin.n as f64 * bin.gap()).sum::<f64>() / n.max(1) as f64
    }

    /// Maximum calibration error: the largest distance between a bin's confidence and frequency; in [0, 1].
    pub fn maximum_error(&self) -> f64 {
        self.bins.iter().map(ReliabilityBin::gap).fold(0.0, f64::max)
    }
}

impl ReliabilityBin {
    fn gap(&self) -> f64 {
        (self.confidence - self.frequency).abs()
    }
}

/// Brier score of probabilities of the positive class: mean squared distance to 1 for positive and 0 for negative samples; in [0, 1], 0 is best.
///
/// # Errors
/// No samples, arrays of different lengths, probabilities outside of [0, 1].
pub fn binary_brier(positive: &[bool], probabilities: &[f64]) -> Result<f64> {
    check_probabilities(probabilities, positive.len())?;
    let squared = |(positive, probability): (&bool, &f64)| (f64::from(u8::from(*positive)) - probability).powi(2);
    Ok(positive.iter().zip(probabilities).map(squared).sum::<f64>() / positive.len() as f64)
}

/// Brier score of several classes (Brier, 1950): mean over samples of the sum over classes of squared distances; in [0, 2], 0 is best. For two classes
/// this is twice [`binary_brier`].
///
/// # Errors
/// No samples, arrays that do not fit, labels that are no class, probabilities outside of [0, 1] or whose sum is not 1.
pub fn brier(samples: Labelled<'_>) -> Result<f64> {
    check_distributions(samples)?;
    let squared = |(row, label): (&[f64], &usize)| {
        let distance =
            |(class, probability): (usize, &f64)| (f64::from(u8::from(class == *label)) - probability).powi(2);
        row.iter().enumerate().map(distance).sum::<f64>()
    };
    let rows = samples.scores.chunks_exact(samples.n_classes);
    Ok(rows.zip(samples.labels).map(squared).sum::<f64>() / samples.labels.len() as f64)
}

/// Ends of bins of equal mass: the quantiles at `0/n, 1/n, ..., n/n`, interpolated as NumPy's default.
fn quantiles(values: &[f64], n: usize) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    let quantile = |at: usize| {
        // Whole numbers: a place that is a sample stays one.
        let (below, rest) = (at * last / n, at * last % n);
        let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
        low + (high - low) * rest as f64 / n as f64
    };
    (0..=n).map(quantile).collect()
}

fn check_probabilities(probabilities: &[f64], n_expected: usize) -> Result<()> {
    if n_expected == 0 {
        return Err(EvaluationError::EmptySplit { split: "test" }.into());
    }
    if probabilities.len() != n_expected {
        let (found, expected) = (probabilities.len(), format!("{n_expected}, one a label"));
        return Err(EvaluationError::array("the array of probabilities", format!("{found} values"), expected).into());
    }
    match probabilities.iter().position(|value| !(0.0..=1.0).contains(value)) {
        None => Ok(()),
        Some(at) => {
            let found = format!("{} at position {at}", probabilities[at]);
            let expected = "numbers in [0, 1]; scores become probabilities by a sigmoid or softmax";
            Err(EvaluationError::array("the array of probabilities", found, expected).into())
        }
    }
}

fn check_distributions(samples: Labelled<'_>) -> Result<()> {
    samples.check_shape()?;
    check_probabilities(samples.scores, samples.labels.len() * samples.n_classes)?;
    for (sample, row) in samples.scores.chunks_exact(samples.n_classes).enumerate() {
        let sum: f64 = row.iter().sum();
        if (sum - 1.0).abs() > SUM_TOLERANCE {
            let found = format!("a sum of {sum} for sample {sample}");
            let expected = "sums of 1; independent labels are compared one by one";
            return Err(EvaluationError::array("the array of probabilities", found, expected).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_bins_by_hand() {
        // Bins of width 0.5: (0, 0.2, 0.5) with one true, (0.6, 1) with two.
        let (confidences, outcomes) = ([0.5, 1.0, 0.2, 0.6, 0.0], [true, true, false, true, false]);
        let curve = ReliabilityCurve::new(&confidences, &outcomes, CalibrationBins::EqualWidth(2)).unwrap();
        let found: Vec<_> = curve.bins.iter().map(|bin| (bin.low, bin.high, bin.n, bin.frequency)).collect();
        assert_eq!(found, [(0.0, 0.5, 3, 1.0 / 3.0), (0.5, 1.0, 2, 1.0)]);
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found}");
        close(curve.bins[0].confidence, 0.7 / 3.0);
        close(curve.expected_error(), (3.0 * 0.1 + 2.0 * 0.2) / 5.0);
        close(curve.maximum_error(), 0.2);
        close(binary_brier(&outcomes, &confidences).unwrap(), (0.25 + 0.0 + 0.04 + 0.16 + 0.0) / 5.0);
    }

    #[test]
    fn equal_confidences_share_a_bin_of_equal_mass_in_any_order() {
        let confidences = [0.1, 0.1, 0.1, 0.1, 0.9, 0.7];
        let outcomes = [true, false, false, false, true, true];
        let bins = CalibrationBins::EqualMass(3);
        let curve = ReliabilityCurve::new(&confidences, &outcomes, bins).unwrap();
        assert_eq!(curve.bins.iter().map(|bin| bin.n).collect::<Vec<_>>(), [4, 2]);
        let turned = |values: &[f64]| values.iter().rev().copied().collect::<Vec<_>>();
        let outcomes: Vec<bool> = outcomes.iter().rev().copied().collect();
        assert_eq!(ReliabilityCurve::new(&turned(&confidences), &outcomes, bins).unwrap(), curve);
    }

    #[test]
    fn the_brier_score_of_two_classes_is_twice_the_binary_one() {
        let (scores, labels) = ([0.9, 0.1, 0.3, 0.7, 0.5, 0.5], [0, 1, 1]);
        let both = brier(Labelled { labels: &labels, scores: &scores, n_classes: 2 }).unwrap();
        let binary = binary_brier(&[false, true, true], &[0.1, 0.7, 0.5]).unwrap();
        assert!((both - 2.0 * binary).abs() < 1e-12 && (binary - (0.01 + 0.09 + 0.25) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_probability_is_named() {
        let message = |confidences: &[f64], bins| {
            ReliabilityCurve::new(confidences, &[true, false], bins).unwrap_err().to_string()
        };
        let bins = CalibrationBins::default();
        assert!(message(&[0.5, 1.5], bins).contains("1.5 at position 1, expected numbers in [0, 1]"));
        assert!(message(&[f64::NAN, 0.5], bins).contains("NaN at position 0"));
        assert!(message(&[0.5], bins).contains("1 values, expected 2"));
        assert!(message(&[0.5, 0.5], CalibrationBins::EqualMass(0)).contains("expected 1 to 10000"));
        assert!(ReliabilityCurve::new(&[], &[], bins).unwrap_err().to_string().contains("no samples"));
        let of = |labels: &[usize], scores: &[f64]| brier(Labelled { labels, scores, n_classes: 2 });
        assert!(of(&[0], &[0.9, 0.9]).unwrap_err().to_string().contains("a sum of 1.8 for sample 0"));
        assert!(of(&[2], &[0.5, 0.5]).unwrap_err().to_string().contains("label 2"));
        assert!(of(&[0, 1], &[0.5, 0.5]).is_err() && of(&[], &[]).is_err());
    }
}
