//! One epoch: batches come from the loader in order; each gives a pretext or a distillation loss, a gradient, an update.

use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use rand::RngExt;

use super::{Observer, Stage, StepReport};
use crate::data::{EpochPlan, Loaded, Mixing, Pool, Prepared, RawBatch, Step, Use, View, load_in_order, prepare};
use crate::draw::generator;
use crate::model::Model;
use crate::pretext::pretext_loss;
use crate::run::{Checkpoints, EpochMetrics, EpochSoFar, MetricsLog, StageState};
use crate::strategy::{Lesson, Method};
use crate::{Error, Result};

/// The student and its optimiser.
pub(super) struct Learner {
    /// Taken out only while the optimiser updates it in place.
    model: Option<Model>,
    optimiser: ModuleOptimizer,
}

impl Learner {
    pub fn new(model: Model, optimiser: ModuleOptimizer) -> Self {
        Self { model: Some(model), optimiser }
    }

    pub fn model(&self) -> &Model {
        self.model.as_ref().expect("the model is absent only within `change`")
    }

    pub fn optimiser(&self) -> &ModuleOptimizer {
        &self.optimiser
    }

    /// Puts another model in the place of this one.
    pub fn change(&mut self, change: impl FnOnce(Model) -> Result<Model>) -> Result<()> {
        self.model = self.model.take().map(change).transpose()?;
        Ok(())
    }

    pub fn into_model(self) -> Model {
        self.model.expect("the model is absent only within `change`")
    }

    fn update(&mut self, learning_rate: f64, gradients: GradientsParams, method: &dyn Method) {
        let optimiser = &mut self.optimiser;
        self.model =
            self.model.take().map(|model| method.after_update(optimiser.step(learning_rate, model, gradients)));
    }
}

/// One epoch of a stage.
pub(super) struct Epoch<'a> {
    pub stage: &'a Stage<'a>,
    pub pools: &'a [Pool],
    pub plan: &'a EpochPlan,
    pub method: &'a dyn Method,
    /// With gradients.
    pub device: &'a Device,
    pub checkpoints: &'a Checkpoints,
    /// Of the epochs before.
    pub metrics: &'a MetricsLog,
    /// From 0.
    pub epoch: usize,
}

