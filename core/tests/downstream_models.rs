//! Downstream models against numbers that the reference computed: UNETR in two and three dimensions, classification heads, losses, three updates
//! through the whole trainer. The files lie in `golden/downstream`.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::data::{Dataset, GridLayout, LoaderOptions, RawBatch, SampleReport, TokenSpec, View};
use medcoss_core::decoders::{DecoderConfig, DecoderName, TokenGrid, Unetr};
use medcoss_core::finetuning::{
    Augmentation, Criterion, EpochReport, FinetuneConfig, FinetuneObserver, HeadConfig, RateSchedule, SampleTargets,
    TargetKind, Targets, Task, TaskHeadConfig, TaskModel, TaskModelConfig, TokenPooling, dice_and_cross_entropy,
    finetune,
};
use medcoss_core::model::{DeviceBatch, ModelConfig, PatchTensors};
use medcoss_core::weights::{Import, Imported, KnownSizes, TensorFile, correspondences};
use medcoss_test_support::golden;

use crate::golden::close;

fn file(name: &str) -> TensorFile {
    TensorFile::open(&golden(&format!("downstream/{name}.safetensors"))).unwrap()
}

pub(super) fn encoder() -> Imported {
    let known = KnownSizes { heads: Some(4), drop_path: Some(0.0), ..KnownSizes::default() };
    Import { known, ..Import::default() }.read(&golden("downstream/encoder.safetensors")).unwrap()
}

/// Images `[n, channels, space...]` as tokens of 16 voxels a side, channels last.
fn tokens(values: &[f32], shape: &[usize]) -> (Vec<f32>, Vec<usize>) {
    let (n, channels, space) = (shape[0], shape[1], &shape[2..]);
    let mut side = vec![1; 3 - space.len()];
    side.extend(space);
    let patch: Vec<usize> = side.iter().map(|side| if *side == 1 { 1 } else { 16 }).collect();
    let grid: Vec<usize> = side.iter().zip(&patch).map(|(side, patch)| side / patch).collect();
    let mut tokens = Vec::with_capacity(values.len());
    for sample in values.chunks_exact(values.len() / n) {
        for token in 0..grid.iter().product() {
            let at = [token / (grid[1] * grid[2]), token / grid[2] % grid[1], token % grid[2]];
            for voxel in 0..patch.iter().product() {
                let within = [voxel / (patch[1] * patch[2]), voxel / patch[2] % patch[1], voxel % patch[2]];
                let [z, y, x] = [0, 1, 2].map(|axis| at[axis] * patch[axis] + within[axis]);
                for channel in 0..channels {
                    tokens.push(sample[((channel * side[0] + z) * side[1] + y) * side[2] + x]);
                }
            }
        }
    }
    (tokens, grid[3 - space.len()..].to_vec())
}

/// Samples in memory.
pub(super) struct Samples {
    ids: Vec<String>,
    pub(super) spec: TokenSpec,
    layout: Option<Arc<GridLayout>>,
    /// Tokens, or ids.
    tokens: Vec<f32>,
    ids_of_words: Vec<i32>,
    lengths: Vec<i32>,
    targets: Vec<SampleTargets>,
    pub(super) kind: TargetKind,
}

impl Samples {
    pub(super) fn of_images(values: &[f32], shape: &[usize], targets: Vec<SampleTargets>, kind: TargetKind) -> Self {
        let (tokens, grid) = tokens(values, shape);
        let n_tokens = grid.iter().product::<usize>();
        let d_token = tokens.len() / shape[0] / n_tokens;
        Self {
            ids: (0..shape[0]).map(|at| at.to_string()).collect(),
            spec: TokenSpec::Continuous { n_tokens, d_token, n_masked: 0 },
            layout: Some(Arc::new(GridLayout { patch: vec![16; grid.len()], grid, axes: Vec::new() })),
            tokens,
            ids_of_words: Vec::new(),
            lengths: Vec::new(),
            targets,
            kind,
        }
    }

    pub(super) fn grid(&self) -> TokenGrid {
        let TokenSpec::Continuous { d_token, .. } = self.spec else { panic!("samples without voxels") };
        TokenGrid::new(self.layout.as_ref().unwrap(), d_token).unwrap()
    }
}

impl Dataset for Samples {
    fn modality(&self) -> &str {
        "golden"
    }

    fn family(&self) -> &str {
        "golden"
    }

    fn spec(&self) -> TokenSpec {
        self.spec
    }

