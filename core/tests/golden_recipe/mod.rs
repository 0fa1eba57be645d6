//! What the reference does around its forward pass: a stage step by step, the teacher, gradients, the selection of the buffer, initial values, the
//! Uni-Perceiver start. The numbers lie in `golden/recipe`, which its README explains.

mod buffer;
mod distillation;
mod gradients;
mod initial_values;
mod replay;
mod uni_perceiver;

use std::collections::BTreeMap;

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use medcoss_core::continual::{DistillationTarget, FeatureMatching, Teacher};
use medcoss_core::data::{HostBatch, TokenBatch};
use medcoss_core::model::{DeviceBatch, Model, ModelConfig, StochasticDepth};
use medcoss_core::weights::{TensorFile, correspondences};
use medcoss_test_support::golden;
use serde_json::Value;

use super::golden::{Golden, close, masked_patches_of};

/// Relative error, over the largest value of the tensor, that forward passes and losses stay within.
const FORWARD: f32 = 5e-6;
/// The same for gradients.
const BACKWARD: f32 = 2e-5;

/// A golden file with its JSON.
struct Recipe {
    file: TensorFile,
    notes: Value,
}

impl Recipe {
    fn open(name: &str) -> Self {
        let notes = std::fs::read(golden(&format!("recipe/{name}.json"))).unwrap();
        Self {
            file: TensorFile::open(&golden(&format!("recipe/{name}.safetensors"))).unwrap(),
            notes: serde_json::from_slice(&notes).unwrap(),
        }
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.file.floats(name).unwrap()
    }

    fn integers(&self, name: &str) -> Vec<i64> {
        self.file.integers(name).unwrap()
    }

    fn index(&self, name: &str) -> usize {
        self.integers(name)[0] as usize
    }

    fn same<const D: usize>(&self, name: &str, found: Tensor<D>, tolerance: f32) {
        assert_eq!(found.dims().as_slice(), self.file.shape(name).unwrap(), "{name}");
        let found: Vec<f32> = found.into_data().try_to_vec().unwrap();
        close(name, &found, &self.floats(name), tolerance);
    }

    /// Decisions of stochastic depth, `[layers, 2, B]`.
    fn depth(&self, name: &str) -> StochasticDepth {
        StochasticDepth::given(0.1, self.integers(name).into_iter().map(|kept| kept == 1).collect())
    }

    /// Images or volumes as tokens, of which the smallest quarter of `noise` is visible; all of them without noise. `mixed` names permutation and
    /// lambda of a mixup.
    fn patches(&self, data: &str, noise: Option<&str>, mixed: Option<[&str; 2]>) -> HostBatch {
        let mixed = mixed.map(|[permutation, lambda]| (self.integers(permutation), self.floats(lambda)));
        self.patches_mixed(data, noise, mixed)
    }

    fn patches_mixed(&self, data: &str, noise: Option<&str>, mixed: Option<(Vec<i64>, Vec<f32>)>) -> HostBatch {
        let shape = self.file.shape(data).unwrap().to_vec();
        let mut values = self.floats(data);
        if let Some((partners, lambdas)) = mixed {
            let original = values.clone();
            let n = values.len() / shape[0];
            for (at, value) in values.iter_mut().enumerate() {
                let (row, place) = (at / n, at % n);
                *value =
                    lambdas[row] * original[at] + (1.0 - lambdas[row]) * original[partners[row] as usize * n + place];
            }
        }
        let n_visible = if noise.is_some() { 9 / 4 } else { 9 };
        let noise = noise.map_or_else(|| (0..9 * shape[0]).map(|at| at as f32).collect(), |noise| self.floats(noise));
        HostBatch::Patches(masked_patches_of(&values, &shape, &noise, n_visible))
    }