impl Epoch<'_> {
    /// Learns the batches of the epoch that are not yet learned: all of them, or those after the checkpoint within it.
    ///
    /// A checkpoint falls between two updates, so that no gradients are ever half accumulated in one.
    pub fn run(
        &self,
        learner: &mut Learner,
        state: &mut StageState,
        observer: &mut dyn Observer,
    ) -> Result<EpochMetrics> {
        let settings = self.stage.settings;
        let schedule = settings.schedule();
        let n_steps = self.plan.steps.len();
        let mut accumulated = GradientsAccumulator::<Model>::new();
        let mut so_far = state.unfinished.take().unwrap_or_default();
        let mut saved_at = so_far.steps;

        let load = |item: usize, raw: &mut RawBatch| self.load(item, raw);
        let waited =
            load_in_order(so_far.steps.min(n_steps)..n_steps, settings.loader_threads, load, |item, loaded| {
                let pool = &self.pools[self.plan.steps[item].pool];
                self.note_bad_samples(pool, &loaded, state, observer)?;
                if let Some(batch) = &loaded.batch {
                    let Loss { of_batch, further } = self.loss(learner.model(), pool, batch, item)?;
                    let value: f32 = of_batch.clone().into_scalar();
                    self.check_finite(value, pool, item, kind(pool.purpose))?;
                    match pool.purpose {
                        Use::Pretext => so_far.pretext.add(&pool.label, value),
                        Use::Distillation => so_far.distillation.add(&pool.label, value),
                    }
                    let loss = match further {
                        Some(further) => {
                            let value: f32 = further.clone().into_scalar();
                            self.check_finite(value, pool, item, kind(Use::Distillation))?;
                            so_far.distillation.add(&pool.label, value);
                            of_batch + further
                        }
                        None => of_batch,
                    };
                    let gradients = loss.div_scalar(settings.accumulation as f32).backward();
                    let gradients = GradientsParams::from_grads(gradients, learner.model());
                    accumulated.accumulate(learner.model(), gradients);
                    observer.step(&StepReport {
                        epoch: self.epoch + 1,
                        step: item + 1,
                        n_samples: batch.n(),
                        label: &pool.label,
                        kind: kind(pool.purpose),
                        loss: value,
                    });
                }
                state.steps += 1;
                so_far.steps = item + 1;
                let last = so_far.steps == n_steps;
                if !last && !so_far.steps.is_multiple_of(settings.accumulation) {
                    return Ok(());
                }
                // As in the reference, the rate is that of the first of the batches whose gradients are added up.
                let first = item / settings.accumulation * settings.accumulation;
                so_far.learning_rate = schedule.learning_rate(self.epoch as f64 + first as f64 / n_steps as f64);
                let gradients = self.method.before_update(learner.model(), accumulated.grads());
                learner.update(so_far.learning_rate, gradients, self.method);

                let stop = observer.stop_requested();
                let due = settings.checkpoint_every_steps.is_some_and(|steps| so_far.steps - saved_at >= steps);
                if last || !(stop || due) {
                    return Ok(());
                }
                self.save(learner, state, &so_far)?;
                saved_at = so_far.steps;
                match stop {
                    true => Err(self.interrupted(&so_far)),
                    false => Ok(()),
                }
            })?;
        observer.waited(waited);

        Ok(EpochMetrics {
            stage: self.stage.number,
            modality: self.stage.current.modality().into(),
            epoch: self.epoch + 1,
            step: state.steps,
            learning_rate: so_far.learning_rate,
            pretext: so_far.pretext.means(),
            distillation: so_far.distillation.means(),
            penalty: self.method.penalty(learner.model())?,
        })
    }

    /// A checkpoint within the epoch.
    fn save(&self, learner: &Learner, state: &StageState, so_far: &EpochSoFar) -> Result<()> {
        let state = StageState { unfinished: Some(so_far.clone()), ..state.clone() };
        self.checkpoints.save(learner.model(), learner.optimiser(), self.metrics, &state)
    }

    fn interrupted(&self, so_far: &EpochSoFar) -> Error {
        let place = format!("epoch {}, step {} of {}", self.epoch + 1, so_far.steps, self.plan.steps.len());
        self.stage.interrupted(&place, self.checkpoints)
    }

    /// Where in the run an item stands: the key of its draws.
    fn place(&self, item: usize) -> [u64; 3] {
        [self.stage.number as u64, self.epoch as u64, item as u64]
    }

    /// Reads and prepares one batch; runs on a loader thread.
    fn load(&self, item: usize, raw: &mut RawBatch) -> Result<Loaded> {
        let Step { pool, indices, seeds } = &self.plan.steps[item];
        let pool = &self.pools[*pool];
        let source = self.stage.source(pool);
        let bad = source.fill(View::Train, indices, seeds, raw)?;
        let keep: Vec<usize> = (0..indices.len()).filter(|slot| bad.iter().all(|bad| bad.slot != *slot)).collect();
        let mut mixup = generator(self.stage.seed, "mixup", &self.place(item));
        let mixing = (pool.purpose == Use::Distillation && self.stage.settings.rehearsal.mixup)
            .then_some(Mixing { generator: &mut mixup });
        let reconstruct = pool.purpose == Use::Pretext;
        let batch = (!keep.is_empty()).then(|| prepare(raw, source.spec(), &keep, reconstruct, mixing));
        Ok(Loaded { batch, bad: bad.into_iter().map(|bad| (indices[bad.slot], bad)).collect() })
    }

    fn loss(&self, model: &Model, pool: &Pool, batch: &Prepared, item: usize) -> Result<Loss> {
        let family = self.stage.family(self.stage.source(pool))?;
        let seed = self.stage.seed;
        let place = self.place(item);
        let temporal = generator(seed, "temporal", &place).random_range(0..model.n_temporal(family));
        let drop_path = self.stage.model.dimensions.drop_path;
        let lesson = Lesson { batch, family, temporal, drop_path, seed, place, device: self.device };
        if pool.source != 0 {
            return Ok(Loss { of_batch: self.method.recalled_loss(model, &lesson), further: None });
        }
        let encoded = lesson.encode(model);
        let further = self.method.further_loss(model, &lesson, &encoded);
        Ok(Loss { of_batch: pretext_loss(model, family, batch, encoded), further })
    }

    fn check_finite(&self, value: f32, pool: &Pool, item: usize, kind: &'static str) -> Result<()> {
        if value.is_finite() {
            return Ok(());
        }
        Err(Error::NotFinite {
            stage: self.stage.folder.name(),
            epoch: self.epoch + 1,
            step: item + 1,
            modality: self.stage.source(pool).modality().into(),
            kind,
            value,
            checkpoint: self.checkpoints.latest_name(),
        })
    }

    /// Records samples that could not be read, once each, and stops when they are too many.
    fn note_bad_samples(
        &self,
        pool: &Pool,
        loaded: &Loaded,
        state: &mut StageState,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let source = self.stage.source(pool);
        for (index, bad) in &loaded.bad {
            let id = source.ids()[*index as usize].clone();
            if state.bad_samples.contains_key(&id) {
                continue;
            }
            observer.bad_sample(source.modality(), &id, &bad.message);
            state.bad_samples.insert(id, bad.message.clone());
            let n_samples = source.ids().len();
            let n_bad = source.ids().iter().filter(|id| state.bad_samples.contains_key(*id)).count();
            if n_bad > self.stage.settings.reading().n_bad_allowed(n_samples) {
                let modality = source.modality().into();
                return Err(Error::TooManyBadSamples { modality, n_bad, n_samples, latest: bad.message.clone() });
            }
        }
        Ok(())
    }
}

/// The losses of a batch, scalars.
struct Loss {
    of_batch: Tensor<1>,
    further: Option<Tensor<1>>,
}

fn kind(purpose: Use) -> &'static str {
    match purpose {
        Use::Pretext => "pretext",
        Use::Distillation => "distillation",
    }
}