    fn ids(&self) -> &[String] {
        &self.ids
    }

    fn fingerprint(&self) -> &str {
        "golden"
    }

    // Positions of the reference are the first of the table, whatever the grid: so the dataset states no layout.
    fn fill(
        &self,
        _: View,
        indices: &[u64],
        _: &[u64],
        batch: &mut RawBatch,
    ) -> medcoss_core::Result<Vec<SampleReport>> {
        *batch = RawBatch::default();
        for &index in indices {
            let index = index as usize;
            match self.spec {
                TokenSpec::Continuous { n_tokens, d_token, .. } => {
                    let n = n_tokens * d_token;
                    batch.tokens.extend(&self.tokens[index * n..][..n]);
                    batch.mask.extend(vec![0; n_tokens]);
                }
                TokenSpec::Discrete { length, .. } => {
                    batch.ids.extend(&self.ids_of_words[index * length..][..length]);
                    batch.labels.extend(vec![-100; length]);
                    batch.lengths.push(self.lengths[index]);
                }
            }
        }
        Ok(Vec::new())
    }
}

impl Targets for Samples {
    fn kind(&self) -> &TargetKind {
        &self.kind
    }

    fn of(&self, indices: &[u64]) -> medcoss_core::Result<Vec<SampleTargets>> {
        Ok(indices.iter().map(|index| self.targets[*index as usize].clone()).collect())
    }
}

/// Targets `[n, classes, voxels]` of 0, 1 and -1; a class whose first voxel is -1 was not annotated.
fn voxel_targets(values: &[i64], n: usize, n_classes: usize) -> Vec<SampleTargets> {
    let n_voxels = values.len() / n / n_classes;
    let of_sample = |sample: &[i64]| {
        let annotated = sample.chunks_exact(n_voxels).map(|class| class[0] != -1).collect();
        let voxel =
            |at: usize| (0..n_classes).map(|class| u16::from(sample[class * n_voxels + at] == 1) << class).sum();
        SampleTargets::Voxels { classes: (0..n_voxels).map(voxel).collect(), annotated }
    };
    values.chunks_exact(n_voxels * n_classes).map(of_sample).collect()
}

pub(super) fn names(n: usize) -> Vec<String> {
    (0..n).map(|at| at.to_string()).collect()
}

/// The backbone's parameters by their path, under the names of the reference.
fn of_backbone(config: &ModelConfig) -> BTreeMap<String, (String, medcoss_core::weights::Order, Vec<usize>)> {
    correspondences(config)
        .into_iter()
        .map(|entry| (format!("backbone.{}", entry.own), (entry.published, entry.order, entry.shape)))
        .collect()
}

/// Name of a parameter of a task's model in the reference, and its values there.
fn published(
    file: &TensorFile,
    prefix: &str,
    backbone: &BTreeMap<String, (String, medcoss_core::weights::Order, Vec<usize>)>,
    path: &str,
    shape: &[usize],
) -> Option<Vec<f32>> {
    let found = |name: &str| file.floats(&format!("{prefix}{name}")).ok();
    if let Some((name, order, own_shape)) = backbone.get(path) {
        return found(name).map(|values| order.to_own(values, own_shape));
    }
    if let Some(name) = path.strip_prefix("head.").and_then(Unetr::published_name) {
        let values = found(&name)?;
        return Some(if name == "out.conv.conv.weight" { transposed(&values, shape) } else { values });
    }
    let is_text = file.shape(&format!("{prefix}cls_head.0.weight")).is_ok();
    let is_linear = file.shape(&format!("{prefix}head.weight")).is_ok();
    let head = if is_text { "cls_head" } else { "head" };
    let name = match path {
        "head.norm.gamma" => "fc_norm.weight".to_string(),
        "head.norm.beta" => "fc_norm.bias".to_string(),
        "head.hidden.weight" => format!("{head}.0.weight"),
        "head.hidden.bias" => format!("{head}.0.bias"),
        "head.hidden_norm.gamma" => format!("{head}.1.weight"),
        "head.hidden_norm.beta" => format!("{head}.1.bias"),
        "head.output.weight" if is_linear => format!("{head}.weight"),
        "head.output.bias" if is_linear => format!("{head}.bias"),
        "head.output.weight" => format!("{head}.3.weight"),
        "head.output.bias" => format!("{head}.3.bias"),
        _ => return None,
    };
    let values = found(&name)?;
    Some(if path.ends_with("weight") { transposed(&values, shape) } else { values })
}

