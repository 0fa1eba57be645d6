//! Run of a stage: sets up student, strategy and checkpoints, trains the epochs, selects the buffer, writes the files.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::Module;
use burn::tensor::Device;

use super::batches::Batches;
use super::definition::Stage;
use super::features::{Encoding, EncodingMode, FeaturePass, Features, Pooling};
use super::observer::{Observer, StageEndTask, StageReport};
use super::trainer::{StageTrainer, TrainState};
use crate::buffer::{FeatureMode, RehearsalBuffer, Store};
use crate::continual::{Beside, ContinualStrategy, StageEnd, StageStart};
use crate::data::EpochPlan;
use crate::device::check_precision;
use crate::model::{Model, Precision};
use crate::optimisation::adamw;
use crate::ranks::Ranks;
use crate::run::{
    CHECKSUM_PLACEHOLDER, Checkpoints, FORMAT, MetricsLog, RestoredState, RunLayout, StageState, save_model,
    write_folder, write_manifest,
};
use crate::{Result, RunError, SettingError, rng};

impl Stage<'_> {
    /// Runs the stage, from its latest checkpoint if there is one, and writes model, buffer, metrics and state into its folder. All ranks run the
    /// same stage; the root writes.
    ///
    /// # Errors
    /// Settings out of range, data that do not fit, too many invalid samples, a loss that is not finite, files that cannot be written, another rank
    /// that failed.
    pub fn run(&self, ranks: &Ranks, observer: &mut dyn Observer) -> Result<StageState> {
        let state = self.run_on(ranks, observer);
        if let Err(error) = &state {
            ranks.fail(error);
        }
        state
    }

    fn run_on(&self, ranks: &Ranks, observer: &mut dyn Observer) -> Result<StageState> {
        self.settings.check()?;
        check_precision(&self.device, self.settings.precision)?;
        ranks.check_accumulation(self.settings.gradient_accumulation)?;
        let pools = self.pools()?;
        let n_steps = EpochPlan::n_steps(&pools);
        self.check_updates(n_steps)?;
        observer.stage_started(&StageReport {
            stage: self.number,
            modality: self.current.modality(),
            label: &self.label(self.earlier.len()),
            n_samples: self.current.ids().len(),
            epochs: self.epochs(),
            n_steps,
        });
        for (label, n_samples) in self.dropped_buffers() {
            let batch_size = self.settings.batch_size;
            observer.warning(&format!(
                "the buffer of {label} is not rehearsed: it has {n_samples} samples, fewer than a batch of {batch_size} (buffer.drop_last)"
            ));
        }
        ranks.agree(if ranks.is_root() { self.folder.path().create_folder() } else { Ok(()) })?;

        let device = self.device.clone().autodiff();
        let student = self.student(&device)?;
        let mut strategy = self.settings.strategy.build(&StageStart {
            stage: self.number,
            seed: self.seed,
            epochs: self.settings.epochs,
            model: &self.model,
            student: &student,
            // The initial model belongs to no stage: a strategy keeps nothing of it.
            previous: self.previous.as_ref().filter(|_| !self.earlier.is_empty()),
            device: &device,
        })?;
        let student = strategy.prepare(student);
        let optimiser = adamw(&self.settings.optimiser, &student);
        let checkpoints = Checkpoints::new(self.folder.clone());
        let RestoredState { model, optimiser, state, metrics, damaged } = checkpoints.restore(student, optimiser)?;
        for error in damaged {
            observer.warning(&format!("{error}; the checkpoint before it is used"));
        }
        let mut state = state.map_or_else(|| Ok(self.initial_state()), |state| self.accept(state, n_steps))?;
        let mut metrics = MetricsLog::begin(self.folder.file(RunLayout::METRICS), metrics, ranks.is_root())?;

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
            ranks,
        };
        trainer.run(observer)?;
        // The selection must not depend on the precision of the training.
        let model = train_state.into_model().with_precision(Precision::default());
        self.finish(model, strategy.as_mut(), state, &checkpoints, ranks, observer)
    }

    /// Checks that an epoch has an update.
    fn check_updates(&self, n_steps: usize) -> Result<()> {
        let accumulation = self.settings.gradient_accumulation;
        if self.deferred || !self.settings.drop_last || n_steps >= accumulation {
            return Ok(());
        }
        let expected = format!("at most the {n_steps} batches of an epoch: training.drop_last drops fewer");
        Err(SettingError::out_of_range("training.gradient_accumulation", accumulation, expected).into())
    }

    /// The student at the start of the stage.
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
            files: self.current.account().cloned(),
            invalid_samples: BTreeMap::new(),
            updated_parameters: BTreeSet::new(),
            checksums: BTreeMap::new(),
        }
    }

    /// Checks that a checkpoint belongs to this stage and these data.
    fn accept(&self, found: StageState, n_steps: usize) -> Result<StageState> {
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
        let steps = n_steps as u64 * found.epochs_done.min(expected.epochs) as u64;
        let in_epoch = found.unfinished.as_ref().map_or(0, |epoch| epoch.steps);
        for (field, found, expected) in [
            ("finished epochs", found.epochs_done as u64, 0..=expected.epochs as u64),
            ("batches of an epoch", in_epoch as u64, 0..=n_steps as u64),
            ("batches", found.steps, 0..=steps + in_epoch.min(n_steps) as u64),
        ] {
            if !expected.contains(&found) {
                return Err(RunError::CheckpointMismatch {
                    stage: self.folder.name(),
                    field,
                    found: found.to_string(),
                    expected: format!("at most {}", expected.end()),
                }
                .into());
            }
        }
        Ok(found)
    }

    /// Finishes the stage: the strategy's last work, the features of all samples; on the root the selection of the buffer and the files.
    fn finish(
        &self,
        mut model: Model,
        strategy: &mut dyn ContinualStrategy,
        mut state: StageState,
        checkpoints: &Checkpoints,
        ranks: &Ranks,
        observer: &mut dyn Observer,
    ) -> Result<StageState> {
        state.updated_parameters.clear();
        let mut beside = Beside::new();
        if !self.deferred {
            let mut end = StageEnd {
                dataset: self.current,
                family: self.family(self.current)?,
                device: &self.device.clone().autodiff(),
                num_workers: self.settings.num_workers,
                progress: &mut |done, all| {
                    observer.stage_end(StageEndTask::Importance, done, all);
                    self.go_on(observer, "while the importance of parameters was estimated", checkpoints)
                },
            };
            (model, beside) = strategy.end_stage(model, &mut end)?;
        }
        let features = self.features(&model, &mut state, checkpoints, ranks, observer)?;
        let state = match ranks.is_root() {
            true => Some(self.write(&model, beside, features, state, checkpoints, observer)?),
            false => None,
        };
        let state = ranks.from_root(state)?;
        observer.stage_finished(&state);
        Ok(state)
    }

    /// Selects the buffer and writes the files of the finished stage.
    fn write(
        &self,
        model: &Model,
        beside: Beside,
        features: Features,
        state: StageState,
        checkpoints: &Checkpoints,
        observer: &mut dyn Observer,
    ) -> Result<StageState> {
        let mut files = [RunLayout::MODEL, RunLayout::BUFFER, RunLayout::METRICS].map(String::from).to_vec();
        for (name, values) in &beside {
            save_model(&self.folder.file(name), values)?;
            files.push((*name).into());
        }
        let kept = self.choose(&features, checkpoints, observer)?;
        self.folder.save_buffer(&kept.buffer)?;
        if self.settings.buffer.store == Store::Materialised {
            write_folder(&self.folder.file(RunLayout::BUFFER_SAMPLES), |folder| {
                self.current.keep(&kept.indices, folder)?;
                write_manifest(folder)
            })?;
            files.push(format!("{}/{}", RunLayout::BUFFER_SAMPLES, RunLayout::MANIFEST));
        }
        if self.folder.file(RunLayout::ASSETS).is_folder()? {
            files.push(format!("{}/{}", RunLayout::ASSETS, RunLayout::MANIFEST));
        }
        save_model(&self.folder.file(RunLayout::MODEL), model)?;
        let state = self.folder.finish(state, &files)?;
        checkpoints.clear()?;
        Ok(state)
    }

    /// Features of all samples, by which the buffer is selected; none where the strategy keeps no buffer.
    fn features(
        &self,
        model: &Model,
        state: &mut StageState,
        checkpoints: &Checkpoints,
        ranks: &Ranks,
        observer: &mut dyn Observer,
    ) -> Result<Features> {
        if !self.settings.strategy.name.keeps_buffer() {
            return Ok(Features::default());
        }
        let n_samples = self.current.ids().len();
        let family = self.family(self.current)?;
        observer.stage_end(StageEndTask::Features, 0, n_samples);
        let pass = FeaturePass {
            model: &model.valid(),
            family,
            dataset: self.current,
            encoding: self.encoding_for_selection(),
            options: self.settings.loader_options(),
            device: &self.device,
        };
        let mut features = pass.on_root(ranks, &mut |done| {
            observer.stage_end(StageEndTask::Features, done, n_samples);
            self.go_on(observer, "while the buffer was chosen", checkpoints)
        })?;
        if ranks.is_root() {
            features.leave_out_skipped();
        }
        for (id, message) in &features.invalid {
            // A sample that no batch of the training held.
            if state.invalid_samples.insert(id.clone(), message.clone()).is_none() {
                observer.invalid_sample(self.current.modality(), id, message);
            }
        }
        Ok(features)
    }

    /// Selects the buffer by the features of all samples; empty where the strategy keeps no buffer.
    fn choose(&self, features: &Features, checkpoints: &Checkpoints, observer: &mut dyn Observer) -> Result<Kept> {
        if !self.settings.strategy.name.keeps_buffer() {
            return Ok(Kept::default());
        }
        let n_samples = self.current.ids().len();
        let mut progress = |iteration, n_changed| {
            observer.stage_end(StageEndTask::KMeans { iteration }, n_changed, n_samples);
            self.go_on(observer, "while the buffer was chosen", checkpoints)
        };
        let mut options = self.settings.buffer.k_means_options(&self.device, &mut progress);
        let selected = self.settings.buffer.policy().select(
            &features.values,
            features.width,
            selection_seed(self.seed, self.number),
            &mut options,
        )?;
        Ok(Kept {
            indices: selected.iter().map(|selected| features.rows[selected.index]).collect(),
            buffer: RehearsalBuffer::new(&selected, &features.rows, self.current.ids()),
        })
    }

    /// Encoding of the samples by whose features the buffer is selected.
    fn encoding_for_selection(&self) -> Encoding {
        let buffer = &self.settings.buffer;
        let mode = match buffer.feature_mode {
            FeatureMode::Evaluation => EncodingMode::Evaluation,
            FeatureMode::Training => EncodingMode::Training {
                drop_path: self.model.dimensions.drop_path,
                seed: rng::derived(self.seed, "buffer features", &[self.number as u64]),
            },
        };
        Encoding { pooling: if buffer.pool_padding { Pooling::MeanWithPadding } else { Pooling::Mean }, mode }
    }

    /// An error if the user has asked to stop.
    fn go_on(&self, observer: &dyn Observer, place: &str, checkpoints: &Checkpoints) -> Result<()> {
        if observer.stop_requested() { Err(self.interrupted(place, checkpoints)) } else { Ok(()) }
    }
}

/// Seed of the selection of a stage's buffer: stages with equally many samples draw different ones.
fn selection_seed(seed: u64, stage: usize) -> u64 {
    rng::derived(seed, "buffer selection", &[stage as u64])
}

/// Samples that a stage keeps for later stages.
#[derive(Default)]
struct Kept {
    /// Indices of the buffer samples, in the order of the buffer.
    indices: Vec<u64>,
    buffer: RehearsalBuffer,
}
