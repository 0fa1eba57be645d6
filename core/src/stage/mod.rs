//! One continual stage: masked modelling of a new modality, distillation of the earlier ones, then the choice of the buffer. That is the paper's
//! strategy; others do something else about the earlier ones, see [`crate::continual`].
//!
//! 1. The first stage starts from fresh or imported parameters; a later one from the previous stage's model, which also is its teacher.
//! 2. Every epoch is a shuffled list of single-modality batches, see [`crate::data`].
//! 3. After the last epoch the features of all samples are clustered and the buffer is kept.

mod batches;
mod features;
mod losses;
mod observer;
mod settings;
mod trainer;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Device;

pub use features::{EncodedBatch, Features, Pooling, encode_samples, extract_features};
pub use observer::{ClosingWork, Observer, Silent, StageReport, StepReport};
pub use settings::StageSettings;

use crate::buffer::{RehearsalBuffer, Store};
use crate::clustering::KMeansOptions;
use crate::continual::{ContinualStrategy, ReplaySource, StageEnd, StageStart};
use crate::data::{Dataset, EpochPlan, Objective, Pool};
use crate::model::{Model, ModelConfig, Precision};
use crate::optimisation::adamw;
use crate::run::{
    CHECKSUM_PLACEHOLDER, Checkpoints, FORMAT, MetricsLog, Restored, RunLayout, StageFolder, StageState, StoredModel,
    save_model, write_folder, write_manifest,
};
use crate::{DataError, Error, ModelError, Result, RunError};

use batches::Batches;
use trainer::{StageTrainer, TrainState};

/// An earlier stage, as a later one sees it.
pub struct PreviousStage<'a> {
    /// Its data.
    pub dataset: &'a dyn Dataset,
    /// Its buffer; empty where the strategy keeps none.
    pub buffer: RehearsalBuffer,
    /// Passes over its data, where all of them are learned together.
    pub epochs: usize,
    /// Samples in a batch.
    pub batch_size: usize,
}

/// A stage that is about to run.
pub struct Stage<'a> {
    /// Position in the run, from 1.
    pub number: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Settings.
    pub settings: &'a StageSettings,
    /// The new modality.
    pub current: &'a dyn Dataset,
    /// Sizes of the model, with the families of earlier stages and of this one.
    pub model: ModelConfig,
    /// The model to go on with: the previous stage's, or the one that the run begins with; none for fresh parameters.
    pub previous: Option<StoredModel>,
    /// PreviousStage stages in their order.
    pub earlier: Vec<PreviousStage<'a>>,
    /// Whether the stage only joins: a later one will learn its data together with its own.
    pub deferred: bool,
    /// Where it is written.
    pub folder: StageFolder,
    /// Where it is computed.
    pub device: Device,
}