/// A linear layer `[outputs, inputs]` as `[inputs, outputs]`; norms as they are.
fn transposed(values: &[f32], shape: &[usize]) -> Vec<f32> {
    let [rows, columns] = *shape else { return values.to_vec() };
    (0..rows * columns).map(|at| values[at % columns * rows + at / columns]).collect()
}

#[derive(Default)]
pub(super) struct Silent {
    pub(super) reports: Vec<EpochReport>,
}

impl FinetuneObserver for Silent {
    fn samples(&mut self, _: usize) -> medcoss_core::Result<()> {
        Ok(())
    }

    fn epoch(&mut self, report: &EpochReport, _: bool) {
        self.reports.push(report.clone());
    }

    fn invalid_sample(&mut self, id: &str, reason: &str) {
        panic!("sample {id}: {reason}");
    }
}

/// The reference's updates: AdamW of all parameters, one rate, gradients clipped to 12.
fn three_updates(learning_rate: f64, batch_size: usize) -> FinetuneConfig {
    FinetuneConfig {
        epochs: 3,
        batch_size,
        learning_rate,
        schedule: RateSchedule::Constant,
        warmup_epochs: 0.0,
        layer_decay: 1.0,
        weight_decay: 1e-4,
        decay_all: true,
        clip_norm: 12.0,
        drop_path: Some(0.0),
        augmentation: Augmentation { training_view: false, flip: Vec::new(), intensity: 0.0 },
        class_token: false,
        criterion: Criterion::Last,
        ..FinetuneConfig::default()
    }
}

pub(super) fn loader() -> LoaderOptions {
    LoaderOptions { num_workers: 1, max_invalid_fraction: 0.0 }
}

/// Trains on the samples and compares losses, gradient norms and all stored weights after three updates.
fn check_updates(
    numbers: &TensorFile,
    prefix: &str,
    samples: &Samples,
    shape: &TaskModelConfig,
    model: TaskModel,
    learning_rate: f64,
) {
    let folder = tempfile::tempdir().unwrap();
    let root = ConfinedPath::root(folder.path()).unwrap();
    let all: Vec<u64> = (0..samples.ids.len() as u64).collect();
    let task = Task { dataset: samples, targets: samples, train: &all, validation: &[], loader: loader() };
    let config = three_updates(learning_rate, all.len());
    let mut observer = Silent::default();
    let places = (&root, &root.join("weights.safetensors"), "key");
    let tuned = finetune(&task, &config, shape, model, 1, &Device::flex(), places, &mut observer).unwrap();

    let losses = numbers.floats(&format!("{prefix}losses")).unwrap();
    let columns = losses.len() / 4;
    let expected = |column: usize| (0..3).map(|row| losses[row * columns + column]).collect::<Vec<f32>>();
    let found: Vec<f32> = tuned.reports.iter().map(|report| report.loss as f32).collect();
    close("losses", &found, &expected(columns - 2), 1e-4);
    let found: Vec<f32> = tuned.reports.iter().map(|report| report.gradient_norm as f32).collect();
    close("gradient norms", &found, &expected(columns - 1), 1e-3);

    let backbone = of_backbone(&shape.model);
    let mut n = 0;
    tuned
        .model
        .visit_parameters(&mut |parameter| {
            let after = format!("{prefix}after.");
            if let Some(expected) = published(numbers, &after, &backbone, parameter.path, parameter.shape) {
                close(parameter.path, &parameter.values()?, &expected, 1e-3);
                n += 1;
            }
            Ok(())
        })
        .unwrap();
    let stored = numbers.tensors().keys().filter(|name| name.starts_with(&format!("{prefix}after."))).count();
    // Queries, keys and values are one matrix there and here.
    assert_eq!(n, stored, "tensors compared, of those stored");
}

/// A model of a task whose backbone and head have the numbers of the golden files.
fn golden_model(
    numbers: &TensorFile,
    prefix: &str,
    shape: &TaskModelConfig,
    family: &str,
    device: &Device,
) -> TaskModel {
    let imported = encoder();
    let family = imported.config.family(family).unwrap();
    let backbone = shape.backbone_of(&imported.model, family, device).unwrap();
    let model = TaskModel::new(shape, backbone, 0, device).unwrap();
    let of_head = BTreeMap::new();
    let mut missing = Vec::new();
    let model = model
        .with_parameters(&mut |path, own_shape| {
            if path.starts_with("backbone.") {
                return Ok(None);
            }
            let found = published(numbers, &format!("{prefix}weights."), &of_head, path, own_shape);
            if found.is_none() {
                missing.push(path.to_string());
            }
            Ok(found)
        })
        .unwrap();
    assert!(missing.is_empty(), "{missing:?}");
    model
}

