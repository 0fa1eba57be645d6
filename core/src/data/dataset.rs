//! The interface of datasets: token shapes, views, raw batches, invalid samples.

use serde::{Deserialize, Serialize};

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
}

/// An invalid sample, which the dataset could not deliver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvalidSample {
    /// Position of the sample in the request.
    pub slot: usize,
    /// Reason: the found and the expected content.
    pub message: String,
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

    /// Fills a batch with samples and resizes its buffers to `indices.len()` samples. A sample's bytes depend on its index, its seed and the view
    /// alone. Implementations check the values: finite, ids in range, masks of 0 and 1 with as many ones as the specification says.
    ///
    /// # Errors
    /// A request that failed as a whole. Single invalid samples are listed in the answer.
    fn fill(&self, view: View, indices: &[u64], seeds: &[u64], batch: &mut RawBatch) -> Result<Vec<InvalidSample>>;

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