impl Stage<'_> {
    /// Runs the stage, from its latest checkpoint if there is one, and leaves model, buffer, metrics and state in its folder.
    ///
    /// # Errors
    /// Settings out of range, data that do not fit, too many invalid samples, a loss that is not finite, files that cannot be written.
    pub fn run(&self, observer: &mut dyn Observer) -> Result<StageState> {
        self.settings.check()?;
        let pools = self.pools()?;
        let n_steps = EpochPlan::n_steps(&pools);
        observer.stage_started(&StageReport {
            stage: self.number,
            modality: self.current.modality(),
            label: &self.label(self.earlier.len()),
            n_samples: self.current.ids().len(),
            epochs: self.epochs(),
            n_steps,
        });
        std::fs::create_dir_all(self.folder.path()).map_err(Error::file("cannot create", self.folder.path()))?;

        let device = self.device.clone().autodiff();
        let student = self.student(&device)?;
        let mut strategy = self.settings.strategy.build(&StageStart {
            stage: self.number,
            seed: self.seed,
            epochs: self.settings.epochs,
            model: &self.model,
            student: &student,
            // A model from elsewhere is no stage's: nothing is kept of it.
            previous: self.previous.as_ref().filter(|_| !self.earlier.is_empty()),
            device: &device,
        })?;
        let student = strategy.prepare(student);
        let optimiser = adamw(&self.settings.optimiser, &student);
        let checkpoints = Checkpoints::new(self.folder.clone());
        let Restored { model, optimiser, state, metrics, damaged } = checkpoints.restore(student, optimiser)?;
        for error in damaged {
            observer.warning(&format!("{error}; the checkpoint before it is used"));
        }
        let mut state = state.map_or_else(|| Ok(self.initial_state()), |state| self.accept(state))?;
        let mut metrics = MetricsLog::begin(self.folder.file(RunLayout::METRICS), metrics)?;

        let mut train_state = TrainState::new(model, optimiser);
        let trainer = StageTrainer {
            stage: self,
            batches: &Batches::new(self, &pools),
            strategy: strategy.as_mut(),
            device: &device,
            checkpoints: &checkpoints,
            metrics: &mut metrics,
            state: &mut state,
            train_state: &mut train_state,
        };
        trainer.run(observer)?;
        // What is chosen by a model should not depend on how fast it was learned.
        let model = train_state.into_model().with_precision(Precision::default());
        self.finish(model, strategy.as_mut(), state, &checkpoints, observer)
    }

    /// Batches of an epoch, by the name of their losses: the modality, with the stage's number where it comes again.
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

    /// Passes over the data.
    fn epochs(&self) -> usize {
        if self.deferred { 0 } else { self.settings.epochs }
    }

    fn interrupted(&self, place: &str, checkpoints: &Checkpoints) -> Error {
        let place = format!("stage {} {}, {place}", self.number, self.current.modality());
        Error::Interrupted { place, checkpoint: checkpoints.latest_name() }
    }

    /// The current modality, then what the strategy replays of each earlier stage.
    fn pools(&self) -> Result<Vec<Pool>> {
        if self.current.ids().is_empty() {
            return Err(DataError::NoSamples { modality: self.current.modality().into() }.into());
        }
        let batch_size = self.settings.batch_size;
        let all = |dataset: &dyn Dataset| (0..dataset.ids().len() as u64).collect::<Vec<_>>();
        let pool =
            |dataset, label, objective, indices| Pool { dataset, objective, label, indices, batch_size, passes: 1.0 };
        let mut pools = vec![pool(0, self.label(self.earlier.len()), Objective::Pretext, all(self.current))];
        for (at, earlier) in self.earlier.iter().enumerate() {
            let kept = || earlier.buffer.indices(earlier.dataset.modality(), earlier.dataset.ids());
            let label = self.label(at);
            let pool = match self.settings.strategy.replay_source() {
                ReplaySource::Nothing => continue,
                ReplaySource::DistilledBuffers { .. } => pool(at + 1, label, Objective::Distillation, kept()?),
                ReplaySource::Buffers => pool(at + 1, label, Objective::Pretext, kept()?),
                // As many batches as in a stage of its own.
                ReplaySource::AllSamples => Pool {
                    batch_size: earlier.batch_size,
                    passes: earlier.epochs as f64 / self.settings.epochs as f64,
                    ..pool(at + 1, label, Objective::Pretext, all(earlier.dataset))
                },
            };
            if !pool.indices.is_empty() {
                pools.push(pool);
            }
        }
        Ok(pools)
    }

    /// Name of a stage's losses, by its position from 0: `ct`, or `ct#6` when an earlier stage had the same modality.
    fn label(&self, at: usize) -> String {
        let modality = |at: usize| self.earlier.get(at).map_or(self.current, |earlier| earlier.dataset).modality();
        let own = modality(at);
        if (0..at).any(|before| modality(before) == own) { format!("{own}#{}", at + 1) } else { own.into() }
    }

    /// The dataset that a pool draws from.
    fn dataset(&self, pool: &Pool) -> &dyn Dataset {
        match pool.dataset {
            0 => self.current,
            earlier => self.earlier[earlier - 1].dataset,
        }
    }

    /// The model as the stage begins.
    fn student(&self, device: &Device) -> Result<Model> {
        let student = match &self.previous {
            Some(stored) => stored.load(device)?.next_student(&self.model, self.seed, self.number, device),
            None => Model::new(&self.model, self.seed, self.number, device),
        };
        Ok(student.with_precision(self.settings.precision))
    }

    fn initial_state(&self) -> StageState {
        StageState {
            format: FORMAT,
            checksum: CHECKSUM_PLACEHOLDER.into(),
            stage: self.number,
            modality: self.current.modality().into(),
            family: self.current.family().into(),
            model: self.model.clone(),
            seed: self.seed,
            epochs_done: 0,
            epochs: self.epochs(),
            steps: 0,
            unfinished: None,
            n_samples: self.current.ids().len(),
            fingerprint: self.current.fingerprint().into(),
            invalid_samples: BTreeMap::new(),
            checksums: BTreeMap::new(),
        }
    }

    /// Makes sure that a checkpoint belongs to this stage and these data.
    fn accept(&self, found: StageState) -> Result<StageState> {
        let expected = self.initial_state();
        for (field, found, expected) in [
            ("modality", &found.modality, &expected.modality),
            ("data fingerprint", &found.fingerprint, &expected.fingerprint),
            ("seed", &found.seed.to_string(), &expected.seed.to_string()),
        ] {
            if found != expected {
                return Err(RunError::CheckpointMismatch {
                    stage: self.folder.name(),
                    field,
                    found: found.clone(),
                    expected: expected.clone(),
                }
                .into());
            }
        }
        Ok(found)
    }

    /// Lets the strategy end its work, chooses the buffer and closes the stage.
    fn finish(
        &self,
        model: Model,
        strategy: &mut dyn ContinualStrategy,
        mut state: StageState,
        checkpoints: &Checkpoints,
        observer: &mut dyn Observer,
    ) -> Result<StageState> {
        let mut files = [RunLayout::MODEL, RunLayout::BUFFER, RunLayout::METRICS].map(String::from).to_vec();
        let mut model = model;
        if !self.deferred {
            let mut end = StageEnd {
                folder: &self.folder,
                source: self.current,
                family: self.family(self.current)?,
                device: &self.device.clone().autodiff(),
                num_workers: self.settings.num_workers,
                progress: &mut |done, all| {
                    observer.closing(ClosingWork::Importance, done, all);
                    self.go_on(observer, "while the importance of parameters was estimated", checkpoints)
                },
            };
            let (left, more) = strategy.end_stage(model, &mut end)?;
            (model, files) = (left, [files, more].concat());
        }
        let kept = self.choose(&model, &mut state, checkpoints, observer)?;
        self.folder.save_buffer(&kept.buffer)?;
        if self.settings.buffer.store == Store::Materialised {
            write_folder(&self.folder.file(RunLayout::BUFFER_SAMPLES), |folder| {
                self.current.keep(&kept.indices, folder)?;
                write_manifest(folder)
            })?;
            files.push(format!("{}/{}", RunLayout::BUFFER_SAMPLES, RunLayout::MANIFEST));
        }
        if self.folder.file(RunLayout::ASSETS).is_dir() {
            files.push(format!("{}/{}", RunLayout::ASSETS, RunLayout::MANIFEST));
        }
        save_model(&self.folder.file(RunLayout::MODEL), &model)?;
        let state = self.folder.finish(state, &files)?;
        checkpoints.clear()?;
        observer.stage_finished(&state);
        Ok(state)
    }

    /// Chooses the buffer by the features of all samples; an empty one where the strategy keeps none.
    fn choose(
        &self,
        model: &Model,
        state: &mut StageState,
        checkpoints: &Checkpoints,
        observer: &mut dyn Observer,
    ) -> Result<Kept> {
        if !self.settings.strategy.name.keeps_buffer() {
            return Ok(Kept::default());
        }
        let n_samples = self.current.ids().len();
        let family = self.family(self.current)?;
        observer.closing(ClosingWork::Features, 0, n_samples);
        let features = extract_features(
            &model.valid(),
            family,
            self.current,
            self.settings.loader_options(),
            &self.device,
            &mut |done| {
                observer.closing(ClosingWork::Features, done, n_samples);
                self.go_on(observer, "while the buffer was chosen", checkpoints)
            },
        )?;
        for (id, message) in &features.invalid {
            state.invalid_samples.insert(id.clone(), message.clone());
        }
        let mut options = KMeansOptions {
            device: &self.device,
            max_iterations: KMeansOptions::MAX_ITERATIONS,
            progress: &mut |iteration, n_changed| {
                observer.closing(ClosingWork::KMeans { iteration }, n_changed, n_samples);
                self.go_on(observer, "while the buffer was chosen", checkpoints)
            },
        };
        let selected =
            self.settings.buffer.policy().select(&features.values, features.width, self.seed, &mut options)?;
        Ok(Kept {
            indices: selected.iter().map(|selected| features.rows[selected.index]).collect(),
            buffer: RehearsalBuffer::new(&selected, &features.rows, self.current.ids()),
        })
    }

    /// An error if someone has asked to stop.
    fn go_on(&self, observer: &dyn Observer, place: &str, checkpoints: &Checkpoints) -> Result<()> {
        if observer.stop_requested() { Err(self.interrupted(place, checkpoints)) } else { Ok(()) }
    }

    fn family(&self, dataset: &dyn Dataset) -> Result<usize> {
        self.model.family(dataset.family()).ok_or_else(|| {
            ModelError::UnknownFamily { family: dataset.family().into(), modality: dataset.modality().into() }.into()
        })
    }
}

/// What a stage keeps for later ones.
#[derive(Default)]
struct Kept {
    /// Of the kept samples, in the order of the buffer.
    indices: Vec<u64>,
    buffer: RehearsalBuffer,
}
