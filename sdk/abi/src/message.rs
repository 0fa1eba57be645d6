//! JSON bodies of the contract. Unknown fields are ignored by readers, new ones are optional: so they can grow.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Description of a plugin: identity, token family, geometry, options and operations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Identifier: `[a-z][a-z0-9_]*`, the same as in the exported symbol. The modality's name in configurations.
    pub id: String,
    /// Semantic version of the plugin.
    pub version: String,
    /// One line for people.
    pub summary: String,
    /// Token family: modalities of one family share embedder, position table and prediction head.
    pub family: String,
    /// Geometry with default options. A dataset's own may differ.
    pub geometry: Geometry,
    /// File kinds that are read, for people: `"PNG"`, `"NIfTI-1 (.nii, .nii.gz)"`.
    pub reads: Vec<String>,
    /// JSON Schema of the options, with defaults and a description each.
    pub options: serde_json::Value,
    /// What `render` gives; `None` when there is no such operation.
    #[serde(default)]
    pub renders: Option<Rendering>,
    /// Names of the operations that `invoke` and `query` know.
    pub operations: Vec<String>,
}

/// Keyword in the schema of options under which a plugin may list former names of options: an object from each former name to the
/// present one. Optional; readers that do not know it treat a former name as an unknown one.
pub const RENAMED_OPTIONS: &str = "x-renamed-options";

/// Keyword in the schema of options under which a plugin may list presets of options: an object from each preset's name to an object
/// of options and their values. What a preset does not name keeps its default. Optional; readers that do not know it see no presets.
pub const OPTION_PRESETS: &str = "x-option-presets";

/// What `render` answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rendering {
    /// The bytes of a PNG file.
    Png,
    /// UTF-8 text.
    Text,
}

/// Shape of a dataset's samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Geometry {
    /// A grid of patches, each a vector of numbers.
    Continuous {
        /// Patches along each axis, slowest first: `[rows, columns]`, `[depth, rows, columns]`, `[time]`.
        /// Tokens are in row-major order of this grid.
        grid: Vec<usize>,
        /// Values in a patch: pixel-major, channels last.
        d_token: usize,
        /// Number of tokens masked in the training view.
        n_masked: usize,
    },
    /// A sequence of ids from a vocabulary.
    Discrete {
        /// Tokens in a sample, padding included.
        length: usize,
        /// Number of ids; all ids are in `0..vocabulary`.
        vocabulary: usize,
        /// Id that fills a sample up.
        padding_id: i32,
        /// Id that stands for a masked token.
        mask_id: i32,
    },
}

/// Request to open a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// Folder that the entries of `data` are relative to.
    pub base: PathBuf,
    /// Files and folders, as the configuration names them. Sample ids begin with the entry they come from.
    pub data: Vec<PathBuf>,
    /// Options, by the schema in [`Description::options`].
    pub options: serde_json::Value,
    /// Folder with what `save-assets` once wrote; it is used instead of learning from the data again.
    #[serde(default)]
    pub assets: Option<PathBuf>,
}

/// Request to write sample files in the plugin's own formats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Synthesise {
    /// An existing, empty folder.
    pub folder: PathBuf,
    /// At least this many samples.
    pub n_samples: usize,
    /// Decides everything random.
    pub seed: u64,
}

/// Request to write samples of a dataset into a folder, from which they can be opened again without the dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Keep {
    /// An existing, empty folder.
    pub folder: PathBuf,
    /// The samples, by index. The opened folder gives them in this order.
    pub indices: Vec<u64>,
}

/// Answer to [`Synthesise`] and [`Keep`]: how the files that were written are opened again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Synthesised {
    /// Files and folders relative to the folder, for [`Open::data`].
    pub data: Vec<PathBuf>,
    /// Options to open them with. Of synthetic samples: such as suit a model of demonstration size. Of kept samples: such as
    /// give the same samples as before.
    pub options: serde_json::Value,
}

/// Request of `save-assets`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SaveAssets {
    /// An existing folder.
    pub folder: PathBuf,
}

/// Request of `label-maps`: the segmentation masks of some samples.
///
/// A mask file belongs to the sample's file whose id ends with the mask's path below its folder, extensions and suffixes
/// apart. `labels/b/scan_seg.nii.gz` below `labels` with the suffix `_seg` so belongs to `images/b/scan.nii.gz`, and
/// `labels/scan.png` to any one file `scan.jpeg`. Of several that fit, the one with the longest such path belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelMaps {
    /// Folder that the entries of `data` are relative to.
    pub base: PathBuf,
    /// Files and folders with masks.
    pub data: Vec<PathBuf>,
    /// What the names of masks have at their end, before `.nii.gz` or `.png`; other files are passed over.
    #[serde(default)]
    pub mask_suffix: String,
    /// What the names of samples' files have at their end, and those of masks have not: `_0000`, say.
    #[serde(default)]
    pub sample_suffix: String,
    /// The samples, by index.
    pub indices: Vec<u64>,
}

/// The part in JSON of the answer to [`LabelMaps`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelMapsHeader {
    /// Pixels or voxels of a sample's evaluation view: `[rows, columns]`, `[depth, rows, columns]`. Each is a multiple of the
    /// grid's side along the same axis: a token is a block of `shape / grid`.
    pub shape: Vec<usize>,
    /// One for each index of the request, in its order.
    pub samples: Vec<LabelMapNote>,
}

/// What belongs to a sample's label map.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LabelMapNote {
    /// Distance of neighbouring voxels of the sample along each axis of `shape`, where it is known.
    #[serde(default)]
    pub spacing_mm: Option<Vec<f64>>,
    /// Why there is no label map: such a sample has no values in the answer.
    #[serde(default)]
    pub error: Option<LabelMapError>,
}

/// Why a sample has no label map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelMapError {
    /// One of [`crate::code`].
    pub code: i32,
    /// The thing, what was found, what was expected.
    pub message: String,
}

/// Body of a [`crate::PluginError`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The thing, what was found, what was expected.
    pub message: String,
    /// What lies beneath, outermost first.
    #[serde(default)]
    pub causes: Vec<String>,
}
