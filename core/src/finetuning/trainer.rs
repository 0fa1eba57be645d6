//! The training of a downstream task: epochs over the training split, validation, the choice of an epoch, checkpoints.

use std::time::Instant;

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use rand::RngExt;

use super::checkpoint::{Checkpoints, Restored};
use super::epoch_report::EpochReport;
use super::forward::{metric_terms, probabilities, read};
use super::gradients::{LayerRates, clip};
use super::losses::{VoxelTargets, class_losses, voxel_losses};
use super::settings::{Criterion, FinetuneConfig};
use super::stored::write_weights;
use super::targets::{SampleTargets, TargetKind, Targets};
use super::task_config::TaskModelConfig;
use super::task_model::TaskModel;
use crate::confined_path::ConfinedPath;
use crate::data::{BatchLoader, BatchRequest, Dataset, HostBatch, LoadedBatch, LoaderOptions, TokenSpec};
use crate::model::{DeviceBatch, StochasticDepth};
use crate::optimisation::{OptimiserConfig, adamw, adamw_of_all};
use crate::{Error, EvaluationError, Result, rng};

/// A task: samples with targets, and their splits by index in the dataset.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// The samples.
    pub dataset: &'a dyn Dataset,
    /// Their targets.
    pub targets: &'a dyn Targets,
    /// Samples to learn from.
    pub train: &'a [u64],
    /// Samples by which an epoch is chosen; may be empty with [`Criterion::Last`].
    pub validation: &'a [u64],
    /// Loading of samples.
    pub loader: LoaderOptions,
}

/// Follows a fine-tuning.
pub trait FinetuneObserver {
    /// Training and validation samples were finished.
    ///
    /// # Errors
    /// A request to stop; training goes on from the latest checkpoint.
    fn samples(&mut self, n: usize) -> Result<()>;

    /// An epoch is finished, or was before a training that goes on.
    fn epoch(&mut self, report: &EpochReport, restored: bool);

    /// A sample could not be read and is left out.
    fn invalid_sample(&mut self, id: &str, reason: &str);
}

/// A fine-tuned model.
#[derive(Debug)]
pub struct Finetuned {
    /// The model of the chosen epoch without gradients, adapters merged.
    pub model: TaskModel,
    /// Reports of all epochs.
    pub reports: Vec<EpochReport>,
    /// Number of the chosen epoch, from 1.
    pub chosen: usize,
}

/// Fine-tunes a model on a task. `model` lies on the device with gradients; `key` is a digest of all else that decides the result, such as the data, by
/// which a checkpoint in `folder` is recognised. The weights of the chosen epoch are written to `folder`, and the checkpoints removed.
///
/// # Errors
/// Settings out of range, samples that cannot be read, too many of them, a loss that is not finite, files that cannot be written, an error of the observer.
#[allow(clippy::too_many_arguments)]
pub fn finetune(
    task: &Task<'_>,
    config: &FinetuneConfig,
    shape: &TaskModelConfig,
    model: TaskModel,
    seed: u64,
    device: &Device,
    (folder, weights, key): (&ConfinedPath, &ConfinedPath, &str),
    observer: &mut dyn FinetuneObserver,
) -> Result<Finetuned> {
    config.check()?;
    config.loss.check()?;
    if task.train.is_empty() {
        return Err(EvaluationError::EmptySplit { split: "training" }.into());
    }
    if task.validation.is_empty() && config.criterion != Criterion::Last {
        return Err(EvaluationError::EmptySplit { split: "validation" }.into());
    }
    let with_gradients = device.clone().autodiff();
    let model = model.with_precision(config.precision);
    let model = model.prepared(config.learned, &config.adapters, seed, &with_gradients);
    let optimiser_config = OptimiserConfig { weight_decay: config.weight_decay, beta_2: 0.999, ..Default::default() };
    let optimiser = match config.decay_all {
        true => adamw_of_all(&optimiser_config),
        false => adamw(&optimiser_config, &model),
    };
    let checkpoints = Checkpoints { folder, key };
    let trainer = Trainer { task, config, shape, seed, device, rates: LayerRates::new(&model, config)? };
    let template = model.valid();
    let (mut held, mut optimiser, mut best_model, mut reports, mut best) =
        match checkpoints.restore(model, template, optimiser)? {
            Ok(Restored { model, optimiser, best_model, reports, best }) => {
                reports.iter().for_each(|report| observer.epoch(report, true));
                (model, optimiser, best_model, reports, best)
            }
            Err((model, optimiser)) => (model, optimiser, None, Vec::new(), None),
        };
    let mut saved = Instant::now();
    while reports.len() < config.epochs && !trainer.is_over(&reports, best) {
        let epoch = reports.len();
        let (model, report) = trainer.epoch(held, &mut optimiser, epoch, observer)?;
        held = model;
        observer.epoch(&report, false);
        reports.push(report);
        if config.criterion == Criterion::Last || best.is_none_or(|best| trainer.is_better(&reports, best)) {
            best = Some(reports.len());
            // The weights are copied: the next update changes them in place.
            best_model = (config.criterion != Criterion::Last).then(|| held.valid().fork(device));
        }
        let is_last = reports.len() == config.epochs || trainer.is_over(&reports, best);
        if is_last || saved.elapsed().as_secs_f64() >= config.checkpoint_seconds {
            checkpoints.save(&held, &optimiser, best_model.as_ref(), &reports, best)?;
            saved = Instant::now();
        }
    }
    let model = best_model.unwrap_or_else(|| held.valid()).merged();
    write_weights(weights, &model)?;
    checkpoints.clear()?;
    let chosen = best.unwrap_or(reports.len());
    Ok(Finetuned { model, reports, chosen })
}

