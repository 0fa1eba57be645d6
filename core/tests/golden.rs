//! Numbers that the reference implementation computed, at reduced dimensions: tokens, features, predictions, losses, gradients,
//! optimiser steps, learning rates, k-means. They lie in `golden`, which has a README.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};
use medcoss_core::buffer::{BufferInitialisation, KMeansPolicy};
use medcoss_core::clustering::{Clusters, Initialisation, KMeansOptions};
use medcoss_core::continual::{DistillationTarget, FeatureMatching, Teacher};
use medcoss_core::data::{HostBatch, LoaderOptions, PatchBatch, TokenBatch};
use medcoss_core::model::{DeviceBatch, Model, PatchTensors, TokenTensors};
use medcoss_core::optimisation::{OptimiserConfig, Schedule, adamw};
use medcoss_core::pretext::{pretext_loss, reconstruct};
use medcoss_core::stage::{Pooling, encode_samples};
use medcoss_core::weights::{ArraySource, Import, Imported, KnownSizes, TensorFile};
use medcoss_test_support::golden;

/// Relative error, over the largest value of the tensor, that forward passes stay within.
const FORWARD: f32 = 1e-4;
/// The same for gradients and what follows from them.
const BACKWARD: f32 = 1e-3;

/// Files that the numbers are divided among, by what they are about.
const PARTS: [&str; 5] = ["image", "volume", "volume_prediction", "text", "schedule"];

pub(super) struct Golden {
    parts: Vec<TensorFile>,
    pub(super) device: Device,
}

impl Golden {
    pub(super) fn open() -> Self {
        let part = |name| TensorFile::open(&golden(&format!("{name}.safetensors"))).unwrap();
        Self { parts: PARTS.map(part).into(), device: Device::flex() }
    }

    /// The file that holds a tensor.
    fn part(&self, name: &str) -> &TensorFile {
        self.parts.iter().find(|part| part.shape(name).is_ok()).unwrap_or_else(|| panic!("no file holds {name}"))
    }

    pub(super) fn import(&self, name: &str) -> Imported {
        let known: KnownSizes = serde_json::from_slice(&std::fs::read(golden("config.json")).unwrap()).unwrap();
        Import { known, ..Import::default() }.read(&golden(name)).unwrap()
    }

    /// The learning model, as in a stage: with gradients.
    pub(super) fn student(&self, imported: Imported, device: &Device) -> Model {
        let mut values = BTreeMap::new();
        imported
            .model
            .visit_parameters(&mut |parameter| {
                values.insert(parameter.path.to_string(), parameter.values()?);
                Ok(())
            })
            .unwrap();
        let fresh = Model::new(&imported.config, 9, 1, device);
        fresh.with_parameters(&mut |path, _| Ok(values.remove(path))).unwrap()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.part(name).floats(name).unwrap()
    }

    /// Asserts that a tensor is the golden one, but for rounding.
    fn same<const D: usize>(&self, name: &str, found: Tensor<D>, tolerance: f32) {
        assert_eq!(found.dims().as_slice(), self.part(name).shape(name).unwrap(), "{name}");
        let found: Vec<f32> = found.into_data().try_to_vec().unwrap();
        close(name, &found, &self.floats(name), tolerance);
    }

    /// The patches of images or volumes, and which of them `noise` masks: the smallest quarter stays visible, in the order of its noise
    /// as in the reference.
    fn patches(&self, dims: usize, mixed: bool) -> PatchBatch {
        let input = ["image_2d", "image_3d"][dims - 2];
        let shape = self.part(input).shape(input).unwrap().to_vec();
        let mut values = self.floats(input);
        if mixed {
            let lambda = self.floats("mixup_lambda");
            let partner = self.part("mixup_permutation").integers("mixup_permutation").unwrap();
            let n = values.len() / shape[0];
            let original = values.clone();
            for (row, (lambda, partner)) in lambda.iter().zip(partner).enumerate() {
                for at in 0..n {
                    values[row * n + at] =
                        lambda * original[row * n + at] + (1.0 - lambda) * original[partner as usize * n + at];
                }
            }
        }
        let noise = self.floats(["noise_2d", "noise_3d"][dims - 2]);
        masked_patches_of(&values, &shape, &noise, 9 / 4)
    }

    /// One text sample, or both.
    fn text(&self, samples: std::ops::Range<usize>) -> TokenBatch {
        let length = 12;
        let row = |name: &str| {
            let values = self.part(name).integers(name).unwrap();
            values[samples.start * length..samples.end * length].to_vec()
        };
        let labels = row("mlm_labels");
        let target_index: Vec<i32> = (0..labels.len()).filter(|at| labels[*at] >= 0).map(|at| at as i32).collect();
        TokenBatch {
            n: samples.len(),
            length,
            ids: row("token_ids").into_iter().map(|id| id as i32).collect(),
            attended: row("attention_mask").into_iter().map(|attended| attended == 1).collect(),
            target_ids: target_index.iter().map(|at| labels[*at as usize] as i32).collect(),
            target_index,
        }
    }

