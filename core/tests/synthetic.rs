//! Small synthetic datasets, and runs of two stages over them.

#![allow(dead_code)] // each test crate uses its own part

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use medcoss_core::buffer::BufferConfig;
use medcoss_core::continual::StrategyConfig;
use medcoss_core::data::{Dataset, RawBatch, SampleReport, Sampling, TokenSpec, View};
use medcoss_core::model::{Dimensions, InitialValues, ModelConfig, Precision, TextAttention, Variant};
use medcoss_core::optimisation::OptimiserConfig;
use medcoss_core::ranks::Ranks;
use medcoss_core::run::{EpochMetrics, RunLayout, StageFolder, StageState, StoredModel, read_metrics};
use medcoss_core::stage::{Observer, PreviousStage, Silent, Stage, StageEndTask, StageSettings, StepReport};
use medcoss_core::{Error, Result, device};

/// Waves whose frequency is the sample's index modulo 3, or sentences that count upwards.
pub struct Synthetic {
    pub modality: &'static str,
    family: &'static str,
    spec: TokenSpec,
    pub ids: Vec<String>,
    /// Requests left before one fails as a whole.
    pub patience: AtomicUsize,
    /// Samples that can never be read.
    pub unreadable: Vec<u64>,
    pub value: f32,
}

impl Synthetic {
    pub fn new(modality: &'static str, family: &'static str, spec: TokenSpec, n: usize) -> Self {
        let ids = (0..n).map(|index| format!("{modality}/{index:03}")).collect();
        Self { modality, family, spec, ids, patience: AtomicUsize::new(usize::MAX), unreadable: vec![], value: 1.0 }
    }

    pub fn waves(n: usize) -> Self {
        Self::new("waves", "signal", TokenSpec::Continuous { n_tokens: 6, d_token: 5, n_masked: 4 }, n)
    }

    pub fn counting(n: usize) -> Self {
        Self::new("counting", "text", TokenSpec::Discrete { length: 7, vocabulary: 13 }, n)
    }
}

