//! Batches of a stage: their samples and their preparation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::definition::Stage;
use crate::continual::ReplaySource;
use crate::data::{BatchRequest, EpochPlan, Objective, Pool, Step, View};
use crate::rng;

/// Batches of a stage, numbered through all epochs, so that the first batch of an epoch is prepared while the last batch of the epoch before is
/// learned.
pub(super) struct Batches<'a> {
    stage: &'a Stage<'a>,
    pools: &'a [Pool],
    /// Whether replay batches are mixed.
    mixes: bool,
    /// Number of batches in an epoch.
    n_steps: usize,
    /// Plans of the epochs in use, by epoch.
    drawn: Mutex<BTreeMap<usize, Arc<EpochPlan>>>,
}

impl<'a> Batches<'a> {
    /// The batches of a stage, drawn from its pools.
    pub fn new(stage: &'a Stage<'a>, pools: &'a [Pool]) -> Self {
        let mixes = stage.settings.strategy.replay_source() == ReplaySource::DistilledBuffers { mixup: true };
        Self { stage, pools, mixes, n_steps: EpochPlan::n_steps(pools), drawn: Mutex::default() }
    }

    /// Number of batches in an epoch.
    pub fn n_steps(&self) -> usize {
        self.n_steps
    }

    /// Epoch of a batch, and step within the epoch, from 0.
    pub fn place(&self, item: usize) -> (usize, usize) {
        (item / self.n_steps, item % self.n_steps)
    }

    /// Key of a batch's random draws: its place in the run.
    pub fn key(&self, item: usize) -> [u64; 3] {
        let (epoch, step) = self.place(item);
        [self.stage.number as u64, epoch as u64, step as u64]
    }

    /// Pool that a batch is drawn from.
    pub fn pool(&self, item: usize) -> &'a Pool {
        let (epoch, step) = self.place(item);
        &self.pools[self.epoch(epoch).steps[step].pool]
    }

    /// Request for the samples of a batch; a request for nothing without a batch.
    pub fn request(&self, item: Option<usize>) -> BatchRequest<'a> {
        let Some(item) = item else { return BatchRequest::evaluation(self.stage.current, Vec::new()) };
        let (epoch, step) = self.place(item);
        let plan = self.epoch(epoch);
        let Step { pool, indices, seeds } = &plan.steps[step];
        let pool = &self.pools[*pool];
        let is_mixed = pool.objective == Objective::Distillation && self.mixes;
        BatchRequest {
            dataset: self.stage.dataset(pool),
            view: View::Training,
            indices: indices.clone(),
            seeds: seeds.clone(),
            with_targets: pool.objective == Objective::Pretext,
            unmasked: false,
            mixup: is_mixed.then(|| rng::keyed(self.stage.seed, "mixup", &self.key(item))),
        }
    }

    /// Drops the plans of all epochs before `epoch`.
    pub fn forget_before(&self, epoch: usize) {
        self.lock().retain(|drawn, _| *drawn >= epoch);
    }

    fn epoch(&self, epoch: usize) -> Arc<EpochPlan> {
        let draw = || {
            let key = [self.stage.number as u64, epoch as u64];
            let sampling = self.stage.settings.buffer.sampling;
            Arc::new(EpochPlan::new(self.pools, sampling, self.stage.seed, key))
        };
        self.lock().entry(epoch).or_insert_with(draw).clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, Arc<EpochPlan>>> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