    fn arrays(&self, imported: &Imported, family: &str, input: &str, mask: Option<&str>) -> ArraySource {
        let at = imported.config.family(family).unwrap();
        let path = golden(if input == "image_2d" { "image.safetensors" } else { "volume.safetensors" });
        ArraySource::read(&path, input, mask, &imported.config.families[at]).unwrap()
    }
}

/// `[n, C, (D,) H, W]` cut into patches of side 16, written down here a second time: index by index.
fn tokens(values: &[f32], shape: &[usize]) -> Vec<f32> {
    let (channels, deep) = (shape[1], shape.len() == 5);
    let side = *shape.last().unwrap();
    let (depth, slices) = if deep { (shape[2], 16) } else { (1, 1) };
    let mut tokens = Vec::new();
    for sample in 0..shape[0] {
        for token in 0..9 {
            for value in 0..slices * 256 * channels {
                let (pixel, channel) = (value / channels, value % channels);
                let (z, y, x) = (pixel / 256, token / 3 * 16 + pixel % 256 / 16, token % 3 * 16 + pixel % 16);
                tokens.push(values[(((sample * channels + channel) * depth + z) * side + y) * side + x]);
            }
        }
    }
    tokens
}

/// `[n, C, (D,) H, W]` as nine tokens a sample, of which those with the smallest noise stay visible, in its order as in the reference.
pub(super) fn masked_patches_of(values: &[f32], shape: &[usize], noise: &[f32], n_visible: usize) -> PatchBatch {
    let (n, n_tokens) = (shape[0], 9);
    let d_token = values.len() / n / n_tokens;
    let tokens = tokens(values, shape);
    let mut batch = PatchBatch { n, n_tokens, d_token, n_visible, ..PatchBatch::default() };
    for (sample, noise) in noise.chunks_exact(n_tokens).enumerate() {
        let mut order: Vec<usize> = (0..n_tokens).collect();
        order.sort_by(|a, b| noise[*a].total_cmp(&noise[*b]));
        let mut masked = order.split_off(n_visible);
        masked.sort_unstable();
        let token = |at: usize| &tokens[(sample * n_tokens + at) * d_token..][..d_token];
        for at in order {
            batch.visible_index.push(at as i32);
            batch.visible.extend(token(at));
        }
        for at in masked {
            batch.masked_index.push(at as i32);
            batch.targets.extend(normalised(token(at)));
        }
    }
    batch
}

/// Zero mean and unit variance (unbiased, + 1e-6), as `norm_pix_loss` of the masked autoencoder.
fn normalised(token: &[f32]) -> Vec<f32> {
    let n = token.len() as f32;
    let mean = token.iter().sum::<f32>() / n;
    let variance = token.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / (n - 1.0);
    token.iter().map(|value| (value - mean) / (variance + 1e-6).sqrt()).collect()
}

pub(super) fn close(name: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
    assert!(worst <= tolerance * largest, "{name}: differs by {worst}, its largest value is {largest}");
    println!("{name}: relative error {:.1e}", worst / largest);
}

fn scalar(loss: Tensor<1>) -> f32 {
    loss.into_scalar()
}

#[test]
fn tokens_and_features() {
    let golden = Golden::open();
    let imported = golden.import("medcoss_tiny.pth");
    let model = &imported.model;
    for (dims, family, input) in [(2, "image", "image_2d"), (3, "volume", "image_3d")] {
        let at = imported.config.family(family).unwrap();
        let whole = PatchBatch {
            n: 2,
            n_tokens: 9,
            d_token: if dims == 2 { 768 } else { 4096 },
            n_visible: 9,
            visible: tokens(&golden.floats(input), golden.part(input).shape(input).unwrap()),
            visible_index: (0..9).chain(0..9).collect(),
            ..PatchBatch::default()
        };
        let patches = PatchTensors::new(whole, &golden.device);
        golden.same(&format!("tokens_{dims}d"), model.embed_patches(at, &patches, 0), FORWARD);
        golden.same(&format!("features_{dims}d"), model.encode_patches(at, &patches, 0, None), FORWARD);

        // The same features from a dataset of arrays, as in `embed --tensors`.
        let dataset = golden.arrays(&imported, family, input, None);
        let mut found = Vec::new();
        let loader = LoaderOptions { num_workers: 1, max_invalid_fraction: 0.0 };
        encode_samples(model, at, &dataset, Pooling::None.into(), loader, &golden.device, &mut |batch| {
            assert_eq!((batch.n_tokens, batch.width), (10, 64));
            found.extend(batch.values);
            Ok(())
        })
        .unwrap();
        let name = format!("features_{dims}d");
        close(&name, &found, &golden.floats(&name), FORWARD);
    }
}