/// Mixes a seed into a small number.
fn hash(seed: u64, at: usize) -> u64 {
    (seed ^ (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 40
}

impl Dataset for Synthetic {
    fn modality(&self) -> &str {
        self.modality
    }
    fn family(&self) -> &str {
        self.family
    }
    fn spec(&self) -> TokenSpec {
        self.spec
    }
    fn ids(&self) -> &[String] {
        &self.ids
    }
    fn fingerprint(&self) -> &str {
        "synthetic"
    }

    fn fill(&self, view: View, indices: &[u64], seeds: &[u64], batch: &mut RawBatch) -> Result<Vec<SampleReport>> {
        let left = self.patience.load(Ordering::Relaxed);
        if left == 0 {
            return Err(Error::Dataset("out of patience".into()));
        }
        self.patience.store(left - 1, Ordering::Relaxed);
        *batch = RawBatch::default();
        for (&index, &seed) in indices.iter().zip(seeds) {
            match self.spec {
                TokenSpec::Continuous { n_tokens, d_token, n_masked } => {
                    let wave = |at: usize| ((1 + index % 3) as f32 * at as f32 * 0.4).sin() * self.value;
                    batch.tokens.extend((0..n_tokens * d_token).map(wave));
                    let first = hash(seed, 0) as usize % n_tokens;
                    let masked = |token: usize| (token + first) % n_tokens < n_masked && view == View::Training;
                    batch.mask.extend((0..n_tokens).map(|token| u8::from(masked(token))));
                }
                TokenSpec::Discrete { length, .. } => {
                    let n_padding = index as usize % 2;
                    let target = hash(seed, 1) as usize % (length - n_padding);
                    for at in 0..length {
                        let id = if at < length - n_padding { 2 + (index as usize + at) as i32 % 11 } else { 0 };
                        let masked = view == View::Training && at == target;
                        batch.ids.push(if masked { 1 } else { id });
                        batch.labels.push(if masked { id } else { -100 });
                    }
                    batch.lengths.push((length - n_padding) as i32);
                }
            }
        }
        let bad = |(slot, index): (usize, &u64)| {
            self.unreadable.contains(index).then(|| SampleReport::invalid(slot, "it is torn"))
        };
        Ok(indices.iter().enumerate().filter_map(bad).collect())
    }
}

pub fn settings(num_workers: usize) -> StageSettings {
    StageSettings {
        epochs: 12,
        warmup_epochs: 1,
        batch_size: 8,
        drop_last: false,
        gradient_accumulation: 2,
        optimiser: OptimiserConfig { base_learning_rate: 0.1, ..OptimiserConfig::default() },
        strategy: StrategyConfig::default(),
        buffer: BufferConfig {
            ratio: 0.2,
            cluster_ratio: 0.1,
            sampling: Sampling::WithReplacement,
            ..BufferConfig::default()
        },
        checkpoint_every: 1,
        checkpoint_every_steps: None,
        loss_every_steps: None,
        precision: Precision::default(),
        gradient_precision: Precision::default(),
        num_workers,
        max_invalid_fraction: 0.01,
    }
}

pub fn model() -> ModelConfig {
    let dimensions = Dimensions {
        width: 12,
        layers: 2,
        heads: 3,
        mlp_width: 20,
        decoder_width: 8,
        decoder_layers: 1,
        decoder_heads: 2,
        drop_path: 0.1,
        layer_scale: 0.1,
    };
    ModelConfig {
        dimensions,
        variant: Variant::default(),
        initial_values: InitialValues::default(),
        text_attention: TextAttention::default(),
        families: vec![],
    }
}

/// A run of two stages, `first` then `second`, continued where its folder says.
pub fn run(folder: &Path, first: &Synthetic, second: &Synthetic, settings: &StageSettings) -> Result<Vec<StageState>> {
    run_watched(folder, first, second, settings, &mut Silent)
}

pub fn run_watched(
    folder: &Path,
    first: &Synthetic,
    second: &Synthetic,
    settings: &StageSettings,
    observer: &mut dyn Observer,
) -> Result<Vec<StageState>> {
    run_as(&Ranks::alone(), folder, [first, second], settings, observer)
}

/// The part of a rank in a run of two stages.
pub fn run_as(
    ranks: &Ranks,
    folder: &Path,
    [first, second]: [&Synthetic; 2],
    settings: &StageSettings,
    observer: &mut dyn Observer,
) -> Result<Vec<StageState>> {
    let strategy = settings.strategy.name;
    let mut model = model();
    let run = RunLayout::create(folder)?;
    let mut states: Vec<StageState> = Vec::new();
    for (at, dataset) in [first, second].into_iter().enumerate() {
        let before = StageFolder::new(&run, at, first.modality);
        let previous = states
            .last()
            .filter(|_| !strategy.has_one_model_per_stage())
            .map(|state| StoredModel::of_stage(&before, state));
        let earlier = match states.last() {
            Some(_) => vec![PreviousStage {
                dataset: first as &dyn Dataset,
                buffer: before.buffer()?,
                epochs: settings.epochs,
                batch_size: settings.batch_size,
            }],
            None => vec![],
        };
        model.admit(dataset.family, dataset.modality, dataset.spec, None)?;
        let folder = StageFolder::new(&run, at + 1, dataset.modality);
        if let Some(state) = folder.finished()? {
            folder.verify(&state)?;
            states.push(state);
            continue;
        }
        let stage = Stage {
            number: at + 1,
            seed: 5,
            settings,
            current: dataset,
            model: model.clone(),
            previous,
            earlier,
            deferred: strategy.defers_training() && at == 0,
            folder,
            device: device::by_name("cpu")?,
        };
        states.push(stage.run(ranks, observer)?);
    }
    Ok(states)
}

pub fn metrics(folder: &Path, stage: &str) -> Vec<EpochMetrics> {
    read_metrics(&RunLayout::open(folder).unwrap().folder().join("stages").join(stage).join("metrics.jsonl")).unwrap()
}

/// Asks to stop after so many batches, and notes warnings.
#[derive(Default)]
pub struct Impatient {
    pub patience: usize,
    pub warnings: Vec<String>,
}

impl Observer for Impatient {
    fn step(&mut self, _: &StepReport<'_>) {
        self.patience = self.patience.saturating_sub(1);
    }
    fn stage_end(&mut self, _: StageEndTask, _: usize, _: usize) {
        self.patience = self.patience.saturating_sub(1);
    }
    fn warning(&mut self, message: &str) {
        self.warnings.push(message.into());
    }
    fn stop_requested(&self) -> bool {
        self.patience == 0
    }
}
