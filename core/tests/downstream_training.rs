//! Fine-tuning of small models on synthetic images: what learns, what stays, and trainings that were stopped.

use std::collections::BTreeMap;

use burn::tensor::Device;
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::decoders::{DecoderConfig, DecoderName};
use medcoss_core::finetuning::{
    Augmentation, EpochReport, FinetuneConfig, FinetuneObserver, Learned, SampleTargets, TargetKind, Task,
    TaskHeadConfig, TaskModel, TaskModelConfig, finetune,
};

use crate::downstream_models::{Samples, Silent, config_of, encoder, loader, names};

/// Bright squares at places that the sample's number decides, and their masks.
fn squares(n: usize, overlapping: bool) -> Samples {
    let (side, mut values, mut targets) = (32usize, Vec::new(), Vec::new());
    for sample in 0..n {
        let (y, x) = (2 + sample * 7 % 17, 3 + sample * 5 % 13);
        let inside = |at: usize| (y..y + 12).contains(&(at / side)) && (x..x + 12).contains(&(at % side));
        let noise = |at: usize| ((at * 7919 + sample * 104_729) % 1009) as f32 / 1009.0 - 0.5;
        for channel in 0..3 {
            let value = |at: usize| noise(at + channel * 5) + if inside(at) { 1.0 } else { -1.0 };
            values.extend((0..side * side).map(value));
        }
        let classes = (0..side * side).map(|at| u16::from(inside(at))).collect();
        targets.push(SampleTargets::Voxels { classes, annotated: Vec::new() });
    }
    let kind = TargetKind::Segmentation { classes: names(1), overlapping };
    Samples::of_images(&values, &[n, 3, side, side], targets, kind)
}

fn small_model(samples: &Samples, head: TaskHeadConfig) -> (TaskModelConfig, TaskModel) {
    let shape = TaskModelConfig {
        model: config_of(&encoder(), "image", 4),
        tokens: samples.spec,
        grid: Some(samples.grid()),
        target: samples.kind.clone(),
        head,
        class_token: true,
    };
    let imported = encoder();
    let device = Device::flex().autodiff();
    let backbone = shape.backbone_of(&imported.model, imported.config.family("image").unwrap(), &device).unwrap();
    let model = TaskModel::new(&shape, backbone, 5, &device).unwrap();
    (shape, model)
}

fn quick(learned: Learned, epochs: usize) -> FinetuneConfig {
    FinetuneConfig {
        learned,
        epochs,
        batch_size: 4,
        learning_rate: 5e-3,
        warmup_epochs: 0.0,
        augmentation: Augmentation { flip: vec![0, 1], ..Augmentation::default() },
        checkpoint_seconds: 0.0,
        ..FinetuneConfig::default()
    }
}

/// Stops after a number of samples.
struct Stopped {
    left: usize,
}

impl FinetuneObserver for Stopped {
    fn samples(&mut self, n: usize) -> medcoss_core::Result<()> {
        self.left = self.left.checked_sub(n).ok_or_else(|| medcoss_core::Error::Caller("enough".into()))?;
        Ok(())
    }

    fn epoch(&mut self, _: &EpochReport, _: bool) {}

    fn invalid_sample(&mut self, _: &str, _: &str) {}
}

fn parameters(model: &TaskModel) -> BTreeMap<String, Vec<f32>> {
    let mut values = BTreeMap::new();
    let visited = model.visit_parameters(&mut |parameter| {
        values.insert(parameter.path.to_string(), parameter.values()?);
        Ok(())
    });
    visited.unwrap();
    values
}

