//! Import and export of weights through the program: of a model that the reference implementation wrote, and of one
//! that the program wrote.

use std::fs;
use std::path::{Path, PathBuf};

use medcoss_core::weights::TensorFile;
use medcoss_test_support::golden;
use medcoss_test_support::program::{medcoss, refused, succeeded, text};

/// Writes synthetic samples of a modality into a folder; returns the data paths that its plugin states, relative to the
/// folder.
fn samples(modality: &str, folder: &Path, n: usize) -> Vec<String> {
    let output = succeeded(medcoss(&[
        "synth",
        "--modality",
        modality,
        "--out",
        &text(folder),
        "--samples",
        &n.to_string(),
        "--json",
    ]));
    let output: serde_json::Value = serde_json::from_str(&output).unwrap();
    output["data"].as_array().unwrap().iter().map(|path| path.as_str().unwrap().to_string()).collect()
}

fn add(run: &Path, modality: &str, data: &Path, settings: &[&str]) -> String {
    let names = samples(modality, &data.join(modality), 12);
    let (run, data) = (text(run), text(data));
    let mut arguments = vec!["stage", "add", &run, "--modality", modality, "--data-root", &data, "--quiet"];
    let names: Vec<String> = names.iter().map(|name| format!("{modality}/{name}")).collect();
    names.iter().for_each(|name| arguments.extend(["--data", name]));
    let usual = ["epochs=2", "warmup_epochs=0", "batch_size=4"];
    usual.iter().chain(settings).for_each(|setting| arguments.extend(["--set", setting]));
    succeeded(medcoss(&arguments))
}

#[test]
fn reference_weights_are_imported_trained_for_a_stage_and_exported() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let (run, sizes) = (path("run"), golden("config.json"));
    let checkpoint = golden("medcoss_tiny.pth");
    let output = succeeded(medcoss(&["import", &text(&checkpoint), "--out", &text(&run), "--config", &text(&sizes)]));
    assert!(output.contains("text attends causally") && output.contains("kept for export"), "{output}");
    succeeded(medcoss(&["show", &text(&run), "--verify"]));

    for (input, family, name) in [
        ("image_2d", "image", "features_2d"),
        ("image_3d", "volume", "features_3d"),
        ("token_ids", "text", "features_text_causal"),
    ] {
        let out = path("features.safetensors");
        let numbers = golden(&format!("{family}.safetensors"));
        let expected = TensorFile::open(&numbers).unwrap();
        let (numbers, out_text, run) = (text(&numbers), text(&out), text(&run));
        let mut arguments = vec![
            "embed",
            &run,
            "--tensors",
            &numbers,
            "--input",
            input,
            "--family",
            family,
            "--pool",
            "none",
            "--out",
            &out_text,
            "--force",
        ];
        if family == "text" {
            arguments.extend(["--attention-mask", "attention_mask"]);
        }
        succeeded(medcoss(&arguments));
        let found = TensorFile::open(&out).unwrap();
        assert_eq!(found.shape("features").unwrap(), expected.shape(name).unwrap());
        for (found, expected) in found.floats("features").unwrap().iter().zip(expected.floats(name).unwrap()) {
            assert!((found - expected).abs() < 1e-4, "{name}: {found} instead of {expected}");
        }
    }

    // Exported and imported again: the same bits as in the checkpoint and in the run.
    let exported = path("exported.safetensors");
    succeeded(medcoss(&["export", &text(&run), "--out", &text(&exported)]));
    let (original, copy) = (TensorFile::open(&checkpoint).unwrap(), TensorFile::open(&exported).unwrap());
    assert_eq!(original.tensors().len(), copy.tensors().len());
    for name in copy.tensors().keys() {
        let key = format!("model.{name}");
        assert_eq!(original.shape(&key).unwrap(), copy.shape(name).unwrap(), "{name}");
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(original.floats(&key).unwrap()), bits(copy.floats(name).unwrap()), "{name}");
    }
    let back = path("back");
    succeeded(medcoss(&["import", &text(&exported), "--out", &text(&back)]));
    let model = |run: &Path| fs::read(run.join("initial/model.bpk")).unwrap();
    assert_eq!(model(&run), model(&back));

    // A new stage begins with the imported encoder; a second stage replays the first one's buffer.
    add(&run, "xray", place.path(), &["options.size=48"]);
    let output = add(&run, "ct", place.path(), &["options.size=[16,48,48]"]);
    assert!(output.contains("xray 0."), "{output}");
    succeeded(medcoss(&["show", &text(&run), "--verify"]));
    // The checkpoint itself is no longer needed, and stages do not change the initial model of the run.
    assert_eq!(model(&run), model(&back));
    let other = path("other.safetensors");
    succeeded(medcoss(&["export", &text(&run), "--out", &text(&other), "--stage", "0"]));
    assert_eq!(fs::read(&other).unwrap(), fs::read(&exported).unwrap());
}

const RUN: &str = "
[model]
preset = \"demo\"
[training]
epochs = 2
batch_size = 4
[[stage]]
modality = \"xray\"
data = \"xray\"
options = { size = 48 }
";

