//! What the samples of a dataset look like.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Shape and meaning of a dataset's samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Geometry {
    /// A grid of patches, each a vector of numbers.
    Continuous(Continuous),
    /// A sequence of ids from a vocabulary.
    Discrete(Discrete),
}

impl Geometry {
    /// A grid of patches of which nothing else is said.
    pub fn grid(grid: Vec<usize>, d_token: usize, n_masked: usize) -> Self {
        Self::Continuous(Continuous { grid, d_token, n_masked, ..Continuous::default() })
    }

    /// A sequence of ids of which nothing else is said.
    pub fn sequence(length: usize, vocabulary: usize, padding_id: i32, mask_id: i32) -> Self {
        Self::Discrete(Discrete { length, vocabulary, padding_id, mask_id, ..Discrete::default() })
    }

    /// Names of features that the host must know.
    pub fn requires(&self) -> &[String] {
        match self {
            Self::Continuous(continuous) => &continuous.requires,
            Self::Discrete(discrete) => &discrete.requires,
        }
    }

    /// Pretext tasks that the modality is made for, the best first. Empty: the host's own for tokens of this kind.
    pub fn pretext(&self) -> &[PretextTask] {
        match self {
            Self::Continuous(continuous) => &continuous.pretext,
            Self::Discrete(discrete) => &discrete.pretext,
        }
    }
}

/// A grid of patches.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Continuous {
    /// Patches along each axis, slowest first: `[rows, columns]`, `[depth, rows, columns]`, `[time]`; up to 8 axes. Tokens are in
    /// row-major order of this grid.
    pub grid: Vec<usize>,
    /// Values in a patch: in row-major order of the patch, channels last.
    pub d_token: usize,
    /// Number of tokens masked in the training view, of those that exist and those that do not: the same in every sample.
    pub n_masked: usize,
    /// Values of a patch along each axis: its product divides `d_token`, and the quotient is the number of channels. Empty: unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patch: Vec<usize>,
    /// One for each axis of the grid, or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub axes: Vec<Axis>,
    /// Whether tokens may not exist: `fill` then writes [`crate::extra::VALID`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub validity: bool,
    /// What is predicted of a masked token.
    #[serde(default, skip_serializing_if = "Targets::are_tokens")]
    pub targets: Targets,
    /// Coordinates of each token, in addition to its place in the grid, up to 8: `fill` then writes [`crate::extra::COORDINATES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coordinates: Vec<Coordinate>,
    /// Whether `fill` writes [`crate::extra::AFFINES`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub affines: bool,
    /// See [`Geometry::pretext`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pretext: Vec<PretextTask>,
    /// See [`Geometry::requires`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
}

impl Continuous {
    /// Channels of a patch, where its sides are known: the values of a patch that lie at one place.
    pub fn n_channels(&self) -> Option<usize> {
        let n_places = self.patch.iter().try_fold(1usize, |product, &side| product.checked_mul(side))?;
        (!self.patch.is_empty() && n_places > 0).then(|| self.d_token / n_places)
    }
}

/// A sequence of ids from a vocabulary.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Discrete {
    /// Tokens in a sample, padding included.
    pub length: usize,
    /// Number of ids; all ids are in `0..vocabulary`.
    pub vocabulary: usize,
    /// Id that fills a sample up.
    pub padding_id: i32,
    /// Id that stands for a masked token.
    pub mask_id: i32,
    /// Ids that frame a sample, such as those of its beginning and end; they are never masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub special_ids: Vec<i32>,
    /// Digest of the list of tokens, 8 to 128 hexadecimal digits: equal where ids mean the same. `None`: sizes are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary_digest: Option<String>,
    /// See [`Geometry::pretext`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pretext: Vec<PretextTask>,
    /// See [`Geometry::requires`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
}

/// Meaning of an axis of the grid. Places along it are stated by `step` and `unit`, by names, or not at all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// Lower-case word, unique in the geometry: `depth`, `row`, `column`, `time`, `lead`, `channel`, `frame`, `frequency`.
    pub name: String,
    /// Length of a token along the axis in `unit`, above 0; positions are counted from the beginning of the axis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<f64>,
    /// `mm`, `um`, `s`, `hz`, or another word; given exactly where `step` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Name of each place along the axis, unique, as many as the grid has there: `["I", "II", "V1"]`. Not together with a step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
}

impl Axis {
    /// An axis whose places are not stated.
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// An axis whose tokens have a length.
    pub fn measured(name: &str, step: f64, unit: &str) -> Self {
        Self { name: name.into(), step: Some(step), unit: Some(unit.into()), places: Vec::new() }
    }

    /// An axis of named places.
    pub fn of_places(name: &str, places: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { name: name.into(), places: places.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}

/// What is predicted of a masked token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Targets {
    /// Values a token that `fill` writes as [`crate::extra::TARGETS`], 1 to 65,536. `None`: the input tokens are the targets.
    pub d_target: Option<usize>,
    /// Whether the mean of each token's target is subtracted and its deviation divided out (He et al. 2022, section 3).
    pub normalise: bool,
}

impl Default for Targets {
    fn default() -> Self {
        Self { d_target: None, normalise: true }
    }
}

impl Targets {
    fn are_tokens(&self) -> bool {
        *self == Self::default()
    }
}

/// A coordinate of each token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Coordinate {
    /// Lower-case word, unique in the geometry.
    pub name: String,
    /// Its unit, a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Smallest and largest value.
    pub range: [f64; 2],
}

/// A pretext task and its settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PretextTask {
    /// `masked-patches`, `masked-tokens`, or one that a later host knows.
    pub name: String,
    /// Settings of the host's task; unknown ones and values out of range are refused.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
}

fn is_false(value: &bool) -> bool {
    !value
}
