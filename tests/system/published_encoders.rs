//! Vision transformers of other libraries through the program: imported, encoded, trained for two stages, resumed and exported.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use medcoss_core::weights::TensorFile;
use medcoss_test_support::process::wait_until;
use medcoss_test_support::program::{command, medcoss, refused, succeeded, text};
use medcoss_test_support::{golden, repository};

fn weights(name: &str) -> PathBuf {
    golden("import/README.md").with_file_name(name)
}

fn import(weights: &Path, run: &Path, more: &[&str]) -> String {
    let (weights, run) = (text(weights), text(run));
    succeeded(medcoss(&[&["import", &weights, "--out", &run], more].concat()))
}

#[test]
fn features_of_an_imported_encoder_are_those_of_its_library_at_other_sizes() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let said = import(&weights("dinov2_registers.pth"), &path("hub"), &["--heads", "2"]);
    for part in ["4 register tokens", "5 x 5 patches of 14 x 14", "bicubic, antialiased", "keep the terms of"] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    let said = import(&weights("hf_dinov2"), &path("folder"), &[]);
    assert!(said.contains("Imported hf_dinov2/model.safetensors") && said.contains("their model card"), "{said}");
    let numbers = weights("dinov2_expected.safetensors");
    let (registers, hub) = ("dinov2_registers_larger", "dinov2_larger");
    for (run, image, file, name) in [
        ("hub", registers, "dinov2_expected.safetensors", "dinov2_registers_larger.class"),
        ("folder", hub, "hf_expected.safetensors", "hf_dinov2_larger.normed"),
    ] {
        let pool = if name.ends_with("class") { "cls" } else { "none" };
        let (out, input) = (text(&path("features.safetensors")), format!("{image}.image"));
        let (run, tensors) = (text(&path(run)), text(&numbers));
        succeeded(medcoss(&[
            "embed",
            &run,
            "--tensors",
            &tensors,
            "--input",
            &input,
            "--family",
            "image",
            "--pool",
            pool,
            "--out",
            &out,
            "--force",
        ]));
        let found = TensorFile::open(&path("features.safetensors")).unwrap().floats("features").unwrap();
        let expected = TensorFile::open(&weights(file)).unwrap().floats(name).unwrap();
        let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        assert_eq!(found.len(), expected.len(), "{name}");
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5 * largest), "{name}");
    }
    succeeded(medcoss(&["show", &text(&path("folder")), "--verify"]));
    let error = refused(medcoss(&["import", &text(&weights("hf_bert")), "--out", &text(&path("bert"))]));
    assert!(error.contains("post-norm") && error.contains("hint: begin with a plain vision transformer"), "{error}");
    assert!(!path("bert").exists());
}

/// The example configuration, at the size of the golden weights.
fn example(place: &Path) -> PathBuf {
    let mut config = fs::read_to_string(repository().join("host/configs/dinov2.toml")).unwrap();
    for (from, to) in [
        ("[model]\n", "[model]\nheads = 4\ndecoder_width = 32\ndecoder_layers = 1\ndecoder_heads = 2\n"),
        ("dinov2_vitb14_pretrain.pth", "dinov2.pth"),
        ("epochs = 50", "epochs = 2"),
        ("warmup_epochs = 5", "warmup_epochs = 0\ncheckpoint_every_steps = 1"),
        ("batch_size = 64", "batch_size = 4"),
        ("size = 224", "size = 56"),
        ("[16, 196, 196]", "[16, 56, 56]"),
    ] {
        assert!(config.contains(from), "{from}");
        config = config.replacen(from, to, 1);
    }
    let path = place.join("dinov2.toml");
    fs::write(&path, config).unwrap();
    fs::copy(weights("dinov2.pth"), place.join("dinov2.pth")).unwrap();
    for modality in ["xray", "ct"] {
        let folder = text(&place.join(modality));
        succeeded(medcoss(&["synth", "--modality", modality, "--out", &folder, "--samples", "8"]));
    }
    path
}

#[test]
fn the_example_begins_with_dinov2_and_adds_ct() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let config = text(&example(place.path()));
    succeeded(medcoss(&["pretrain", &config, "--out", &text(&path("whole")), "--quiet"]));

    // Killed within its second stage, and resumed: the same bytes.
    let stopped = text(&path("stopped"));
    let arguments = ["pretrain", config.as_str(), "--out", stopped.as_str()];
    let mut child = command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let checkpoint = path("stopped/stages/02-ct/checkpoint-00001");
    wait_until("a checkpoint of the second stage", || child.try_wait().unwrap().is_some() || checkpoint.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    succeeded(medcoss(&["resume", &stopped, "--data-root", &text(place.path()), "--quiet"]));
    for file in ["stages/01-xray/model.bpk", "stages/02-ct/model.bpk", "stages/02-ct/metrics.jsonl"] {
        assert_eq!(
            fs::read(path("whole").join(file)).unwrap(),
            fs::read(path("stopped").join(file)).unwrap(),
            "{file}"
        );
    }

    // Exported and imported again, the same parameters; the published layout cannot hold them.
    let exported = path("exported.safetensors");
    let out = text(&exported);
    let error = refused(medcoss(&["export", &stopped, "--out", &out]));
    assert!(error.contains("a norm after the last block") && error.contains("--layout medcoss-rs"), "{error}");
    succeeded(medcoss(&["export", &stopped, "--out", &out, "--layout", "medcoss-rs"]));
    import(&exported, &path("back"), &[]);
    let again = text(&path("again.safetensors"));
    succeeded(medcoss(&["export", &text(&path("back")), "--out", &again, "--layout", "medcoss-rs"]));
    assert_eq!(fs::read(&exported).unwrap(), fs::read(path("again.safetensors")).unwrap());
}
