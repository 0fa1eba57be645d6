//! Training of a stage: batches come from the loader in order; each gives a pretext or a distillation loss and a gradient; the gradients of
//! `gradient_accumulation` batches, from all ranks, give an update.

use std::time::Duration;

use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::batches::Batches;
use super::definition::Stage;
use super::losses::{BatchLoss, LossOf, UnreadLosses};
use super::observer::{Observer, StepReport};
use super::update_plan::{Slot, UpdatePlan};
use crate::continual::{ContinualStrategy, StepContext};
use crate::data::{BatchLoader, LoadedBatch, Objective, Pool, SampleReport, record_invalid_samples};
use crate::model::{DeviceBatch, Model, fill_missing_gradients};
use crate::optimisation::MissingGradients;
use crate::pretext::pretext_loss;
use crate::ranks::{GradientSum, NodeParameters, Ranks};
use crate::rng;
use crate::run::{Checkpoints, EpochMetrics, EpochSoFar, MetricsLog, StageState};
use crate::{DataError, Error, Result};

/// Train state: the student and its optimiser.
pub(super) struct TrainState {
    /// The student; taken out only while the optimiser updates it in place.
    model: Option<Model>,
    optimiser: ModuleOptimizer,
}

impl TrainState {
    /// The train state of a student and an optimiser.
    pub fn new(model: Model, optimiser: ModuleOptimizer) -> Self {
        Self { model: Some(model), optimiser }
    }

    /// The student.
    pub fn model(&self) -> &Model {
        self.model.as_ref().expect("the model is absent only within `change`")
    }

    /// The optimiser.
    pub fn optimiser(&self) -> &ModuleOptimizer {
        &self.optimiser
    }

    /// Replaces the student by what `change` returns.
    pub fn change(&mut self, change: impl FnOnce(Model) -> Result<Model>) -> Result<()> {
        self.model = self.model.take().map(change).transpose()?;
        Ok(())
    }

    /// The student, without its optimiser.
    pub fn into_model(self) -> Model {
        self.model.expect("the model is absent only within `change`")
    }

    fn update(&mut self, learning_rate: f64, gradients: GradientsParams, strategy: &dyn ContinualStrategy) {
        let optimiser = &mut self.optimiser;
        self.model =
            self.model.take().map(|model| strategy.after_update(optimiser.step(learning_rate, model, gradients)));
    }
}

/// Trainer of a stage.
pub(super) struct StageTrainer<'a> {
    pub stage: &'a Stage<'a>,
    pub batches: &'a Batches<'a>,
    pub strategy: &'a mut dyn ContinualStrategy,
    /// Device with gradients.
    pub device: &'a Device,
    pub checkpoints: &'a Checkpoints,
    pub metrics: &'a mut MetricsLog,
    pub state: &'a mut StageState,
    pub train_state: &'a mut TrainState,
    pub ranks: &'a Ranks,
}

/// State of the epoch in training.
#[derive(Default)]
struct EpochState {
    so_far: EpochSoFar,
    /// Number of batches that the latest checkpoint has seen.
    saved_at: usize,
    waited: Duration,
    gradients: GradientSum,
    unread: UnreadLosses,
    n_unread_slots: usize,
    /// What this rank found since the latest exchange.
    found: Found,
}

/// What a rank tells the others of its batches: losses and invalid samples, in the order of batches.
#[derive(Default, Serialize, Deserialize)]
struct Found {
    losses: Vec<BatchLoss>,
    /// Number of the batch, indices and reasons of its invalid samples.
    invalid: Vec<(usize, Vec<(u64, SampleReport)>)>,
    /// Number of samples that had nothing to learn.
    n_skipped: usize,
}

/// Message of a rank at an update.
#[derive(Serialize, Deserialize)]
struct UpdateMessage {
    found: Found,
    nodes: Vec<NodeParameters>,
    stop: bool,
}

