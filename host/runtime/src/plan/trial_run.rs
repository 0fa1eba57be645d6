//! A small run in a scratch folder: every stage trains on some of its samples until its speed is known.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use medcoss_core::buffer::{BufferEntry, RehearsalBuffer, Store};
use medcoss_core::data::{Dataset, RawBatch, Subset, View};
use medcoss_core::ranks::Ranks;
use medcoss_core::run::{RunLayout, StageFolder, StageState, StoredModel};
use medcoss_core::stage::StageSettings;

use super::forecast::{Forecast, Memory, StageForecast, Written};
use super::stopwatch::Stopwatch;
use crate::config::RunConfig;
use crate::disk::size_of;
use crate::observer::{Silent, WorkObserver, WorkTracker, is_interruption};
use crate::stage_dataset::StageDataset;
use crate::stage_plugin::StagePlugin;
use crate::timing::peak_memory;
use crate::training::{StartedRun, Training};

/// Number of current-task batches in an epoch of the trial.
const OWN_BATCHES: usize = 8;
/// Number of additional samples that are read at a time.
const READ_AT_A_TIME: usize = 8;
/// Number of epochs that no trial reaches.
const MOST_EPOCHS: usize = 100_000;

/// A folder on the disk that a run would be written to. It is removed when the value is dropped.
///
/// # Errors
/// A place that cannot be written to.
pub fn scratch_beside(run: &Path) -> Result<tempfile::TempDir> {
    let parent = run.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The parent folders of the run may not exist yet.
    let place = parent.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    tempfile::Builder::new().prefix(".medcoss-plan-").tempdir_in(place).with_context(|| {
        format!("cannot write into {}\nhint: name a run folder elsewhere with --out DIR", place.display())
    })
}

/// A trial of a run on a part of its data.
pub struct TrialRun<'a> {
    /// Configuration of the run.
    pub config: &'a RunConfig,
    /// Folder that data paths are relative to.
    pub base: PathBuf,
    /// Empty folder for the trial's files.
    pub scratch: PathBuf,
    /// Name of the device that computes.
    pub device: &'a str,
    /// Plugin of each stage.
    pub plugins: &'a [StagePlugin],
    /// Time to spend on measuring each stage.
    pub budget: Duration,
    /// Observer of the progress, which can also stop the trial.
    pub observer: &'a dyn WorkObserver,
}

