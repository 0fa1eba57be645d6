//! Segmentation probe on frozen features: a light decoder maps the feature of each token to classes of the token's voxels.
//!
//! The encoder works on tokens of a whole patch, and every token has seen all others. So the decoder has nothing to do but to write
//! out what a feature says of its own patch: one linear layer from a feature to `voxels of a patch x classes`, or, with `hidden`, one
//! more before it. It shares nothing between tokens, has no skip connections from the pixels and no context of its own: what it
//! finds was in the feature. A convolutional decoder would reach higher scores, and say less about the encoder.

use burn::module::Module;
use burn::nn::Linear;
use burn::optim::GradientsParams;
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;

use super::segmentation_loss::loss_and_gradient;
use super::segmentation_maps::ClassMaps;
use super::segmentation_scores::{SampleSegmentation, SegmentationScores};
use crate::data::{Dataset, LoaderOptions};
use crate::model::{Initialiser, Model};
use crate::optimisation::{OptimiserConfig, Schedule, adamw};
use crate::ranges::{MAX_BATCH, MAX_EPOCHS, check_count, check_not_negative, check_positive};
use crate::rng;
use crate::stage::{Pooling, encode_samples};
use crate::{DeviceError, Error, EvaluationError, Result, SettingError};

/// Segmentation probe: a decoder trained with AdamW, a learning rate that falls along half a cosine, and the loss of nnU-Net (cross-entropy plus soft
/// Dice). Features are standardised on the training split. Samples are neither augmented nor masked, and the encoder stays frozen.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentationProbe {
    /// Width of the hidden layer, with GELU; 0 for a linear decoder.
    pub hidden: usize,
    /// Number of passes over the training split.
    pub epochs: usize,
    /// Number of samples in a batch.
    pub batch_size: usize,
    /// Learning rate of the first update.
    pub learning_rate: f64,
    /// Decoupled weight decay; none on biases.
    pub weight_decay: f64,
}

impl Default for SegmentationProbe {
    fn default() -> Self {
        Self { hidden: 0, epochs: 30, batch_size: 16, learning_rate: 3e-3, weight_decay: 0.05 }
    }
}

/// Features of every token of samples, without class tokens.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TokenFeatures {
    /// Number of values in a feature.
    pub width: usize,
    /// Number of tokens of a sample.
    pub n_tokens: usize,
    /// Indices of the samples, ascending.
    pub rows: Vec<u64>,
    /// Features, `[rows, n_tokens, width]`.
    pub values: Vec<f32>,
    /// Samples that could not be read, with the reason.
    pub invalid: Vec<(u64, String)>,
}

impl TokenFeatures {
    /// Encodes every sample of a dataset, neither augmented nor masked. The features are held in memory: 4 bytes a value of each token of each
    /// sample. `progress` gets the number of finished samples; an error of `progress` ends the encoding.
    ///
    /// # Errors
    /// A dataset of words, one that fails, too many invalid samples, an error of `progress`.
    pub fn extract(
        model: &Model,
        family: usize,
        dataset: &dyn Dataset,
        loader: LoaderOptions,
        device: &Device,
        progress: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Self> {
        let crate::data::TokenSpec::Continuous { n_tokens, .. } = dataset.spec() else {
            let modality = dataset.modality();
            return Err(SettingError::Tokens {
                modality: modality.into(),
                found: "words",
                expected: "pixels to segment",
            }
            .into());
        };
        let mut features = Self { n_tokens, ..Self::default() };
        encode_samples(model, family, dataset, Pooling::None.into(), loader, device, &mut |batch| {
            if batch.rows.is_empty() {
                features.invalid.extend(batch.invalid.iter().map(|(index, sample)| (*index, sample.message.clone())));
                return progress(batch.done);
            }
            features.width = batch.width;
            // The class token is the first of each sample.
            let samples = batch.values.chunks_exact((n_tokens + 1) * batch.width);
            features.values.extend(samples.flat_map(|sample| &sample[batch.width..]));
            features.rows.extend(batch.rows);
            features.invalid.extend(batch.invalid.iter().map(|(index, sample)| (*index, sample.message.clone())));
            progress(batch.done)
        })?;
        Ok(features)
    }

    /// Features of the sample at position `at` of the rows, `[n_tokens, width]`.
    fn of(&self, at: usize) -> &[f32] {
        let n = self.n_tokens * self.width;
        &self.values[at * n..][..n]
    }
}

/// Maximum width of the hidden layer: as wide as no layer of a model is.
const MAX_HIDDEN: usize = 1 << 16;

/// The decoder: `[rows, width]` to `[rows, n_classes * voxels of a token]`.
#[derive(Module, Debug)]
struct Decoder {
    hidden: Option<Linear>,
    output: Linear,
}

impl Decoder {
    fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        let features = match &self.hidden {
            Some(hidden) => gelu(hidden.forward(features)),
            None => features,
        };
        self.output.forward(features)
    }
}