struct Trainer<'a> {
    task: &'a Task<'a>,
    config: &'a FinetuneConfig,
    shape: &'a TaskModelConfig,
    seed: u64,
    device: &'a Device,
    rates: LayerRates,
}

impl Trainer<'_> {
    /// Whether the last epoch is better than the best before it, by the criterion.
    fn is_better(&self, reports: &[EpochReport], best: usize) -> bool {
        let (Some(last), best) = (reports.last(), &reports[best - 1]) else { return false };
        match self.config.criterion {
            Criterion::Loss => last.validation_loss < best.validation_loss,
            Criterion::Metric => last.metric > best.metric,
            Criterion::Last => true,
        }
    }

    /// Whether no epoch was better for longer than the patience.
    fn is_over(&self, reports: &[EpochReport], best: Option<usize>) -> bool {
        let waited = best.map_or(0, |best| reports.len() - best);
        self.config.patience.is_some_and(|patience| waited >= patience)
    }

    /// A uniform permutation of the training samples (Fisher and Yates).
    fn order(&self, epoch: usize) -> Vec<u64> {
        let mut order = self.task.train.to_vec();
        let mut draws = rng::keyed(self.seed, "fine-tuning order", &[epoch as u64]);
        for last in (1..order.len()).rev() {
            order.swap(last, draws.random_range(0..=last));
        }
        order
    }

    fn epoch(
        &self,
        model: TaskModel,
        optimiser: &mut ModuleOptimizer,
        epoch: usize,
        observer: &mut dyn FinetuneObserver,
    ) -> Result<(TaskModel, EpochReport)> {
        let Self { task, config, shape, .. } = self;
        let device = self.device.clone().autodiff();
        let order = self.order(epoch);
        let batches: Vec<&[u64]> = order.chunks(config.batch_size).collect();
        let in_training_view = config.augmentation.training_view
            && !shape.target.is_segmentation()
            && matches!(task.dataset.spec(), TokenSpec::Continuous { .. });
        let request = |item: usize| match in_training_view {
            true => BatchRequest::augmented(
                task.dataset,
                batches[item].to_vec(),
                batches[item]
                    .iter()
                    .map(|index| rng::derived(self.seed, "augmentation", &[epoch as u64, *index]))
                    .collect(),
            ),
            false => BatchRequest::evaluation(task.dataset, batches[item].to_vec()),
        };
        // The model is taken out during the update, which then needs no copy.
        let mut held = Some(model);
        let (mut sum, mut n, mut norms, mut rate) = (0.0, 0usize, 0.0, 0.0);
        let mut n_invalid = 0;
        BatchLoader::new(task.loader.num_workers, request).for_each(0..batches.len(), |item, mut loaded| {
            let mut batch = self.valid_part(&mut loaded, &mut n_invalid, task.train.len(), observer)?;
            let rows: Vec<u64> = loaded.valid.iter().map(|at| batches[item][*at]).collect();
            let (Some(model), Some(own)) = (held.take(), batch.take()) else {
                return observer.samples(batches[item].len());
            };
            let mut targets = task.targets.of(&rows)?;
            let own = self.augmented(own, &rows, &mut targets, epoch);
            let own = DeviceBatch::new(own, &device);
            let update = epoch * batches.len() + item;
            let drop_path = config.drop_path.unwrap_or(shape.model.dimensions.drop_path);
            let mut depth =
                StochasticDepth::new(drop_path, rng::keyed(self.seed, "fine-tuning depth", &[update as u64]));
            let loss = self.loss(model.forward(shape, &own, depth.as_mut()), &targets);
            let value = f64::from(loss.clone().into_scalar::<f32>());
            if !value.is_finite() {
                return Err(
                    EvaluationError::NotFinite { protocol: "fine-tuning", loss: value, epoch: epoch + 1 }.into()
                );
            }
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            let (gradients, norm) = clip(&model, gradients, config.clip_norm)?;
            rate = config.rate(update, batches.len());
            held = Some(self.rates.step(optimiser, model, gradients, rate));
            sum += value * rows.len() as f64;
            n += rows.len();
            norms += norm;
            observer.samples(batches[item].len())
        })?;
        let model = held.ok_or(EvaluationError::EmptySplit { split: "training" })?;
        let (validation_loss, metric) = self.validate(&model.valid(), observer)?;
        let report = EpochReport {
            epoch: epoch + 1,
            learning_rate: rate,
            loss: sum / n.max(1) as f64,
            gradient_norm: norms / batches.len().max(1) as f64,
            validation_loss,
            metric,
        };
        Ok((model, report))
    }

    /// The batch of the valid samples, after the invalid ones were reported.
    fn valid_part(
        &self,
        loaded: &mut LoadedBatch,
        n_invalid: &mut usize,
        n_samples: usize,
        observer: &mut dyn FinetuneObserver,
    ) -> Result<Option<HostBatch>> {
        for (index, report) in &loaded.invalid {
            let id = &self.task.dataset.ids()[*index as usize];
            observer.invalid_sample(id, &report.message);
            *n_invalid += 1;
            if !self.task.loader.allows(*n_invalid, n_samples) {
                return Err(Error::no_longer_valid(id, &report.message));
            }
        }
        Ok(loaded.batch.take())
    }

    /// The batch and its masks, augmented.
    fn augmented(&self, batch: HostBatch, rows: &[u64], targets: &mut [SampleTargets], epoch: usize) -> HostBatch {
        let (Some(grid), true) = (&self.shape.grid, self.shape.target.is_segmentation()) else { return batch };
        let HostBatch::Patches(mut patches) = batch else { return batch };
        let n_axes = patches.layout.as_ref().map_or(3, |layout| layout.grid.len());
        let a_sample = patches.visible.len() / rows.len();
        for ((row, tokens), target) in rows.iter().zip(patches.visible.chunks_exact_mut(a_sample)).zip(targets) {
            let mut draws = rng::keyed(self.seed, "segmentation augmentation", &[epoch as u64, *row]);
            let drawn = self.config.augmentation.draw(grid, n_axes, &mut draws);
            tokens.copy_from_slice(&drawn.of_tokens(tokens));
            if let SampleTargets::Voxels { classes, .. } = target {
                *classes = drawn.of_labels(classes);
            }
        }
        HostBatch::Patches(patches)
    }

    fn loss(&self, scores: Tensor<3>, targets: &[SampleTargets]) -> Tensor<1> {
        let [n, _, n_outputs] = scores.dims();
        let TargetKind::Segmentation { overlapping, .. } = self.shape.target else {
            return class_losses(scores.reshape([n, n_outputs]), targets, &self.shape.target);
        };
        let loss = &self.config.loss;
        let targets = VoxelTargets::new(targets, overlapping, n_outputs, &scores.device());
        let (dice, cross_entropy) = voxel_losses(scores, &targets, overlapping, loss.focal_gamma);
        dice * loss.dice + cross_entropy * loss.cross_entropy
    }

    /// Mean loss and metric of the validation samples; none without any.
    fn validate(&self, model: &TaskModel, observer: &mut dyn FinetuneObserver) -> Result<(Option<f64>, Option<f64>)> {
        let Self { task, config, shape, device, .. } = self;
        let batches: Vec<&[u64]> = task.validation.chunks(config.batch_size).collect();
        let request = |item: usize| BatchRequest::evaluation(task.dataset, batches[item].to_vec());
        let (mut loss, mut n, mut terms) = (0.0, 0usize, (0.0, 0.0));
        let mut n_invalid = 0;
        BatchLoader::new(task.loader.num_workers, request).for_each(0..batches.len(), |item, mut loaded| {
            let batch = self.valid_part(&mut loaded, &mut n_invalid, task.validation.len(), observer)?;
            let rows: Vec<u64> = loaded.valid.iter().map(|at| batches[item][*at]).collect();
            if let Some(batch) = batch {
                let targets = task.targets.of(&rows)?;
                let scores = model.forward(shape, &DeviceBatch::new(batch, device), None);
                let of_batch = f64::from(self.loss(scores.clone(), &targets).into_scalar::<f32>());
                let found = read(probabilities(scores, &shape.target))?;
                let (sum, count) = metric_terms(&found, &targets, &shape.target);
                terms = (terms.0 + sum, terms.1 + count);
                loss += of_batch * rows.len() as f64;
                n += rows.len();
            }
            observer.samples(batches[item].len())
        })?;
        Ok(((n > 0).then(|| loss / n as f64), (terms.1 > 0.0).then(|| terms.0 / terms.1)))
    }
}
