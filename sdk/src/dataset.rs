//! The two traits of a plugin, and their arguments and results.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use medcoss_abi::message::{FileGrid, Geometry, Rendering, SampleRecord, Survey, Synthesised};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::label_map::LabelMap;
use crate::{Account, Error, Fingerprint, FoundFile, SampleRng};

/// A modality: the description of the plugin, the opening of data, and synthetic sample files.
pub trait Modality: Send + Sync + 'static {
    /// Identifier: `[a-z][a-z0-9_]*`, the one given to [`crate::export_plugin!`]. The name of the modality in configurations.
    const ID: &'static str;
    /// Semantic version: usually `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;
    /// Description in one line.
    const SUMMARY: &'static str;
    /// Token family: `image`, `volume`, `text`, or one of your own. Modalities of one family share embedder,
    /// position table and prediction head in the model.
    const FAMILY: &'static str;
    /// File formats that are read, for display.
    const FILE_FORMATS: &'static [&'static str];
    /// Result of [`Dataset::render`]; `None` when it is not implemented.
    const RENDERS: Option<Rendering> = None;
    /// Whether [`Dataset::save_samples`] is implemented.
    const SAVES_SAMPLES: bool = false;
    /// Extensions of the segmentation masks that [`Dataset::label_map`] reads, in lower case: `&[".png", ".tif"]`. Empty when
    /// it is not implemented.
    const MASK_EXTENSIONS: &'static [&'static str] = &[];
    /// Whether [`Dataset::grid`] is implemented.
    const KNOWS_GRIDS: bool = false;

    /// Former names of options with the present ones: `&[("window", "hu_range")]`. A configuration with a former name is refused
    /// with the present one, instead of as a name that never existed.
    const RENAMED_OPTIONS: &'static [(&'static str, &'static str)] = &[];

    /// Options with their defaults. Use `#[serde(default, deny_unknown_fields)]`, and document each field: the
    /// comment becomes its description in the schema.
    type Options: Default + Serialize + DeserializeOwned + JsonSchema;
    /// Result of [`Modality::open`].
    type Dataset: Dataset;

    /// Presets of options by name, each an object of options and values: `vec![("reference", json!({ "size": 224 }))]`. What a
    /// preset does not name keeps its default. A configuration that names a preset sets its options over those of the preset.
    fn option_presets() -> Vec<(&'static str, serde_json::Value)> {
        Vec::new()
    }

    /// Geometry with these options, without looking at data. For discrete tokens the vocabulary may be an estimate.
    ///
    /// # Errors
    /// Options that are out of range.
    fn geometry(options: &Self::Options) -> Result<Geometry, Error>;

    /// Says whether data are of this modality, what they are like, and which options suit them: for `medcoss init`. Looks at the headers of
    /// some files and reads no sample; finding nothing of its own is no error, but a fit of 0. `None`: not known.
    ///
    /// # Errors
    /// Data that are missing or cannot be listed.
    fn survey(base: &Path, data: &[PathBuf]) -> Result<Option<Survey>, Error> {
        let _ = (base, data);
        Ok(None)
    }

    /// Opens data. Checks the options, lists the samples and reads no more than it must.
    ///
    /// # Errors
    /// Options out of range, data missing or empty.
    fn open(request: OpenRequest<Self::Options>) -> Result<Self::Dataset, Error>;

    /// Writes small synthetic files of the plugin's own formats, for at least `n_samples` samples, into an existing empty folder. The demo,
    /// tests and checks use it. The same seed writes the same bytes.
    ///
    /// # Errors
    /// Files that cannot be written.
    fn synthesise(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error>;
}

/// Request to open a dataset.
#[derive(Debug, Clone)]
pub struct OpenRequest<O> {
    /// Folder that `data` is relative to.
    pub base: PathBuf,
    /// Files and folders as the configuration names them, at least one.
    pub data: Vec<PathBuf>,
    /// Options.
    pub options: O,
    /// Folder with the files that [`Dataset::save_assets`] wrote, to be used instead of learning from the data again.
    pub assets: Option<PathBuf>,
}

