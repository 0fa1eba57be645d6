//! Features of all samples of a dataset: encoder outputs without augmentation and masking.

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::data::{
    BatchLoader, BatchRequest, Dataset, HostBatch, InvalidSamples, LoaderOptions, SampleReport, record_invalid_samples,
};
use crate::model::{DeviceBatch, Model, StochasticDepth, mean_over_tokens};
use crate::ranks::Ranks;
use crate::{DataError, DeviceError, Error, Result, SettingError, rng};

/// Number of samples in a batch.
const BATCH: usize = 32;

/// Number of consecutive samples with the same temporal position in training mode: a batch of the reference.
const TRAINING_BATCH: usize = 128;

/// Mode of the model that encodes samples.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum EncodingMode {
    /// No stochastic depth, and the first temporal position.
    #[default]
    Evaluation,
    /// Stochastic depth, and a random temporal position for every 128 samples in their order, as the reference selects its buffers.
    Training {
        /// Rate of stochastic depth, in [0, 1).
        drop_path: f64,
        /// Seed of the draws.
        seed: u64,
    },
}

impl EncodingMode {
    /// Temporal position of a batch of a family, and the batch's stochastic depth.
    fn draws(self, item: usize, n_temporal: usize) -> (usize, Option<StochasticDepth>) {
        let Self::Training { drop_path, seed } = self else { return (0, None) };
        let of_batch = (item * BATCH / TRAINING_BATCH) as u64;
        let temporal = rng::keyed(seed, "temporal of features", &[of_batch]).random_range(0..n_temporal);
        (temporal, StochasticDepth::new(drop_path, rng::keyed(seed, "depth of features", &[item as u64])))
    }
}

/// Encoding of samples: mode of the model, and pooling.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Encoding {
    /// Pooling of a sample's encoder outputs.
    pub pooling: Pooling,
    /// Mode of the model.
    pub mode: EncodingMode,
}

impl From<Pooling> for Encoding {
    fn from(pooling: Pooling) -> Self {
        Self { pooling, mode: EncodingMode::default() }
    }
}

/// Pooling of a sample's encoder outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Mean over all outputs, class token included, padding of text excluded. The buffer is selected by these features.
    #[default]
    Mean,
    /// Mean over all outputs, class token and padding included, as the reference selects its buffers.
    MeanWithPadding,
    /// The class token's output, for continuous families only.
    Class,
    /// All outputs without pooling: the class token's first where there is one, padding included.
    None,
}

/// Features of a batch of consecutive samples.
#[derive(Debug)]
pub struct EncodedBatch<'a> {
    /// Features, `[rows.len(), n_tokens, width]`, row-major; `n_tokens` is 1 where outputs are pooled.
    pub values: Vec<f32>,
    /// Number of features of a sample.
    pub n_tokens: usize,
    /// Number of values in a feature.
    pub width: usize,
    /// Index of each row's sample, ascending.
    pub rows: Vec<u64>,
    /// Attention mask without pooling, `[rows.len(), n_tokens]`: true where a token is no padding of a text, or exists in a dataset some of whose tokens
    /// do not. Empty otherwise.
    pub attended: &'a [bool],
    /// Samples that could not be read, with their index and reason.
    pub invalid: &'a [(u64, SampleReport)],
    /// Samples that have nothing to learn, by their index; they are among the rows.
    pub skipped: &'a [u64],
    /// Number of finished samples, this batch included.
    pub done: usize,
}

/// Features of a dataset, one row a sample.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Features {
    /// Features, `[rows.len(), width]`, row-major.
    pub values: Vec<f32>,
    /// Number of values in a row.
    pub width: usize,
    /// Index of each row's sample, ascending.
    pub rows: Vec<u64>,
    /// Samples that could not be read: id and reason.
    pub invalid: Vec<(String, String)>,
    /// Samples that have nothing to learn, by their index, ascending; they are among the rows.
    pub skipped: Vec<u64>,
}