pub(super) fn config_of(imported: &Imported, family: &str, layers: usize) -> ModelConfig {
    let mut config = imported.config.clone();
    config.families.retain(|own| own.name == family);
    config.dimensions.layers = layers;
    config
}

fn unetr(name: &str, family: &str, feature_size: usize) {
    let (numbers, device) = (file(name), Device::flex());
    let kind = TargetKind::Segmentation { classes: names(2), overlapping: true };
    let whole = |name: &str| numbers.shape(name).unwrap().to_vec();
    let samples = Samples::of_images(&numbers.floats("image").unwrap(), &whole("image"), Vec::new(), kind.clone());
    let mut shape = TaskModelConfig {
        model: config_of(&encoder(), family, 12),
        tokens: samples.spec,
        grid: Some(samples.grid()),
        target: kind.clone(),
        head: TaskHeadConfig::Voxels(DecoderConfig { name: DecoderName::Unetr, feature_size }),
        class_token: false,
    };
    assert_eq!(shape.blocks(), [4, 7, 10, 12]);
    let model = golden_model(&numbers, "", &shape, family, &device);

    // Features of blocks, then the decoder's scores.
    let TokenSpec::Continuous { n_tokens, d_token, .. } = samples.spec else { panic!("no tokens") };
    let n = samples.ids.len();
    let batch = medcoss_core::data::PatchBatch {
        n,
        n_tokens,
        d_token,
        n_visible: n_tokens,
        visible: samples.tokens.clone(),
        visible_index: (0..n).flat_map(|_| 0..n_tokens as i32).collect(),
        ..Default::default()
    };
    let patches = PatchTensors::new(batch, &device);
    let features = model.backbone().patch_features(0, &patches, &[4, 7, 10, 12], false, None);
    for (number, feature) in [4, 7, 10, 12].iter().zip(features) {
        let found: Vec<f32> = feature.into_data().try_to_vec().unwrap();
        close(&format!("feature_{number}"), &found, &numbers.floats(&format!("feature_{number}")).unwrap(), 1e-5);
    }
    let scores = model.forward(&shape, &DeviceBatch::Patches(patches), None);
    let scores: Vec<f32> = scores.into_data().try_to_vec().unwrap();
    let stored = whole("logits");
    let mut space = vec![1; 5 - stored.len()];
    space.extend(&stored[2..]);
    let every: usize = if family == "volume" { 2 } else { 1 };
    let full = samples.grid().space();
    let mut found = Vec::new();
    for sample in 0..n {
        for class in 0..2 {
            for z in 0..space[0] {
                for y in 0..space[1] {
                    for x in 0..space[2] {
                        let [z, y, x] = [z, y, x].map(|at| at * every);
                        let voxel = ((sample * full[0] + z) * full[1] + y) * full[2] + x;
                        found.push(scores[voxel * 2 + class]);
                    }
                }
            }
        }
    }
    close("logits", &found, &numbers.floats("logits").unwrap(), 1e-5);

    // Three updates through the trainer.
    let targets = numbers.integers("train.target").unwrap();
    let image = whole("train.image");
    let targets = voxel_targets(&targets, image[0], 2);
    let samples = Samples::of_images(&numbers.floats("train.image").unwrap(), &image, targets, kind);
    (shape.tokens, shape.grid) = (samples.spec, Some(samples.grid()));
    let model = golden_model(&numbers, "", &shape, family, &device.clone().autodiff());
    let settings: serde_json::Value =
        serde_json::from_slice(&std::fs::read(golden("downstream/unetr.json")).unwrap()).unwrap();
    check_updates(&numbers, "", &samples, &shape, model, settings[name]["learning_rate"].as_f64().unwrap());
}

#[test]
fn unetr_in_two_dimensions() {
    unetr("unetr2d", "image", 4);
}

#[test]
fn unetr_in_three_dimensions() {
    unetr("unetr3d", "volume", 4);
}

