//! JSON bodies of the contract. Unknown fields are ignored by readers, new ones are optional: so they can grow. A field that changes
//! what a sample is goes with a name in `requires`, which a host must know.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use crate::geometry::{Axis, Continuous, Coordinate, Discrete, Geometry, PretextTask, Targets};

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
    pub options: Value,
    /// What `render` gives; `None` when there is no such operation, or one that this side does not know.
    #[serde(default, deserialize_with = "known_rendering")]
    pub renders: Option<Rendering>,
    /// Names of the operations that `invoke` and `query` know.
    pub operations: Vec<String>,
    /// Whether the plugin was built for debugging, and is slow. Since version 1.3.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub debug_build: bool,
}

/// Keyword in the schema of options under which a plugin may list former names of options: an object from each former name to the
/// present one. Optional; readers that do not know it treat a former name as an unknown one.
pub const RENAMED_OPTIONS: &str = "x-renamed-options";

/// Keyword in the schema of options under which a plugin may list presets of options: an object from each preset's name to an object
/// of options and their values. What a preset does not name keeps its default. Optional; readers that do not know it see no presets.
pub const OPTION_PRESETS: &str = "x-option-presets";

/// Keyword in the schema of options under which a plugin may list the names of options in the order of their declaration. Optional;
/// options that are missing in it follow in alphabetical order.
pub const OPTION_ORDER: &str = "x-option-order";

/// What `render` answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rendering {
    /// The bytes of a PNG file.
    Png,
    /// UTF-8 text.
    Text,
}

/// A kind of rendering that this side does not know is none.
fn known_rendering<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Rendering>, D::Error> {
    let named = Option::<Value>::deserialize(deserializer)?;
    Ok(named.and_then(|name| serde_json::from_value(name).ok()))
}

/// Header of the request of `render`. The parts follow in this order: `tokens` f32 `[n_tokens, d_token]` or `ids` i32 `[length]`,
/// then `mask` u8 `[n_tokens]`, then `valid` u8 `[n_tokens]`; numbers are little-endian. Without a mask nothing is masked; without `valid` all
/// tokens exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Render {
    /// Names of the parts that follow.
    pub parts: Vec<String>,
}

/// Answer of `info`: all about an open dataset but its samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// Number of samples, up to 2^32.
    pub n_samples: u64,
    /// Geometry, as the options make it.
    pub geometry: Geometry,
    /// Digest of 8 to 128 hexadecimal digits; it changes when the data do.
    pub fingerprint: String,
}

/// Request of `records`: a page of a dataset's samples. The answer has exactly `min(count, n_samples - first)` of them, none past
/// the end, in the order of their indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    /// Index of the first sample.
    pub first: u64,
    /// How many are asked for.
    pub count: u64,
}

/// What is known of a sample before it is read. Texts have 1 to 1024 bytes of printable characters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleRecord {
    /// Name of the sample: unique, stable, a relative path without `..`. No host takes it apart.
    pub id: String,
    /// File that the sample comes from, a relative path with `/`; samples of one file share it. Masks and rows of tables belong to files.
    /// `None`: the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Index of the entry of [`Open::data`] that the sample comes from. `None`: unknown, or the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u32>,
    /// Patient, recording or slide: samples of one group are never separated by a split. `None`: a group of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Label, where the source has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// How often the sample is drawn in the training of its own stage, relative to the others: 0 to 1e6, 0 = never. `None`: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Samples of two modalities with the same pair belong together: an image and its report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<String>,
    /// Up to 64 facts, 4 KiB a record: a string, a finite number, a boolean, or up to 16 numbers, by `[a-z][a-z0-9_]*`. Names in
    /// use: `site`, `spacing_mm` (one number an axis), `acquired`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Value>,
}

impl SampleRecord {
    /// A sample of which only the name is known.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    /// Names the file that the sample comes from, where that is not the id.
    pub fn of_file(mut self, file: impl Into<String>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Names the entry of the data that the sample comes from.
    pub fn of_entry(mut self, entry: u32) -> Self {
        self.entry = Some(entry);
        self
    }

    /// Puts the sample into a group: a patient, a recording, a slide.
    pub fn in_group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Gives the sample a label, where there is one.
    pub fn labelled(mut self, label: Option<impl Into<String>>) -> Self {
        self.label = label.map(Into::into);
        self
    }

    /// The file that the sample comes from: its id where no other is named.
    pub fn file(&self) -> &str {
        self.file.as_deref().unwrap_or(&self.id)
    }
}

/// What became of the files of the data: all that the entries hold are either used or left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Number of files that are read for samples.
    pub n_used: u64,
    /// Number of files that are not.
    pub n_left_out: u64,
    /// A page of the files that are not.
    pub left_out: Vec<LeftOut>,
    /// What is not in the samples as it is in the files, in every page.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<Notice>,
}