/// A sample of the split: its place among the features and among the class maps.
#[derive(Debug, Clone, Copy)]
struct Place {
    feature: usize,
    map: usize,
}

impl SegmentationProbe {
    /// Checks that the settings are in range.
    ///
    /// # Errors
    /// The first setting that is not.
    pub fn check(&self) -> Result<()> {
        check_count("hidden", self.hidden, 0, MAX_HIDDEN)?;
        check_count("epochs", self.epochs, 0, MAX_EPOCHS)?;
        check_count("batch_size", self.batch_size, 1, MAX_BATCH)?;
        check_positive("learning_rate", self.learning_rate)?;
        check_not_negative("weight_decay", self.weight_decay)
    }

    /// Trains on the samples `train` and segments the samples `test`, both given by index. Samples without features or without a label map are left
    /// out; the result lists the scored ones. `progress` gets the number of finished samples, out of `epochs` times the training samples plus the
    /// test samples; an error of `progress` ends the probe. `device` is the device of the features, without gradients.
    ///
    /// # Errors
    /// Settings out of range, features and maps of different grids, a split without samples, a loss that is not finite, an error of
    /// `progress`.
    #[allow(clippy::too_many_arguments)]
    pub fn scores(
        &self,
        features: &TokenFeatures,
        maps: &ClassMaps,
        train: &[u64],
        test: &[u64],
        seed: u64,
        device: &Device,
        progress: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<SegmentationScores> {
        self.check()?;
        if features.n_tokens != maps.n_tokens() {
            let (found, grid) = (features.n_tokens, &maps.grid);
            return Err(EvaluationError::Masks {
                detail: format!("samples have {found} tokens, and label maps are cut into {grid:?}"),
            }
            .into());
        }
        let (train, test) = (places(features, maps, train), places(features, maps, test));
        for (split, places) in [("training", &train), ("test", &test)] {
            if places.is_empty() {
                return Err(EvaluationError::NoLabelMaps { split }.into());
            }
        }
        let scale = Scale::on(features, &train);
        let mut done = 0;
        let mut tick = |n: usize| {
            done += n;
            progress(done)
        };
        let decoder = self.learn(&scale, features, maps, &train, seed, device, &mut tick)?;
        let mut samples = Vec::with_capacity(test.len());
        for some in test.chunks(self.batch_size) {
            let input = scale.batch(features, some, device);
            let logits = values(decoder.forward(input))?;
            let of_sample = maps.n_voxels() * maps.n_classes();
            for (place, logits) in some.iter().zip(logits.chunks_exact(of_sample)) {
                let predicted = maps.in_space(&most_likely(logits, maps.n_classes(), maps.n_in_token()));
                let truth = maps.in_space(maps.of(place.map));
                samples.push(SampleSegmentation::compare(maps, place.map, &truth, &predicted)?);
            }
            tick(some.len())?;
        }
        Ok(SegmentationScores { classes: maps.classes.clone(), samples })
    }

    #[allow(clippy::too_many_arguments)]
    fn learn(
        &self,
        scale: &Scale,
        features: &TokenFeatures,
        maps: &ClassMaps,
        train: &[Place],
        seed: u64,
        device: &Device,
        tick: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Decoder> {
        let with_gradients = device.clone().autodiff();
        let mut init = Initialiser::new(rng::keyed(seed, "segmentation decoder", &[]), &with_gradients);
        let n_outputs = maps.n_classes() * maps.n_in_token();
        let hidden = (self.hidden > 0).then(|| init.linear(features.width, self.hidden));
        let output = init.linear(if self.hidden > 0 { self.hidden } else { features.width }, n_outputs);
        let mut decoder = Decoder { hidden, output };
        let config = OptimiserConfig {
            base_learning_rate: self.learning_rate,
            weight_decay: self.weight_decay,
            beta_2: 0.999,
            ..OptimiserConfig::default()
        };
        // The schedule scales the rate by batch size over 256; a batch of 256 keeps the configured rate.
        let schedule = Schedule::new(&config, 256, 0, self.epochs);
        let mut optimiser = adamw(&config, &decoder);
        let n_steps = train.len().div_ceil(self.batch_size);
        for epoch in 0..self.epochs {
            let mut order = train.to_vec();
            let mut draws = rng::keyed(seed, "segmentation order", &[epoch as u64]);
            for last in (1..order.len()).rev() {
                order.swap(last, draws.random_range(0..=last));
            }
            for (step, some) in order.chunks(self.batch_size).enumerate() {
                let logits = decoder.forward(scale.batch(features, some, &with_gradients));
                let truth: Vec<u8> = some.iter().flat_map(|place| maps.of(place.map)).copied().collect();
                let (loss, gradient) =
                    loss_and_gradient(&values(logits.clone())?, &truth, maps.n_classes(), maps.n_in_token());
                if !loss.is_finite() {
                    return Err(EvaluationError::NotFinite { protocol: "segmentation", loss, epoch: epoch + 1 }.into());
                }
                // The derivative of this sum with respect to the logits is the computed gradient.
                let gradient = Tensor::from_data(TensorData::new(gradient, logits.dims()), &with_gradients);
                let surrogate = (logits * gradient).sum_dim(1).sum();
                let gradients = GradientsParams::from_grads(surrogate.backward(), &decoder);
                let rate = schedule.learning_rate(epoch as f64 + step as f64 / n_steps as f64);
                decoder = optimiser.step(rate, decoder, gradients);
                tick(some.len())?;
            }
        }
        Ok(decoder.valid())
    }
}

/// Samples of a split that have features and a label map.
fn places(features: &TokenFeatures, maps: &ClassMaps, split: &[u64]) -> Vec<Place> {
    let numbered = |rows: &[u64]| -> std::collections::HashMap<u64, usize> {
        rows.iter().enumerate().map(|(at, index)| (*index, at)).collect()
    };
    let (in_features, in_maps) = (numbered(&features.rows), numbered(&maps.rows));
    let place = |index: &u64| Some(Place { feature: *in_features.get(index)?, map: *in_maps.get(index)? });
    split.iter().filter_map(place).collect()
}

/// The class with the highest logit of each voxel, `[tokens, voxels]`; of equal ones the first.
fn most_likely(logits: &[f32], n_classes: usize, n_in_token: usize) -> Vec<u8> {
    let mut classes = Vec::with_capacity(logits.len() / n_classes);
    for token in logits.chunks_exact(n_classes * n_in_token) {
        classes.extend((0..n_in_token).map(|voxel| {
            let logit = |class: usize| token[class * n_in_token + voxel];
            (1..n_classes).fold(0, |best, class| if logit(class) > logit(best) { class } else { best }) as u8
        }));
    }
    classes
}

fn values(tensor: Tensor<2>) -> Result<Vec<f32>> {
    tensor.try_into_vec_as::<f32>().map_err(|error| Error::from(DeviceError::read_back("logits", error)))
}

/// Mean and inverse standard deviation of each value over the tokens of the training split.
struct Scale {
    mean: Vec<f32>,
    /// 0 for a value that does not vary.
    inverse: Vec<f32>,
}

impl Scale {
    fn on(features: &TokenFeatures, train: &[Place]) -> Self {
        let width = features.width;
        let rows = || train.iter().flat_map(|place| features.of(place.feature).chunks_exact(width));
        let n = (train.len() * features.n_tokens) as f64;
        let mut mean = vec![0.0; width];
        rows().for_each(|row| mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value) / n));
        let mut variance = vec![0.0; width];
        for row in rows() {
            for ((sum, value), mean) in variance.iter_mut().zip(row).zip(&mean) {
                *sum += (f64::from(*value) - mean).powi(2) / n;
            }
        }
        // A value that varies by rounding alone is constant.
        let inverse = |(variance, mean): (&f64, &f64)| {
            let deviation = variance.sqrt();
            if deviation > 1e-6 * mean.abs().max(1e-6) { (1.0 / deviation) as f32 } else { 0.0 }
        };
        let inverse = variance.iter().zip(&mean).map(inverse).collect();
        Self { mean: mean.into_iter().map(|mean| mean as f32).collect(), inverse }
    }