/// An opened dataset. Used from many threads at once.
pub trait Dataset: Send + Sync + 'static {
    /// The shape of every sample.
    fn geometry(&self) -> Geometry;

    /// Number of samples.
    fn len(&self) -> usize;

    /// True without samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is known of a sample before it is read: its id, and where there is more to say its file, group, label, weight, pair and
    /// metadata. `SampleRecord::new(id)` says the least. The id is unique and stable; the host takes it as a name and never apart.
    fn record(&self, index: usize) -> SampleRecord;

    /// Changes when the data change.
    fn fingerprint(&self) -> Fingerprint;

    /// Which files of the data are used and which are left out, see [`crate::find_files`]. The host shows it. `None`: not known.
    fn account(&self) -> Option<&Account> {
        None
    }

    /// Decodes, normalises, augments, tokenises and masks one sample.
    ///
    /// In [`View::Training`] it is augmented and masked, with `rng` as the only source of randomness. In
    /// [`View::Evaluation`] it is neither. The buffers of `sample` come zeroed, validity as 1, labels as [`crate::NOT_A_TARGET`].
    ///
    /// # Errors
    /// A sample that cannot be loaded; the host reports it, counts it and goes on within a budget. [`Error::skip`] for one that is
    /// sound, but has nothing to learn: in the evaluation view it is loaded nevertheless.
    fn load(&self, index: usize, view: View, rng: &mut SampleRng, sample: Sample<'_>) -> Result<(), Error>;

    /// Writes what was learned from the data (a vocabulary, for example) into a folder, and returns the names of the files.
    ///
    /// # Errors
    /// Files that cannot be written.
    fn save_assets(&self, folder: &Path) -> Result<Vec<String>, Error> {
        let _ = folder;
        Ok(Vec::new())
    }

    /// Writes samples, as they are before augmentation, into an existing empty folder from which [`Modality::open`] gives
    /// them again in the order of `indices`, with the options of the answer, the same assets and no other data. With it, a
    /// run can carry its rehearsal buffer along after the data are gone (`buffer.store = "materialised"`).
    ///
    /// # Errors
    /// Samples that cannot be read, files that cannot be written, or a plugin without this operation.
    fn save_samples(&self, indices: &[usize], folder: &Path) -> Result<Synthesised, Error> {
        let _ = (indices, folder);
        Err(Error::new(medcoss_abi::code::UNKNOWN_OPERATION, "this plugin cannot write samples of a dataset"))
    }

    /// The labels of a sample, from the mask of its file: in exactly the geometry of the evaluation view, cropped and resampled
    /// as that is, each label from the nearest pixel, 0 where there is no file. Only evaluation asks for it.
    ///
    /// `mask` has one of the extensions in [`Modality::MASK_EXTENSIONS`], or is a file that the user named; the SDK found it by
    /// the file in [`Dataset::record`].
    ///
    /// # Errors
    /// A mask that cannot be read or does not fit its file (see [`crate::label_map::check_fits`]), or a plugin without this
    /// operation. The host names the sample and goes on within a budget.
    fn label_map(&self, index: usize, mask: &FoundFile) -> Result<LabelMap, Error> {
        let _ = (index, mask);
        Err(Error::new(medcoss_abi::code::UNKNOWN_OPERATION, "this plugin reads no masks"))
    }

    /// The grid of voxels or pixels of a sample's file, on which the host can write a prediction: its size in the file's own index order,
    /// that of the rows of [`Patches::affine`], and how it lies in the body. `None`: not known, as of a file that cannot be read, about
    /// which [`Dataset::load`] says more.
    fn grid(&self, index: usize) -> Option<FileGrid> {
        let _ = index;
        None
    }

    /// Converts tokens back to an image or text for display: PNG bytes or UTF-8 text, as [`Modality::RENDERS`] says. Values of
    /// hidden tokens come as 0 (a mask of `None` hides nothing), so that the image cannot depend on them; how a hidden token
    /// looks is the plugin's choice.
    ///
    /// # Errors
    /// Tokens of another length, or a plugin without this operation.
    fn render(&self, tokens: Tokens<'_>) -> Result<Vec<u8>, Error> {
        let _ = tokens;
        Err(Error::new(medcoss_abi::code::UNKNOWN_OPERATION, "this plugin renders no images"))
    }
}

/// The view of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Neither augmented nor masked.
    Evaluation,
    /// Augmented and masked.
    Training,
}

/// The buffers for one sample: slices of the host's own buffers.
#[derive(Debug)]
pub enum Sample<'a> {
    /// For [`Geometry::Continuous`].
    Continuous(Patches<'a>),
    /// For [`Geometry::Discrete`].
    Discrete {
        /// `[length]`, the padding id past the sample's own length (the buffer comes filled with it).
        ids: &'a mut [i32],
        /// `[length]`, the ids to predict, [`crate::NOT_A_TARGET`] elsewhere.
        labels: &'a mut [i32],
        /// Number of tokens that are not padding.
        length: &'a mut i32,
    },
}

