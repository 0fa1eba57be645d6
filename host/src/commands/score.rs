//! `medcoss score`: predictions of anyone against the truth.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use medcoss_runtime::scoring::{MaskOptions, TableOptions, score_masks, score_table};
use medcoss_runtime::{WorkObserver, WorkReport};

use crate::arguments::{BarArgs, ResultArgs};
use crate::failure::Failure;
use crate::interrupt;
use crate::tables::scoring::{self, Scored};

/// Score predictions of any program against the truth
///
/// Masks: two files, or two folders whose masks have the same paths but for extensions (NIfTI, MetaImage, NRRD, NumPy, FreeSurfer, PNG, TIFF,
/// BMP). Dice and HD95 of each case and class, with bootstrap 95 % intervals over cases.
///
/// Tables: a CSV with a key in its first column and a column probability_CLASS for each class (or a column value), as `medcoss
/// predict` writes it, and a CSV with labels.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss score predictions/masks labelsTs
  medcoss score prediction.nii.gz truth.nii.gz --labels 1,2 --hd95 reference
  medcoss score predictions/files.csv labels.csv --key file --label finding --json | jq .scores")]
pub(crate) struct Score {
    /// Predicted masks (file or folder), or a table of probabilities
    predictions: PathBuf,
    /// True masks, or a table of labels
    truth: PathBuf,
    /// Labels of the masks to compare [default: all but 0]
    #[arg(long, value_delimiter = ',', value_name = "LABELS")]
    labels: Vec<u16>,
    /// Convention of HD95: undefined where a mask is empty, or as the reference counts it (voxels, 0 and 500)
    #[arg(long, value_enum, default_value_t = Hd95::Defined)]
    hd95: Hd95,
    /// Column of the labels' table with the key
    #[arg(long, value_name = "COLUMN", requires = "label")]
    key: Option<String>,
    /// Column of the labels' table with the class or number
    #[arg(long, value_name = "COLUMN", requires = "key")]
    label: Option<String>,
    /// Labels that stand for the predicted classes, in the order of their columns [default: the classes' names]
    #[arg(long, value_delimiter = ',', value_name = "LABELS", requires = "label")]
    classes: Vec<String>,
    #[command(flatten)]
    result: ResultArgs,
    #[command(flatten)]
    bar: BarArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Hd95 {
    Defined,
    Reference,
}

impl Score {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let scored = self.score().map_err(Failure::of_run)?;
        self.result.print(&scored, scoring::to_text)
    }

    fn score(&self) -> Result<Scored> {
        interrupt::listen("nothing is written");
        let is_table = |path: &PathBuf| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
        match (is_table(&self.predictions), is_table(&self.truth), &self.key, &self.label) {
            (true, true, Some(key), Some(label)) => {
                let options = TableOptions { key: key.clone(), label: label.clone(), values: self.classes.clone() };
                score_table(&self.predictions, &self.truth, &options).map(Scored::Table)
            }
            (true, true, ..) => bail!("a table of labels needs its columns\nhint: --key COLUMN --label COLUMN"),
            (false, false, None, None) => {
                let options = MaskOptions { labels: self.labels.clone(), reference_hd95: self.hd95 == Hd95::Reference };
                let bar = self.bar.begin("comparing [{bar:24}] {pos} of {len} cases, {eta} left");
                let found = score_masks(&self.predictions, &self.truth, &options, &mut |done, all| {
                    bar.progress(&WorkReport { activity: "comparing", done: done as u64, total: all as u64 });
                    match interrupt::requested() {
                        true => Err(medcoss_core::Error::Interrupted {
                            place: "while masks were compared".into(),
                            checkpoint: "nothing was written".into(),
                        }
                        .into()),
                        false => Ok(()),
                    }
                });
                bar.finish();
                found.map(Scored::Masks)
            }
            (false, false, ..) => bail!("--key and --label belong to tables\nhint: leave them out for masks"),
            _ => bail!(
                "one of both is a CSV table, and the other is not\nhint: compare masks with masks, or tables with tables"
            ),
        }
    }
}