    /// Standardised features of some samples, `[samples * n_tokens, width]`.
    fn batch(&self, features: &TokenFeatures, some: &[Place], device: &Device) -> Tensor<2> {
        let width = features.width;
        let mut scaled = Vec::with_capacity(some.len() * features.n_tokens * width);
        for row in some.iter().flat_map(|place| features.of(place.feature).chunks_exact(width)) {
            let values = row.iter().zip(&self.mean).zip(&self.inverse);
            scaled.extend(values.map(|((value, mean), inverse)| (value - mean) * inverse));
        }
        let shape = [some.len() * features.n_tokens, width];
        Tensor::from_data(TensorData::new(scaled, shape), device)
    }
}

#[cfg(test)]
mod tests {
    use super::super::metric::Metric;
    use super::super::segmentation_maps::SegmentationClasses;
    use super::super::segmentation_maps::tests::Painted;
    use super::*;
    use crate::device;
    use crate::evaluation::LabelMap;

    const N: usize = 24;

    /// Samples of two by three tokens of two by four pixels. A token's features are its pixels' values in another order, so that a linear
    /// decoder can find which of them are above one half.
    fn toy() -> (TokenFeatures, ClassMaps) {
        let mut draws = rng::keyed(3, "toy", &[]);
        let (mut maps, mut values) = (Vec::new(), Vec::new());
        for _ in 0..N {
            let pixels: Vec<f32> = (0..48).map(|_| draws.random::<f32>()).collect();
            let labels = pixels.iter().map(|value| u16::from(*value > 0.5) * 9).collect();
            maps.push(Some(LabelMap { shape: vec![4, 12], spacing_mm: None, values: labels }));
            for token in 0..6 {
                let pixel = |at: usize| pixels[(token / 3 * 2 + at / 4) * 12 + token % 3 * 4 + at % 4];
                values.extend((0..8).map(|at| 5.0 - 3.0 * pixel((at * 3 + 1) % 8)));
            }
        }
        let masks = Painted { grid: vec![2, 3], maps };
        let indices: Vec<u64> = (0..N as u64).collect();
        let maps = ClassMaps::read(&masks, &indices, &SegmentationClasses::FOREGROUND, None).unwrap();
        (TokenFeatures { width: 8, n_tokens: 6, rows: indices, values, invalid: vec![] }, maps)
    }

