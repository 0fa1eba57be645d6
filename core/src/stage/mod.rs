//! One continual stage: masked modelling of a new modality, distillation of the earlier ones, then the choice of the buffer.
//!
//! 1. The first stage starts from fresh or imported parameters; a later one from the previous stage's model, which also is its teacher.
//! 2. Every epoch is a shuffled list of single-modality batches, see [`crate::data`].
//! 3. After the last epoch the features of all samples are clustered and the buffer is kept.

mod epoch;
mod features;
mod observer;
mod settings;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Device;

pub use features::{EncodedBatch, Features, Pooling, Reading, encode_samples, extract_features};
pub(crate) use features::{encode, mean_of_tokens};
pub use observer::{Observer, Silent, StageReport, StepReport};
pub use settings::StageSettings;

use crate::data::{EpochPlan, Pool, SampleSource, Use};
use crate::model::{Model, ModelConfig};
use crate::optimisation::adamw;
use crate::rehearsal::{BufferPolicy, KMeansPolicy, RehearsalBuffer, Store, Teacher};
use crate::run::{
    Checkpoints, FORMAT, KEPT_SAMPLES, MANIFEST, MetricsLog, Restored, StageFolder, StageState, StoredModel, UNSEALED,
    save_model, write_folder, write_manifest,
};
use crate::{Error, Result};

use epoch::{Epoch, Learner};

/// An earlier stage, as a later one sees it.
pub struct Earlier<'a> {
    /// Its data.
    pub source: &'a dyn SampleSource,
    /// Its buffer.
    pub buffer: RehearsalBuffer,
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
    pub current: &'a dyn SampleSource,
    /// Sizes of the model, with the families of earlier stages and of this one.
    pub model: ModelConfig,
    /// The model to go on with: the previous stage's, or the one that the run begins with; none for fresh parameters.
    pub previous: Option<StoredModel>,
    /// Earlier stages in their order.
    pub earlier: Vec<Earlier<'a>>,
    /// Where it is written.
    pub folder: StageFolder,
    /// Where it is computed.
    pub device: Device,
}

