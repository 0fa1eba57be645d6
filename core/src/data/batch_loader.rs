//! The way of a batch from a dataset to the trainer: samples are read, invalid ones are skipped, the others are prepared.

use std::ops::Range;
use std::time::Duration;

use super::batch::{HostBatch, Mixup, prepare};
use super::dataset::{Dataset, InvalidSample, RawBatch, View};
use super::prefetch::prefetch;
use crate::rng::Rng;
use crate::{Error, Result};

/// Samples that make one batch, and how they are prepared.
pub(crate) struct BatchRequest<'a> {
    pub dataset: &'a dyn Dataset,
    pub view: View,
    /// Samples, by their index in the dataset.
    pub indices: Vec<u64>,
    /// One seed a sample.
    pub seeds: Vec<u64>,
    /// Whether masked tokens become targets of the pretext task.
    pub with_targets: bool,
    /// The generator of an intra-modal mixup, where samples are mixed.
    pub mixup: Option<Rng>,
}

/// A batch that was read.
#[derive(Debug, Default)]
pub(crate) struct LoadedBatch {
    /// The valid samples, or none when all are invalid.
    pub batch: Option<HostBatch>,
    /// Places of the valid samples in the request, ascending: the rows of `batch`.
    pub valid: Vec<usize>,
    /// Samples that could not be read, with their index in the dataset.
    pub invalid: Vec<(u64, InvalidSample)>,
    /// How long the consumer waited for the batch.
    pub waited: Duration,
}

impl<'a> BatchRequest<'a> {
    /// Samples as evaluation sees them: neither augmented nor masked.
    pub fn evaluation(dataset: &'a dyn Dataset, indices: Vec<u64>) -> Self {
        let seeds = vec![0; indices.len()];
        Self { dataset, view: View::Evaluation, indices, seeds, with_targets: false, mixup: None }
    }

    /// Samples as the pretext task sees them: augmented and masked, with targets.
    pub fn pretext(dataset: &'a dyn Dataset, indices: Vec<u64>, seeds: Vec<u64>) -> Self {
        Self { dataset, view: View::Training, indices, seeds, with_targets: true, mixup: None }
    }

    /// Reads and prepares the batch. `raw` is scratch memory that may hold an earlier batch; it holds the samples as they were read
    /// afterwards.
    ///
    /// # Errors
    /// A dataset that fails as a whole.
    pub fn load(self, raw: &mut RawBatch) -> Result<LoadedBatch> {
        let Self { dataset, view, indices, seeds, with_targets, mut mixup } = self;
        let invalid = dataset.fill(view, &indices, &seeds, raw)?;
        let valid: Vec<usize> =
            (0..indices.len()).filter(|slot| invalid.iter().all(|invalid| invalid.slot != *slot)).collect();
        let mixup = mixup.as_mut().map(|rng| Mixup { rng });
        let batch = (!valid.is_empty()).then(|| prepare(raw, dataset.spec(), &valid, with_targets, mixup));
        let invalid = invalid.into_iter().map(|invalid| (indices[invalid.slot], invalid)).collect();
        Ok(LoadedBatch { batch, valid, invalid, waited: Duration::ZERO })
    }
}

impl LoadedBatch {
    /// Makes sure that every sample is valid, where an earlier pass over the dataset has read them all.
    ///
    /// # Errors
    /// The first invalid sample.
    pub fn expect_all_valid(&self, dataset: &dyn Dataset) -> Result<()> {
        match self.invalid.first() {
            None => Ok(()),
            Some((index, invalid)) => Err(Error::no_longer_valid(&dataset.ids()[*index as usize], &invalid.message)),
        }
    }
}

/// Loads batches ahead of their consumer on worker threads and hands them over in order. `request` says what the batch of a number is.
pub(crate) struct BatchLoader<F> {
    num_workers: usize,
    request: F,
}

impl<'a, F: Fn(usize) -> BatchRequest<'a> + Sync> BatchLoader<F> {
    pub fn new(num_workers: usize, request: F) -> Self {
        Self { num_workers, request }
    }

    /// Hands the batches of these numbers to `consume` in order, until it fails.
    ///
    /// # Errors
    /// The first error of a dataset (in order) or of `consume`.
    pub fn for_each(
        &self,
        numbers: Range<usize>,
        mut consume: impl FnMut(usize, LoadedBatch) -> Result<()>,
    ) -> Result<()> {
        let load = |number: usize, raw: &mut RawBatch| (self.request)(number).load(raw);
        prefetch(numbers, self.num_workers, load, |number, loaded, waited| {
            consume(number, LoadedBatch { waited, ..loaded })
        })
    }
}
