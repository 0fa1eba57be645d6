//! Fine-tuning: the whole model and a linear head are trained on a task.

use std::collections::BTreeMap;

use burn::module::{Module, ParamId};
use burn::nn::Linear;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;

use super::labelled_features::LabelledFeatures;
use super::linear_probe::{Fitted, LinearProbe, Standardised};
use crate::data::{BatchLoader, BatchRequest, Dataset, LoaderOptions, Subset};
use crate::fused;
use crate::model::{DeviceBatch, Initialiser, Model, StochasticDepth, mean_over_tokens};
use crate::optimisation::{OptimiserConfig, Schedule, adamw};
use crate::pretext::mean_all;
use crate::ranges::{MAX_BATCH, MAX_EPOCHS, check_count, check_not_negative, check_positive};
use crate::rng;
use crate::stage::{Encoding, extract_features};
use crate::{DeviceError, Error, EvaluationError, Result, SettingError};

/// Settings of fine-tuning: AdamW (betas 0.9 and 0.999), a learning rate that rises over the first tenth of the updates and falls
/// along half a cosine, and layer-wise decay of it as in BEiT (Bao et al., ICLR 2022) and MAE (He et al., CVPR 2022). Samples are
/// neither augmented nor masked. The head begins as the linear probe of the features before anything is tuned (Kumar et al., *Fine-Tuning
/// can Distort Pretrained Features*, ICLR 2022): from a head that knows nothing, AdamW would first move the encoder at full rate along noise,
/// and small tasks have few updates to repair that. It sees features standardised, by the batch while it learns and by the whole
/// training split after it (batch normalisation without parameters).
#[derive(Debug, Clone, PartialEq)]
pub struct Finetuning {
    /// Number of passes over the training split.
    pub epochs: usize,
    /// Number of samples in a batch.
    pub batch_size: usize,
    /// Peak learning rate of the head.
    pub learning_rate: f64,
    /// Layer-wise decay: ratio of the learning rate of a layer to the rate of the layer above, in (0, 1].
    pub layer_decay: f64,
    /// Decoupled weight decay; none on one-dimensional parameters.
    pub weight_decay: f64,
}

impl Default for Finetuning {
    fn default() -> Self {
        Self { epochs: 5, batch_size: 16, learning_rate: 2e-4, layer_decay: 0.75, weight_decay: 0.05 }
    }
}

impl Finetuning {
    /// Checks that every setting is in range.
    ///
    /// # Errors
    /// The first setting that is not.
    pub fn check(&self) -> Result<()> {
        check_count("epochs", self.epochs, 1, MAX_EPOCHS)?;
        check_count("batch_size", self.batch_size, 1, MAX_BATCH)?;
        check_positive("learning_rate", self.learning_rate)?;
        if !(self.layer_decay > 0.0 && self.layer_decay <= 1.0) {
            return Err(SettingError::out_of_range("layer_decay", self.layer_decay, "above 0.0 to 1.0").into());
        }
        check_not_negative("weight_decay", self.weight_decay)
    }
}

/// Labelled samples of a dataset.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    /// Indices of the samples in the dataset.
    pub indices: &'a [u64],
    /// Class of each sample, in `0..n_classes`.
    pub classes: &'a [usize],
    /// Number of classes.
    pub n_classes: usize,
}

/// Fine-tuning of one model on one dataset.
pub struct Finetuner<'a> {
    /// Settings of the fine-tuning.
    pub settings: &'a Finetuning,
    /// Position of the samples' family in the model.
    pub family: usize,
    /// Rate of stochastic depth in training.
    pub drop_path: f64,
    /// Dataset of the samples.
    pub dataset: &'a dyn Dataset,
    /// Options of the loading of samples.
    pub loader: LoaderOptions,
    /// Seed of the head's initial values, the order of samples and the stochastic depth.
    pub seed: u64,
    /// Device of the computation, without gradients.
    pub device: &'a Device,
}

/// A model with a linear head.
#[derive(Module, Debug)]
struct Classifier {
    model: Model,
    head: Linear,
}

/// Added to the variance of a batch.
const EPSILON: f64 = 1e-8;

impl Classifier {
    /// Means over tokens `[B, D]` to scores `[B, n_classes]`, standardised by themselves.
    fn classify_batch(&self, features: Tensor<2>) -> Tensor<2> {
        let centred = features.clone() - features.mean_dim(0);
        let variance = (centred.clone() * centred.clone()).mean_dim(0);
        self.head.forward(centred / variance.add_scalar(EPSILON).sqrt())
    }