impl Stage<'_> {
    /// Runs the stage, from its latest checkpoint if there is one, and leaves model, buffer, metrics and state in its folder.
    ///
    /// # Errors
    /// Settings out of range, data that do not fit, too many bad samples, a loss that is not finite, files that cannot be written.
    pub fn run(&self, observer: &mut dyn Observer) -> Result<StageState> {
        self.settings.check()?;
        let pools = self.pools()?;
        let n_steps = EpochPlan::n_steps(&pools, self.settings.batch_size);
        observer.stage_started(&StageReport {
            stage: self.number,
            modality: self.current.modality(),
            n_samples: self.current.ids().len(),
            epochs: self.settings.epochs,
            n_steps,
        });
        std::fs::create_dir_all(self.folder.path()).map_err(Error::file("cannot create", self.folder.path()))?;

        let device = self.device.clone().autodiff();
        let (student, teacher) = self.student_and_teacher(&device)?;
        let optimiser = adamw(&self.settings.optimiser, &student);
        let checkpoints = Checkpoints::new(self.folder.clone());
        let Restored { model, optimiser, state, metrics, damaged } = checkpoints.restore(student, optimiser)?;
        for error in damaged {
            observer.warning(&format!("{error}; the checkpoint before it is used"));
        }
        let mut state = state.map_or_else(|| Ok(self.initial_state()), |state| self.accept(state))?;
        let mut metrics = MetricsLog::begin(self.folder.file("metrics.jsonl"), metrics)?;

        let mut learner = Learner::new(model, optimiser);
        for epoch in state.epochs_done..self.settings.epochs {
            let plan = EpochPlan::new(
                &pools,
                self.settings.batch_size,
                self.settings.rehearsal.sampling,
                self.seed,
                [self.number as u64, epoch as u64],
            );
            let run = Epoch {
                stage: self,
                pools: &pools,
                plan: &plan,
                teacher: teacher.as_ref(),
                device: &device,
                checkpoints: &checkpoints,
                metrics: &metrics,
                epoch,
            };
            let line = run.run(&mut learner, &mut state, observer)?;
            metrics.append(&line)?;
            state.epochs_done = epoch + 1;
            observer.epoch_finished(&line);
            let (last, stop) = (state.epochs_done == self.settings.epochs, observer.stop_requested());
            if stop || last || state.epochs_done.is_multiple_of(self.settings.checkpoint_every) {
                checkpoints.save(learner.model(), learner.optimiser(), &metrics, &state)?;
            }
            if stop {
                return Err(self.interrupted(&format!("after epoch {}", state.epochs_done), &checkpoints));
            }
        }
        self.finish(learner.model(), state, &checkpoints, observer)
    }

    fn interrupted(&self, place: &str, checkpoints: &Checkpoints) -> Error {
        let place = format!("stage {} {}, {place}", self.number, self.current.modality());
        Error::Interrupted { place, checkpoint: checkpoints.latest_name() }
    }

    /// The current modality, then every earlier buffer that is not empty.
    fn pools(&self) -> Result<Vec<Pool>> {
        if self.current.ids().is_empty() {
            return Err(Error::Data(format!("modality {} has no samples", self.current.modality())));
        }
        let indices = (0..self.current.ids().len() as u64).collect();
        let label = self.label(self.earlier.len());
        let mut pools = vec![Pool { source: 0, purpose: Use::Pretext, label, indices }];
        for (at, earlier) in self.earlier.iter().enumerate() {
            let indices = earlier.buffer.indices(earlier.source.modality(), earlier.source.ids())?;
            if !indices.is_empty() {
                pools.push(Pool { source: at + 1, purpose: Use::Distillation, label: self.label(at), indices });
            }
        }
        Ok(pools)
    }

    /// Name of a stage's losses, by its position from 0: `ct`, or `ct#6` when an earlier stage had the same modality.
    fn label(&self, at: usize) -> String {
        let modality = |at: usize| self.earlier.get(at).map_or(self.current, |earlier| earlier.source).modality();
        let own = modality(at);
        if (0..at).any(|before| modality(before) == own) { format!("{own}#{}", at + 1) } else { own.into() }
    }

    /// The source that a pool draws from.
    fn source(&self, pool: &Pool) -> &dyn SampleSource {
        match pool.source {
            0 => self.current,
            earlier => self.earlier[earlier - 1].source,
        }
    }

    fn student_and_teacher(&self, device: &Device) -> Result<(Model, Option<Teacher>)> {
        let Some(stored) = &self.previous else {
            return Ok((Model::new(&self.model, self.seed, self.number, device), None));
        };
        let previous = stored.load(device)?;
        // A model from elsewhere comes without a buffer: there is nothing to teach then.
        let teacher = (!self.earlier.is_empty()).then(|| Teacher::new(&previous));
        Ok((previous.next_student(&self.model, self.seed, self.number, device), teacher))
    }

    fn initial_state(&self) -> StageState {
        StageState {
            format: FORMAT,
            seal: UNSEALED.into(),
            stage: self.number,
            modality: self.current.modality().into(),
            family: self.current.family().into(),
            model: self.model.clone(),
            seed: self.seed,
            epochs_done: 0,
            epochs: self.settings.epochs,
            steps: 0,
            unfinished: None,
            n_samples: self.current.ids().len(),
            fingerprint: self.current.fingerprint().into(),
            bad_samples: BTreeMap::new(),
            checksums: BTreeMap::new(),
        }
    }

    /// Makes sure that a checkpoint belongs to this stage and these data.
    fn accept(&self, found: StageState) -> Result<StageState> {
        let expected = self.initial_state();
        for (what, found, expected) in [
            ("modality", &found.modality, &expected.modality),
            ("data fingerprint", &found.fingerprint, &expected.fingerprint),
            ("seed", &found.seed.to_string(), &expected.seed.to_string()),
        ] {
            if found != expected {
                return Err(Error::Data(format!(
                    "{} was written with {what} {found}, now it is {expected}\n\
                     hint: resume with the same configuration and data, or start a new run",
                    self.folder.name()
                )));
            }
        }
        Ok(found)
    }

    /// Chooses the buffer and closes the stage.
    fn finish(
        &self,
        model: &Model,
        mut state: StageState,
        checkpoints: &Checkpoints,
        observer: &mut dyn Observer,
    ) -> Result<StageState> {
        let frozen = model.valid();
        let family = self.family(self.current)?;
        let features =
            extract_features(&frozen, family, self.current, self.settings.reading(), &self.device, &mut |done| {
                observer.features(done, self.current.ids().len());
                match observer.stop_requested() {
                    true => Err(self.interrupted("while the buffer was chosen", checkpoints)),
                    false => Ok(()),
                }
            })?;
        for (id, message) in &features.bad {
            state.bad_samples.insert(id.clone(), message.clone());
        }
        let policy = KMeansPolicy {
            centre_ratio: self.settings.rehearsal.centre_ratio,
            buffer_ratio: self.settings.rehearsal.buffer_ratio,
            fill_up: self.settings.rehearsal.fill_up,
        };
        let selected = policy.select(&features.values, features.width, self.seed)?;
        let mut files = vec!["model.bpk".to_string(), "buffer.jsonl".into(), "metrics.jsonl".into()];
        self.folder.save_buffer(&RehearsalBuffer::new(&selected, &features.rows, self.current.ids()))?;
        if self.settings.rehearsal.store == Store::Materialised {
            let kept: Vec<u64> = selected.iter().map(|selected| features.rows[selected.index]).collect();
            write_folder(&self.folder.file(KEPT_SAMPLES), |folder| {
                self.current.keep(&kept, folder)?;
                write_manifest(folder)
            })?;
            files.push(format!("{KEPT_SAMPLES}/{MANIFEST}"));
        }
        if self.folder.file("assets").is_dir() {
            files.push(format!("assets/{MANIFEST}"));
        }
        save_model(&self.folder.file("model.bpk"), model)?;
        let state = self.folder.finish(state, &files)?;
        checkpoints.clear()?;
        observer.stage_finished(&state);
        Ok(state)
    }

    fn family(&self, source: &dyn SampleSource) -> Result<usize> {
        self.model.family(source.family()).ok_or_else(|| {
            Error::Data(format!("the model has no family {} for modality {}", source.family(), source.modality()))
        })
    }
}