/// Extracts the features of every sample of a dataset, pooled into one row a sample. `model` and `device` are those without gradients; `progress` gets the
/// number of finished samples, and an error of `progress` ends the extraction.
///
/// # Errors
/// A dataset that fails, too many invalid samples, an error of `progress`.
pub fn extract_features(
    model: &Model,
    family: usize,
    dataset: &dyn Dataset,
    encoding: Encoding,
    options: LoaderOptions,
    device: &Device,
    progress: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Features> {
    let pass = FeaturePass { model, family, dataset, encoding, options, device };
    pass.features(0..pass.n_batches(), progress)
}

/// Encodes every sample of a dataset in order, batch by batch, so that memory does not grow with the number of samples.
///
/// # Errors
/// Options out of range, a dataset that fails, too many invalid samples, a pooling that the family does not have, an error of `sink`.
pub fn encode_samples(
    model: &Model,
    family: usize,
    dataset: &dyn Dataset,
    encoding: Encoding,
    options: LoaderOptions,
    device: &Device,
    sink: &mut dyn FnMut(EncodedBatch<'_>) -> Result<()>,
) -> Result<()> {
    let pass = FeaturePass { model, family, dataset, encoding, options, device };
    pass.encode(0..pass.n_batches(), sink)
}

/// A pass over the samples of a dataset, in batches of consecutive samples.
pub struct FeaturePass<'a> {
    /// Model without gradients.
    pub model: &'a Model,
    /// Index of the dataset's token family in the model.
    pub family: usize,
    /// Samples.
    pub dataset: &'a dyn Dataset,
    /// Mode of the model, and pooling.
    pub encoding: Encoding,
    /// Loading of samples.
    pub options: LoaderOptions,
    /// Device without gradients.
    pub device: &'a Device,
}

impl Features {
    /// Removes the rows of the samples that have nothing to learn.
    pub(super) fn leave_out_skipped(&mut self) {
        if self.skipped.is_empty() {
            return;
        }
        let width = self.width;
        let kept: Vec<usize> =
            (0..self.rows.len()).filter(|row| self.skipped.binary_search(&self.rows[*row]).is_err()).collect();
        self.values = kept.iter().flat_map(|row| self.values[row * width..][..width].iter().copied()).collect();
        self.rows = kept.iter().map(|row| self.rows[*row]).collect();
    }
}

impl FeaturePass<'_> {
    fn n_batches(&self) -> usize {
        self.dataset.ids().len().div_ceil(BATCH)
    }

    /// Features of all samples, on all ranks; each rank encodes a block of the batches. `progress` gets the number of finished samples, as this rank
    /// estimates it from its own.
    ///
    /// # Errors
    /// Those of [`extract_features`]; a rank that failed.
    pub fn on_all_ranks(&self, ranks: &Ranks, progress: &mut dyn FnMut(usize) -> Result<()>) -> Result<Features> {
        let mut features = self.on_root(ranks, progress)?;
        features.values = ranks.values_of_root(features.values)?;
        Ok(features)
    }

    /// As [`FeaturePass::on_all_ranks`]; only the root gets the features' values.
    pub(super) fn on_root(&self, ranks: &Ranks, progress: &mut dyn FnMut(usize) -> Result<()>) -> Result<Features> {
        let n_samples = self.dataset.ids().len();
        let block = ranks.block(self.n_batches());
        let (before, n_own) = (block.start * BATCH, (block.len() * BATCH).max(1));
        let of_all = |done: usize| ((done - before) * n_samples / n_own.min(n_samples)).min(n_samples);
        let own = self.features(block, &mut |done| progress(of_all(done)))?;
        let values = ranks.to_root(own.values)?;
        let mut all = Features { values, ..Features::default() };
        for (width, rows, invalid, skipped) in ranks.gather((own.width, own.rows, own.invalid, own.skipped))? {
            // A rank without readable samples has no width.
            all.width = all.width.max(width);
            all.rows.extend(rows);
            all.invalid.extend(invalid);
            all.skipped.extend(skipped);
        }
        let n_invalid = all.invalid.len();
        match all.invalid.last() {
            Some((_, latest)) if !self.options.allows(n_invalid, n_samples) => {
                let (modality, latest) = (self.dataset.modality().into(), latest.clone());
                Err(DataError::TooManyInvalid { modality, n_invalid, n_samples, latest }.into())
            }
            _ => Ok(all),
        }
    }

    /// Features of the samples of some batches.
    fn features(&self, batches: Range<usize>, progress: &mut dyn FnMut(usize) -> Result<()>) -> Result<Features> {
        let mut features = Features::default();
        self.encode(batches, &mut |batch| {
            // A batch without readable samples has no width.
            if !batch.rows.is_empty() {
                features.width = batch.width;
            }
            features.values.extend(batch.values);
            features.rows.extend(batch.rows);
            features.skipped.extend(batch.skipped);
            let id = |index: u64| self.dataset.ids()[index as usize].clone();
            let invalid = batch.invalid.iter();
            features.invalid.extend(invalid.map(|(index, sample)| (id(*index), sample.message.clone())));
            progress(batch.done)
        })?;
        Ok(features)
    }

    /// Encodes some batches in order.
    fn encode(&self, batches: Range<usize>, sink: &mut dyn FnMut(EncodedBatch<'_>) -> Result<()>) -> Result<()> {
        let Self { model, family, dataset, encoding, options, device } = *self;
        options.check()?;
        let Encoding { pooling, mode } = encoding;
        let n = dataset.ids().len();
        let batch_of = |item: usize| (item * BATCH) as u64..((item + 1) * BATCH).min(n) as u64;
        let loader =
            BatchLoader::new(options.num_workers, |item| BatchRequest::evaluation(dataset, batch_of(item).collect()));
        let mut invalid = InvalidSamples::new();
        loader.for_each(batches, |item, loaded| {
            record_invalid_samples(&mut invalid, dataset, &loaded.invalid, options, &mut |_, _| {})?;
            let (mut values, mut n_tokens, mut width) = (Vec::new(), 0, 0);
            let mut attended = Vec::new();
            if let Some(batch) = loaded.batch {
                match (&batch, pooling) {
                    (HostBatch::Tokens(batch), Pooling::None) => attended.clone_from(&batch.attended),
                    (HostBatch::Patches(batch), Pooling::None) if !batch.valid.is_empty() => {
                        // The class token, which always exists, comes first.
                        let of_sample = |valid: &[bool]| [&[true], valid].concat();
                        attended = batch.valid.chunks(batch.n_tokens).flat_map(of_sample).collect();
                    }
                    _ => {}
                }
                let batch = DeviceBatch::new(batch, device);
                let (temporal, mut depth) = mode.draws(item, model.n_temporal(family));
                let encoded = model.encode(family, &batch, temporal, depth.as_mut());
                let encoded = pooled(encoded, &batch, pooling, dataset)?;
                [_, n_tokens, width] = encoded.dims();
                values = encoded
                    .try_into_vec_as::<f32>()
                    .map_err(|error| Error::from(DeviceError::read_back("features", error)))?;
                if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                    return Err(DataError::NotFinite {
                        what: format!("feature of {}", dataset.modality()),
                        value: *value,
                    }
                    .into());
                }
            }
            let first = batch_of(item).start;
            sink(EncodedBatch {
                values,
                n_tokens,
                width,
                rows: loaded.valid.iter().map(|slot| first + *slot as u64).collect(),
                attended: &attended,
                invalid: &loaded.invalid,
                skipped: &loaded.skipped,
                done: batch_of(item).end as usize,
            })
        })?;
        Ok(())
    }
}

/// Pooled outputs: `[B, T, D]` without pooling, otherwise `[B, 1, D]`.
fn pooled(encoded: Tensor<3>, batch: &DeviceBatch, pooling: Pooling, dataset: &dyn Dataset) -> Result<Tensor<3>> {
    Ok(match (pooling, batch) {
        (Pooling::None, _) => encoded,
        (Pooling::Class, DeviceBatch::Patches(_)) => encoded.narrow(1, 0, 1),
        (Pooling::Class, DeviceBatch::Tokens(_)) => {
            return Err(SettingError::NoClassToken { family: dataset.family().into() }.into());
        }
        (Pooling::MeanWithPadding, _) => encoded.mean_dim(1),
        (Pooling::Mean, _) => mean_over_tokens(encoded, batch),
    })
}
