//! Datasets, as this crate sees them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{DataError, Result};

/// Shape of a dataset's samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum TokenSpec {
    /// Vectors of numbers, such as patches of pixels.
    Continuous {
        /// Tokens in a sample.
        n_tokens: usize,
        /// Values in a token.
        d_token: usize,
        /// Tokens that are masked in the training view.
        n_masked: usize,
    },
    /// Ids from a vocabulary.
    Discrete {
        /// Tokens in a sample, padding included.
        length: usize,
        /// Number of ids.
        vocabulary: usize,
    },
}

/// How samples are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Neither augmented nor masked.
    Evaluation,
    /// Augmented and masked.
    Training,
}

/// Buffers of one batch, reused from batch to batch.
#[derive(Debug, Clone, Default)]
pub struct RawBatch {
    /// `[n, n_tokens, d_token]`, of continuous tokens.
    pub tokens: Vec<f32>,
    /// `[n, n_tokens]`, 1 = masked, of continuous tokens.
    pub mask: Vec<u8>,
    /// `[n, length]`, of discrete tokens.
    pub ids: Vec<i32>,
    /// `[n, length]`, the id to predict or a negative number, of discrete tokens.
    pub labels: Vec<i32>,
    /// `[n]`, tokens that are not padding, of discrete tokens.
    pub lengths: Vec<i32>,
}

/// A sample that could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSample {
    /// Its position in the request.
    pub slot: usize,
    /// What was found and expected.
    pub message: String,
}

/// A dataset of one modality. Asked by many threads at once.
pub trait Dataset: Send + Sync {
    /// Name of the modality.
    fn modality(&self) -> &str;

    /// Token family: modalities of one family share embedder, position table and head.
    fn family(&self) -> &str;

    /// Shape of every sample.
    fn spec(&self) -> TokenSpec;

    /// Stable sample ids, by index.
    fn ids(&self) -> &[String];

    /// Changes when the data do.
    fn fingerprint(&self) -> &str;

    /// Resizes the buffers to `indices.len()` samples and fills them. A sample's bytes depend on its index, its seed and the
    /// view alone. Values are checked: finite, ids in range, masks of 0 and 1 with as many ones as the specification says.
    ///
    /// # Errors
    /// A request that failed as a whole. Single invalid samples are listed in the answer.
    fn fill(&self, view: View, indices: &[u64], seeds: &[u64], batch: &mut RawBatch) -> Result<Vec<InvalidSample>>;

    /// Writes samples into an existing empty folder, from which they can be read again without the rest of the data, in
    /// the same order.
    ///
    /// # Errors
    /// A dataset that cannot do this, samples that cannot be read, files that cannot be written.
    fn keep(&self, indices: &[u64], folder: &Path) -> Result<()> {
        let _ = (indices, folder);
        Err(DataError::CannotMaterialise { modality: self.modality().into() }.into())
    }
}
