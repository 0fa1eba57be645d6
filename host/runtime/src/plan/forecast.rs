//! Estimates for a whole run, from measurements of its parts.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use medcoss_core::buffer::{BufferConfig, BufferSelection};
use medcoss_core::clustering::KMeansOptions;
use medcoss_core::device::Device;
use medcoss_core::stage::Stage;
use serde::Serialize;

use super::stopwatch::Times;
use crate::config::RunConfig;
use crate::gaussian_blobs::gaussian_blobs;

/// Values of the features times centres up to which the choice of a buffer is tried with as many samples as there will be.
const MOST_WORK: f64 = 2e9;
/// Sets of numbers as large as the model in a checkpoint: itself and two averages of the optimiser.
const CHECKPOINT: u64 = 3;
/// Checkpoints on the disk while a third is written.
const CHECKPOINTS: u64 = 3;
/// Name of the device whose memory is the host's.
pub const CPU: &str = "cpu";

/// A run before it is run.
#[derive(Debug, Serialize)]
pub struct Forecast {
    /// Name of the device.
    pub device: String,
    /// Numbers that are learned, with all families.
    pub n_parameters: usize,
    /// Its stages.
    pub stages: Vec<StageForecast>,
    /// Batches of all stages.
    pub n_steps: usize,
    /// Of all stages.
    pub seconds: f64,
    /// Memory.
    pub memory: Memory,
    /// Of the run folder when it is finished.
    pub disk_bytes: u64,
    /// While the last stage is learned.
    pub peak_disk_bytes: u64,
    /// Whether this build is optimised; otherwise times say little.
    pub optimised: bool,
}

/// A stage of it.
#[derive(Debug, Serialize)]
pub struct StageForecast {
    /// From 1.
    pub stage: usize,
    /// Modality.
    pub modality: String,
    /// Samples of the modality.
    pub n_samples: usize,
    /// Epochs; none of a stage that is learned with the last one.
    pub epochs: usize,
    /// Samples in a batch.
    pub batch_size: usize,
    /// In an epoch, by the name of their losses.
    pub batches: BTreeMap<String, usize>,
    /// By the name of their losses, in seconds.
    pub batch_seconds: BTreeMap<String, f64>,
    /// Batches of the stage.
    pub n_steps: usize,
    /// Of the stage's own modality, while its own batches are learned.
    pub samples_per_second: Option<f64>,
    /// Share of the training in which learning stands still because a batch is not loaded yet.
    pub waited: f64,
    /// All epochs, as the run will report them.
    pub training_seconds: f64,
    /// Before the first batch, and after the last epoch: features, choice of the buffer, files.
    pub other_seconds: f64,
    /// Model and the like.
    pub other_bytes: u64,
    /// Samples that are kept for later stages.
    pub n_kept: usize,
    /// What they take.
    pub kept_bytes: u64,
    /// Name of the losses of its own modality.
    #[serde(skip)]
    pub own: String,
}

/// What a stage leaves in the run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    /// Model and the like.
    pub other_bytes: u64,
    pub n_kept: usize,
    pub kept_bytes: u64,
}

/// Memory, in bytes.
#[derive(Debug, Serialize)]
pub struct Memory {
    /// Of the model.
    pub weights: u64,
    /// Of its gradients.
    pub gradients: u64,
    /// Of the averages of AdamW.
    pub optimiser: u64,
    /// The teacher, or what else a strategy holds of the model before.
    pub teacher: u64,
    /// While the largest stage's buffer is chosen.
    pub features: u64,
    /// The program with all data opened, before anything is learned.
    pub program: Option<u64>,
    /// What is left of the peak: activations, batches, decoded files. Not known of a device with memory of its own.
    pub activations: Option<u64>,
    /// Of the process, where the system reports it: measured in the trial, more where features need it.
    pub peak: Option<u64>,
}

