//! The interface of datasets: token shapes, views, raw batches, invalid samples.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::account::DataAccount;
use super::grid_layout::GridLayout;
use crate::confined_path::ConfinedPath;
use crate::{DataError, Result};

/// Token specification: shape of a dataset's samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum TokenSpec {
    /// Continuous tokens: vectors of numbers, such as patches of pixels.
    Continuous {
        /// Number of tokens in a sample.
        n_tokens: usize,
        /// Number of values in a token.
        d_token: usize,
        /// Number of tokens that are masked in the training view.
        n_masked: usize,
    },
    /// Discrete tokens: ids from a vocabulary.
    Discrete {
        /// Number of tokens in a sample, padding included.
        length: usize,
        /// Number of ids.
        vocabulary: usize,
    },
}

/// View of a sample: with or without augmentation and masking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Evaluation view: neither augmented nor masked.
    Evaluation,
    /// Training view: augmented and masked.
    Training,
}

/// Raw samples of one batch, in buffers that are reused from batch to batch.
#[derive(Debug, Clone, Default)]
pub struct RawBatch {
    /// Values of continuous tokens, `[n, n_tokens, d_token]`.
    pub tokens: Vec<f32>,
    /// Mask of continuous tokens, `[n, n_tokens]`, 1 = masked.
    pub mask: Vec<u8>,
    /// Ids of discrete tokens, `[n, length]`.
    pub ids: Vec<i32>,
    /// Prediction targets of discrete tokens, `[n, length]`: the id to predict, or a negative number.
    pub labels: Vec<i32>,
    /// Number of discrete tokens that are no padding, `[n]`.
    pub lengths: Vec<i32>,
    /// Validity of continuous tokens, `[n, n_tokens]`: 1 where a token exists, 0 where there is nothing (a missing channel, what lies past a short
    /// sample); its values are 0. Empty where all tokens of the dataset exist.
    pub valid: Vec<u8>,
    /// Targets of continuous tokens, `[n, n_tokens, d_target]`. Empty where the tokens are the targets, and in the evaluation view.
    pub targets: Vec<f32>,
    /// Affine maps from tokens along the axes of the grid to voxels of the sample's file, `[n, n_axes, n_axes + 1]`: token `k` covers `k` to `k + 1`, and
    /// voxel `j` covers `j` to `j + 1`. Empty where they are not known, and in the training view.
    pub affines: Vec<f32>,
}

/// Targets of masked continuous tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetSpec {
    /// Number of values a token, where targets are not the tokens themselves.
    pub d_target: Option<usize>,
    /// Whether the mean of each token's target is subtracted and its deviation divided out (He et al. 2022, section 3).
    pub normalise: bool,
}

impl Default for TargetSpec {
    fn default() -> Self {
        Self { d_target: None, normalise: true }
    }
}

/// What a dataset reports of a sample that it did not simply deliver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleReport {
    /// Position of the sample in the request.
    pub slot: usize,
    /// Kind of the report.
    pub kind: ReportKind,
    /// Reason: the found and the expected content.
    pub message: String,
}

/// Kind of a report on a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportKind {
    /// The sample could not be delivered.
    Invalid,
    /// The sample is sound, and there is nothing to learn from it. In the training view it is left out; in the evaluation view it is delivered
    /// nevertheless, and is no candidate for a buffer.
    Skipped,
}

impl SampleReport {
    /// The report on a sample that could not be delivered.
    pub fn invalid(slot: usize, message: impl Into<String>) -> Self {
        Self { slot, kind: ReportKind::Invalid, message: message.into() }
    }

    /// Whether the sample's part of a batch of this view is void.
    pub fn is_void(&self, view: View) -> bool {
        self.kind == ReportKind::Invalid || view == View::Training
    }
}

/// A dataset of one modality, read by many threads at once.
pub trait Dataset: Send + Sync {
    /// Name of the modality.
    fn modality(&self) -> &str;

    /// Token family: modalities of one family share embedder, position table and head.
    fn family(&self) -> &str;

    /// Shape of every sample.
    fn spec(&self) -> TokenSpec;

    /// Stable sample ids, by index.
    fn ids(&self) -> &[String];

    /// Fingerprint of the data: changes when the data change.
    fn fingerprint(&self) -> &str;

    /// What became of the files of the data; `None` where the dataset does not know.
    fn account(&self) -> Option<&DataAccount> {
        None
    }

    /// Grid of continuous tokens and the meaning of its axes, where the dataset knows them.
    fn layout(&self) -> Option<&Arc<GridLayout>> {
        None
    }

    /// Digest of the list of discrete tokens: equal where the same id is the same token. `None` where the dataset does not know it.
    fn vocabulary_digest(&self) -> Option<&str> {
        None
    }

    /// Targets of masked continuous tokens.
    fn targets(&self) -> TargetSpec {
        TargetSpec::default()
    }

    /// How often each sample is drawn in the training of its own stage, relative to the others; 0 = never. Empty where all are drawn equally often.
    fn weights(&self) -> &[f64] {
        &[]
    }

    /// Fills a batch with samples and resizes its buffers to `indices.len()` samples. A sample's bytes depend on its index, its seed and the view
    /// alone. Implementations check the values: finite, ids in range, masks of 0 and 1 with as many ones as the specification says.
    ///
    /// # Errors
    /// A request that failed as a whole. Samples that are not simply delivered are listed in the answer, each once.
    fn fill(&self, view: View, indices: &[u64], seeds: &[u64], batch: &mut RawBatch) -> Result<Vec<SampleReport>>;

    /// Materialises samples: writes them into an existing empty folder, from which they can be read again, in the same order, without the rest of the
    /// data.
    ///
    /// # Errors
    /// A dataset that cannot do this, samples that cannot be read, files that cannot be written.
    fn keep(&self, indices: &[u64], folder: &ConfinedPath) -> Result<()> {
        let _ = (indices, folder);
        Err(DataError::CannotMaterialise { modality: self.modality().into() }.into())
    }
}