    fn scores(probe: &SegmentationProbe, seed: u64) -> SegmentationScores {
        let (features, maps) = toy();
        let split: Vec<u64> = (0..N as u64).collect();
        let device = device::by_name("cpu").unwrap();
        probe.scores(&features, &maps, &split[..16], &split[16..], seed, &device, &mut |_| Ok(())).unwrap()
    }

    fn mean_dice(scores: &SegmentationScores) -> f64 {
        let places: Vec<usize> = (0..scores.samples.len()).collect();
        scores.mean(Metric::Dice, &places).unwrap()
    }

    const QUICK: SegmentationProbe =
        SegmentationProbe { hidden: 0, epochs: 120, batch_size: 4, learning_rate: 0.1, weight_decay: 0.0 };

    #[test]
    fn a_mask_that_is_linear_in_the_features_is_found_and_not_without_learning() {
        let linear = scores(&QUICK, 1);
        assert_eq!(linear.samples.iter().map(|sample| sample.index).collect::<Vec<_>>(), (16..24).collect::<Vec<_>>());
        assert!(mean_dice(&linear) > 0.95, "{}", mean_dice(&linear));
        let deep = mean_dice(&scores(&SegmentationProbe { hidden: 64, learning_rate: 0.01, ..QUICK }, 1));
        assert!(deep > 0.9, "{deep}");
        let untrained = mean_dice(&scores(&SegmentationProbe { epochs: 0, ..QUICK }, 1));
        assert!(untrained < 0.7, "{untrained}");
    }