    /// Class scores, standardised by the training split.
    fn classify(&self, features: Tensor<2>, scale: &Standardised) -> Tensor<2> {
        let device = features.device();
        let row = |value: &dyn Fn(usize) -> f64| {
            let values: Vec<f32> = (0..scale.mean.len()).map(|at| value(at) as f32).collect();
            Tensor::<2>::from_data(TensorData::new(values, [1, scale.mean.len()]), &device)
        };
        let inverse = |at: usize| if scale.deviation[at] > 0.0 { 1.0 / scale.deviation[at] } else { 0.0 };
        self.head.forward((features - row(&|at| scale.mean[at])) * row(&inverse))
    }
}

impl Finetuner<'_> {
    /// Trains on the training split and predicts probabilities of the test samples, `[test.len(), n_classes]`. `model` lies on the device with
    /// gradients. `progress` gets the number of finished samples: the training samples `epochs` times and twice more, and the test samples. An error
    /// of `progress` ends the fine-tuning.
    ///
    /// # Errors
    /// Settings out of range, samples that cannot be read, a loss that is not finite, an error of `progress`.
    pub fn scores(
        &self,
        model: Model,
        train: Labels<'_>,
        test: &[u64],
        progress: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Vec<f64>> {
        self.settings.check()?;
        let n = train.indices.len();
        let mut frozen = self.features(&model.valid(), train.indices, progress)?;
        frozen.labels = train.classes.to_vec();
        let probe = LinearProbe::default().fit(&frozen, train.n_classes)?;
        let learned = self.learn(self.with_head(model, &probe), train, &mut |done| progress(n + done))?;
        let (trained, before) = (learned.valid(), (1 + self.settings.epochs) * n);
        let tuned = self.features(&trained.model, train.indices, &mut |done| progress(before + done))?;
        let scale = Standardised::on(&tuned);
        let tested = self.features(&trained.model, test, &mut |done| progress(before + n + done))?;
        let features = TensorData::new(tested.values, [test.len(), tested.width]);
        let scores = softmax(trained.classify(Tensor::from_data(features, self.device), &scale), 1);
        let scores =
            scores.try_into_vec_as::<f32>().map_err(|error| Error::from(DeviceError::read_back("scores", error)))?;
        Ok(scores.into_iter().map(f64::from).collect())
    }

    /// Means over tokens, without classes.
    fn features(
        &self,
        model: &Model,
        indices: &[u64],
        progress: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<LabelledFeatures> {
        let dataset = Subset::new(self.dataset, indices.to_vec());
        let features =
            extract_features(model, self.family, &dataset, Encoding::default(), self.loader, self.device, progress)?;
        match features.invalid.first() {
            Some((id, reason)) => Err(Error::no_longer_valid(id, reason)),
            None => {
                Ok(LabelledFeatures { values: features.values, width: features.width, labels: vec![0; indices.len()] })
            }
        }
    }

    fn learn(
        &self,
        classifier: Classifier,
        train: Labels<'_>,
        progress: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Classifier> {
        let device = self.device.clone().autodiff();
        let (n, settings) = (train.indices.len(), self.settings);
        let mut updates = self.updates(&classifier, n)?;
        // The model is taken out during the update, which then needs no copy.
        let mut held = Some(classifier);
        for epoch in 0..settings.epochs {
            let order = self.order(n, epoch);
            let batch_of = |item: usize| &order[item * settings.batch_size..((item + 1) * settings.batch_size).min(n)];
            let request = |item: usize| {
                let indices = batch_of(item).iter().map(|at| train.indices[*at]).collect();
                BatchRequest::evaluation(self.dataset, indices)
            };
            let n_batches = n.div_ceil(settings.batch_size);
            BatchLoader::new(self.loader.num_workers, request).for_each(0..n_batches, |item, loaded| {
                loaded.expect_all_valid(self.dataset)?;
                let (Some(classifier), Some(batch)) = (held.take(), loaded.batch) else { return Ok(()) };
                let batch = DeviceBatch::new(batch, &device);
                let step = epoch * n_batches + item;
                let mut depth =
                    StochasticDepth::new(self.drop_path, rng::keyed(self.seed, "fine-tuning depth", &[step as u64]));
                let encoded = classifier.model.encode(self.family, &batch, 0, depth.as_mut());
                let [n_batch, _, width] = encoded.dims();
                let features = mean_over_tokens(encoded, &batch).reshape([n_batch, width]);
                let classes: Vec<i32> = batch_of(item).iter().map(|at| train.classes[*at] as i32).collect();
                let loss = mean_all(fused::cross_entropy(classifier.classify_batch(features), &classes));
                let value: f32 = loss.clone().into_scalar();
                if !value.is_finite() {
                    return Err(EvaluationError::NotFinite {
                        protocol: "fine-tuning",
                        loss: f64::from(value),
                        epoch: epoch + 1,
                    }
                    .into());
                }
                held = Some(updates.apply(classifier, &mut loss.backward(), step));
                progress(epoch * n + item * settings.batch_size + n_batch)
            })?;
        }
        held.ok_or_else(|| EvaluationError::EmptySplit { split: "training" }.into())
    }

    fn with_head(&self, model: Model, probe: &Fitted) -> Classifier {
        let device = self.device.clone().autodiff();
        let (weights, intercepts) = (probe.regression.params(), probe.regression.intercept());
        let mut init = Initialiser::new(rng::keyed(self.seed, "fine-tuning head", &[]), &device);
        let shape = [weights.nrows(), weights.ncols()];
        let weight = init.values(shape, weights.iter().map(|weight| *weight as f32));
        let bias = init.values([intercepts.len()], intercepts.iter().map(|intercept| *intercept as f32));
        Classifier { model, head: Linear { weight, bias: Some(bias) } }
    }

    /// A uniform permutation of the training samples (Fisher and Yates).
    fn order(&self, n: usize, epoch: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        let mut draws = rng::keyed(self.seed, "fine-tuning order", &[epoch as u64]);
        for last in (1..n).rev() {
            order.swap(last, draws.random_range(0..=last));
        }
        order
    }

    fn updates(&self, classifier: &Classifier, n: usize) -> Result<Updates> {
        let settings = self.settings;
        let config = OptimiserConfig {
            base_learning_rate: settings.learning_rate,
            weight_decay: settings.weight_decay,
            beta_2: 0.999,
            ..OptimiserConfig::default()
        };
        let mut layers: BTreeMap<usize, Vec<ParamId>> = BTreeMap::new();
        classifier.model.visit_parameters(&mut |parameter| {
            layers.entry(layer_of(parameter.path)).or_default().push(parameter.id);
            Ok(())
        })?;
        let n_layers = layers.keys().max().map_or(0, |most| most + 1);
        let rate = |(layer, ids): (usize, Vec<ParamId>)| (settings.layer_decay.powi((n_layers - layer) as i32), ids);
        let n_steps = settings.epochs * n.div_ceil(settings.batch_size);
        Ok(Updates {
            // The schedule counts in updates here, and a batch of 256 is one at which the rate is not scaled.
            schedule: Schedule::new(&config, 256, n_steps / 10, n_steps),
            layers: layers.into_iter().map(rate).collect(),
            optimiser: adamw(&config, classifier),
        })
    }
}

/// Updates, each layer at its own share of the learning rate.
struct Updates {
    schedule: Schedule,
    /// Share of the rate, and the parameters that learn at it; the head's are in none.
    layers: Vec<(f64, Vec<ParamId>)>,
    optimiser: ModuleOptimizer,
}

impl Updates {
    fn apply(
        &mut self,
        mut classifier: Classifier,
        gradients: &mut burn::tensor::Gradients,
        step: usize,
    ) -> Classifier {
        // In the middle of the step: neither the first nor the last update is at a rate of 0.
        let rate = self.schedule.learning_rate(step as f64 + 0.5);
        // Burn finds a gradient by its parameter's value, so all gradients are taken before a value changes.
        let mut taken = |ids: &[ParamId]| GradientsParams::from_params(gradients, &classifier, ids);
        let mut all: Vec<(f64, GradientsParams)> =
            self.layers.iter().map(|(share, ids)| (rate * share, taken(ids))).collect();
        all.push((rate, GradientsParams::from_module(gradients, &classifier)));
        for (rate, gradients) in all {
            classifier = self.optimiser.step(rate, classifier, gradients);
        }
        classifier
    }
}

/// 0 for what embeds, from 1 on for the blocks of the encoder. Decoder and heads of the pretext task get no gradients.
fn layer_of(path: &str) -> usize {
    let block = path.strip_prefix("encoder.blocks.").and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
    block.map_or(0, |block| block + 1)
}
