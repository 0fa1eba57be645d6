//! Features of files, computed by the program and by the reference from the same published weights: a CT scan, an MRI
//! scan, a colour tile, an X-ray, reports.

use std::fs;
use std::path::Path;

use medcoss_core::weights::TensorFile;
use medcoss_test_support::program::{medcoss, succeeded, text};
use medcoss_test_support::{golden, repository};

/// Largest error relative to the largest magnitude. Bytes of images, voxels of scans and tokens of reports equal the
/// reference's exactly.
const ERROR: f32 = 1e-5;

/// (modality, files below the repository, settings in addition to the preset, golden features)
const CASES: [(&str, &str, &[&str], &str); 5] = [
    (
        "ct",
        "sdk/formats/tests/golden/prepared_ct.nii.gz",
        &["preparation=prepared", "size=[16,48,48]"],
        "features.prepared_ct",
    ),
    (
        "mri",
        "sdk/formats/tests/golden/prepared_mri.nii.gz",
        &["preparation=prepared", "size=[16,48,48]"],
        "features.prepared_mri",
    ),
    ("pathology", "sdk/formats/tests/golden/pathology.png", &["size=48"], "features.pathology_48"),
    ("xray", "sdk/formats/tests/golden/xray.png", &["size=48"], "features.xray_48"),
    (
        "text",
        "plugins/text/tests/golden/reports.csv",
        &[
            "tokenizer=plugins/text/tests/golden/vocab.txt",
            "text_column=[\"impression\",\"findings\"]",
            "keep_rows={ViewPosition=[\"PA\",\"AP\"],split=[\"train\"]}",
        ],
        "features.reports",
    ),
];

fn check(run: &Path, settings_of_recipe: bool) {
    let expected = TensorFile::open(&golden("recipe/reader_features.safetensors")).unwrap();
    let root = repository();
    for (modality, file, settings, name) in CASES {
        let out = run.with_file_name("features.safetensors");
        let (run, out_text, root) = (text(run), text(&out), text(&root));
        let mut arguments = vec!["embed", &run, "--modality", modality, "--data-root", &root, "--data", file];
        arguments.extend(["--pool", "none", "--out", &out_text, "--force"]);
        // The recipe sets the columns and rows of the reports itself.
        let settings = settings.iter().filter(|setting| !settings_of_recipe || !setting.contains("[\""));
        settings.for_each(|setting| arguments.extend(["--set", setting]));
        let output = medcoss(&arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        succeeded(output);
        // The program reports each choice that it makes for the user. For a prepared scan there is no choice, unless a
        // recipe makes one.
        let is_all_given = arguments.contains(&"preparation=prepared") && !settings_of_recipe;
        assert!(is_all_given || said.contains("options of"), "{modality}: {said}");
        let found = TensorFile::open(&out).unwrap();
        assert_eq!(found.shape("features").unwrap(), expected.shape(name).unwrap(), "{name}: {said}");
        let (found, expected) = (found.floats("features").unwrap(), expected.floats(name).unwrap());
        let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max) / largest;
        println!("{name}: relative error {worst:.1e}");
        assert!(worst < ERROR, "{name}: {worst}");
    }
}

#[test]
fn published_weights_read_files_as_the_reference_does() {
    let place = tempfile::tempdir().unwrap();
    let (weights, sizes) = (text(&golden("medcoss_tiny.pth")), text(&golden("config.json")));
    let run = place.path().join("run");
    succeeded(medcoss(&["import", &weights, "--out", &text(&run), "--config", &sizes]));
    check(&run, false);
}

#[test]
fn a_run_of_the_references_recipe_reads_files_as_it_does() {
    let place = tempfile::tempdir().unwrap();
    let (weights, sizes) = (text(&golden("medcoss_tiny.pth")), text(&golden("config.json")));
    let run = place.path().join("run");
    let import = ["import", &weights, "--out", &text(&run), "--config", &sizes, "--set", "recipe=reference"];
    succeeded(medcoss(&import));
    let record = fs::read_to_string(run.join("run.toml")).unwrap();
    assert!(record.contains("recipe = \"reference\"") && record.contains("n_starts = 10"), "{record}");
    check(&run, true);
}

#[test]
fn an_option_that_is_given_replaces_the_recipes_as_a_whole() {
    let place = tempfile::tempdir().unwrap();
    let words = ["no acute effusion", "the heart is large", "both lungs are clear today", "a small nodule on the left"];
    let rows: String = (0..40).map(|row| format!("{}\n", words[row % words.len()])).collect();
    fs::write(place.path().join("reports.csv"), format!("report\n{rows}")).unwrap();
    let options = "text_column = \"report\"\nkeep_rows = {}\nvocab_size = 128\nmax_length = 16\n";
    let config = format!(
        "recipe = \"reference\"\n[model]\npreset = \"demo\"\n[training]\nepochs = 1\nbatch_size = 8\n\
         [[stage]]\nmodality = \"text\"\ndata = \"reports.csv\"\n[stage.options]\n{options}"
    );
    fs::write(place.path().join("run.toml"), config).unwrap();
    let out = place.path().join("run");
    succeeded(medcoss(&["pretrain", &text(&place.path().join("run.toml")), "--out", &text(&out)]));
    let record = fs::read_to_string(out.join("run.toml")).unwrap();
    assert!(record.contains("cleaning = \"reference\"") && !record.contains("ViewPosition"), "{record}");
}
