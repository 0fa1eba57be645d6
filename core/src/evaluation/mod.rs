//! What was learned and what was forgotten: metrics of downstream tasks, and the figures of continual learning.
//!
//! Everything here works on labels, scores, masks and features; nothing knows models or files.

mod classification;
mod score_matrix;
mod scores;
mod segmentation;
mod segmentation_loss;
mod segmentation_maps;
mod segmentation_probe;
mod segmentation_scores;

pub use classification::{Labelled, MultiClassAuc, accuracy, auc_macro, binary_auc, macro_f1};
pub use score_matrix::ScoreMatrix;
pub use scores::{EvaluatedStage, Score, Scores, TaskSummary, Transfer};
pub use segmentation::{dice, hausdorff_95};
pub use segmentation_maps::{ClassMaps, SegmentationClasses};
pub use segmentation_probe::{SegmentationProbe, TokenFeatures};
pub use segmentation_scores::{SampleSegmentation, SegmentationMetric, SegmentationScores};
