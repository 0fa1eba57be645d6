//! Loading of batches, from a dataset to the trainer: samples are read, those that are invalid or have nothing to learn are left out, the others
//! are prepared.

use std::ops::Range;
use std::time::Duration;

use super::batch::{HostBatch, Mixup, prepare};
use super::dataset::{Dataset, RawBatch, ReportKind, SampleReport, View};
use super::prefetch::prefetch;
use crate::rng::Rng;
use crate::{Error, Result};

/// Request for one batch: samples, and their preparation.
pub(crate) struct BatchRequest<'a> {
    pub dataset: &'a dyn Dataset,
    pub view: View,
    /// Indices of the samples in the dataset.
    pub indices: Vec<u64>,
    /// Seeds of the samples, one a sample.
    pub seeds: Vec<u64>,
    /// Whether masked tokens become targets of the pretext task.
    pub with_targets: bool,
    /// Whether the masks of continuous tokens are left out, so that all tokens are visible.
    pub unmasked: bool,
    /// Generator of an intra-modal mixup; none for a batch without mixup.
    pub mixup: Option<Rng>,
}

/// A loaded batch, and the invalid samples of its request.
#[derive(Debug, Default)]
pub(crate) struct LoadedBatch {
    /// The valid samples; none when all samples are left out.
    pub batch: Option<HostBatch>,
    /// Positions of the valid samples in the request, ascending: the rows of `batch`.
    pub valid: Vec<usize>,
    /// Invalid samples, with their index in the dataset.
    pub invalid: Vec<(u64, SampleReport)>,
    /// Samples that have nothing to learn, by their index in the dataset.
    pub skipped: Vec<u64>,
    /// Time that the consumer waited for the batch.
    pub waited: Duration,
}

impl<'a> BatchRequest<'a> {
    /// A request for samples in the evaluation view: neither augmented nor masked.
    pub fn evaluation(dataset: &'a dyn Dataset, indices: Vec<u64>) -> Self {
        let seeds = vec![0; indices.len()];
        Self { dataset, view: View::Evaluation, indices, seeds, with_targets: false, unmasked: false, mixup: None }
    }

    /// A request for samples in the training view: augmented and masked, with targets of the pretext task.
    pub fn pretext(dataset: &'a dyn Dataset, indices: Vec<u64>, seeds: Vec<u64>) -> Self {
        Self { dataset, view: View::Training, indices, seeds, with_targets: true, unmasked: false, mixup: None }
    }

    /// A request for samples of continuous tokens as they are augmented in the training view, and not masked.
    pub fn augmented(dataset: &'a dyn Dataset, indices: Vec<u64>, seeds: Vec<u64>) -> Self {
        Self { dataset, view: View::Training, indices, seeds, with_targets: false, unmasked: true, mixup: None }
    }

    /// Reads and prepares the batch. `raw` is scratch memory with any content; afterwards `raw` holds the samples as the dataset delivered them.
    ///
    /// # Errors
    /// A dataset that fails as a whole.
    pub fn load(self, raw: &mut RawBatch) -> Result<LoadedBatch> {
        let Self { dataset, view, indices, seeds, with_targets, unmasked, mut mixup } = self;
        if indices.is_empty() {
            return Ok(LoadedBatch::default());
        }
        let reports = dataset.fill(view, &indices, &seeds, raw)?;
        if unmasked {
            raw.mask.fill(0);
        }
        let is_void = |slot: usize| reports.iter().any(|report| report.slot == slot && report.is_void(view));
        let valid: Vec<usize> = (0..indices.len()).filter(|slot| !is_void(*slot)).collect();
        let mixup = mixup.as_mut().map(|rng| Mixup { rng });
        let mut batch =
            (!valid.is_empty()).then(|| prepare(raw, (dataset.spec(), dataset.targets()), &valid, with_targets, mixup));
        if let Some(HostBatch::Patches(batch)) = &mut batch {
            batch.layout = dataset.layout().cloned();
        }
        let reports = reports.into_iter().map(|report| (indices[report.slot], report));
        let (invalid, skipped): (Vec<_>, Vec<_>) =
            reports.partition(|(_, report): &(u64, SampleReport)| report.kind == ReportKind::Invalid);
        let skipped = skipped.into_iter().map(|(index, _)| index).collect();
        Ok(LoadedBatch { batch, valid, invalid, skipped, waited: Duration::ZERO })
    }
}

impl LoadedBatch {
    /// Checks that every sample is valid, where an earlier pass over the dataset has read all of them.
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

/// Batch loader: loads batches on worker threads ahead of their consumer and delivers them in order. `request` maps the number of a batch to its
/// request.
pub(crate) struct BatchLoader<F> {
    num_workers: usize,
    request: F,
}

impl<'a, F: Fn(usize) -> BatchRequest<'a> + Sync> BatchLoader<F> {
    /// A loader with `num_workers` worker threads.
    pub fn new(num_workers: usize, request: F) -> Self {
        Self { num_workers, request }
    }

    /// Delivers the batches of these numbers to `consume` in order, until `consume` fails.
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
