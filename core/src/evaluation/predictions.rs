//! Predictions on a test split, and their metrics.

use super::classification::{Labelled, MultiClassAuc, accuracy, auc_macro, binary_auc, macro_f1};
use super::masked_lm::MaskedTokenCounts;
use super::metric::Metric;
use super::retrieval::Retrieved;
use super::segmentation_scores::SegmentationScores;
use crate::{Error, EvaluationError, Result, SettingError};

/// Predictions of a protocol for the samples of a test split.
#[derive(Debug, Clone)]
pub enum Predictions {
    /// Class scores of each sample.
    Classes {
        /// True class of each sample, in `0..n_classes`.
        labels: Vec<usize>,
        /// Scores, `[n, n_classes]`.
        scores: Vec<f64>,
        /// Number of classes.
        n_classes: usize,
        /// Average of the area under the ROC curve over several classes.
        auc: MultiClassAuc,
    },
    /// Retrieval results, by query.
    Ranks(Vec<Retrieved>),
    /// Counts of masked tokens, by sample.
    MaskedTokens(Vec<MaskedTokenCounts>),
    /// Comparisons of predicted masks with true ones.
    Masks(SegmentationScores),
}

impl Metric {
    /// Value of the metric over the samples at `places`; a position may occur more than once.
    ///
    /// # Errors
    /// A metric of the other kind of predictions, an area for which a class is missing, a distance where at each place one mask of
    /// each class is empty or whose unit is not known.
    pub fn of(self, predictions: &Predictions, places: &[usize]) -> Result<f64> {
        match predictions {
            Predictions::Classes { labels, scores, n_classes, auc } => {
                let n = *n_classes;
                let labels: Vec<usize> = places.iter().map(|at| labels[*at]).collect();
                let scores: Vec<f64> = places.iter().flat_map(|at| &scores[at * n..(at + 1) * n]).copied().collect();
                let labelled = Labelled { labels: &labels, scores: &scores, n_classes: n };
                match self {
                    Self::Accuracy => Ok(accuracy(&labels, &labelled.predicted())),
                    Self::MacroF1 => Ok(macro_f1(&labels, &labelled.predicted(), n)),
                    Self::Auc if n == 2 => {
                        let positive: Vec<bool> = labels.iter().map(|label| *label == 1).collect();
                        binary_auc(&positive, &scores.chunks(2).map(|row| row[1]).collect::<Vec<_>>())
                    }
                    Self::Auc => auc_macro(labelled, *auc),
                    _ => Err(self.of_the_other_kind()),
                }
            }
            Predictions::Ranks(ranks) => {
                let mean = |value: &dyn Fn(&Retrieved) -> f64| {
                    places.iter().map(|at| value(&ranks[*at])).sum::<f64>() / places.len().max(1) as f64
                };
                let within = |most: usize| {
                    mean(&|found: &Retrieved| f64::from(u8::from(found.first.is_some_and(|first| first <= most))))
                };
                match self {
                    Self::RecallAt1 => Ok(within(1)),
                    Self::RecallAt5 => Ok(within(5)),
                    Self::Map => Ok(mean(&|found| found.average_precision)),
                    _ => Err(self.of_the_other_kind()),
                }
            }
            Predictions::MaskedTokens(words) => {
                if self != Self::Accuracy {
                    return Err(self.of_the_other_kind());
                }
                let [right, masked] =
                    [|word: &MaskedTokenCounts| word.n_correct, |word: &MaskedTokenCounts| word.n_masked]
                        .map(|of| places.iter().map(|at| of(&words[*at])).sum::<usize>());
                match masked {
                    0 => Err(self.undefined("no token of these samples was masked")),
                    _ => Ok(right as f64 / masked as f64),
                }
            }
            Predictions::Masks(_) if !Self::OF_MASKS.contains(&self) => Err(self.of_the_other_kind()),
            Predictions::Masks(scores) => {
                scores.mean(self, places).ok_or_else(|| self.undefined("no sample has a distance between borders"))
            }
        }
    }

    fn of_the_other_kind(self) -> Error {
        SettingError::Metric { metric: self.name() }.into()
    }

    fn undefined(self, reason: &str) -> Error {
        EvaluationError::Undefined { metric: self.name(), reason: reason.into() }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_of_the_places_that_are_named() {
        let scores = vec![0.9, 0.1, 0.4, 0.6, 0.2, 0.8];
        let classes =
            Predictions::Classes { labels: vec![0, 0, 1], scores, n_classes: 2, auc: MultiClassAuc::default() };
        assert_eq!(Metric::Accuracy.of(&classes, &[0, 1, 1, 1]).unwrap(), 0.25);
        assert_eq!(Metric::Auc.of(&classes, &[0, 1, 2]).unwrap(), 1.0);
        assert!(Metric::Auc.of(&classes, &[0, 1]).is_err());
        let rank = |first, average_precision| Retrieved { first, average_precision };
        let ranks = Predictions::Ranks(vec![rank(Some(1), 1.0), rank(Some(5), 0.2), rank(None, 0.0)]);
        let all = Metric::OF_RANKS.map(|metric| metric.of(&ranks, &[0, 1, 1, 2]).unwrap());
        assert_eq!(all, [0.25, 0.75, 0.35]);
        let words = Predictions::MaskedTokens(
            [(3, 1), (5, 5), (0, 0)].map(|(n_masked, n_correct)| MaskedTokenCounts { n_masked, n_correct }).to_vec(),
        );
        assert_eq!(Metric::Accuracy.of(&words, &[0, 1, 2]).unwrap(), 0.75);
        assert_eq!(Metric::Accuracy.of(&words, &[0, 0]).unwrap(), 1.0 / 3.0);
        assert!(Metric::Accuracy.of(&words, &[2]).is_err() && Metric::Auc.of(&words, &[0]).is_err());
        assert!(Metric::Map.of(&classes, &[0]).is_err() && Metric::Auc.of(&ranks, &[0]).is_err());
    }
}
