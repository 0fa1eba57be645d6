//! The downstream tasks of the paper on stand-ins of their data, from the layout to the table, through the whole program.

mod files;
mod stand_ins;

use std::fs;

use medcoss_test_support::program::{medcoss, refused, succeeded, text};
use serde_json::Value;

/// Stages over the stand-ins, small enough for a processor.
const RUN: &str = r#"
[model]
preset = "demo"
layer_scale = 0.1
[training]
epochs = 1
warmup_epochs = 0
batch_size = 8
[data]
max_invalid_fraction = 0.0
[[stage]]
modality = "text"
data = "PubMed_20k_RCT/train.txt"
options = { min_document_count = 1, max_length = 32 }
[[stage]]
modality = "xray"
data = "Chest_XR/train"
options = { size = 32 }
[[stage]]
modality = "ct"
data = { folder = "LiTS", include = ["**/volume-*.nii"] }
options = { size = [16, 32, 32] }
[[stage]]
modality = "mri"
data = { folder = "VS-SEG", include = ["*/vs_gk_t1_refT1.nii.gz"] }
options = { size = [16, 32, 32] }
[[stage]]
modality = "pathology"
data = "NCT-CRC-HE/NCT-CRC-HE-100K"
options = { size = 32, min_tissue_ratio = 0.0 }
"#;

const SETTINGS: [&str; 13] = [
    "finetune.training.epochs=1",
    "finetune.training.batch_size=4",
    "chestxr:options.size=32",
    "qata-cov19:options.size=32",
    "nct-crc-he:options.size=32",
    "glas:options.size=64",
    "ricord:options.size=[16,32,32]",
    "lits:options.size=[16,32,32]",
    "vestibular-schwannoma:options.size=[16,32,32]",
    "left-atrium:options.size=[16,32,32]",
    "vestibular-schwannoma:split.test=0.34",
    "pubmed-rct:finetune.head.hidden=16",
    "ricord:finetune.head.hidden=16",
];

#[test]
fn nine_recipes_run_on_stand_ins_of_their_data() {
    let folder = tempfile::tempdir().unwrap();
    stand_ins::make(folder.path());
    let at = |name: &str| text(&folder.path().join(name));
    fs::write(folder.path().join("run.toml"), RUN).unwrap();
    let (config, root, out) = (at("run.toml"), text(folder.path()), at("comparison"));
    let mut command =
        vec!["compare", &config, "--recipes", "all", "--recipes-root", &root, "--strategies", "medcoss,sequential"];
    command.extend(["--seeds", "1", "--recipe-seeds", "1", "--out", &out, "--quiet"]);
    SETTINGS.iter().for_each(|setting| command.extend(["--recipe-set", setting]));
    let table = succeeded(medcoss(&command));
    for recipe in [
        "pubmed-rct (accuracy)",
        "chestxr (accuracy)",
        "qata-cov19 (dice)",
        "ricord (accuracy)",
        "lits (dice)",
        "vestibular-schwannoma (dice)",
        "left-atrium (dice)",
        "nct-crc-he (accuracy)",
        "glas (dice)",
    ] {
        assert!(table.contains(recipe), "{recipe}\n{table}");
    }
    // A second call reads what the first kept.
    command.push("--json");
    let again: Value = serde_json::from_str(&succeeded(medcoss(&command))).unwrap();
    let runs = again["runs"].as_array().unwrap();
    assert_eq!((runs.len(), runs[0]["figures"].as_object().unwrap().len()), (2, 9), "{again}");
    for run in runs {
        let figures = run["figures"].as_object().unwrap();
        assert!(figures.values().all(|value| (0.0..=1.0).contains(&value.as_f64().unwrap())), "{figures:?}");
    }
    // The splits are those of the files.
    let samples = |recipe: &str, split: &str| {
        let model = folder.path().join(format!("comparison/recipes/medcoss-seed0-{recipe}-seed0/model.json"));
        let model: Value = serde_json::from_slice(&fs::read(model).unwrap()).unwrap();
        model["source"]["n_samples"][split].as_u64().unwrap()
    };
    let of = |recipe: &str| ["train", "validation", "test"].map(|split| samples(recipe, split));
    assert_eq!(of("pubmed-rct"), [30, 15, 20]);
    assert_eq!(of("chestxr"), [12, 3, 9]);
    assert_eq!(of("qata-cov19"), [4, 2, 3]);
    assert_eq!(of("ricord"), [6, 2, 4]);
    assert_eq!(of("nct-crc-he"), [36, 9, 18]);
    assert_eq!(of("glas"), [4, 1, 4]);

    // A list that fits nothing says so.
    fs::write(folder.path().join("RICORD_nii/RICORD_test.txt"), "elsewhere/a.nii.gz 1\n").unwrap();
    let run = at("comparison/runs/medcoss-seed0");
    let mut command = vec!["finetune", &run, "--recipe", "ricord", "--data-root", &root, "--quiet"];
    let out = at("ricord");
    command.extend(["--out", &out, "--set", "options.size=[16,32,32]"]);
    let error = refused(medcoss(&command));
    assert!(error.contains("no name in the list") && error.contains("elsewhere/a.nii.gz 1"), "{error}");
}

#[test]
fn recipes_are_listed_and_shown() {
    let listed = succeeded(medcoss(&["recipes"]));
    assert_eq!(listed.lines().filter(|line| line.starts_with(char::is_lowercase)).count(), 9, "{listed}");
    assert!(succeeded(medcoss(&["recipes", "glas"])).starts_with("# GlaS: "));
    let error = refused(medcoss(&["recipes", "gals"]));
    assert!(error.contains("did you mean \"glas\"?"), "{error}");
}