/// A file of the data that no sample is read from, or a folder of which that holds for all files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The file: an entry of the data and the path below it, as in [`SampleRecord::file`].
    pub file: String,
    /// Why, as a phrase without the file's name, the same for all files of one kind: `another kind of file (.docx)`, `a localiser`.
    pub reason: String,
}

/// Something that is cut, filled in, converted or assumed: how often, of how many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What, as a phrase in the plural that follows the number: `reports are longer than length (128 tokens) and are cut`.
    pub what: String,
    /// How often.
    pub n: u64,
    /// Of how many, at least `n`.
    pub of: u64,
    /// Whether the user should do something about it, and not only know.
    #[serde(default)]
    pub warns: bool,
}

/// How far a long call is; see [`crate::service::PROGRESS`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Things done.
    pub done: u64,
    /// Things in all; 0 where that is not known.
    #[serde(default)]
    pub total: u64,
    /// What is counted, for people: "slides surveyed".
    pub what: String,
}

/// Answer to [`Progress`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Whether the call is to end early.
    #[serde(default)]
    pub stop: bool,
}

/// Request to look at data of which nobody has said what they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SurveyRequest {
    /// Folder that the entries of `data` are relative to.
    pub base: PathBuf,
    /// Files and folders.
    pub data: Vec<PathBuf>,
}

/// What a plugin makes of data: whether they are of its modality, what they are like, and which options suit them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// How surely the data are of this modality: 0 = they are not, 1 = they say so themselves.
    pub fit: f64,
    /// Why, as a phrase: `40 of 42 files are DICOM of modality CT`.
    pub why: String,
    /// What the data are like, for people: numbers, sizes, spacings, intensities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Fact>,
    /// Options other than the defaults, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<SuitedOption>,
    /// Entries of `data` and folders in them, relative to the base, that hold something else beside the samples, such as their segmentation
    /// masks. The rest is said of the data without them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leave_out: Vec<PathBuf>,
}

/// A fact of data, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// Name: `voxel spacing (mm)`.
    pub name: String,
    /// Value: `1.5 x 0.7 x 0.7, median of 40 scans`.
    pub value: String,
}

/// An option that suits data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuitedOption {
    /// Name of the option.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// Why, as a phrase: `the median spacing of the scans`.
    pub reason: String,
}

/// Request to open a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// Folder that the entries of `data` are relative to.
    pub base: PathBuf,
    /// Files and folders, as the configuration names them.
    pub data: Vec<PathBuf>,
    /// Options, by the schema in [`Description::options`].
    pub options: Value,
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
    pub options: Value,
}

/// Request of `save-assets`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SaveAssets {
    /// An existing folder.
    pub folder: PathBuf,
}

/// Request of `label-maps`: the segmentation masks of some samples.
///
/// A mask file belongs to the [`SampleRecord::file`] that ends with the mask's path below its folder, extensions, prefixes and suffixes of
/// the name apart. `labels/b/scan_seg.nii.gz` below `labels` with the suffix `_seg` so belongs to `images/b/scan.nii.gz`, and
/// `labels/scan.png` to any one file `scan.jpeg`. Of several that fit, the one with the longest such path belongs, and of equally long ones that which
/// shares more leading folders with the file: `test/masks/a.png` belongs to `test/images/a.png`, and not `train/masks/a.png`.
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
    /// What the names of masks have at their beginning; other files are passed over. Since 1.3.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mask_prefix: String,
    /// What the names of samples' files have at their beginning, and those of masks have not. Since 1.3.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sample_prefix: String,
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

/// Request of `grids`: on which grids the files of some samples lie.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grids {
    /// The samples, by index.
    pub indices: Vec<u64>,
}

/// The grid of a file: what a mask or another prediction needs to lie on the file voxel by voxel. The rows of
/// [`crate::extra::AFFINES`] are these axes, in this order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FileGrid {
    /// Voxels or pixels along each axis, in the file's own index order: `[i, j, k]` of NIfTI, `[slice, row, column]` of a DICOM
    /// series, `[row, column]` of an image as viewers show it. As many axes as samples have.
    pub shape: Vec<usize>,
    /// Three rows that map `[index, 1]` to millimetres to the right, anterior and superior, as the affine of a NIfTI file does: whole
    /// numbers are the centres of voxels, so that an index is a place of [`crate::extra::AFFINES`] less 1/2. For files of three axes.
    /// `None`: the file does not state how it lies in the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ras_mm: Option<[[f64; 4]; 3]>,
    /// Distance of neighbours along each axis of `shape` in millimetres. `None`: not stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spacing_mm: Option<Vec<f64>>,
}

impl FileGrid {
    /// A grid of which nothing but its size is known.
    pub fn of_shape(shape: impl Into<Vec<usize>>) -> Self {
        Self { shape: shape.into(), ..Self::default() }
    }
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