impl StageTrainer<'_> {
    /// Trains the remaining epochs. An unfinished epoch continues after its checkpoint.
    ///
    /// A checkpoint falls between two updates, so that no gradients are ever half accumulated in one.
    pub fn run(mut self, observer: &mut dyn Observer) -> Result<()> {
        let batches = self.batches;
        let n_steps = batches.n_steps();
        let plan = UpdatePlan {
            n_steps,
            accumulation: self.stage.settings.gradient_accumulation,
            rank: self.ranks.rank(),
            n_ranks: self.ranks.n_ranks(),
        };
        let so_far = self.state.unfinished.take().unwrap_or_default();
        let slots = plan.slots(self.state.epochs_done, so_far.steps, self.stage.epochs());
        let first = slots.start;
        let mut epoch_state = EpochState { saved_at: so_far.steps, so_far, ..EpochState::default() };
        let loader =
            BatchLoader::new(self.stage.settings.num_workers, |number| batches.request(plan.slot(number).item));
        loader.for_each(slots, |number, loaded| {
            let slot = plan.slot(number);
            if number == first || slot.begins_epoch {
                let strategy = &mut *self.strategy;
                self.train_state.change(|model| strategy.before_epoch(slot.epoch, model))?;
                batches.forget_before(slot.epoch);
            }
            epoch_state.waited += loaded.waited;
            if let Some(item) = slot.item {
                self.learn(&mut epoch_state, item, slot.leaf, loaded)?;
            }
            epoch_state.n_unread_slots += 1;
            if epoch_state.n_unread_slots >= self.stage.settings.loss_every_steps_on(self.device) {
                self.read_losses(&mut epoch_state)?;
                if self.ranks.is_alone() {
                    let found = std::mem::take(&mut epoch_state.found);
                    self.record(&mut epoch_state, vec![found], observer)?;
                }
            }
            if slot.ends_update {
                self.update(&mut epoch_state, &slot, observer)?;
                if slot.is_last_update(n_steps) {
                    self.end_epoch(std::mem::take(&mut epoch_state), slot.epoch, observer)?;
                }
            }
            Ok(())
        })
    }

    /// Learns a batch: its losses and its gradients, whose number within the update is `leaf`.
    fn learn(&self, epoch_state: &mut EpochState, item: usize, leaf: usize, mut loaded: LoadedBatch) -> Result<()> {
        if !loaded.invalid.is_empty() {
            epoch_state.found.invalid.push((item, std::mem::take(&mut loaded.invalid)));
        }
        epoch_state.found.n_skipped += loaded.skipped.len();
        let Some(batch) = loaded.batch.take() else { return Ok(()) };
        let batch = DeviceBatch::new(batch, self.device);
        let Loss { of_batch, auxiliary } = self.loss(self.batches.pool(item), &batch, item)?;
        let of = LossOf { item, n_samples: batch.n(), auxiliary: false };
        epoch_state.unread.push(of, &of_batch);
        let loss = match auxiliary {
            Some(auxiliary) => {
                epoch_state.unread.push(LossOf { auxiliary: true, ..of }, &auxiliary);
                of_batch + auxiliary
            }
            None => of_batch,
        };
        let model = self.train_state.model();
        let gradients = loss.div_scalar(self.stage.settings.gradient_accumulation as f32).backward();
        let gradients = GradientsParams::from_grads(gradients, model);
        epoch_state.gradients.push(leaf, gradients, model, self.stage.settings.gradient_precision);
        Ok(())
    }

    /// Ends an update: exchanges what the ranks found, updates the parameters, and writes a checkpoint where due.
    fn update(&mut self, epoch_state: &mut EpochState, slot: &Slot, observer: &mut dyn Observer) -> Result<()> {
        let settings = self.stage.settings;
        let n_steps = self.batches.n_steps();
        let sum = std::mem::take(&mut epoch_state.gradients);
        let message = UpdateMessage {
            found: std::mem::take(&mut epoch_state.found),
            nodes: if self.ranks.is_alone() { Vec::new() } else { sum.nodes(self.train_state.model()) },
            stop: observer.stop_requested(),
        };
        let mut stop = false;
        let (mut found, mut nodes) = (Vec::new(), Vec::new());
        for message in self.ranks.gather(message)? {
            stop |= message.stop;
            found.push(message.found);
            nodes.push(message.nodes);
        }
        self.record(epoch_state, found, observer)?;
        self.state.steps += slot.update.len() as u64;
        epoch_state.so_far.steps = slot.update.end;
        let last = slot.is_last_update(n_steps);
        if slot.update.len() < settings.gradient_accumulation && settings.drop_last {
            return Ok(());
        }
        // As in the reference, the learning rate is that of the first batch of the accumulation.
        epoch_state.so_far.learning_rate =
            settings.schedule().learning_rate(slot.epoch as f64 + slot.update.start as f64 / n_steps as f64);
        let model = self.train_state.model();
        let mut gradients = match self.ranks.is_alone() {
            true => sum.of_one_rank(model, settings.gradient_precision),
            false => sum.over_ranks(model, self.ranks, &nodes, settings.gradient_precision)?,
        };
        if settings.optimiser.missing_gradients == MissingGradients::Zero {
            fill_missing_gradients(model, &mut gradients, &mut self.state.updated_parameters);
        }
        let gradients = self.strategy.before_update(model, gradients);
        self.train_state.update(epoch_state.so_far.learning_rate, gradients, &*self.strategy);

        let due = settings
            .checkpoint_every_steps
            .is_some_and(|steps| epoch_state.so_far.steps - epoch_state.saved_at >= steps);
        if last || !(stop || due) {
            return Ok(());
        }
        self.read_and_record(epoch_state, observer)?;
        self.save(Some(epoch_state.so_far.clone()))?;
        epoch_state.saved_at = epoch_state.so_far.steps;
        match stop {
            true => Err(self.interrupted(&format!("epoch {}, step {} of {n_steps}", slot.epoch + 1, slot.update.end))),
            false => Ok(()),
        }
    }

    /// Ends an epoch: its metrics, and a checkpoint where due.
    fn end_epoch(&mut self, mut epoch_state: EpochState, epoch: usize, observer: &mut dyn Observer) -> Result<()> {
        let stop_requested = self.read_and_record(&mut epoch_state, observer)?;
        observer.waited(epoch_state.waited);
        let pretext = epoch_state.so_far.pretext.means();
        if !pretext.contains_key(&self.stage.label(self.stage.earlier.len())) {
            let modality = self.stage.current.modality().into();
            let (n_skipped, n_invalid) = (epoch_state.so_far.n_skipped, self.state.invalid_samples.len());
            return Err(DataError::NothingLearned { modality, n_skipped, n_invalid }.into());
        }
        let metrics = EpochMetrics {
            stage: self.stage.number,
            modality: self.stage.current.modality().into(),
            epoch: epoch + 1,
            step: self.state.steps,
            learning_rate: epoch_state.so_far.learning_rate,
            pretext,
            distillation: epoch_state.so_far.distillation.means(),
            penalty: self.strategy.penalty(self.train_state.model())?,
            n_skipped: epoch_state.so_far.n_skipped,
        };
        self.metrics.append(&metrics)?;
        self.state.epochs_done = epoch + 1;
        observer.epoch_finished(&metrics);
        let (last, stop) = (epoch + 1 == self.stage.epochs(), stop_requested);
        if stop || last || self.state.epochs_done.is_multiple_of(self.stage.settings.checkpoint_every) {
            self.save(None)?;
        }
        match stop {
            true => Err(self.interrupted(&format!("after epoch {}", epoch + 1))),
            false => Ok(()),
        }
    }

    /// Writes a checkpoint, within an epoch or after one. All ranks must hold the same parameters.
    fn save(&self, unfinished: Option<EpochSoFar>) -> Result<()> {
        let model = self.train_state.model();
        if !self.ranks.is_alone() {
            self.ranks.check_equal("parameters", &model.digest()?)?;
        }
        let save = || {
            let state = StageState { unfinished, ..self.state.clone() };
            self.checkpoints.save(model, self.train_state.optimiser(), self.metrics, &state)
        };
        self.ranks.agree(if self.ranks.is_root() { save() } else { Ok(()) })
    }

    fn interrupted(&self, place: &str) -> Error {
        self.ranks.end_together();
        self.stage.interrupted(place, self.checkpoints)
    }

    /// Reads the losses of the latest batches from the device. No checkpoint is written before, so none holds a model whose loss was not finite.
    fn read_losses(&self, epoch_state: &mut EpochState) -> Result<()> {
        epoch_state.n_unread_slots = 0;
        for loss in epoch_state.unread.read()? {
            let pool = self.batches.pool(loss.of.item);
            self.check_finite(loss.value, pool, loss.of.item, kind(objective(pool, loss.of)))?;
            epoch_state.found.losses.push(loss);
        }
        Ok(())
    }

    /// Reads the losses of all ranks and adds them. Returns whether a rank was asked to stop.
    fn read_and_record(&mut self, epoch_state: &mut EpochState, observer: &mut dyn Observer) -> Result<bool> {
        self.read_losses(epoch_state)?;
        let own = (std::mem::take(&mut epoch_state.found), observer.stop_requested());
        let (found, stops): (Vec<_>, Vec<_>) = self.ranks.gather(own)?.into_iter().unzip();
        self.record(epoch_state, found, observer)?;
        Ok(stops.contains(&true))
    }

    /// Adds what the ranks found, in the order of batches.
    fn record(&mut self, epoch_state: &mut EpochState, found: Vec<Found>, observer: &mut dyn Observer) -> Result<()> {
        let (mut losses, mut invalid) = (Vec::new(), Vec::new());
        for found in found {
            losses.extend(found.losses);
            invalid.extend(found.invalid);
            epoch_state.so_far.n_skipped += found.n_skipped;
        }
        losses.sort_by_key(|loss| (loss.of.item, loss.of.auxiliary));
        invalid.sort_by_key(|(item, _)| *item);
        for (item, samples) in invalid {
            self.record_invalid(self.batches.pool(item), &samples, observer)?;
        }
        for BatchLoss { of, value } in losses {
            let pool = self.batches.pool(of.item);
            let objective = objective(pool, of);
            match objective {
                Objective::Pretext => epoch_state.so_far.pretext.add(&pool.label, value),
                Objective::Distillation => epoch_state.so_far.distillation.add(&pool.label, value),
            }
            if !of.auxiliary {
                let (epoch, step) = self.batches.place(of.item);
                observer.step(&StepReport {
                    epoch: epoch + 1,
                    step: step + 1,
                    n_samples: of.n_samples,
                    label: &pool.label,
                    kind: kind(objective),
                    loss: value,
                });
            }
        }
        Ok(())
    }

    fn loss(&self, pool: &Pool, batch: &DeviceBatch, item: usize) -> Result<Loss> {
        let model = self.train_state.model();
        let family = self.stage.family(self.stage.dataset(pool))?;
        let seed = self.stage.seed;
        let place = self.batches.key(item);
        let temporal = rng::keyed(seed, "temporal", &place).random_range(0..model.n_temporal(family));
        let drop_path = self.stage.model.dimensions.drop_path;
        let context = StepContext { batch, family, temporal, drop_path, seed, place };
        if pool.dataset != 0 {
            return Ok(Loss { of_batch: self.strategy.replay_loss(model, &context), auxiliary: None });
        }
        let encoded = context.encode(model);
        let auxiliary = self.strategy.auxiliary_loss(model, &context, &encoded);
        Ok(Loss { of_batch: pretext_loss(model, family, batch, encoded), auxiliary })
    }

    fn check_finite(&self, value: f32, pool: &Pool, item: usize, kind: &'static str) -> Result<()> {
        if value.is_finite() {
            return Ok(());
        }
        let (epoch, step) = self.batches.place(item);
        Err(Error::NotFinite {
            stage: self.stage.folder.name(),
            epoch: epoch + 1,
            step: step + 1,
            modality: self.stage.dataset(pool).modality().into(),
            kind,
            value,
            checkpoint: self.checkpoints.latest_name(),
        })
    }

    /// Records invalid samples, once each, and fails when their number exceeds the limit.
    fn record_invalid(
        &mut self,
        pool: &Pool,
        invalid: &[(u64, SampleReport)],
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let dataset = self.stage.dataset(pool);
        let options = self.stage.settings.loader_options();
        let known = &mut self.state.invalid_samples;
        record_invalid_samples(known, dataset, invalid, options, &mut |id, reason| {
            observer.invalid_sample(dataset.modality(), id, reason);
        })
    }
}

/// Scalar losses of a batch.
struct Loss {
    of_batch: Tensor<1>,
    auxiliary: Option<Tensor<1>>,
}

/// Objective of a loss of a batch.
fn objective(pool: &Pool, of: LossOf) -> Objective {
    if of.auxiliary { Objective::Distillation } else { pool.objective }
}

fn kind(objective: Objective) -> &'static str {
    match objective {
        Objective::Pretext => "pretext",
        Objective::Distillation => "distillation",
    }
}