#[test]
fn every_decoder_learns_a_square_and_goes_on_where_it_was_stopped() {
    let samples = squares(12, false);
    let (train, validation): (Vec<u64>, Vec<u64>) = ((0..8).collect(), (8..12).collect());
    let task = Task { dataset: &samples, targets: &samples, train: &train, validation: &validation, loader: loader() };
    for name in [DecoderName::Linear, DecoderName::MultiScale, DecoderName::Unetr] {
        let config = quick(Learned::All, 30);
        let run = |folder: &std::path::Path, observer: &mut dyn FinetuneObserver| {
            let root = ConfinedPath::root(folder).unwrap();
            let (shape, model) = small_model(&samples, TaskHeadConfig::Voxels(DecoderConfig { name, feature_size: 4 }));
            let places = (&root, &root.join("weights.safetensors"), "key");
            finetune(&task, &config, &shape, model, 3, &Device::flex(), places, observer)
        };
        let [whole, parts] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let tuned = run(whole.path(), &mut Silent::default()).unwrap();
        let first = &tuned.reports[0];
        let best = &tuned.reports[tuned.chosen - 1];
        assert!(best.metric > first.metric && best.metric > Some(0.3), "{name:?}: {first:?} then {best:?}");
        // Stopped in the third and in the fifth epoch.
        for left in [2 * 12 + 6, 2 * 12 + 4] {
            let error = run(parts.path(), &mut Stopped { left }).unwrap_err().to_string();
            assert!(error.contains("enough"), "{error}");
        }
        let resumed = run(parts.path(), &mut Silent::default()).unwrap();
        assert_eq!(resumed.reports, tuned.reports, "{name:?}");
        let bytes = |folder: &std::path::Path| std::fs::read(folder.join("weights.safetensors")).unwrap();
        assert!(bytes(whole.path()) == bytes(parts.path()), "{name:?}: a resumed training equals an uninterrupted one");
        assert_eq!(std::fs::read_dir(parts.path()).unwrap().count(), 1, "no checkpoint stays");
    }
}

#[test]
fn a_checkpoint_of_another_training_is_refused() {
    let samples = squares(8, true);
    let (train, validation): (Vec<u64>, Vec<u64>) = ((0..6).collect(), (6..8).collect());
    let task = Task { dataset: &samples, targets: &samples, train: &train, validation: &validation, loader: loader() };
    let folder = tempfile::tempdir().unwrap();
    let root = ConfinedPath::root(folder.path()).unwrap();
    let run = |key: &str, observer: &mut dyn FinetuneObserver| {
        let config = DecoderConfig { name: DecoderName::Linear, feature_size: 4 };
        let (shape, model) = small_model(&samples, TaskHeadConfig::Voxels(config));
        let places = (&root, &root.join("weights.safetensors"), key);
        finetune(&task, &quick(Learned::All, 3), &shape, model, 3, &Device::flex(), places, observer)
    };
    run("one", &mut Stopped { left: 12 }).unwrap_err();
    let error = run("other", &mut Silent::default()).unwrap_err().to_string();
    assert!(error.contains("other settings or data") && error.contains("hint: "), "{error}");
}

#[test]
fn a_frozen_backbone_stays_and_adapters_change_their_matrices_alone() {
    let samples = squares(8, true);
    let (train, validation): (Vec<u64>, Vec<u64>) = ((0..6).collect(), (6..8).collect());
    let task = Task { dataset: &samples, targets: &samples, train: &train, validation: &validation, loader: loader() };
    let head = TaskHeadConfig::Voxels(DecoderConfig { name: DecoderName::MultiScale, feature_size: 4 });
    for learned in [Learned::Head, Learned::Adapters] {
        let (shape, model) = small_model(&samples, head.clone());
        let before = parameters(&model);
        let folder = tempfile::tempdir().unwrap();
        let root = ConfinedPath::root(folder.path()).unwrap();
        let places = (&root, &root.join("weights.safetensors"), "key");
        let config = quick(learned, 2);
        let n_learned = model.n_learned(learned, &config.adapters);
        let tuned =
            finetune(&task, &config, &shape, model, 3, &Device::flex(), places, &mut Silent::default()).unwrap();
        let after = parameters(&tuned.model);
        let changed: Vec<&String> =
            before.iter().filter(|(path, values)| after[*path] != **values).map(|(path, _)| path).collect();
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "adapters are merged");
        let of_backbone: Vec<&&String> = changed.iter().filter(|path| path.starts_with("backbone.")).collect();
        let n_head: usize =
            before.iter().filter(|(path, _)| path.starts_with("head.")).map(|(_, values)| values.len()).sum();
        match learned {
            Learned::Head => {
                assert!(of_backbone.is_empty(), "{of_backbone:?}");
                assert_eq!(n_learned, n_head);
            }
            _ => {
                let expected = |path: &&String| path.ends_with("qkv.weight") || path.ends_with("projection.weight");
                assert_eq!(of_backbone.len(), 8, "two matrices of four blocks: {of_backbone:?}");
                assert!(of_backbone.iter().all(|path| expected(path)), "{of_backbone:?}");
                // Rank 8 of matrices 48 x 144 and 48 x 48 in four blocks.
                assert_eq!(n_learned, n_head + 4 * 8 * (48 + 144 + 48 + 48));
            }
        }
    }
}
