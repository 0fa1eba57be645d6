//! The metrics of downstream tasks, by name.

use serde::{Deserialize, Serialize};

/// A metric of classification, retrieval or segmentation. Of all but distances higher is better, and they are in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of samples whose class has the highest score; of masked language modelling the share of masked tokens that are predicted.
    Accuracy,
    /// Mean over classes of the harmonic mean of precision and recall.
    MacroF1,
    /// Area under the receiver operating characteristic; of several classes as [`MultiClassAuc`] says.
    Auc,
    /// Share of queries whose nearest training sample is of their class.
    #[serde(rename = "recall_at_1")]
    RecallAt1,
    /// Share of queries with a training sample of their class among the nearest five.
    #[serde(rename = "recall_at_5")]
    RecallAt5,
    /// Mean over queries of the average precision over the whole training split.
    Map,
    /// Mean over samples and classes of the Dice coefficient.
    Dice,
    /// Mean over pairs of sample and class, of which both masks have voxels, of the 95th percentile of the distances between borders,
    /// in voxels.
    #[serde(rename = "hd95_voxels")]
    Hd95Voxels,
    /// The same in millimetres.
    #[serde(rename = "hd95_mm")]
    Hd95Mm,
}

impl Metric {
    /// As in files: `macro_f1`.
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

    /// Whether a higher value is better.
    pub fn higher_is_better(self) -> bool {
        !matches!(self, Self::Hd95Voxels | Self::Hd95Mm)
    }

    /// Of classification.
    pub const OF_CLASSES: [Self; 3] = [Self::Accuracy, Self::MacroF1, Self::Auc];
    /// Of masked language modelling.
    pub const OF_MASKED_TOKENS: [Self; 1] = [Self::Accuracy];
    /// Of retrieval.
    pub const OF_RANKS: [Self; 3] = [Self::RecallAt1, Self::RecallAt5, Self::Map];
    /// Of segmentation.
    pub const OF_MASKS: [Self; 3] = [Self::Dice, Self::Hd95Voxels, Self::Hd95Mm];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_files_are_those_of_serde() {
        for metric in [Metric::OF_CLASSES, Metric::OF_RANKS, Metric::OF_MASKS].concat() {
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
        }
    }
}
