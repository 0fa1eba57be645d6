//! Downstream tasks that cannot be measured.

/// Errors of downstream tasks.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// A split without samples.
    #[error("the {split} split has no samples")]
    EmptySplit {
        /// Name of the split: `training` or `test`.
        split: &'static str,
    },
    /// A split without usable samples for segmentation.
    #[error("the {split} split has no sample with features and a label map")]
    NoLabelMaps {
        /// Name of the split: `training` or `test`.
        split: &'static str,
    },
    /// A class without samples in a split.
    #[error("class {class} of {n_classes} has no sample in the {split} split")]
    MissingClass {
        /// Index of the class.
        class: usize,
        /// Number of classes.
        n_classes: usize,
        /// Name of the split: `training` or `test`.
        split: &'static str,
    },
    /// A metric that is undefined for these predictions.
    #[error("{metric} is not defined: {reason}")]
    Undefined {
        /// Name of the metric.
        metric: &'static str,
        /// Reason why the metric is undefined.
        reason: String,
    },
    /// A class too rare for bootstrap resamples.
    #[error(
        "{n_draws} resamples of the test split in a row lack a class; class {class} is in {n_found} of its {n_groups} groups"
    )]
    RareClass {
        /// Number of drawn resamples.
        n_draws: usize,
        /// The rarest class.
        class: usize,
        /// Number of groups with the class.
        n_found: usize,
        /// Number of all groups.
        n_groups: usize,
    },
    /// A linear probe that cannot be fitted.
    #[error("the linear probe cannot be fitted: {reason}")]
    LinearProbe {
        /// Reason of the failure.
        reason: String,
    },
    /// A loss that is not finite.
    #[error("the loss of {protocol} is {loss} in epoch {epoch}")]
    NotFinite {
        /// Name of the protocol: `fine-tuning` or `segmentation`.
        protocol: &'static str,
        /// Value of the loss.
        loss: f64,
        /// Epoch, counted from 1.
        epoch: usize,
    },
    /// More neighbours than samples.
    #[error("k is {k}, not in 1 to the {n_train} samples of the training split")]
    Neighbours {
        /// Number of requested neighbours.
        k: usize,
        /// Number of samples in the training split.
        n_train: usize,
    },
    /// More labels than the limit of classes.
    #[error("the masks have more than {limit} labels, as instance masks do")]
    TooManyLabels {
        /// Maximum number of labels.
        limit: usize,
    },
    /// Masks that are invalid.
    #[error("{detail}")]
    Masks {
        /// The found and the expected content.
        detail: String,
    },
    /// Features that are invalid.
    #[error("{detail}")]
    Features {
        /// The found and the expected content.
        detail: String,
    },
    /// Scores that form no score matrix.
    #[error("{detail}")]
    Scores {
        /// The found and the expected scores.
        detail: String,
    },
    /// An array of another shape, number or range than expected.
    #[error("{name} has {found}, expected {expected}")]
    Array {
        /// Name of the array.
        name: String,
        /// What was found: its shape, or a value and its position.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A voxel that no tile of a sliding window covered.
    #[error(
        "slice {slice} along the first axis has voxels that no tile covers; each of the {n_tiles} tiles of the grid has to be added"
    )]
    Uncovered {
        /// Position of the slice, from 0.
        slice: usize,
        /// Number of tiles of the grid.
        n_tiles: usize,
    },
}

impl EvaluationError {
    /// An error for an array of another shape, number or range than expected.
    pub(crate) fn array(
        name: impl Into<String>,
        found: impl std::fmt::Display,
        expected: impl std::fmt::Display,
    ) -> Self {
        Self::Array { name: name.into(), found: found.to_string(), expected: expected.to_string() }
    }
}
