//! The batches of a stage: which samples each has, and how it is prepared.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::definition::Stage;
use crate::continual::ReplaySource;
use crate::data::{BatchRequest, EpochPlan, Objective, Pool, Step, View};
use crate::rng;

/// Numbered through all epochs of the stage, so that the first batch of an epoch is prepared while the one before it is learned.
pub(super) struct Batches<'a> {
    stage: &'a Stage<'a>,
    pools: &'a [Pool],
    /// Whether replay batches are mixed.
    mixes: bool,
    /// In an epoch.
    n_steps: usize,
    /// Epochs that were needed and are not yet behind.
    drawn: Mutex<BTreeMap<usize, Arc<EpochPlan>>>,
}

impl<'a> Batches<'a> {
    pub fn new(stage: &'a Stage<'a>, pools: &'a [Pool]) -> Self {
        let mixes = stage.settings.strategy.replay_source() == ReplaySource::DistilledBuffers { mixup: true };
        Self { stage, pools, mixes, n_steps: EpochPlan::n_steps(pools), drawn: Mutex::default() }
    }

    /// Batches of an epoch.
    pub fn n_steps(&self) -> usize {
        self.n_steps
    }

    /// Epoch and step within it, from 0.
    pub fn place(&self, item: usize) -> (usize, usize) {
        (item / self.n_steps, item % self.n_steps)
    }

    /// Where in the run a batch stands: the key of its draws.
    pub fn key(&self, item: usize) -> [u64; 3] {
        let (epoch, step) = self.place(item);
        [self.stage.number as u64, epoch as u64, step as u64]
    }

    /// What a batch is drawn from.
    pub fn pool(&self, item: usize) -> &'a Pool {
        let (epoch, step) = self.place(item);
        &self.pools[self.epoch(epoch).steps[step].pool]
    }

    /// The samples of a batch.
    pub fn request(&self, item: usize) -> BatchRequest<'a> {
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
            mixup: is_mixed.then(|| rng::keyed(self.stage.seed, "mixup", &self.key(item))),
        }
    }

    /// Everything before this epoch will not be asked for again.
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
