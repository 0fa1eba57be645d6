//! Metrics of downstream tasks, by name.

use serde::{Deserialize, Serialize};

/// Scale of a metric's values. Only values of one scale have a mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Numbers in [0, 1], of which 1 is best: all metrics but distances.
    Fraction,
    /// Distances in voxels.
    Voxels,
    /// Distances in millimetres.
    #[serde(rename = "mm")]
    Millimetres,
}

impl std::fmt::Display for Scale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fraction => "scores in [0, 1]",
            Self::Voxels => "distances in voxels",
            Self::Millimetres => "distances in mm",
        })
    }
}

/// Metric of classification, masked language modelling, retrieval or segmentation. Higher is better for all but distances, and their values are in
/// [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Accuracy: fraction of samples whose class has the highest score; in masked language modelling the fraction of masked tokens whose id is
    /// predicted.
    Accuracy,
    /// Macro F1: mean over classes of the harmonic mean of precision and recall.
    MacroF1,
    /// Area under the ROC curve; for several classes averaged as `MultiClassAuc` says.
    Auc,
    /// Recall at 1: fraction of queries whose nearest training sample is of their class.
    #[serde(rename = "recall_at_1")]
    RecallAt1,
    /// Recall at 5: fraction of queries with a training sample of their class among the nearest five.
    #[serde(rename = "recall_at_5")]
    RecallAt5,
    /// Mean average precision: mean over queries of the average precision over the whole training split.
    Map,
    /// Dice coefficient: mean over samples and classes.
    Dice,
    /// HD95 in voxels: 95th percentile of the distances between borders, as a mean over pairs of sample and class of which both masks have voxels.
    #[serde(rename = "hd95_voxels")]
    Hd95Voxels,
    /// HD95 in millimetres, see [`Metric::Hd95Voxels`].
    #[serde(rename = "hd95_mm")]
    Hd95Mm,
}

impl Metric {
    /// Name of the metric in files: `macro_f1`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::MacroF1 => "macro_f1",
            Self::Auc => "auc",
            Self::RecallAt1 => "recall_at_1",
            Self::RecallAt5 => "recall_at_5",
            Self::Map => "map",
            Self::Dice => "dice",
            Self::Hd95Voxels => "hd95_voxels",
            Self::Hd95Mm => "hd95_mm",
        }
    }

    /// The metric of this name in files.
    pub fn by_name(name: &str) -> Option<Self> {
        let all = [&Self::OF_CLASSES[..], &Self::OF_RANKS, &Self::OF_MASKS].concat();
        all.into_iter().find(|metric| metric.name() == name)
    }

    /// Whether a higher value is better.
    pub fn higher_is_better(self) -> bool {
        !matches!(self, Self::Hd95Voxels | Self::Hd95Mm)
    }

    /// Scale of the metric's values.
    pub fn scale(self) -> Scale {
        match self {
            Self::Hd95Voxels => Scale::Voxels,
            Self::Hd95Mm => Scale::Millimetres,
            _ => Scale::Fraction,
        }
    }

    /// Metrics of classification.
    pub const OF_CLASSES: [Self; 3] = [Self::Accuracy, Self::MacroF1, Self::Auc];
    /// Metrics of masked language modelling.
    pub const OF_MASKED_TOKENS: [Self; 1] = [Self::Accuracy];
    /// Metrics of retrieval.
    pub const OF_RANKS: [Self; 3] = [Self::RecallAt1, Self::RecallAt5, Self::Map];
    /// Metrics of segmentation.
    pub const OF_MASKS: [Self; 3] = [Self::Dice, Self::Hd95Voxels, Self::Hd95Mm];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_files_are_those_of_serde() {
        for metric in [Metric::OF_CLASSES, Metric::OF_RANKS, Metric::OF_MASKS].concat() {
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
            assert_eq!(Metric::by_name(metric.name()), Some(metric));
        }
    }
}