/// The pretext loss without stochastic depth.
fn pretext(model: &Model, family: usize, batch: &HostBatch, device: &Device) -> Tensor<1> {
    let batch = DeviceBatch::new(batch.clone(), device);
    pretext_loss(model, family, &batch, model.encode(family, &batch, 0, None))
}

#[test]
fn text_is_causal() {
    let golden = Golden::open();
    let imported = golden.import("medcoss_tiny.pth");
    let at = imported.config.family("text").unwrap();
    let both = TokenTensors::new(golden.text(0..2), &golden.device);
    golden.same("tokens_text", imported.model.embed_text(at, &both), FORWARD);
    // The reference repeats its mask in the wrong order within a batch, so its numbers come from single samples.
    golden.same("features_text_causal", imported.model.encode_text(at, &both, None), FORWARD);
    let losses: Vec<f32> = (0..2)
        .map(|sample| {
            let batch = HostBatch::Tokens(golden.text(sample..sample + 1));
            scalar(pretext(&imported.model, at, &batch, &golden.device))
        })
        .collect();
    close("pretext_loss_text_per_sample", &losses, &golden.floats("pretext_loss_text_per_sample"), FORWARD);
}

#[test]
fn masked_patches() {
    let golden = Golden::open();
    let imported = golden.import("medcoss_tiny.pth");
    let model = &imported.model;
    for (dims, family) in [(2, "image"), (3, "volume")] {
        let at = imported.config.family(family).unwrap();
        let batch = golden.patches(dims, false);
        let mut mask = vec![0.0; 18];
        for (place, token) in batch.masked_index.iter().enumerate() {
            mask[place / 7 * 9 + *token as usize] = 1.0;
        }
        close(&format!("mask_{dims}d"), &mask, &golden.floats(&format!("mask_{dims}d")), 0.0);
        let visible = PatchTensors::new(batch.clone(), &golden.device);
        let latents = model.encode_patches(at, &visible, 0, None);
        golden.same(&format!("masked_features_{dims}d"), latents.clone(), FORWARD);
        golden.same(&format!("pred_{dims}d"), reconstruct(model, at, latents, &visible), FORWARD);
        let loss = pretext(model, at, &HostBatch::Patches(batch), &golden.device);
        golden.same(&format!("pretext_loss_{dims}d"), loss, FORWARD);
    }
}

#[test]
fn distillation_on_mixed_images() {
    let golden = Golden::open();
    let imported = golden.import("medcoss_tiny.pth");
    let device = golden.device.clone().autodiff();
    let family = imported.config.family("image").unwrap();
    let student = golden.student(imported, &device);
    let before = golden.import("teacher_tiny.pth");
    assert!(before.report.fresh.iter().any(|part| part == "decoder"), "{:?}", before.report);
    let teacher = Teacher::new(&golden.student(before, &device));
    let batch = DeviceBatch::new(HostBatch::Patches(golden.patches(2, true)), &device);
    let matching = FeatureMatching {
        student: &student,
        teacher: &teacher,
        family,
        temporal: 0,
        teacher_temporal: 0,
        target: DistillationTarget::Tokens,
        padding: false,
    };
    let loss = matching.loss(&batch, None, None);
    golden.same("distillation_loss_2d", loss.inner(), FORWARD);
}

#[test]
fn gradients_and_five_steps_of_adamw() {
    let golden = Golden::open();
    let imported = golden.import("medcoss_tiny.pth");
    let device = golden.device.clone().autodiff();
    let family = imported.config.family("image").unwrap();
    let mut model = golden.student(imported, &device);
    let config = OptimiserConfig { weight_decay: 0.05, ..OptimiserConfig::default() };
    let mut optimiser = adamw(&config, &model);
    let batch = HostBatch::Patches(golden.patches(2, false));
    let mut losses = Vec::new();
    for step in 0..5 {
        let loss = pretext(&model, family, &batch, &device);
        losses.push(scalar(loss.clone()));
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        if step == 0 {
            let names =
                ["encoder.blocks.0.attention.qkv.weight", "heads.1.projection.weight", "embedders.1.projection.weight"];
            let mut norms = BTreeMap::new();
            model
                .visit_parameters(&mut |parameter| {
                    if names.contains(&parameter.path) {
                        let gradient: Tensor<2> = gradients.get(parameter.id).unwrap();
                        norms.insert(parameter.path.to_string(), scalar(gradient.square().sum()).sqrt());
                    }
                    Ok(())
                })
                .unwrap();
            let norms: Vec<f32> = names.iter().map(|name| norms[*name]).collect();
            close("grad_norm_step0", &norms, &golden.floats("grad_norm_step0"), BACKWARD);
        }
        model = optimiser.step(1e-3, model, gradients);
    }
    close("adamw_losses", &losses, &golden.floats("adamw_losses"), BACKWARD);
    // The parameters have moved.
    assert!(losses[4] < losses[0]);
    drop(model.valid());
}