fn classifier(prefix: &str, family: &str, samples: &Samples, head: HeadConfig) {
    let (numbers, device) = (file("classification"), Device::flex());
    let shape = TaskModelConfig {
        model: config_of(&encoder(), family, 3),
        tokens: samples.spec,
        grid: None,
        target: samples.kind.clone(),
        head: TaskHeadConfig::Samples(head),
        class_token: true,
    };
    let settings: serde_json::Value =
        serde_json::from_slice(&std::fs::read(golden("downstream/classification.json")).unwrap()).unwrap();
    let rate = settings["learning_rate"].as_f64().unwrap();
    let model = golden_model(&numbers, prefix, &shape, family, &device.clone().autodiff());
    check_updates(&numbers, prefix, samples, &shape, model, rate);
}

#[test]
fn classification_of_images_volumes_and_text() {
    let numbers = file("classification");
    let labels = |prefix: &str| -> Vec<SampleTargets> {
        let labels = numbers.integers(&format!("{prefix}labels")).unwrap();
        labels.into_iter().map(|label| SampleTargets::Class(label as usize)).collect()
    };
    let pooling = TokenPooling::MeanWithoutClass;
    let width = 48;
    for (prefix, family, n_classes, hidden) in [("linear.", "image", 3, 0), ("mlp.", "volume", 2, width)] {
        let image = format!("{prefix}image");
        let kind = TargetKind::Classes { classes: names(n_classes) };
        let shape = numbers.shape(&image).unwrap().to_vec();
        let samples = Samples::of_images(&numbers.floats(&image).unwrap(), &shape, labels(prefix), kind);
        classifier(prefix, family, &samples, HeadConfig { pooling, norm: true, hidden });
    }
    let ids = numbers.integers("text.ids").unwrap();
    let mask = numbers.integers("text.mask").unwrap();
    let samples = Samples {
        ids: names(3),
        spec: TokenSpec::Discrete { length: 12, vocabulary: 97 },
        layout: None,
        tokens: Vec::new(),
        ids_of_words: ids.iter().map(|id| *id as i32).collect(),
        lengths: mask.chunks_exact(12).map(|sample| sample.iter().sum::<i64>() as i32).collect(),
        targets: labels("text."),
        kind: TargetKind::Classes { classes: names(5) },
    };
    classifier(
        "text.",
        "text",
        &samples,
        HeadConfig { pooling: TokenPooling::MeanWithPadding, norm: false, hidden: width },
    );
}

#[test]
fn losses_and_their_gradients_where_classes_were_not_annotated() {
    let numbers = file("losses");
    let settings: serde_json::Value =
        serde_json::from_slice(&std::fs::read(golden("downstream/unetr.json")).unwrap()).unwrap();
    let device = Device::flex().autodiff();
    // A -1 that is not the first voxel counts as a number in the reference; here such a voxel does not count.
    for case in
        ["all_annotated", "two_channels_not_annotated", "minus_one_first_only", "empty_target", "nothing_annotated"]
    {
        for dims in ["2d", "3d"] {
            let shape = numbers.shape(&format!("loss.logits_{dims}")).unwrap();
            let (n, n_classes) = (shape[0], shape[1]);
            let values = numbers.floats(&format!("loss.logits_{dims}")).unwrap();
            let n_voxels = values.len() / n / n_classes;
            let logits =
                Tensor::<3>::from_data(TensorData::new(values, [n, n_classes, n_voxels]), &device).require_grad();
            let targets = numbers.integers(&format!("loss.{case}_{dims}.target")).unwrap();
            let targets = voxel_targets(&targets, n, n_classes);
            let (dice, cross_entropy) = dice_and_cross_entropy(logits.clone().swap_dims(1, 2), &targets);
            let gradient = logits.grad(&(dice.clone() + cross_entropy.clone()).backward()).unwrap();
            let gradient: Vec<f32> = gradient.into_data().try_to_vec().unwrap();
            let name = format!("{case}_{dims}");
            let scalar = |term: Tensor<1>| f64::from(term.into_scalar::<f32>());
            if case == "nothing_annotated" {
                assert_eq!((scalar(dice), scalar(cross_entropy)), (0.0, 0.0), "0 / 0 in the reference");
                assert!(gradient.iter().all(|value| *value == 0.0));
                continue;
            }
            let expected = |term: &str| settings["losses"][&name][term].as_f64().unwrap();
            for (found, term) in [(scalar(dice), "dice"), (scalar(cross_entropy), "bce")] {
                assert!((found - expected(term)).abs() < 1e-6, "{name}, {term}: {found} instead of {}", expected(term));
            }
            close(&name, &gradient, &numbers.floats(&format!("loss.{name}.gradient")).unwrap(), 1e-5);
        }
    }
}