    #[test]
    fn the_same_seed_gives_the_same_scores_and_another_one_others() {
        let short = SegmentationProbe { epochs: 3, learning_rate: 0.01, ..QUICK };
        assert_eq!(scores(&short, 1), scores(&short, 1));
        assert_ne!(scores(&short, 1), scores(&short, 2));
    }

    #[test]
    fn progress_counts_every_sample_and_can_stop_the_work() {
        let (features, mut maps) = toy();
        // A sample without a mask is left out.
        maps.rows[3] = 77;
        let device = device::by_name("cpu").unwrap();
        let probe = SegmentationProbe { epochs: 2, ..QUICK };
        let mut seen = Vec::new();
        let found = probe
            .scores(&features, &maps, &[0, 1, 2, 3, 4, 5], &[8, 9, 100], 0, &device, &mut |done| {
                seen.push(done);
                Ok(())
            })
            .unwrap();
        assert_eq!((seen, found.samples.len()), (vec![4, 5, 9, 10, 12], 2));
        let mut stop = |_| Err(Error::Caller("enough".into()));
        let error = probe.scores(&features, &maps, &[0, 1], &[2], 0, &device, &mut stop).unwrap_err();
        assert_eq!(error.to_string(), "enough");
    }

    #[test]
    fn settings_and_splits_that_cannot_work_are_named() {
        let (features, maps) = toy();
        let device = device::by_name("cpu").unwrap();
        let message = |probe: &SegmentationProbe, maps: &ClassMaps, train: &[u64], test: &[u64]| {
            probe.scores(&features, maps, train, test, 0, &device, &mut |_| Ok(())).unwrap_err().to_string()
        };
        assert!(message(&SegmentationProbe { batch_size: 0, ..QUICK }, &maps, &[0], &[1]).contains("batch_size is 0"));
        assert!(
            message(&SegmentationProbe { learning_rate: f64::NAN, ..QUICK }, &maps, &[0], &[1])
                .contains("learning_rate")
        );
        assert!(
            message(&SegmentationProbe { weight_decay: -1.0, ..QUICK }, &maps, &[0], &[1]).contains("weight_decay")
        );
        assert!(message(&QUICK, &maps, &[], &[1]).contains("the training split has no sample"));
        assert!(message(&QUICK, &maps, &[0], &[55]).contains("the test split has no sample"));
        let other = ClassMaps { grid: vec![1, 3], ..maps };
        assert!(message(&QUICK, &other, &[0], &[1]).contains("6 tokens, and label maps are cut into [1, 3]"));
    }
}