impl TrialRun<'_> {
    /// Trains all stages on a part of their data and estimates the whole run.
    ///
    /// # Errors
    /// Any error that would stop the run, and a request to stop.
    pub fn forecast(&self) -> Result<Forecast> {
        let folders = [self.base.clone(), self.scratch.clone()];
        let training = Training::new(self.config.clone(), folders, false, self.device, self.plugins.to_vec())?;
        let (mut started, datasets) = training.start(&Ranks::alone(), &mut Silent)?;
        let at_rest = peak_memory();
        let excerpts: Vec<Subset<'_>> = (0..datasets.len()).map(|at| self.excerpt(at, &datasets[at])).collect();

        let work =
            WorkTracker::new(self.observer, datasets.len() as u64, "while it was planned", "nothing was written");
        let mut stages = Vec::new();
        for (at, section) in self.config.stages.iter().enumerate() {
            work.begin(format!("trying {}", section.modality));
            started.admit(self.config, &datasets[at])?;
            let settings = self.config.settings(section);
            let mut whole = training.stage(&started, at, &datasets, &settings)?;
            for (earlier, dataset) in whole.earlier.iter_mut().zip(&datasets) {
                earlier.buffer = first_samples(dataset, self.n_kept(dataset));
            }
            let mut watch = Stopwatch::new(self.budget, self.observer);
            let n_all = datasets[at].ids().len();
            let state = self.try_stage(&training, &started, at, (&excerpts, n_all), &mut watch);
            started.states.push(state.with_context(|| format!("stage {} {}", at + 1, section.modality))?);
            self.look_around(&datasets[at], &work)?;
            let written = self.written(&training.folder(&started.layout, at), &datasets[at])?;
            stages.push(StageForecast::new(&whole, written, &watch.times(), &work)?);
            work.advance(1);
        }

        let measured = peak_memory();
        let last = started.states.len() - 1;
        let stored = StoredModel::of_stage(&training.folder(&started.layout, last), &started.states[last]);
        let n_parameters = stored.load(&started.device)?.n_parameters();
        let n_samples = datasets.iter().map(|dataset| dataset.ids().len()).max().unwrap_or(0);
        let n_features = n_samples * stored.config.dimensions.width;
        let memory = Memory::new(self.config, self.device, n_parameters, n_features, [at_rest, measured]);
        work.check_stop()?;
        Ok(Forecast::new(self.device, n_parameters, stages, memory))
    }

    /// Trains a stage until the stopwatch has measured enough, then ends the stage as usual. The excerpt of the stage stands for `n_all` samples.
    fn try_stage(
        &self,
        training: &Training,
        started: &StartedRun,
        at: usize,
        (excerpts, n_all): (&[Subset<'_>], usize),
        watch: &mut Stopwatch<'_>,
    ) -> Result<StageState> {
        let n_samples = excerpts[at].ids().len();
        let mut settings = self.config.settings(&self.config.stages[at]);
        (settings.epochs, settings.warmup_epochs) = (MOST_EPOCHS, 0);
        (settings.checkpoint_every, settings.checkpoint_every_steps) = (usize::MAX, None);
        // The excerpt may have as many invalid samples as all of the stage's data.
        settings.max_invalid_fraction = settings.loader_options().for_part(n_samples, n_all).max_invalid_fraction;
        // Losses are read after every step, which gives the time of each batch.
        settings.loss_every_steps = Some(1);
        // With one cluster the buffer holds exactly the requested number of samples.
        settings.buffer.ratio = self.n_replayed(&excerpts[at]).min(n_samples) as f64 / n_samples as f64;
        settings.buffer.cluster_ratio = 1.0 / n_samples as f64;
        let stage = training.stage(started, at, excerpts, &settings)?;
        if !stage.deferred {
            match stage.run(&Ranks::alone(), watch).map_err(anyhow::Error::new) {
                Err(error) if is_interruption(&error) && !self.observer.stop_requested() => {}
                ended => return ended,
            }
            watch.training_ended();
        }
        settings.epochs = watch.n_epochs().max(1);
        Ok(training.stage(started, at, excerpts, &settings)?.run(&Ranks::alone(), watch)?)
    }

    /// Reads additional samples from all over the data, as long as the budget lasts. The memory of a plugin grows with
    /// the number of files that it has read.
    fn look_around(&self, dataset: &StageDataset, work: &WorkTracker<'_>) -> Result<()> {
        let (n, began) = (dataset.ids().len(), Instant::now());
        let mut batch = RawBatch::default();
        // Samples at a regular distance are read first, and their neighbours later.
        let n_rounds = n.div_ceil(READ_AT_A_TIME);
        for round in 0..n_rounds {
            work.check_stop()?;
            if began.elapsed() > self.budget {
                break;
            }
            let indices: Vec<u64> = (round..n).step_by(n_rounds).map(|index| index as u64).collect();
            dataset.fill(View::Evaluation, &indices, &vec![0; indices.len()], &mut batch)?;
        }
        Ok(())
    }

    /// A subset of a stage's samples, from all over its data.
    fn excerpt<'s>(&self, at: usize, dataset: &'s StageDataset) -> Subset<'s> {
        let StageSettings { batch_size, gradient_accumulation, .. } = self.config.settings(&self.config.stages[at]);
        let n = dataset.ids().len();
        let n_own = batch_size * OWN_BATCHES.max(2 * gradient_accumulation);
        let n_wanted = n_own.max(self.n_replayed(dataset)).min(n);
        Subset::new(dataset, (0..n_wanted).map(|nth| (nth * n / n_wanted) as u64).collect())
    }

    /// Number of samples that the run keeps in a stage's buffer.
    fn n_kept(&self, dataset: &dyn Dataset) -> usize {
        self.config.n_kept(dataset.ids().len())
    }

    /// Number of samples that the trial keeps of a stage: enough for the largest batch that is drawn from them.
    fn n_replayed(&self, dataset: &dyn Dataset) -> usize {
        let batches = self.config.stages.iter().map(|section| self.config.settings(section).batch_size);
        self.n_kept(dataset).min(batches.max().unwrap_or(1)).max(1)
    }

    /// Files that a stage will leave in the run, estimated from the trial's files.
    fn written(&self, folder: &StageFolder, dataset: &StageDataset) -> Result<Written> {
        let n_tried = folder.buffer()?.entries.len().max(1);
        let n_kept = self.n_kept(dataset);
        let list = folder.file(RunLayout::BUFFER).n_bytes().unwrap_or(0);
        let samples = match self.config.buffer.store {
            Store::Materialised if folder.file(RunLayout::BUFFER_SAMPLES).is_folder()? => {
                size_of(&folder.file(RunLayout::BUFFER_SAMPLES).path())?.bytes
            }
            _ => 0,
        };
        Ok(Written {
            other_bytes: size_of(&folder.path().path())?.bytes.saturating_sub(list + samples),
            n_kept,
            kept_bytes: (list + samples) * n_kept as u64 / n_tried as u64,
        })
    }
}

/// A buffer of the first samples of a dataset.
fn first_samples(dataset: &dyn Dataset, n: usize) -> RehearsalBuffer {
    let entry = |id: &String| BufferEntry { id: id.clone(), cluster: 0, distance: 0.0, backfilled: false };
    RehearsalBuffer { entries: dataset.ids().iter().take(n).map(entry).collect() }
}
