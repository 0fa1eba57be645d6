//! The masked language modelling protocol: masked tokens are predicted by the model's own head (Devlin et al., "BERT", NAACL 2019).
//!
//! It needs neither labels nor a probe: the task is the one that the model was trained for.

use burn::tensor::Device;

use crate::data::{Dataset, TokenSpec};
use crate::model::Model;
use crate::pretext::{ReconstructedContent, reconstruct_samples};
use crate::{DataError, Result, SettingError};

/// Samples in a batch.
const BATCH: usize = 32;

/// Counts of the masked tokens of one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskedTokenCounts {
    /// Number of masked tokens.
    pub n_masked: usize,
    /// Number of masked tokens whose most probable id is the true id.
    pub n_correct: usize,
}

impl MaskedTokenCounts {
    /// Masks the samples `wanted` of a dataset as in training and predicts the masked tokens. The masks depend on `seed` and the samples' indices
    /// alone. `model` and `device` are those without gradients; `progress` gets the number of finished samples, and an error of `progress` ends the
    /// prediction.
    ///
    /// # Errors
    /// A dataset of continuous tokens, samples that cannot be read, predictions that are not finite, an error of `progress`.
    pub fn of_samples(
        model: &Model,
        family: usize,
        dataset: &dyn Dataset,
        wanted: &[u64],
        seed: u64,
        device: &Device,
        progress: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Vec<Self>> {
        if !matches!(dataset.spec(), TokenSpec::Discrete { .. }) {
            return Err(SettingError::Tokens {
                modality: dataset.modality().into(),
                found: "no words",
                expected: "words to mask",
            }
            .into());
        }
        let mut counts = Vec::with_capacity(wanted.len());
        for batch in wanted.chunks(BATCH) {
            let reconstructed = reconstruct_samples(model, family, dataset, batch, (seed, &[]), device)?;
            if reconstructed.len() < batch.len() {
                let n_invalid = batch.len() - reconstructed.len();
                return Err(DataError::Invalid {
                    modality: dataset.modality().into(),
                    n_invalid,
                    n_samples: batch.len(),
                }
                .into());
            }
            counts.extend(reconstructed.iter().filter_map(|sample| match &sample.content {
                ReconstructedContent::Tokens(words) => {
                    let is_correct =
                        |prediction: &&crate::pretext::Prediction| words.original[prediction.position] == prediction.id;
                    Some(Self {
                        n_masked: words.predictions.len(),
                        n_correct: words.predictions.iter().filter(is_correct).count(),
                    })
                }
                ReconstructedContent::Patches(_) => None,
            }));
            progress(counts.len())?;
        }
        Ok(counts)
    }
}
