//! Folders that `export --layout huggingface` and `timm` write. `sdk/python/package/tests` loads them with these libraries.

use std::fs;

use medcoss_core::weights::TensorFile;
use medcoss_test_support::program::{medcoss, refused, succeeded, text};
use serde_json::{Value, json};

const RUN: &str = "
seed = 5
[model]
preset = \"demo\"
[training]
epochs = 1
warmup_epochs = 0
batch_size = 4
[[stage]]
modality = \"xray\"
data = \"xray\"
options = { size = 48 }
";

#[test]
fn an_encoder_is_exported_with_its_code_and_a_card() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let at = |name: &str| text(&path(name));
    succeeded(medcoss(&["synth", "--modality", "xray", "--out", &at("xray"), "--samples", "12"]));
    fs::write(path("run.toml"), RUN).unwrap();
    succeeded(medcoss(&["pretrain", &at("run.toml"), "--out", &at("run"), "--quiet"]));

    let run = at("run");
    let huggingface = ["export", &run, "--layout", "huggingface"];
    let export = |more: &[&str]| medcoss(&[&huggingface, more].concat());
    let report = succeeded(export(&["--family", "image", "--out", &at("encoder"), "--json"]));
    let report: Value = serde_json::from_str(&report).unwrap();
    let files = [
        "README.md",
        "config.json",
        "configuration_medcoss.py",
        "encoder_medcoss.py",
        "model.safetensors",
        "modeling_medcoss.py",
        "positions_medcoss.py",
        "preprocessor_config.json",
    ];
    assert_eq!((&report["files"], &report["layout"]), (&json!(files), &json!("huggingface")));
    let config: Value = serde_json::from_slice(&fs::read(path("encoder/config.json")).unwrap()).unwrap();
    assert_eq!(config["encoder"]["grid"], json!([3, 3]));
    assert_eq!(config["encoder"]["axes"], json!([{ "name": "row" }, { "name": "column" }]));

    // The same values as in this project's own layout, matrices transposed.
    succeeded(medcoss(&["export", &run, "--layout", "medcoss-rs", "--out", &at("all.safetensors")]));
    let own = TensorFile::open(&path("all.safetensors")).unwrap();
    let module = TensorFile::open(&path("encoder/model.safetensors")).unwrap();
    assert_eq!(module.tensors().len(), 7 + 4 * 14);
    for (name, module_name, [inputs, outputs]) in [
        ("encoder.blocks.2.mlp_in.weight", "encoder.blocks.2.mlp_in.weight", [96, 384]),
        ("embedders.0.projection.weight", "encoder.embedder.projection.weight", [768, 96]),
    ] {
        let (before, now) = (own.floats(name).unwrap(), module.floats(module_name).unwrap());
        assert_eq!(module.shape(module_name).unwrap(), [outputs, inputs]);
        assert!((0..inputs * outputs).all(|at| before[at] == now[at % outputs * inputs + at / outputs]), "{name}");
    }
    let gamma = own.floats("encoder.blocks.3.mlp_norm.gamma").unwrap();
    assert_eq!(module.floats("encoder.blocks.3.mlp_norm.weight").unwrap(), gamma);

    let card = fs::read_to_string(path("encoder/README.md")).unwrap();
    assert!(card.contains("| 1 | xray | image | 12 | 1 | 3 |") && card.contains("seed 5"), "{card}");
    for file in files {
        let content = fs::read(path("encoder").join(file)).unwrap();
        assert!(!String::from_utf8_lossy(&content).contains(&text(place.path())), "{file} names a path");
    }
    let (timm, out) = (["export", &run, "--layout", "timm", "--family", "image"], at("timm"));
    let error = refused(medcoss(&[&timm[..], &["--out", &out]].concat()));
    assert!(
        error.contains("a norm of the embedded patches") && error.contains("hint: --layout huggingface"),
        "{error}"
    );
    assert!(!path("timm").exists());
    // The same command writes the same bytes.
    succeeded(export(&["--family", "image", "--out", &at("again")]));
    for file in files {
        assert_eq!(
            fs::read(path("encoder").join(file)).unwrap(),
            fs::read(path("again").join(file)).unwrap(),
            "{file}"
        );
    }
}

#[test]
fn what_a_layout_cannot_hold_is_said() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let (run, out) = (text(&path("run")), text(&path("out")));
    fs::create_dir(path("mine")).unwrap();
    fs::write(path("mine/thesis.txt"), "years of work").unwrap();
    let mine = text(&path("mine"));
    for (arguments, expected) in [
        (["--layout", "timm", "--out", &out], "name it by --family"),
        (["--layout", "onnx", "--out", &out], "python -m medcoss.onnx"),
        (["--layout", "huggingface", "--out", &out], "name it by --family"),
        (
            ["--layout=medcoss-rs", "--family=image", "--out", &out],
            "--family belongs to the layouts huggingface and timm",
        ),
        (["--layout=huggingface", "--family=image", "--out", &mine], "name a new folder"),
    ] {
        let error = refused(medcoss(&[&["export", &run], arguments.as_slice()].concat()));
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(fs::read_dir(path("mine")).unwrap().count(), 1);
}
