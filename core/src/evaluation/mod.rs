//! What was learned and what was forgotten: metrics of downstream tasks, and the figures of continual learning.
//!
//! Everything here works on labels, scores, masks and features; nothing knows models or files.

mod classification;
mod neighbours;
mod projection;
mod score_matrix;
mod scores;
mod segmentation;

pub use classification::{Labelled, MultiClassAuc, accuracy, auc_macro, binary_auc, macro_f1};
pub use neighbours::nearest_by_cosine;
pub use projection::Projection;
pub use score_matrix::ScoreMatrix;
pub use scores::{EvaluatedStage, Score, Scores, TaskSummary, Transfer};
pub use segmentation::{dice, hausdorff_95};