/// The buffers for the patches of one sample. Slices of what the geometry does not declare, and of what this call does not want, are
/// empty; validity is there wherever it is declared.
#[derive(Debug, Default)]
pub struct Patches<'a> {
    /// `[n_tokens * d_token]`, row-major.
    pub tokens: &'a mut [f32],
    /// `[n_tokens]`, 1 = masked.
    pub mask: &'a mut [u8],
    /// `[n_tokens]`, 1 = the token exists (the buffer comes filled with it), 0 = there is nothing, and its values are 0.
    pub valid: &'a mut [u8],
    /// `[n_tokens * d_target]`: what is to be predicted of each token.
    pub targets: &'a mut [f32],
    /// `[n_tokens * n_coordinates]`: where each token lies.
    pub coordinates: &'a mut [f32],
    /// `[n_axes * (n_axes + 1)]`, row-major: from tokens to voxels of the file, see [`crate::abi::extra::AFFINES`].
    pub affine: &'a mut [f32],
}

impl<'a> Patches<'a> {
    /// Buffers of tokens and mask alone.
    pub fn new(tokens: &'a mut [f32], mask: &'a mut [u8]) -> Self {
        Self { tokens, mask, ..Self::default() }
    }
}

impl<'a> Sample<'a> {
    /// Tokens and mask of a continuous sample.
    ///
    /// # Errors
    /// A discrete one, which the host asks for only where the geometry says so.
    pub fn continuous(self) -> Result<(&'a mut [f32], &'a mut [u8]), Error> {
        self.patches().map(|patches| (patches.tokens, patches.mask))
    }

    /// All buffers of a continuous sample.
    ///
    /// # Errors
    /// A discrete one.
    pub fn patches(self) -> Result<Patches<'a>, Error> {
        match self {
            Self::Continuous(patches) => Ok(patches),
            Self::Discrete { .. } => Err(Error::bad_request("the samples have continuous tokens, not ids")),
        }
    }

    /// Ids, labels and length of a discrete sample.
    ///
    /// # Errors
    /// A continuous one.
    pub fn discrete(self) -> Result<(&'a mut [i32], &'a mut [i32], &'a mut i32), Error> {
        match self {
            Self::Discrete { ids, labels, length } => Ok((ids, labels, length)),
            Self::Continuous(_) => Err(Error::bad_request("the samples have ids, not continuous tokens")),
        }
    }
}

/// Tokens of one sample.
#[derive(Debug, Clone, Copy)]
pub enum Tokens<'a> {
    /// For [`Geometry::Continuous`].
    Continuous {
        /// `[n_tokens * d_token]`; 0 where a token is hidden.
        values: &'a [f32],
        /// `[n_tokens]`, true where a token is hidden, because it is masked or does not exist. `None`: none is.
        hidden: Option<&'a [bool]>,
    },
    /// For [`Geometry::Discrete`]: `[length]`.
    Discrete(&'a [i32]),
}

impl<'a> Tokens<'a> {
    /// Continuous tokens, none of them hidden.
    pub fn values(values: &'a [f32]) -> Self {
        Self::Continuous { values, hidden: None }
    }

    /// Values of continuous tokens, `fill` where a token is hidden: grey for an image, say.
    ///
    /// # Errors
    /// Ids.
    pub fn filled(self, fill: f32) -> Result<Cow<'a, [f32]>, Error> {
        let (values, hidden) = self.partly_hidden()?;
        let Some(hidden) = hidden.filter(|hidden| !hidden.is_empty()) else { return Ok(Cow::Borrowed(values)) };
        let mut filled = values.to_vec();
        let d_token = values.len() / hidden.len();
        for (token, _) in filled.chunks_exact_mut(d_token.max(1)).zip(hidden).filter(|(_, is_hidden)| **is_hidden) {
            token.fill(fill);
        }
        Ok(Cow::Owned(filled))
    }

    /// Values of continuous tokens.
    ///
    /// # Errors
    /// Ids.
    pub fn continuous(self) -> Result<&'a [f32], Error> {
        self.partly_hidden().map(|(values, _)| values)
    }

    /// Values of continuous tokens, and which are hidden.
    ///
    /// # Errors
    /// Ids.
    pub fn partly_hidden(self) -> Result<(&'a [f32], Option<&'a [bool]>), Error> {
        match self {
            Self::Continuous { values, hidden } => Ok((values, hidden)),
            Self::Discrete(_) => Err(Error::bad_request("the samples have continuous tokens, not ids")),
        }
    }

    /// Ids.
    ///
    /// # Errors
    /// Continuous tokens.
    pub fn discrete(self) -> Result<&'a [i32], Error> {
        match self {
            Self::Discrete(ids) => Ok(ids),
            Self::Continuous { .. } => Err(Error::bad_request("the samples have ids, not continuous tokens")),
        }
    }
}
