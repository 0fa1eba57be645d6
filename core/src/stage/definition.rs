//! Definition of a stage: data, settings, previous stages, and the resulting pools of batches.

use std::collections::BTreeMap;

use burn::tensor::Device;

use super::settings::StageSettings;
use crate::buffer::RehearsalBuffer;
use crate::continual::ReplaySource;
use crate::data::{Dataset, EpochPlan, Objective, Pool};
use crate::model::ModelConfig;
use crate::run::{Checkpoints, StageFolder, StoredModel};
use crate::{DataError, Error, ModelError, Result};

/// Previous stage, as a later stage uses its data and buffer.
pub struct PreviousStage<'a> {
    /// Dataset of the previous stage.
    pub dataset: &'a dyn Dataset,
    /// Rehearsal buffer; empty where the strategy keeps none.
    pub buffer: RehearsalBuffer,
    /// Number of passes over the dataset, in joint training.
    pub epochs: usize,
    /// Number of samples in a batch.
    pub batch_size: usize,
}

/// A stage before its run: number, data, settings and folder.
pub struct Stage<'a> {
    /// Position in the run, from 1.
    pub number: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Settings of the training.
    pub settings: &'a StageSettings,
    /// Dataset of the new modality.
    pub current: &'a dyn Dataset,
    /// Configuration of the model, with the families of previous stages and of this stage.
    pub model: ModelConfig,
    /// Model to continue from: the previous stage's or the initial model; none for fresh parameters.
    pub previous: Option<StoredModel>,
    /// Previous stages in their order.
    pub earlier: Vec<PreviousStage<'a>>,
    /// Whether training is deferred: a later stage learns this stage's data with its own.
    pub deferred: bool,
    /// Folder that the stage is written to.
    pub folder: StageFolder,
    /// Device of the computation.
    pub device: Device,
}

impl Stage<'_> {
    /// Number of batches in an epoch, by label: the modality, with the stage's number where the modality comes again.
    ///
    /// # Errors
    /// No samples, a buffer of samples that the data do not have.
    pub fn batches(&self) -> Result<BTreeMap<String, usize>> {
        if self.deferred {
            return Ok(BTreeMap::new());
        }
        let pools = self.pools()?;
        Ok(pools.into_iter().map(|pool| (pool.label.clone(), EpochPlan::n_steps(&[pool]))).collect())
    }

    /// Number of passes over the data.
    pub(super) fn epochs(&self) -> usize {
        if self.deferred { 0 } else { self.settings.epochs }
    }

    /// Error of a stage that was stopped on request.
    pub(super) fn interrupted(&self, place: &str, checkpoints: &Checkpoints) -> Error {
        let place = format!("stage {} {}, {place}", self.number, self.current.modality());
        Error::Interrupted { place, checkpoint: checkpoints.latest_name() }
    }

    /// Pools of the stage: the current modality, then the replayed samples of each previous stage.
    pub(super) fn pools(&self) -> Result<Vec<Pool>> {
        if self.current.ids().is_empty() {
            return Err(DataError::NoSamples { modality: self.current.modality().into() }.into());
        }
        let batch_size = self.settings.batch_size;
        let all = |dataset: &dyn Dataset| (0..dataset.ids().len() as u64).collect::<Vec<_>>();
        let pool = |dataset, label, objective, indices| Pool {
            dataset,
            objective,
            label,
            indices,
            weights: Vec::new(),
            batch_size,
            passes: 1.0,
        };
        let weights = self.current.weights();
        let is_drawn = |index: &u64| weights.get(*index as usize).is_none_or(|weight| *weight > 0.0);
        let indices: Vec<u64> = all(self.current).into_iter().filter(is_drawn).collect();
        if indices.is_empty() {
            return Err(DataError::NothingToDraw { modality: self.current.modality().into() }.into());
        }
        let weights =
            if weights.is_empty() { Vec::new() } else { indices.iter().map(|at| weights[*at as usize]).collect() };
        let current = pool(0, self.label(self.earlier.len()), Objective::Pretext, indices);
        let mut pools = vec![Pool { weights, ..current }];
        for (at, previous) in self.earlier.iter().enumerate() {
            let kept = || previous.buffer.indices(previous.dataset.modality(), previous.dataset.ids());
            let label = self.label(at);
            let pool = match self.settings.strategy.replay_source() {
                ReplaySource::Nothing => continue,
                ReplaySource::DistilledBuffers { .. } => pool(at + 1, label, Objective::Distillation, kept()?),
                ReplaySource::Buffers => pool(at + 1, label, Objective::Pretext, kept()?),
                // As many batches as in a stage of its own.
                ReplaySource::AllSamples => Pool {
                    batch_size: previous.batch_size,
                    passes: previous.epochs as f64 / self.settings.epochs as f64,
                    ..pool(at + 1, label, Objective::Pretext, all(previous.dataset))
                },
            };
            if !pool.indices.is_empty() && !self.drops(at) {
                pools.push(pool);
            }
        }
        Ok(pools)
    }

    /// Whether the buffer of a previous stage, by its position from 0, is too small to be rehearsed.
    fn drops(&self, at: usize) -> bool {
        let Self { settings, earlier, .. } = self;
        let rehearses =
            matches!(settings.strategy.replay_source(), ReplaySource::DistilledBuffers { .. } | ReplaySource::Buffers);
        rehearses && settings.buffer.drop_last && earlier[at].buffer.entries.len() < settings.batch_size
    }

    /// Labels of the previous stages whose buffers are too small to be rehearsed, with the number of their samples.
    pub(super) fn dropped_buffers(&self) -> Vec<(String, usize)> {
        let dropped = (0..self.earlier.len()).filter(|at| self.drops(*at));
        dropped.map(|at| (self.label(at), self.earlier[at].buffer.entries.len())).collect()
    }

    /// Label of a stage's losses, by its position from 0: `ct`, or `ct#6` when a previous stage had the same modality.
    pub(super) fn label(&self, at: usize) -> String {
        let modality = |at: usize| self.earlier.get(at).map_or(self.current, |previous| previous.dataset).modality();
        let own = modality(at);
        if (0..at).any(|before| modality(before) == own) { format!("{own}#{}", at + 1) } else { own.into() }
    }

    /// Dataset of a pool.
    pub(super) fn dataset(&self, pool: &Pool) -> &dyn Dataset {
        match pool.dataset {
            0 => self.current,
            number => self.earlier[number - 1].dataset,
        }
    }

    /// Position of a dataset's family in the model.
    pub(super) fn family(&self, dataset: &dyn Dataset) -> Result<usize> {
        self.model.family(dataset.family()).ok_or_else(|| {
            ModelError::UnknownFamily { family: dataset.family().into(), modality: dataset.modality().into() }.into()
        })
    }
}
