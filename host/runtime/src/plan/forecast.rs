//! Estimate of a whole run, from measurements of its parts.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use medcoss_core::buffer::{BufferConfig, BufferSelection};
use medcoss_core::data::DataAccount;
use medcoss_core::device::Device;
use medcoss_core::stage::Stage;
use serde::Serialize;

use super::stopwatch::Times;
use crate::config::RunConfig;
use crate::gaussian_blobs::gaussian_blobs;

/// Largest product of feature values and centres up to which buffer selection is measured with the full number of
/// samples.
const MOST_WORK: f64 = 2e9;
/// Size of a checkpoint as a multiple of the model's: the parameters and AdamW's two moments.
const CHECKPOINT: u64 = 3;
/// Number of checkpoints on the disk at most, including the one that is being written.
const CHECKPOINTS: u64 = 3;
/// Name of the device that uses the host's memory.
pub const CPU: &str = "cpu";

/// Estimate of a run's time, memory and disk.
#[derive(Debug, Serialize)]
pub struct Forecast {
    /// Name of the device that computes.
    pub device: String,
    /// Number of trainable parameters, with all token families.
    pub n_parameters: usize,
    /// Estimates by stage.
    pub stages: Vec<StageForecast>,
    /// Number of batches of all stages.
    pub n_steps: usize,
    /// Duration of all stages in seconds.
    pub seconds: f64,
    /// Memory that the run needs.
    pub memory: Memory,
    /// Size of the finished run folder in bytes.
    pub disk_bytes: u64,
    /// Size of the run folder in bytes while the last stage is trained.
    pub peak_disk_bytes: u64,
    /// Whether this build is optimised. Measured times of an unoptimised build have little meaning.
    pub optimised: bool,
}

/// Estimate of one stage.
#[derive(Debug, Serialize)]
pub struct StageForecast {
    /// Number of the stage, from 1.
    pub stage: usize,
    /// Id of the stage's modality.
    pub modality: String,
    /// Number of samples in the stage's data.
    pub n_samples: usize,
    /// What became of the files of the stage's data, where its plugin knows.
    pub files: Option<DataAccount>,
    /// Number of epochs; 0 for a stage that is trained together with the last one.
    pub epochs: usize,
    /// Number of samples in a batch.
    pub batch_size: usize,
    /// Number of batches in an epoch, by the name of their losses.
    pub batches: BTreeMap<String, usize>,
    /// Duration of a batch in seconds, by the name of its losses.
    pub batch_seconds: BTreeMap<String, f64>,
    /// Number of batches of the stage.
    pub n_steps: usize,
    /// Samples of the stage's own modality per second, over its current-task batches.
    pub samples_per_second: Option<f64>,
    /// Fraction of the training time in which training waits for a batch to be loaded.
    pub waited: f64,
    /// Duration of all epochs in seconds, as the run will report it.
    pub training_seconds: f64,
    /// Seconds before the first batch and after the last epoch: features, buffer selection, files.
    pub other_seconds: f64,
    /// Size of the model and other files in bytes.
    pub other_bytes: u64,
    /// Number of buffer samples.
    pub n_kept: usize,
    /// Size of the buffer samples in bytes.
    pub kept_bytes: u64,
    /// Name of the losses of the stage's own modality.
    #[serde(skip)]
    pub own: String,
}

/// Files that a stage leaves in the run folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    /// Size of the model and other files in bytes.
    pub other_bytes: u64,
    pub n_kept: usize,
    pub kept_bytes: u64,
}

/// Memory estimate, in bytes.
#[derive(Debug, Serialize)]
pub struct Memory {
    /// Memory of the model's parameters.
    pub weights: u64,
    /// Memory of the gradients.
    pub gradients: u64,
    /// Memory of AdamW's moments.
    pub optimiser: u64,
    /// Memory of the teacher, or of other state that a strategy keeps of the previous model.
    pub teacher: u64,
    /// Memory of the features while the largest stage's buffer is selected.
    pub features: u64,
    /// Memory of the program with all data opened, before training.
    pub program: Option<u64>,
    /// Remaining memory of the peak: activations, batches, decoded files. `None` for a device with memory of its own.
    pub activations: Option<u64>,
    /// Peak memory of the process, where the system reports it: measured in the trial, or larger where features need
    /// more.
    pub peak: Option<u64>,
}

impl StageForecast {
    /// The estimate of a stage with all of its samples, from measured times of a part of it.
    ///
    /// # Errors
    /// A buffer selection that fails.
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
            files: stage.current.account().cloned(),
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

/// Seconds of a buffer's selection, measured on Gaussian blobs in place of features. A very large number of features is
/// replaced by a fraction of the features and the same fraction of the clusters: the number of distances grows with the
/// square of the fraction.
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
        // These selection policies use no features.
        BufferSelection::Random | BufferSelection::Reservoir => return Ok(0.0),
    };
    let n_centres = (n as f64 * ratio).max(1.0);
    let share = (MOST_WORK / (n as f64 * n_centres * width as f64)).sqrt().min(1.0);
    let n_tried = ((n as f64 * share) as usize).max(1);
    let points = gaussian_blobs(n_tried, width, (n_tried as f64 * ratio).max(1.0) as usize, 0);
    let mut go_on = |_: usize, _: usize| work.check_stop();
    let mut clustering = buffer.k_means_options(device, &mut go_on);
    let began = Instant::now();
    buffer.policy().select(&points, width, 0, &mut clustering)?;
    Ok(began.elapsed().as_secs_f64() / (share * share))
}

impl Memory {
    /// The memory estimate of a run, from the final number of parameters, the number of feature values of the largest
    /// stage, and the memory of this process before and after the trial. `device` has memory of its own, or is the CPU.
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
        // Features are held in a growing vector and in a second copy for the selection. Gradients and optimiser are freed by then.
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
    /// The estimate of the run from the estimates of its stages.
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
