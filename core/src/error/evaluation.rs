//! Downstream tasks that cannot be measured.

/// Why a task cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// A split without samples.
    #[error("the {split} split has no samples")]
    EmptySplit {
        /// `training` or `test`.
        split: &'static str,
    },
    /// A split without usable samples for segmentation.
    #[error("the {split} split has no sample with features and a label map")]
    NoLabelMaps {
        /// `training` or `test`.
        split: &'static str,
    },
    /// A class without samples in a split.
    #[error("class {class} of {n_classes} has no sample in the {split} split")]
    MissingClass {
        /// Index of the class.
        class: usize,
        /// Number of classes.
        n_classes: usize,
        /// `training` or `test`.
        split: &'static str,
    },
    /// A metric that these predictions do not define.
    #[error("{metric} is not defined: {reason}")]
    Undefined {
        /// Name of the metric.
        metric: &'static str,
        /// Why.
        reason: String,
    },
    /// A class too rare for bootstrap resamples.
    #[error(
        "{n_draws} resamples of the test split in a row lack a class; class {class} is in {n_found} of its {n_groups} groups"
    )]
    RareClass {
        /// Resamples that were drawn.
        n_draws: usize,
        /// The rarest class.
        class: usize,
        /// Groups with it.
        n_found: usize,
        /// All groups.
        n_groups: usize,
    },
    /// A linear probe that cannot be fitted.
    #[error("the linear probe cannot be fitted: {reason}")]
    LinearProbe {
        /// Why.
        reason: String,
    },
    /// A loss that is not finite.
    #[error("the loss of {protocol} is {loss} in epoch {epoch}")]
    NotFinite {
        /// `fine-tuning` or `segmentation`.
        protocol: &'static str,
        /// The loss.
        loss: f64,
        /// From 1.
        epoch: usize,
    },
    /// More neighbours than samples.
    #[error("k is {k}, not in 1 to the {n_train} samples of the training split")]
    Neighbours {
        /// Neighbours that were asked for.
        k: usize,
        /// Samples of the training split.
        n_train: usize,
    },
    /// More labels than there may be classes.
    #[error("the masks have more than {limit} labels, as instance masks do")]
    TooManyLabels {
        /// Most labels.
        limit: usize,
    },
    /// Masks that cannot be used.
    #[error("{detail}")]
    Masks {
        /// What was found and expected.
        detail: String,
    },
    /// Features that cannot be used.
    #[error("{detail}")]
    Features {
        /// What was found and expected.
        detail: String,
    },
    /// Scores that make no matrix.
    #[error("{detail}")]
    Scores {
        /// What was found and expected.
        detail: String,
    },
}
