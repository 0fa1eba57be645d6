//! Evaluation of what a model has learned and forgotten: protocols and metrics of downstream tasks, and measures of continual learning.
//!
//! Everything but fine-tuning works on labels, scores, masks and features, and nothing knows files.

mod bootstrap;
mod calibration;
mod classification;
mod complete_model;
mod curves;
mod finetuning;
mod folds;
mod knn;
mod label_map;
mod labelled_features;
mod linear_probe;
mod masked_lm;
mod metric;
mod neighbours;
mod overlap;
mod paired;
mod predictions;
mod projection;
mod retrieval;
mod score_matrix;
mod scores;
mod segmentation;
mod segmentation_loss;
mod segmentation_maps;
mod segmentation_probe;
mod segmentation_scores;
mod split;
mod surface;
mod transfer;

pub use bootstrap::{N_RESAMPLES, Resamples};
pub use calibration::{CalibrationBins, ReliabilityBin, ReliabilityCurve, binary_brier, brier};
pub use classification::{Labelled, MultiClassAuc, accuracy, auc_macro, binary_auc, macro_f1};
pub use complete_model::complete_model;
pub use curves::{
    MacroMean, MultiLabelled, PrecisionRecallPoint, RocPoint, average_precision, average_precision_macro,
    precision_recall_curve, roc_curve,
};
pub use finetuning::{Finetuner, Finetuning, Labels};
pub use folds::draw_folds;
pub use knn::NearestNeighbours;
pub use label_map::{LabelMap, LabelMapSource};
pub use labelled_features::LabelledFeatures;
pub use linear_probe::LinearProbe;
pub use masked_lm::MaskedTokenCounts;
pub use metric::{Metric, Scale};
pub use neighbours::nearest_by_cosine;
pub use overlap::{DiceFormula, Overlap};
pub use paired::{MAX_EXACT_PERMUTATIONS, N_PERMUTATIONS, PairedDifferences, PermutationTest};
pub use predictions::Predictions;
pub use projection::Projection;
pub use retrieval::{Retrieved, retrieve};
pub use score_matrix::ScoreMatrix;
pub use scores::{EvaluatedStage, Score, Scores, TaskSummary, Transfer};
pub use segmentation::{
    REFERENCE_HD95_OF_ONE_EMPTY, dice, hausdorff_95, hausdorff_95_of, hausdorff_95_reference, surface_dice,
};
pub use segmentation_maps::{ClassMaps, IGNORED, SegmentationClasses};
pub use segmentation_probe::{SegmentationProbe, TokenFeatures};
pub use segmentation_scores::{SampleSegmentation, SegmentationScores};
pub use split::{Split, draw_samples};
