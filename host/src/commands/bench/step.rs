//! `medcoss bench step`: the cost of one training step without reading data.

use std::time::Instant;

use anyhow::{Result, anyhow};
use clap::Args;
use medcoss_core::benchmark::StepBenchmark;
use medcoss_core::data::TokenSpec;
use medcoss_core::model::{Precision, Preset};
use medcoss_runtime::timing::peak_memory;
use serde::Serialize;

use super::measurement::{N_WARM_UP, built, median};
use crate::arguments::{DeviceArgs, ResultArgs};
use crate::failure::Failure;
use crate::tables::Table;

/// Measure one training step of masked modelling
///
/// One step is forward pass, backward pass and update on random samples, as in training: the encoder on the visible
/// tokens, the decoder on all. After three steps to warm up, --steps are measured: one by one on the CPU, elsewhere 16 at
/// a time, after which host and device wait for each other as in training. tests/compare/step.py does the same in
/// PyTorch.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss bench step --preset vit-base --batch 8
  medcoss bench step --preset vit-tiny --batch 32 --steps 11 --json
  medcoss bench step --preset vit-base --batch 8 --tokens 512 --token-values 4096
  medcoss bench step --preset vit-base --batch 8 --tokens 112 --vocabulary 28996
  medcoss bench step --preset vit-base --batch 256 --device cuda --precision bfloat16")]
pub(crate) struct Step {
    /// Preset of the model's sizes
    #[arg(long, value_name = "PRESET", default_value = "vit-tiny", value_parser = preset)]
    preset: Preset,
    /// Number of samples in a batch
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: u32,
    /// Number of tokens in a sample
    #[arg(long, value_name = "N", default_value_t = 196, value_parser = clap::value_parser!(u32).range(2..=65_536))]
    tokens: u32,
    /// Number of values of a token
    #[arg(long, value_name = "N", default_value_t = 768, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    token_values: u32,
    /// Fraction of masked tokens
    #[arg(long, value_name = "RATIO", default_value_t = 0.75)]
    mask_ratio: f64,
    /// Text with ids below this number, a target every seven tokens, instead of patches
    #[arg(long, value_name = "N", conflicts_with_all = ["token_values", "mask_ratio"], value_parser = clap::value_parser!(u32).range(2..=1_048_576))]
    vocabulary: Option<u32>,
    /// Number of layers of the encoder, in place of the preset's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    layers: Option<u32>,
    /// Number format of matrix products: float32 or bfloat16
    #[arg(long, value_name = "NUMBERS", default_value = "float32", value_parser = precision)]
    precision: Precision,
    /// Number of steps to measure
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(5..=10_000))]
    steps: u32,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Debug, Serialize)]
struct Report {
    measured: &'static str,
    preset: Preset,
    device: String,
    precision: Precision,
    batch_size: u32,
    n_tokens: u32,
    /// Masked tokens of a sample; none is masked in text, whose targets are every seventh token.
    n_masked: u32,
    d_token: u32,
    vocabulary: Option<u32>,
    layers: usize,
    n_parameters: usize,
    steps: u32,
    optimised: bool,
    /// Wall-clock seconds of a step.
    median_seconds: f64,
    samples_per_second: f64,
    /// Largest resident memory of the process, in bytes.
    peak_rss_bytes: Option<u64>,
    /// Loss of the last step, before its update.
    loss: f32,
}

fn preset(name: &str) -> Result<Preset, String> {
    serde_json::from_value(name.into()).map_err(|_| "expected vit-base, vit-small, vit-tiny or demo".into())
}

fn precision(name: &str) -> Result<Precision, String> {
    serde_json::from_value(name.into()).map_err(|_| "expected float32 or bfloat16".into())
}

impl Step {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let report = self.measure().map_err(Failure::of_run)?;
        self.result.print(&report, Report::page)
    }

    fn measure(&self) -> Result<Report> {
        let n_masked = (f64::from(self.tokens) * self.mask_ratio).round();
        if !(n_masked >= 1.0 && n_masked < f64::from(self.tokens)) {
            return Err(anyhow!(
                "--mask-ratio {} masks {n_masked} of {} tokens; at least one must be masked and one visible",
                self.mask_ratio,
                self.tokens
            ));
        }
        let n_masked = n_masked as u32;
        let spec = match self.vocabulary {
            Some(vocabulary) => TokenSpec::Discrete { length: self.tokens as usize, vocabulary: vocabulary as usize },
            None => TokenSpec::Continuous {
                n_tokens: self.tokens as usize,
                d_token: self.token_values as usize,
                n_masked: n_masked as usize,
            },
        };
        let mut dimensions = self.preset.dimensions();
        if let Some(layers) = self.layers {
            dimensions.layers = layers as usize;
        }
        let layers = dimensions.layers;
        let device = medcoss_core::device::by_name(&self.device.name)?;
        let mut benchmark = StepBenchmark::new(dimensions, spec, self.batch as usize, self.precision, &device)?;
        let (mut seconds, mut loss) = (Vec::new(), 0.0);
        let at_once = benchmark.steps_between_readings();
        for _ in 0..N_WARM_UP + (self.steps as usize).div_ceil(at_once) {
            let began = Instant::now();
            loss = benchmark.steps(at_once)?;
            seconds.push(began.elapsed().as_secs_f64() / at_once as f64);
        }
        let n_measured = ((seconds.len() - N_WARM_UP) * at_once) as u32;
        let median_seconds = median(seconds.split_off(N_WARM_UP));
        Ok(Report {
            measured: "a training step of masked modelling: forward, backward and update, by the median of the steps",
            preset: self.preset,
            device: self.device.name.clone(),
            precision: self.precision,
            batch_size: self.batch,
            n_tokens: self.tokens,
            n_masked: if self.vocabulary.is_some() { 0 } else { n_masked },
            d_token: if self.vocabulary.is_some() { 1 } else { self.token_values },
            vocabulary: self.vocabulary,
            layers,
            n_parameters: benchmark.n_parameters(),
            steps: n_measured,
            optimised: !cfg!(debug_assertions),
            median_seconds,
            samples_per_second: f64::from(self.batch) / median_seconds,
            peak_rss_bytes: peak_memory(),
            loss,
        })
    }
}

impl Report {
    fn page(&self) -> String {
        let mut table = Table::bare();
        let mut line = |name: &str, value: String| table.row([name.to_string(), value]);
        line("a step", format!("{:.3} s", self.median_seconds));
        line("samples", format!("{:.1} a second", self.samples_per_second));
        if let Some(bytes) = self.peak_rss_bytes {
            let whose = if self.device == "cpu" { "peak memory" } else { "peak memory of the host" };
            line(whose, format!("{} MiB", bytes >> 20));
        }
        line("parameters", format!("{:.1} million", self.n_parameters as f64 / 1e6));
        let what = match self.vocabulary {
            Some(vocabulary) => format!("{} tokens out of {vocabulary}", self.n_tokens),
            None => format!("{} of {} tokens masked", self.n_masked, self.n_tokens),
        };
        format!(
            "Batches of {} with {what}, {} layers, {}{}; median of {} steps.\n\n{}",
            self.batch_size,
            self.layers,
            self.device,
            built(),
            self.steps,
            table.lines()
        )
    }
}
