//! What the whole of a run takes, from what its parts took.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use medcoss_core::device::Device;
use medcoss_core::rehearsal::{RehearsalConfig, Sampler, Strategy, Work, policy_of};
use medcoss_core::stage::Stage;
use serde::Serialize;

use super::stopped;
use super::stopwatch::Times;
use crate::config::RunConfig;
use crate::disk::human;
use crate::made_up_points::made_up_points;
use crate::numbers::duration;
use crate::table::Table;

/// Values of the features times centres up to which the choice of a buffer is tried with as many samples as there will be.
const MOST_WORK: f64 = 2e9;
/// Sets of numbers as large as the model in a checkpoint: itself and two averages of the optimiser.
const CHECKPOINT: u64 = 3;
/// Checkpoints on the disk while a third is written.
const CHECKPOINTS: u64 = 3;
/// The device whose memory is the host's.
const PROCESSOR: &str = "cpu";

/// A run before it is run.
#[derive(Debug, Serialize)]
pub(crate) struct Forecast {
    device: String,
    /// Numbers that are learned, with all families.
    n_parameters: usize,
    stages: Vec<StageForecast>,
    /// Batches of all stages.
    n_steps: usize,
    /// Of all stages.
    seconds: f64,
    memory: Memory,
    /// Of the run folder when it is finished.
    disk_bytes: u64,
    /// While the last stage is learned.
    peak_disk_bytes: u64,
    optimised: bool,
}