    /// Texts by the names of their ids, attention masks and, for a pretext task, labels.
    fn text(&self, [ids, mask]: [&str; 2], labels: Option<&str>) -> HostBatch {
        let shape = self.file.shape(ids).unwrap();
        let labels = labels.map(|labels| self.integers(labels)).unwrap_or_default();
        let target_index: Vec<i32> = (0..labels.len()).filter(|at| labels[*at] >= 0).map(|at| at as i32).collect();
        HostBatch::Tokens(TokenBatch {
            n: shape[0],
            length: shape[1],
            ids: self.integers(ids).into_iter().map(|id| id as i32).collect(),
            attended: self.integers(mask).into_iter().map(|attended| attended == 1).collect(),
            target_ids: target_index.iter().map(|at| labels[*at as usize] as i32).collect(),
            target_index,
        })
    }
}

/// Student and teacher of the goldens, with gradients.
struct Models {
    student: Model,
    teacher: Teacher,
    config: ModelConfig,
    device: Device,
}

impl Models {
    fn open() -> Self {
        let golden = Golden::open();
        let device = golden.device.clone().autodiff();
        let imported = golden.import("medcoss_tiny.pth");
        let config = imported.config.clone();
        let student = golden.student(imported, &device);
        let teacher = Teacher::new(&golden.student(golden.import("teacher_tiny.pth"), &device));
        Self { student, teacher, config, device }
    }

    fn family(&self, name: &str) -> usize {
        self.config.family(name).unwrap()
    }

    /// The distillation as the reference computes it: padding of text included.
    fn matching(&self, family: &str, [temporal, teacher_temporal]: [usize; 2]) -> FeatureMatching<'_> {
        FeatureMatching {
            student: &self.student,
            teacher: &self.teacher,
            family: self.family(family),
            temporal,
            teacher_temporal,
            target: DistillationTarget::Tokens,
            padding: true,
        }
    }

    fn upload(&self, batch: HostBatch) -> DeviceBatch {
        DeviceBatch::new(batch, &self.device)
    }
}

/// Values by published name in published order: `of` gives a parameter's values by its rank and id, in own order.
fn published(
    model: &Model,
    config: &ModelConfig,
    of: &mut dyn FnMut(&medcoss_core::model::Parameter<'_>) -> Option<Vec<f32>>,
) -> BTreeMap<String, Vec<f32>> {
    let table: BTreeMap<String, _> =
        correspondences(config).into_iter().map(|entry| (entry.own.clone(), entry)).collect();
    let mut found = BTreeMap::new();
    model
        .visit_parameters(&mut |parameter| {
            if let (Some(entry), Some(values)) = (table.get(parameter.path), of(&parameter)) {
                found.insert(entry.published.clone(), entry.order.to_published(values, parameter.shape));
            }
            Ok(())
        })
        .unwrap();
    found
}

/// Gradients by published name in published order.
fn published_gradients(model: &Model, config: &ModelConfig, gradients: &GradientsParams) -> BTreeMap<String, Vec<f32>> {
    published(model, config, &mut |parameter| {
        let values = |data: burn::tensor::TensorData| data.try_to_vec::<f32>().unwrap();
        match parameter.shape.len() {
            1 => gradients.get::<1>(parameter.id).map(|gradient| values(gradient.into_data())),
            2 => gradients.get::<2>(parameter.id).map(|gradient| values(gradient.into_data())),
            _ => gradients.get::<3>(parameter.id).map(|gradient| values(gradient.into_data())),
        }
    })
}

/// Whether a tensor holds the key's bias in its middle third: its gradient is zero but for rounding.
fn has_key_bias(name: &str) -> bool {
    name.ends_with("in_proj_bias") || name.ends_with("attn.qkv.bias")
}

/// The values without the key's bias.
fn without_key_bias<T: Copy>(name: &str, values: &[T]) -> Vec<T> {
    let third = values.len() / 3;
    let kept = |at: &usize| !has_key_bias(name) || *at < third || *at >= 2 * third;
    (0..values.len()).filter(kept).map(|at| values[at]).collect()
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}

fn names(notes: &Value) -> Vec<String> {
    notes.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_string()).collect()
}
