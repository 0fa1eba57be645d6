//! Training steps on synthetic samples: the time and memory of a step, measured before any training.

use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};

use crate::data::{HostBatch, PatchBatch, TokenBatch, TokenSpec};
use crate::device::check_precision;
use crate::model::{DeviceBatch, Dimensions, InitialValues, Model, ModelConfig, Precision, TextAttention, Variant};
use crate::optimisation::{OptimiserConfig, adamw};
use crate::pretext::pretext_loss;
use crate::stage::StageSettings;
use crate::{DeviceError, Result};

/// Learning rate of the steps: low, so that any number of them stays finite.
const RATE: f64 = 1e-5;
/// A target every so many tokens of text.
const TEXT_TARGETS: usize = 7;

/// A model, its optimiser and one batch of the pretext task.
pub struct StepBenchmark {
    /// Taken out only while the optimiser updates it in place.
    model: Option<Model>,
    optimiser: ModuleOptimizer,
    batch: HostBatch,
    device: Device,
}

impl StepBenchmark {
    /// A model of these sizes with one family, and `n` samples of this family. `device` is the device without gradients.
    ///
    /// # Errors
    /// Sizes that do not go together; a device that does not compute in this precision.
    pub fn new(
        dimensions: Dimensions,
        spec: TokenSpec,
        n: usize,
        precision: Precision,
        device: &Device,
    ) -> Result<Self> {
        check_precision(device, precision)?;
        let mut config = ModelConfig {
            dimensions,
            variant: Variant::default(),
            initial_values: InitialValues::default(),
            text_attention: TextAttention::default(),
            families: Vec::new(),
        };
        config.admit("trial", "trial", spec, None)?;
        let device = device.clone().autodiff();
        let model = Model::new(&config, 0, 1, &device).with_precision(precision);
        let optimiser = adamw(&OptimiserConfig::default(), &model);
        Ok(Self { model: Some(model), optimiser, batch: batch(spec, n), device })
    }

    /// Number of learned values in the model.
    pub fn n_parameters(&self) -> usize {
        self.model.as_ref().map_or(0, Model::n_parameters)
    }

    /// Number of steps that are measured together: those between two readings of losses, see [`StageSettings::loss_every_steps`].
    pub fn steps_between_readings(&self) -> usize {
        StageSettings::usual_loss_every_steps(&self.device)
    }

    /// `n` training steps, at least one, after which host and device wait for each other. Returns the last loss, before its update.
    ///
    /// # Errors
    /// A loss that is not finite.
    pub fn steps(&mut self, n: usize) -> Result<f32> {
        let mut loss = self.step()?;
        for _ in 1..n {
            loss = self.step()?;
        }
        let value: f32 = loss.into_scalar();
        self.device.sync().map_err(|error| DeviceError::read_back("the parameters", error))?;
        match value.is_finite() {
            true => Ok(value),
            false => Err(DeviceError::Benchmark { detail: format!("its loss is {value}") }.into()),
        }
    }

    /// One training step: forward, backward, update. Returns the loss before the update, which stays on the device.
    fn step(&mut self) -> Result<Tensor<1>> {
        let Some(model) = self.model.take() else {
            return Err(DeviceError::Benchmark { detail: "an earlier step did not end".into() }.into());
        };
        let batch = DeviceBatch::new(self.batch.clone(), &self.device);
        let encoded = model.encode(0, &batch, 0, None);
        let loss = pretext_loss(&model, 0, &batch, encoded);
        let value = loss.clone().inner();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        self.model = Some(self.optimiser.step(RATE, model, gradients));
        Ok(value)
    }
}

/// Samples of a fixed pattern, masked evenly.
fn batch(spec: TokenSpec, n: usize) -> HostBatch {
    let value = |at: usize| ((at * 7919 % 1009) as f32 / 504.5) - 1.0;
    match spec {
        TokenSpec::Continuous { n_tokens, d_token, n_masked } => {
            let is_masked = |token: usize| (token + 1) * n_masked / n_tokens > token * n_masked / n_tokens;
            let of_all = |masked: bool| -> Vec<i32> {
                let of_sample = || (0..n_tokens).filter(move |token| is_masked(*token) == masked);
                (0..n).flat_map(|_| of_sample()).map(|token| token as i32).collect()
            };
            let n_visible = n_tokens - n_masked;
            HostBatch::Patches(PatchBatch {
                n,
                n_tokens,
                d_token,
                n_visible,
                visible: (0..n * n_visible * d_token).map(value).collect(),
                visible_index: of_all(false),
                masked_index: of_all(true),
                targets: (0..n * n_masked * d_token).map(value).collect(),
                valid: Vec::new(),
                layout: None,
                affines: Vec::new(),
            })
        }
        TokenSpec::Discrete { length, vocabulary } => {
            let id = |at: usize| (at * 7919 % vocabulary) as i32;
            let targets: Vec<usize> = (0..n * length).step_by(TEXT_TARGETS).collect();
            HostBatch::Tokens(TokenBatch {
                n,
                length,
                ids: (0..n * length).map(id).collect(),
                attended: vec![true; n * length],
                target_index: targets.iter().map(|at| *at as i32).collect(),
                target_ids: targets.iter().map(|at| id(at + 1)).collect(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Preset;

    #[test]
    fn steps_learn_their_one_batch() {
        let specs = [
            TokenSpec::Continuous { n_tokens: 16, d_token: 12, n_masked: 12 },
            TokenSpec::Discrete { length: 14, vocabulary: 50 },
        ];
        for (spec, precision) in
            [(specs[0], Precision::Float32), (specs[1], Precision::Float32), (specs[0], Precision::Bfloat16)]
        {
            let mut trial = StepBenchmark::new(Preset::Demo.dimensions(), spec, 3, precision, &Device::flex()).unwrap();
            let losses: Vec<f32> = (0..4).map(|_| trial.steps(1).unwrap()).collect();
            assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
            assert!(trial.n_parameters() > 100_000);
        }
    }

    #[test]
    fn as_many_tokens_are_masked_as_asked_for() {
        for (n_tokens, n_masked) in [(196, 147), (16, 12), (10, 1), (7, 5)] {
            let HostBatch::Patches(batch) = batch(TokenSpec::Continuous { n_tokens, d_token: 2, n_masked }, 2) else {
                panic!("continuous tokens")
            };
            assert_eq!(
                (batch.masked_index.len(), batch.visible_index.len()),
                (2 * n_masked, 2 * (n_tokens - n_masked))
            );
            assert_eq!((batch.targets.len(), batch.visible.len()), (4 * n_masked, 4 * (n_tokens - n_masked)));
        }
    }
}