/// A stage of it.
#[derive(Debug, Serialize)]
pub(crate) struct StageForecast {
    stage: usize,
    modality: String,
    n_samples: usize,
    epochs: usize,
    batch_size: usize,
    /// In an epoch, by the name of their losses.
    batches: BTreeMap<String, usize>,
    /// By the name of their losses, in seconds.
    batch_seconds: BTreeMap<String, f64>,
    /// Batches of the stage.
    n_steps: usize,
    /// Of the stage's own modality, while its own batches are learned.
    samples_per_second: Option<f64>,
    /// Share of the training in which learning stands still because a batch is not loaded yet.
    waited: f64,
    /// All epochs, as the run will tell them.
    training_seconds: f64,
    /// Before the first batch, and after the last epoch: features, choice of the buffer, files.
    other_seconds: f64,
    /// Model and the like.
    other_bytes: u64,
    n_kept: usize,
    kept_bytes: u64,
    /// Name of the losses of its own modality.
    #[serde(skip)]
    own: String,
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
pub(crate) struct Memory {
    weights: u64,
    gradients: u64,
    optimiser: u64,
    /// The teacher, or what else a strategy holds of the model before.
    teacher: u64,
    /// While the largest stage's buffer is chosen.
    features: u64,
    /// The program with all data opened, before anything is learned.
    program: Option<u64>,
    /// What is left of the peak: activations, batches, decoded files. Not known of a device with memory of its own.
    activations: Option<u64>,
    /// Of the process, where the system tells: measured in the trial, more where features need it.
    peak: Option<u64>,
}

impl StageForecast {
    /// From a stage with all of its samples, and times of a part of it.
    ///
    /// # Errors
    /// A choice of the buffer that fails.
    pub(super) fn new(stage: &Stage<'_>, written: Written, times: &Times) -> Result<Self> {
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
        let rehearsal = &settings.rehearsal;
        let mut other_seconds = times.setup + times.finish;
        if epochs > 0 && rehearsal.strategy.keeps_buffers() {
            let width = stage.model.dimensions.width;
            other_seconds +=
                n_samples as f64 * times.features + seconds_to_choose(rehearsal, n_samples, width, &stage.device)?;
        }
        if rehearsal.strategy == Strategy::Ewc {
            other_seconds += rehearsal.ewc_samples.min(n_samples) as f64 * times.importance;
        }
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

/// Seconds for the choice of a buffer from so many features. They are made up; where there are very many, of fewer, with as many of them to a
/// centre less: what has to be compared grows with the square.
fn seconds_to_choose(rehearsal: &RehearsalConfig, n: usize, width: usize, device: &Device) -> Result<f64> {
    let ratio = match rehearsal.sampler {
        Sampler::KMeans | Sampler::MiniBatchKMeans => rehearsal.centre_ratio,
        Sampler::Herding | Sampler::KCentre => rehearsal.buffer_ratio,
        // They look at nothing but numbers of samples.
        Sampler::Random | Sampler::Reservoir => return Ok(0.0),
    };
    let n_centres = (n as f64 * ratio).max(1.0);
    let share = (MOST_WORK / (n as f64 * n_centres * width as f64)).sqrt().min(1.0);
    let n_tried = ((n as f64 * share) as usize).max(1);
    let points = made_up_points(n_tried, width, (n_tried as f64 * ratio).max(1.0) as usize, 0);
    let mut go_on = |_: usize, _: usize| stopped();
    let mut work = Work { device, most_steps: Work::STEPS, progress: &mut go_on };
    let began = Instant::now();
    policy_of(rehearsal).select(&points, width, 0, &mut work)?;
    Ok(began.elapsed().as_secs_f64() / (share * share))
}

impl Memory {
    /// Of a run whose model has so many parameters in the end, and whose largest stage so many numbers in its features; memory of this process
    /// before and after the trial. `device` has memory of its own, or is the processor.
    pub(super) fn new(
        config: &RunConfig,
        device: &str,
        n_parameters: usize,
        n_features: usize,
        [before, after]: [Option<u64>; 2],
    ) -> Self {
        let weights = 4 * n_parameters as u64;
        let strategy = config.rehearsal.strategy;
        let features = if strategy.keeps_buffers() { 4 * n_features as u64 } else { 0 };
        let n_further = if config.stages.len() > 1 { strategy.n_further_models() as u64 } else { 0 };
        // Features are held as they came, with room to grow, and once more where they are compared; gradients and optimiser are gone by then.
        let here = if device == PROCESSOR { weights } else { 0 };
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
            activations: after.filter(|_| device == PROCESSOR).map(|after| after.saturating_sub(known)),
            peak,
        }
    }
}

impl Forecast {
    /// The whole from its stages.
    pub(super) fn new(device: &str, n_parameters: usize, stages: Vec<StageForecast>, memory: Memory) -> Self {
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

    /// For people.
    pub(crate) fn page(&self) -> String {
        let mut stages = Table::new(&[
            "stage",
            "modality",
            "samples",
            "epochs",
            "batches an epoch",
            "a batch",
            "samples/s",
            "training",
            "beside it",
            "kept samples",
        ]);
        for stage in &self.stages {
            // The stage's own first.
            let (own, others): (Vec<_>, Vec<_>) = stage.batches.iter().partition(|(label, _)| **label == stage.own);
            let batches: Vec<String> = own.into_iter().chain(others).map(|(label, n)| format!("{n} {label}")).collect();
            let own = stage.samples_per_second.map(|rate| stage.batch_size.min(stage.n_samples) as f64 / rate);
            stages.row([
                stage.stage.to_string(),
                stage.modality.clone(),
                stage.n_samples.to_string(),
                stage.epochs.to_string(),
                if batches.is_empty() { "-".into() } else { batches.join(" + ") },
                own.map_or("-".into(), |seconds| format!("{seconds:.3} s")),
                stage.samples_per_second.map_or("-".into(), |rate| format!("{rate:.1}")),
                duration(stage.training_seconds),
                duration(stage.other_seconds),
                if stage.n_kept == 0 { "-".into() } else { format!("{}, {}", stage.n_kept, human(stage.kept_bytes)) },
            ]);
        }
        let mut whole = Table::bare();
        let mut line = |name: &str, value: String| whole.row([name.to_string(), value]);
        line("time", format!("{} for {} batches", duration(self.seconds), self.n_steps));
        line("parameters", format!("{:.2} million", self.n_parameters as f64 / 1e6));
        let Memory { weights, gradients, optimiser, teacher, features, program, activations, peak } = &self.memory;
        let peak = peak.map_or("not known".into(), human);
        let part = |bytes: u64, name: &str| (bytes > 0).then(|| (format!("  {name}"), human(bytes)));
        let model =
            [(*weights, "weights"), (*gradients, "gradients"), (*optimiser, "optimiser"), (*teacher, "previous model")];
        let of_model = model.map(|(bytes, name)| part(bytes, name));
        let of_program = part(program.unwrap_or_default(), "program, data opened");
        let of_features = part(*features, "features of a stage, in their place");
        let rows: Vec<Option<(String, String)>> = if self.device == PROCESSOR {
            let of_batches = part(activations.unwrap_or_default(), "activations, batches, decoded files");
            [Some(("memory".into(), peak)), of_program]
                .into_iter()
                .chain(of_model)
                .chain([of_batches, of_features])
                .collect()
        } else {
            let there = human(model.iter().map(|(bytes, _)| bytes).sum());
            let there = format!("{there} and what activations take, which is not measured there");
            let of_device = Some((format!("memory of {}", self.device), there));
            let of_host = [Some(("memory of the host".into(), peak)), of_program, of_features, of_device];
            of_host.into_iter().chain(of_model).collect()
        };
        rows.into_iter().flatten().for_each(|(name, value)| line(&name, value));
        line("disk", format!("{}, up to {} while it runs", human(self.disk_bytes), human(self.peak_disk_bytes)));
        let waited = self.stages.iter().filter(|stage| stage.waited > 0.1);
        let waited: String = waited
            .map(|stage| {
                let share = 100.0 * stage.waited;
                format!(
                    "{} waits for its data {share:.0} % of the time: data.loader_threads may help.\n",
                    stage.modality
                )
            })
            .collect();
        let built = if self.optimised { "" } else { "; this build is not fully optimised" };
        format!(
            "On {}, from a trial of every stage{built}.\n\n{}\n{}{waited}",
            self.device,
            stages.lines(),
            whole.lines()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(device: &str) -> String {
        let text = r#"
            model = { preset = "demo" }
            training = { epochs = 1, batch_size = 1 }
            stage = [{ modality = "a", data = "a" }, { modality = "b", data = "b" }]
        "#;
        let config: RunConfig = toml::from_str(text).unwrap();
        let memory = Memory::new(&config, device, 1 << 20, 1 << 18, [Some(100 << 20), Some(164 << 20)]);
        Forecast::new(device, 1 << 20, Vec::new(), memory).page()
    }

    #[test]
    fn memory_is_the_hosts_or_is_told_apart() {
        let here = page("cpu");
        // 1 Mi parameters of 4 bytes, five of their size; the rest of 64 MiB are activations.
        let words = here.split_whitespace().collect::<Vec<_>>().join(" ");
        for line in ["memory 164 MiB", "activations, batches, decoded files 44.0 MiB"] {
            assert!(words.contains(line), "{here}");
        }
        let there = page("cuda");
        assert!(there.contains("memory of the host") && there.contains("memory of cuda"), "{there}");
        assert!(there.contains("20.0 MiB and what activations take, which is not measured there"), "{there}");
        assert!(!there.contains("decoded files"), "{there}");
    }
}
