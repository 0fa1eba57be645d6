//! A table in place of paths: `{ manifest = "train.csv", path = "file" }` or `{ layout = "nnunet", folder = "Dataset001" }`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::file_patterns::FilePatterns;

/// Fields of a manifest or a layout. [`Listed::check`] says which belong together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listed {
    /// A table with a row for each file: `.csv`, `.tsv`, or JSON Lines (`.jsonl`, `.ndjson`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<PathBuf>,
    /// Column with the files' paths, relative to the manifest's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Column with labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Column with groups, such as patients, that no split separates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Column with the splits: `train`, `validation`, `test`, or other values with `use`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// Column with what samples of two modalities share: the number of an examination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pair: Option<String>,
    /// Values of the split's column whose rows are used, whatever they are called: `[0, 1, 2]` of folds.
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub used: Option<Vec<UsedValue>>,
    /// Text before each path: `images/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Text behind each path: `.png`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// Beginning of absolute paths that stands for the data root: `/mnt/archive`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strip: Option<String>,
    /// What separates the columns of a table: `,`, `;`, a tab or `|`. By the extension without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// Layout of a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// The folder of the layout, or whose files patterns choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Patterns of the files to use, by their path below the folder: `**/volume-*.nii`. All files without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<String>>,
    /// Patterns of files to leave out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<String>>,
    /// Channel of images with several, from 0 (nnU-Net); ending of the images' names (BIDS): `T1w`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<UsedValue>,
}

/// A value of a column: a number is taken as its text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum UsedValue {
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

impl UsedValue {
    /// The value as a cell has it.
    pub fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// A layout of folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// nnU-Net: `dataset.json`, `imagesTr/case_0000.nii.gz`, `labelsTr`.
    Nnunet,
    /// Medical Segmentation Decathlon: `dataset.json` with `training` and `test`.
    Decathlon,
    /// A folder for each class.
    ClassFolders,
    /// Brain Imaging Data Structure: `sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz`.
    Bids,
}

impl Listed {
    /// The manifest, or the folder of the layout.
    pub fn place(&self) -> &Path {
        self.manifest.as_deref().or(self.folder.as_deref()).unwrap_or(Path::new(""))
    }

    /// Whether patterns choose files of a folder.
    pub(super) fn is_choice(&self) -> bool {
        self.include.is_some() || self.exclude.is_some()
    }

    /// Whether it states a split of its samples: a manifest with such a column, a layout with folders for it.
    pub fn has_split(&self) -> bool {
        match self.layout {
            None => self.split.is_some() && self.used.is_none(),
            Some(Layout::Nnunet | Layout::Decathlon) => true,
            Some(Layout::ClassFolders | Layout::Bids) => false,
        }
    }

    /// Checks which fields belong together.
    ///
    /// # Errors
    /// Neither a manifest nor a layout, or both; fields of the other.
    pub fn check(&self) -> Result<()> {
        let of_manifest = [
            ("path", self.path.is_some()),
            ("label", self.label.is_some()),
            ("group", self.group.is_some()),
            ("split", self.split.is_some()),
            ("pair", self.pair.is_some()),
            ("use", self.used.is_some()),
            ("prefix", self.prefix.is_some()),
            ("suffix", self.suffix.is_some()),
            ("strip", self.strip.is_some()),
            ("delimiter", self.delimiter.is_some()),
        ];
        let of_layout = [("folder", self.folder.is_some()), ("channel", self.channel.is_some())];
        let of_choice = [("include", self.include.is_some()), ("exclude", self.exclude.is_some())];
        let foreign = |fields: &[(&'static str, bool)]| fields.iter().find(|(_, given)| *given).map(|(name, _)| *name);
        match (&self.manifest, self.layout) {
            (Some(_), Some(_)) => bail!("data has both manifest and layout\nhint: keep one of them"),
            (None, None) if self.is_choice() => {
                if let Some(name) = foreign(&of_manifest).or(foreign(&of_layout).filter(|name| *name != "folder")) {
                    bail!(
                        "data.{name} belongs to a manifest or a layout, and data chooses files by patterns\nhint: remove it"
                    );
                }
                if self.folder.is_none() {
                    bail!("data.folder is missing\nhint: name the folder whose files the patterns choose");
                }
                FilePatterns::new(self.include.as_deref(), self.exclude.as_deref()).map(|_| ())
            }
            (None, None) => bail!(
                "data is a table without manifest, layout or patterns\nhint: write {{ manifest = \"train.csv\", path = \"file\" }}, \
                 {{ layout = \"nnunet\", folder = \"Dataset001\" }} or {{ folder = \"scans\", include = [\"**/*.nii.gz\"] }}"
            ),
            (Some(_), None) | (None, Some(_)) if self.is_choice() => {
                let name = foreign(&of_choice).unwrap_or_default();
                bail!("data.{name} chooses files of a folder, and data has a manifest or a layout\nhint: remove it")
            }
            (Some(_), None) => {
                if let Some(name) = foreign(&of_layout) {
                    bail!("data.{name} belongs to a layout, and data has a manifest\nhint: remove it");
                }
                if self.path.is_none() {
                    bail!("data.path is missing\nhint: name the column of the manifest that holds the files' paths");
                }
                if self.used.is_some() && self.split.is_none() {
                    bail!(
                        "data.use chooses values of a column, and data.split names none\nhint: name the column in data.split"
                    );
                }
                Ok(())
            }
            (None, Some(layout)) => {
                if let Some(name) = foreign(&of_manifest) {
                    bail!("data.{name} belongs to a manifest, and data has a layout\nhint: remove it");
                }
                if self.folder.is_none() {
                    bail!("data.folder is missing\nhint: name the folder with the layout");
                }
                if self.channel.is_some() && layout == Layout::ClassFolders {
                    bail!("data.channel belongs to the layouts nnunet and bids\nhint: remove it");
                }
                Ok(())
            }
        }
    }
}
