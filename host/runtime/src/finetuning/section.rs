//! Settings of `[task.finetune]`.

use anyhow::{Context, Result, bail};
use medcoss_core::decoders::DecoderConfig;
use medcoss_core::evaluation::{Hd95Convention, Metric};
use medcoss_core::finetuning::{Criterion, FinetuneConfig, HeadConfig};
use serde::Deserialize;

use crate::evaluation::label_source::LabelSource;

/// `[task.finetune]`: what is predicted, the head, and the training.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FinetuneSection {
    /// What is predicted.
    pub target: TargetName,
    /// Fraction of the training groups that choose the epoch; 0.2 where the data name no validation split.
    pub validation: Option<f64>,
    /// Which of the training groups these are.
    pub validation_by: ValidationBy,
    /// Whether each class of voxels has a sigmoid of its own although they exclude each other, as in the reference.
    pub sigmoid: bool,
    /// What the HD95 of masks is.
    pub hd95: Hd95Convention,
    /// Head of whole samples.
    pub head: HeadConfig,
    /// Decoder of voxels.
    pub decoder: DecoderConfig,
    /// The training.
    pub training: FinetuneConfig,
}

/// Which of the training groups are for validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValidationBy {
    /// Drawn by the seed, stratified by class.
    #[default]
    Seed,
    /// Of each class the last by the names of its samples, as in the reference.
    Name,
}

/// What is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetName {
    /// One of several classes.
    #[default]
    Classes,
    /// Several labels, each present, absent or unknown.
    MultiLabel,
    /// One of several classes in an order.
    Ordinal,
    /// A number.
    Regression,
    /// The class of each voxel.
    Segmentation,
}

impl TargetName {
    /// Name of the target, as in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classes => "classes",
            Self::MultiLabel => "multi-label",
            Self::Ordinal => "ordinal",
            Self::Regression => "regression",
            Self::Segmentation => "segmentation",
        }
    }

    /// Metrics that a task may name as the one that stands for it.
    pub(crate) fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Classes | Self::Ordinal => &Metric::OF_CLASSES,
            Self::MultiLabel => &[Metric::Auc],
            Self::Segmentation => &Metric::OF_MASKS,
            Self::Regression => &[],
        }
    }

    /// Name of the score that stands for a task that names none.
    pub(crate) fn figure(self) -> &'static str {
        match self {
            Self::Classes | Self::Ordinal => Metric::Accuracy.name(),
            Self::MultiLabel => Metric::Auc.name(),
            Self::Segmentation => Metric::Dice.name(),
            Self::Regression => "mean_absolute_error",
        }
    }
}

impl FinetuneSection {
    /// Fraction of the training groups that choose the epoch, where the data name no validation split.
    const VALIDATION: f64 = 0.2;

    /// Fraction of the training groups to draw for validation; none where the data name `n_given` validation samples.
    ///
    /// # Errors
    /// Both; neither, where an epoch is chosen by it.
    pub(super) fn drawn_validation(&self, n_given: usize) -> Result<Option<f64>> {
        let drawn = match (self.validation, n_given) {
            (Some(share), n) if n > 0 && share > 0.0 => bail!(
                "finetune.validation is {share}, and the data name {n} validation samples\n\
                 hint: remove the setting; 0.0 leaves their validation samples out"
            ),
            (None, 0) => Some(Self::VALIDATION),
            (share, _) => share,
        };
        if drawn == Some(0.0) && self.training.criterion != Criterion::Last {
            bail!(
                "finetune.validation is 0, and training.criterion chooses an epoch by the validation split\n\
                 hint: set training.criterion = \"last\", or a validation share"
            );
        }
        Ok(drawn)
    }

    /// Checks ranges, and that the labels are of the kind that the target needs.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub(crate) fn check(&self, labels: &LabelSource) -> Result<()> {
        self.training.check().context("finetune.training")?;
        self.head.check().context("finetune")?;
        if let Some(validation) = self.validation.filter(|validation| !(0.0..1.0).contains(validation)) {
            bail!("finetune.validation is {validation}; it must be at least 0.0 and below 1.0");
        }
        let columns = matches!(labels, LabelSource::Table(table) if !table.columns.is_empty());
        let masks = matches!(labels, LabelSource::Masks(_));
        if self.hd95 != Hd95Convention::default() && self.target != TargetName::Segmentation {
            bail!("finetune.hd95 belongs to target = \"segmentation\"\nhint: remove it");
        }
        if self.sigmoid && self.target != TargetName::Segmentation {
            bail!("finetune.sigmoid belongs to target = \"segmentation\"\nhint: remove it");
        }
        match self.target {
            TargetName::Segmentation if !masks => {
                bail!("finetune.target is segmentation, which needs masks\nhint: set labels = {{ masks = \"folder\" }}")
            }
            TargetName::MultiLabel if !columns => bail!(
                "finetune.target is multi-label, which needs a table with a column for each label\n\
                 hint: set labels = {{ table = \"labels.csv\", key = \"file\", columns = [\"edema\", \"effusion\"] }}"
            ),
            TargetName::Regression
                if !matches!(labels, LabelSource::Table(_) | LabelSource::Metadata(_) | LabelSource::Plugin) =>
            {
                bail!(
                    "finetune.target is regression, which needs numbers\nhint: take them from a table, or from the samples' metadata"
                )
            }
            _ if columns && self.target != TargetName::MultiLabel => bail!(
                "labels.columns gives several labels, and finetune.target is not multi-label\nhint: set labels.label, or target = \"multi-label\""
            ),
            _ => Ok(()),
        }
    }
}
