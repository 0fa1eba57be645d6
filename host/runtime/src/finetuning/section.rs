//! Settings of `[task.finetune]`.

use anyhow::{Context, Result, bail};
use medcoss_core::decoders::DecoderConfig;
use medcoss_core::finetuning::{FinetuneConfig, HeadConfig};
use serde::Deserialize;

use crate::evaluation::label_source::LabelSource;

/// `[task.finetune]`: what is predicted, the head, and the training.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FinetuneSection {
    /// What is predicted.
    pub target: TargetName,
    /// Fraction of the training groups that choose the epoch.
    pub validation: f64,
    /// Head of whole samples.
    pub head: HeadConfig,
    /// Decoder of voxels.
    pub decoder: DecoderConfig,
    /// The training.
    pub training: FinetuneConfig,
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

impl Default for FinetuneSection {
    fn default() -> Self {
        Self {
            target: TargetName::default(),
            validation: 0.2,
            head: HeadConfig::default(),
            decoder: DecoderConfig::default(),
            training: FinetuneConfig::default(),
        }
    }
}

impl FinetuneSection {
    /// Checks ranges, and that the labels are of the kind that the target needs.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub(crate) fn check(&self, labels: &LabelSource) -> Result<()> {
        self.training.check().context("finetune.training")?;
        self.head.check().context("finetune")?;
        if !(0.0..1.0).contains(&self.validation) {
            bail!("finetune.validation is {}; it must be at least 0.0 and below 1.0", self.validation);
        }
        let columns = matches!(labels, LabelSource::Table(table) if !table.columns.is_empty());
        let masks = matches!(labels, LabelSource::Masks(_));
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