impl StageForecast {
    /// From a stage with all of its samples, and times of a part of it.
    ///
    /// # Errors
    /// A choice of the buffer that fails.
    pub(super) fn new(
        stage: &Stage<'_>,
        written: Written,
        times: &Times,
        work: &crate::observer::WorkTracker<'_>,
    ) -> Result<Self> {
        let settings = stage.settings;
        let n_samples = stage.current.ids().len();
        let epochs = if stage.deferred { 0 } else { settings.epochs };
        let batches = stage.batches()?;
        let batch_seconds: BTreeMap<String, f64> =
            batches.keys().map(|label| (label.clone(), times.batch.get(label).copied().unwrap_or_default())).collect();
        let of_epoch = times.epoch + batches.iter().map(|(label, n)| *n as f64 * batch_seconds[label]).sum::<f64>();
        let n_steps = epochs * batches.values().sum::<usize>();
        let n_checkpoints = epochs.div_ceil(settings.checkpoint_every)
            + settings.checkpoint_every_steps.map_or(0, |every| n_steps / every);
        let training_seconds = epochs as f64 * of_epoch + n_checkpoints as f64 * times.checkpoint;
        let mut other_seconds = times.setup + times.finish;
        if epochs > 0 && settings.strategy.name.keeps_buffer() {
            let width = stage.model.dimensions.width;
            other_seconds += n_samples as f64 * times.features
                + seconds_to_choose(&settings.buffer, n_samples, width, &stage.device, work)?;
        }
        other_seconds += settings.strategy.n_importance_samples().min(n_samples) as f64 * times.importance;
        let own = batch_seconds.get(&times.own).filter(|seconds| **seconds > 0.0);
        let samples_per_second = own.map(|seconds| settings.batch_size.min(n_samples) as f64 / seconds);
        Ok(Self {
            stage: stage.number,
            modality: stage.current.modality().into(),
            n_samples,
            epochs,
            batch_size: settings.batch_size,
            batches,
            batch_seconds,
            n_steps,
            samples_per_second,
            waited: times.waited,
            training_seconds,
            other_seconds,
            other_bytes: written.other_bytes,
            n_kept: written.n_kept,
            kept_bytes: written.kept_bytes,
            own: times.own.clone(),
        })
    }
}

/// Seconds of the selection of a buffer, measured on Gaussian blobs in place of features. Very many features are replaced by a share of them and as
/// small a share of clusters: the number of distances grows with the square of the share.
fn seconds_to_choose(
    buffer: &BufferConfig,
    n: usize,
    width: usize,
    device: &Device,
    work: &crate::observer::WorkTracker<'_>,
) -> Result<f64> {
    let ratio = match buffer.selection {
        BufferSelection::KMeans | BufferSelection::MiniBatchKMeans => buffer.cluster_ratio,
        BufferSelection::Herding | BufferSelection::KCentre => buffer.ratio,
        // They use no features.
        BufferSelection::Random | BufferSelection::Reservoir => return Ok(0.0),
    };
    let n_centres = (n as f64 * ratio).max(1.0);
    let share = (MOST_WORK / (n as f64 * n_centres * width as f64)).sqrt().min(1.0);
    let n_tried = ((n as f64 * share) as usize).max(1);
    let points = gaussian_blobs(n_tried, width, (n_tried as f64 * ratio).max(1.0) as usize, 0);
    let mut go_on = |_: usize, _: usize| work.check_stop();
    let max_iterations = KMeansOptions::MAX_ITERATIONS;
    let mut clustering = KMeansOptions { device, max_iterations, progress: &mut go_on };
    let began = Instant::now();
    buffer.policy().select(&points, width, 0, &mut clustering)?;
    Ok(began.elapsed().as_secs_f64() / (share * share))
}

impl Memory {
    /// Of a run whose model has so many parameters in the end, and whose largest stage so many numbers in its features; memory of this process
    /// before and after the trial. `device` has memory of its own, or is the CPU.
    pub fn new(
        config: &RunConfig,
        device: &str,
        n_parameters: usize,
        n_features: usize,
        [before, after]: [Option<u64>; 2],
    ) -> Self {
        let weights = 4 * n_parameters as u64;
        let strategy = config.strategy.name;
        let features = if strategy.keeps_buffer() { 4 * n_features as u64 } else { 0 };
        let n_further = if config.stages.len() > 1 { strategy.n_auxiliary_models() as u64 } else { 0 };
        // Features are held as they came, with room to grow, and once more where they are compared; gradients and optimiser are gone by then.
        let here = if device == CPU { weights } else { 0 };
        let choosing = before.map(|before| before + (1 + n_further) * here + 3 * features);
        let peak = after.max(choosing);
        let known = before.unwrap_or_default() + (4 + n_further) * here;
        Self {
            weights,
            gradients: weights,
            optimiser: 2 * weights,
            teacher: n_further * weights,
            features,
            program: before,
            activations: after.filter(|_| device == CPU).map(|after| after.saturating_sub(known)),
            peak,
        }
    }
}

impl Forecast {
    /// The whole from its stages.
    pub fn new(device: &str, n_parameters: usize, stages: Vec<StageForecast>, memory: Memory) -> Self {
        let disk_bytes = stages.iter().map(|stage| stage.other_bytes + stage.kept_bytes).sum();
        Self {
            device: device.into(),
            n_parameters,
            n_steps: stages.iter().map(|stage| stage.n_steps).sum(),
            seconds: stages.iter().map(|stage| stage.training_seconds + stage.other_seconds).sum(),
            peak_disk_bytes: disk_bytes + CHECKPOINTS * CHECKPOINT * memory.weights,
            disk_bytes,
            memory,
            stages,
            optimised: !cfg!(debug_assertions),
        }
    }
}