/// Images one at a time with half the loss give the gradients of both at once: every sample has as many masked tokens.
#[test]
fn accumulated_gradients_are_those_of_the_whole_batch() {
    let golden = Golden::open();
    let device = golden.device.clone().autodiff();
    let imported = golden.import("medcoss_tiny.pth");
    let family = imported.config.family("image").unwrap();
    let model = golden.student(imported, &device);
    let whole = golden.patches(2, false);
    let part = |sample: usize| {
        let of = |values: &[f32]| values[sample * values.len() / 2..(sample + 1) * values.len() / 2].to_vec();
        let index = |values: &[i32]| values[sample * values.len() / 2..(sample + 1) * values.len() / 2].to_vec();
        PatchBatch {
            n: 1,
            visible: of(&whole.visible),
            visible_index: index(&whole.visible_index),
            masked_index: index(&whole.masked_index),
            targets: of(&whole.targets),
            ..whole.clone()
        }
    };
    let gradients = |batch: PatchBatch, share: f32| {
        let loss = pretext(&model, family, &HostBatch::Patches(batch), &device).mul_scalar(share);
        GradientsParams::from_grads(loss.backward(), &model)
    };
    let mut accumulated = GradientsAccumulator::<Model>::new();
    (0..2).for_each(|sample| accumulated.accumulate(&model, gradients(part(sample), 0.5)));
    let (accumulated, whole) = (accumulated.grads(), gradients(whole.clone(), 1.0));
    model
        .visit_parameters(&mut |parameter| {
            if parameter.shape.len() != 2 {
                return Ok(());
            }
            let of =
                |gradients: &GradientsParams| gradients.get::<2>(parameter.id).map(|gradient| gradient.into_data());
            if let (Some(found), Some(expected)) = (of(&accumulated), of(&whole)) {
                let values = |data: burn::tensor::TensorData| data.try_to_vec::<f32>().unwrap();
                close(parameter.path, &values(found), &values(expected), BACKWARD);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn learning_rates() {
    let golden = Golden::open();
    // Doubles are read as floats here; the schedule itself is compared to the last digit in its own test.
    let schedule = Schedule::new(&OptimiserConfig::default(), 512, 40, 300);
    let found: Vec<f32> =
        golden.floats("lr_epochs").iter().map(|epoch| schedule.learning_rate(f64::from(*epoch)) as f32).collect();
    close("lr_values", &found, &golden.floats("lr_values"), 1e-7);
}

#[test]
fn k_means_from_given_centres_and_the_samples_nearest_to_them() {
    let file = TensorFile::open(&golden("metrics.safetensors")).unwrap();
    let doubles = |name: &str| file.doubles(name).unwrap();
    let (points, begin) = (doubles("kmeans_points"), doubles("kmeans_initial_centres"));
    let device = medcoss_core::device::by_name("cpu").unwrap();
    let max_iterations = KMeansOptions::MAX_ITERATIONS;
    let mut options = KMeansOptions { device: &device, max_iterations, tolerance: 0.0, progress: &mut |_, _| Ok(()) };
    let clusters = Clusters::fit(&points, 16, Initialisation::Given(&begin), &mut options).unwrap();
    let labels: Vec<i64> = clusters.labels.iter().map(|label| *label as i64).collect();
    assert_eq!(labels, file.integers("kmeans_labels").unwrap());
    for (found, expected) in clusters.centres.iter().zip(doubles("kmeans_centres")) {
        assert!((found - expected).abs() < 1e-6, "{found} instead of {expected}");
    }
    let metrics: serde_json::Value = serde_json::from_slice(&std::fs::read(golden("metrics.json")).unwrap()).unwrap();
    let inertia = metrics["kmeans_inertia"].as_f64().unwrap();
    assert!((clusters.inertia() / inertia - 1.0).abs() < 1e-9, "{} instead of {inertia}", clusters.inertia());
    // As many samples of each cluster as there.
    let share = |n: usize| (n as f64 + 0.5) / clusters.labels.len() as f64;
    let policy = KMeansPolicy {
        cluster_ratio: share(clusters.n_centres),
        ratio: share(60),
        backfill: false,
        mini_batches: false,
        initialisation: BufferInitialisation::default(),
        n_starts: 1,
    };
    let mut selected: Vec<i64> = policy.nearest(&clusters).iter().map(|selected| selected.index as i64).collect();
    selected.sort_unstable();
    assert_eq!(selected, file.integers("kmeans_selected_indices").unwrap());
}
