//! Training of a stage: batches come from the loader in order; each gives a pretext or a distillation loss, a gradient, an update.

use std::time::Duration;

use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use rand::RngExt;

use super::batches::Batches;
use super::definition::Stage;
use super::losses::{LossOf, UnreadLosses};
use super::observer::{Observer, StepReport};
use crate::continual::{ContinualStrategy, StepContext};
use crate::data::{BatchLoader, LoadedBatch, Objective, Pool, record_invalid_samples};
use crate::model::{DeviceBatch, Model, fill_missing_gradients};
use crate::optimisation::MissingGradients;
use crate::pretext::pretext_loss;
use crate::rng;
use crate::run::{Checkpoints, EpochMetrics, EpochSoFar, MetricsLog, StageState};
use crate::{Error, Result};

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
}

/// State of the epoch in training.
#[derive(Default)]
struct EpochState {
    so_far: EpochSoFar,
    /// Number of batches that the latest checkpoint has seen.
    saved_at: usize,
    waited: Duration,
    accumulated: GradientsAccumulator<Model>,
    unread: UnreadLosses,
    n_unread_steps: usize,
}

impl StageTrainer<'_> {
    /// Trains the remaining epochs. An unfinished epoch continues after its checkpoint.
    ///
    /// A checkpoint falls between two updates, so that no gradients are ever half accumulated in one.
    pub fn run(mut self, observer: &mut dyn Observer) -> Result<()> {
        let batches = self.batches;
        let n_steps = batches.n_steps();
        let so_far = self.state.unfinished.take().unwrap_or_default();
        let first = self.state.epochs_done * n_steps + so_far.steps.min(n_steps);
        let mut epoch_state = EpochState { saved_at: so_far.steps, so_far, ..EpochState::default() };
        let loader = BatchLoader::new(self.stage.settings.num_workers, |item| batches.request(item));
        let items = first..self.stage.epochs() * n_steps;
        loader.for_each(items, |item, loaded| {
            let (epoch, step) = batches.place(item);
            if item == first || step == 0 {
                let strategy = &mut *self.strategy;
                self.train_state.change(|model| strategy.before_epoch(epoch, model))?;
                batches.forget_before(epoch);
            }
            epoch_state.waited += loaded.waited;
            self.learn(&mut epoch_state, item, loaded, observer)?;
            if step + 1 == n_steps {
                self.end_epoch(std::mem::take(&mut epoch_state), epoch, observer)?;
            }
            Ok(())
        })
    }

    /// Trains on a batch, with an update of the parameters and a checkpoint where due.
    fn learn(
        &mut self,
        epoch_state: &mut EpochState,
        item: usize,
        mut loaded: LoadedBatch,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let settings = self.stage.settings;
        let n_steps = self.batches.n_steps();
        let (epoch, step) = self.batches.place(item);
        let pool = self.batches.pool(item);
        self.record_invalid(pool, &loaded, observer)?;
        if let Some(batch) = loaded.batch.take() {
            let batch = DeviceBatch::new(batch, self.device);
            let Loss { of_batch, auxiliary } = self.loss(pool, &batch, item)?;
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
            let gradients = loss.div_scalar(settings.gradient_accumulation as f32).backward();
            epoch_state.accumulated.accumulate(model, GradientsParams::from_grads(gradients, model));
        }
        epoch_state.n_unread_steps += 1;
        if epoch_state.n_unread_steps >= settings.loss_every_steps_on(self.device) {
            self.read_losses(epoch_state, observer)?;
        }
        self.state.steps += 1;
        epoch_state.so_far.steps = step + 1;
        let last = epoch_state.so_far.steps == n_steps;
        let is_complete = epoch_state.so_far.steps.is_multiple_of(settings.gradient_accumulation);
        if !is_complete && (!last || settings.drop_last) {
            return Ok(());
        }
        // As in the reference, the learning rate is that of the first batch of the accumulation.
        let first = step / settings.gradient_accumulation * settings.gradient_accumulation;
        epoch_state.so_far.learning_rate =
            settings.schedule().learning_rate(epoch as f64 + first as f64 / n_steps as f64);
        let mut gradients = epoch_state.accumulated.grads();
        if settings.optimiser.missing_gradients == MissingGradients::Zero {
            fill_missing_gradients(self.train_state.model(), &mut gradients, &mut self.state.updated_parameters);
        }
        let gradients = self.strategy.before_update(self.train_state.model(), gradients);
        self.train_state.update(epoch_state.so_far.learning_rate, gradients, &*self.strategy);

        let stop = observer.stop_requested();
        let due = settings
            .checkpoint_every_steps
            .is_some_and(|steps| epoch_state.so_far.steps - epoch_state.saved_at >= steps);
        if last || !(stop || due) {
            return Ok(());
        }
        self.read_losses(epoch_state, observer)?;
        self.save(Some(epoch_state.so_far.clone()))?;
        epoch_state.saved_at = epoch_state.so_far.steps;
        match stop {
            true => Err(self.interrupted(&format!("epoch {}, step {} of {n_steps}", epoch + 1, step + 1))),
            false => Ok(()),
        }
    }

    /// Ends an epoch: its metrics, and a checkpoint where due.
    fn end_epoch(&mut self, mut epoch_state: EpochState, epoch: usize, observer: &mut dyn Observer) -> Result<()> {
        self.read_losses(&mut epoch_state, observer)?;
        observer.waited(epoch_state.waited);
        let metrics = EpochMetrics {
            stage: self.stage.number,
            modality: self.stage.current.modality().into(),
            epoch: epoch + 1,
            step: self.state.steps,
            learning_rate: epoch_state.so_far.learning_rate,
            pretext: epoch_state.so_far.pretext.means(),
            distillation: epoch_state.so_far.distillation.means(),
            penalty: self.strategy.penalty(self.train_state.model())?,
        };
        self.metrics.append(&metrics)?;
        self.state.epochs_done = epoch + 1;
        observer.epoch_finished(&metrics);
        let (last, stop) = (epoch + 1 == self.stage.epochs(), observer.stop_requested());
        if stop || last || self.state.epochs_done.is_multiple_of(self.stage.settings.checkpoint_every) {
            self.save(None)?;
        }
        match stop {
            true => Err(self.interrupted(&format!("after epoch {}", epoch + 1))),
            false => Ok(()),
        }
    }

    /// Writes a checkpoint, within an epoch or after one.
    fn save(&self, unfinished: Option<EpochSoFar>) -> Result<()> {
        let state = StageState { unfinished, ..self.state.clone() };
        self.checkpoints.save(self.train_state.model(), self.train_state.optimiser(), self.metrics, &state)
    }

    fn interrupted(&self, place: &str) -> Error {
        self.stage.interrupted(place, self.checkpoints)
    }

    /// Reads the losses of the latest steps from the device. No checkpoint is written before, so none holds a model whose loss was not finite.
    fn read_losses(&self, epoch_state: &mut EpochState, observer: &mut dyn Observer) -> Result<()> {
        epoch_state.n_unread_steps = 0;
        for (of, value) in epoch_state.unread.read()? {
            let pool = self.batches.pool(of.item);
            let objective = if of.auxiliary { Objective::Distillation } else { pool.objective };
            self.check_finite(value, pool, of.item, kind(objective))?;
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
    fn record_invalid(&mut self, pool: &Pool, loaded: &LoadedBatch, observer: &mut dyn Observer) -> Result<()> {
        let dataset = self.stage.dataset(pool);
        let options = self.stage.settings.loader_options();
        let known = &mut self.state.invalid_samples;
        record_invalid_samples(known, dataset, &loaded.invalid, options, &mut |id, reason| {
            observer.invalid_sample(dataset.modality(), id, reason);
        })
    }
}

/// Scalar losses of a batch.
struct Loss {
    of_batch: Tensor<1>,
    auxiliary: Option<Tensor<1>>,
}

fn kind(objective: Objective) -> &'static str {
    match objective {
        Objective::Pretext => "pretext",
        Objective::Distillation => "distillation",
    }
}