#[test]
fn a_run_that_begins_with_exported_weights_keeps_them_and_resumes_without_the_file() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    samples("xray", &path("xray"), 12);
    fs::write(path("first.toml"), RUN).unwrap();
    succeeded(medcoss(&["pretrain", &text(&path("first.toml")), "--out", &text(&path("first")), "--quiet"]));
    for (layout, weights) in [("medcoss", "published.safetensors"), ("medcoss-rs", "own.safetensors")] {
        let (weights_text, first) = (text(&path(weights)), text(&path("first")));
        succeeded(medcoss(&["export", &first, "--out", &weights_text, "--layout", layout]));
        let config = RUN.replace("preset = \"demo\"", &format!("init = \"{weights}\""));
        fs::write(path("second.toml"), config).unwrap();
        let run = path(layout);
        succeeded(medcoss(&["pretrain", &text(&path("second.toml")), "--out", &text(&run), "--quiet"]));
        fs::remove_file(path(weights)).unwrap();
        succeeded(medcoss(&["resume", &text(&run), "--data-root", &text(place.path()), "--quiet"]));
        let output = succeeded(medcoss(&["show", &text(&run), "--verify"]));
        assert!(output.contains(&format!("began with {weights}")), "{output}");
        // The loss of a trained head is lower than that of fresh values.
        let loss = |run: &Path| {
            let metrics = fs::read_to_string(run.join("stages/01-xray/metrics.jsonl")).unwrap();
            let first: serde_json::Value = serde_json::from_str(metrics.lines().next().unwrap()).unwrap();
            first["pretext"]["xray"].as_f64().unwrap()
        };
        assert!(loss(&run) != loss(&path("first")));
        // A changed byte of the weights is noticed before training begins.
        let model = run.join("initial/model.bpk");
        let mut bytes = fs::read(&model).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&model, bytes).unwrap();
        assert!(refused(medcoss(&["show", &text(&run), "--verify"])).contains("damaged"));
        let error = refused(medcoss(&["resume", &text(&run), "--data-root", &text(place.path()), "--quiet"]));
        assert!(error.contains("initial/model.bpk"), "{error}");
    }
}

#[test]
fn features_have_ids_and_unreadable_samples_are_named() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    samples("xray", &path("xray"), 12);
    fs::write(path("run.toml"), RUN).unwrap();
    let run = text(&path("run"));
    succeeded(medcoss(&["pretrain", &text(&path("run.toml")), "--out", &run, "--quiet"]));
    let images = fs::read_dir(path("xray")).unwrap().map(|entry| entry.unwrap().path());
    let torn: Vec<PathBuf> = images.filter(|path| path.extension().is_some_and(|e| e == "png")).take(2).collect();
    for image in &torn {
        let bytes = fs::read(image).unwrap();
        fs::write(image, &bytes[..bytes.len() / 2]).unwrap();
    }

    let (data, out) = (text(&path("xray")), text(&path("features.safetensors")));
    let embed = |more: &[&str]| {
        medcoss(
            &[
                &["embed", &run, "--modality", "xray", "--data", &data, "--out", &out, "--force", "--quiet", "--json"],
                more,
            ]
            .concat(),
        )
    };
    let error = refused(embed(&[]));
    assert!(error.contains("1 of 12 samples could not be read"), "{error}");
    assert!(!path("features.safetensors").exists());
    for (pool, shape) in [
        ("mean", serde_json::json!([10, 96])),
        ("cls", serde_json::json!([10, 96])),
        ("none", serde_json::json!([10, 10, 96])),
    ] {
        let output: serde_json::Value =
            serde_json::from_str(&succeeded(embed(&["--max-invalid-fraction", "0.2", "--pool", pool]))).unwrap();
        assert_eq!((&output["shape"], output["invalid"].as_object().unwrap().len()), (&shape, 2));
    }
    let other = text(&path("other.safetensors"));
    let error = refused(medcoss(&[
        "embed",
        &run,
        "--tensors",
        &out,
        "--input",
        "features",
        "--family",
        "volume",
        "--out",
        &other,
    ]));
    assert!(error.contains("no token family volume") && error.contains("it has image"), "{error}");
    let error = refused(medcoss(&[
        "embed",
        &run,
        "--tensors",
        &out,
        "--input",
        "features",
        "--family",
        "image",
        "--out",
        &other,
    ]));
    assert!(error.contains("tensor features has shape [10, 10, 96], expected [n, 3, H, W]"), "{error}");
    let error = refused(medcoss(&["embed", &run, "--modality", "ct", "--data", &data, "--out", &other]));
    assert!(error.contains("error: "), "{error}");
    let error = refused(medcoss(&["export", &run, "--out", &other, "--stage", "2"]));
    assert!(error.contains("no finished stage 2; 1 of 1"), "{error}");
    let error = refused(medcoss(&["import", &text(&torn[0]), "--out", &text(&path("imported"))]));
    assert!(error.contains("no PyTorch checkpoint") || error.contains("not a PyTorch checkpoint"), "{error}");
    assert!(!path("imported").exists());
}
