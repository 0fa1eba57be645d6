//! Targets of a downstream task: what is known of each sample.

use serde::{Deserialize, Serialize};

use crate::Result;

/// Kind of a task's targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum TargetKind {
    /// One of several classes.
    Classes {
        /// Names of the classes.
        classes: Vec<String>,
    },
    /// Several labels, each present, absent or unknown, as in CheXpert.
    MultiLabel {
        /// Names of the labels.
        classes: Vec<String>,
    },
    /// One of several classes in an order, such as grades: the model learns of each threshold whether the class lies above it (Frank and Hall, 2001).
    Ordinal {
        /// Names of the classes, the lowest first.
        classes: Vec<String>,
    },
    /// A number.
    Regression {
        /// Mean of the training split, which the model's output is counted from.
        mean: f64,
        /// Standard deviation of the training split, the unit of the model's output.
        deviation: f64,
    },
    /// A class of each voxel.
    Segmentation {
        /// Names of the classes, without the background.
        classes: Vec<String>,
        /// Whether a voxel may be of several classes; each then has a probability of its own. Otherwise classes and background exclude each other.
        overlapping: bool,
    },
}

/// Targets of one sample.
#[derive(Debug, Clone, PartialEq)]
pub enum SampleTargets {
    /// Class of the sample, of classes or ordinal classes.
    Class(usize),
    /// Each label of the sample; none where it is unknown.
    Labels(Vec<Option<bool>>),
    /// Number of the sample.
    Number(f64),
    /// Classes of the voxels `[depth, height, width]`.
    Voxels {
        /// Of each voxel the classes as a sum of powers of two, class 0 being the first after the background; [`IGNORED_VOXEL`] where it does not count.
        /// Where classes exclude each other at most one is there.
        classes: Vec<u16>,
        /// Whether each class was annotated in this sample; a class that was not costs nothing. Empty where all were.
        annotated: Vec<bool>,
    },
}

/// Classes of a voxel that no loss and no score counts.
pub const IGNORED_VOXEL: u16 = u16::MAX;

/// Largest number of classes of a segmentation with overlapping classes: bits of a voxel's classes, one less for [`IGNORED_VOXEL`].
pub const MAX_SEGMENTED: usize = 15;

/// Source of the targets of a dataset's samples.
pub trait Targets: Sync {
    /// Kind of the targets.
    fn kind(&self) -> &TargetKind;

    /// Targets of the samples `indices`, in their order.
    ///
    /// # Errors
    /// Targets that cannot be read, such as a mask that is not there.
    fn of(&self, indices: &[u64]) -> Result<Vec<SampleTargets>>;
}

impl TargetKind {
    /// Names of the classes; none for a number.
    pub fn classes(&self) -> &[String] {
        match self {
            Self::Classes { classes }
            | Self::MultiLabel { classes }
            | Self::Ordinal { classes }
            | Self::Segmentation { classes, .. } => classes,
            Self::Regression { .. } => &[],
        }
    }

    /// Number of values that a model gives, of a sample or of each voxel.
    pub fn n_outputs(&self) -> usize {
        match self {
            Self::Classes { classes } | Self::MultiLabel { classes } => classes.len(),
            Self::Ordinal { classes } => classes.len().saturating_sub(1),
            Self::Regression { .. } => 1,
            Self::Segmentation { classes, overlapping } => classes.len() + usize::from(!overlapping),
        }
    }

    /// Whether voxels have classes.
    pub fn is_segmentation(&self) -> bool {
        matches!(self, Self::Segmentation { .. })
    }

    /// Name of the metric by which epochs are chosen.
    pub fn metric(&self) -> &'static str {
        match self {
            Self::Classes { .. } => "accuracy",
            Self::MultiLabel { .. } => "accuracy of labels",
            Self::Ordinal { .. } => "one minus the mean absolute error in classes",
            Self::Regression { .. } => "one minus the mean absolute error in deviations",
            Self::Segmentation { .. } => "Dice",
        }
    }
}
