//! Scans as the reference prepares and reads them, against the arrays that it fed.

use std::path::{Path, PathBuf};

use medcoss_ct::{Ct, Options, Scans};
use medcoss_sdk::serde_json::{self, Value, json};
use medcoss_sdk::{Dataset, Error, FoundFile, Modality, OpenRequest, Patches, Sample, View, patch, sample_rng};
use medcoss_test_support::GoldenArrays;

fn golden() -> GoldenArrays {
    GoldenArrays::below("sdk/formats/tests/golden")
}

fn open(base: &Path, data: &str, options: &Value) -> Result<Scans, Error> {
    let options: Options = serde_json::from_value(options.clone()).unwrap();
    Ct::open(OpenRequest { base: base.to_owned(), data: vec![PathBuf::from(data)], options, assets: None })
}

/// Voxels of a sample's evaluation view.
fn voxels(dataset: &Scans, index: usize, size: [usize; 3]) -> Vec<f32> {
    let n: usize = size.iter().product();
    let (mut tokens, mut mask, mut voxels) = (vec![0.0; n], vec![0; n / 4096], vec![0.0; n]);
    let sample = Sample::Continuous(Patches::new(&mut tokens, &mut mask));
    dataset.load(index, View::Evaluation, &mut sample_rng(0), sample).unwrap();
    patch::unpatchify_3d(&tokens, [size[0], size[1], size[2], 1], [16; 3], &mut voxels);
    voxels
}

fn prepared() -> Value {
    json!({ "preparation": "prepared", "size": [16, 48, 48] })
}

#[test]
fn a_prepared_file_is_fed_unclipped_and_comes_back_from_saved_samples() {
    let dataset = open(golden().folder(), "prepared_ct.nii.gz", &prepared()).unwrap();
    let (_, expected) = golden().array("prepared_ct", "input");
    assert_eq!(voxels(&dataset, 0, [16, 48, 48]), expected);
    assert!(expected.iter().any(|value| value.abs() > 1.0));

    let kept = tempfile::tempdir().unwrap();
    let made = dataset.save_samples(&[0], kept.path()).unwrap();
    let again = open(kept.path(), made.data[0].to_str().unwrap(), &made.options).unwrap();
    assert_eq!(voxels(&again, 0, [16, 48, 48]), expected);
}

#[test]
fn the_preset_feeds_raw_scans_as_the_reference_does() {
    let (name, preset) = Ct::option_presets().remove(0);
    assert_eq!(name, "reference");
    let dataset = open(golden().folder(), "ct.nii.gz", &preset).unwrap();
    assert_eq!(dataset.len(), 2);
    let found = voxels(&dataset, 0, [16, 192, 192]);
    let rows = found.chunks_exact(192).enumerate().filter(|(row, _)| row % 192 % 3 == 2);
    let found = rows.flat_map(|(_, row)| row.iter().skip(2).step_by(3));
    let (_, expected) = golden().array("ct_input_0", "input_0_every_3rd_from_2");
    let apart: Vec<f32> = found.zip(&expected).map(|(found, expected)| (found * 1024.0 - expected).abs()).collect();
    assert_eq!(apart.len(), expected.len());
    assert!(apart.iter().all(|&difference| difference <= 1.0));

    let kept = tempfile::tempdir().unwrap();
    let made = dataset.save_samples(&[1], kept.path()).unwrap();
    let again = open(kept.path(), made.data[0].to_str().unwrap(), &made.options).unwrap();
    assert_eq!(voxels(&again, 0, [16, 192, 192]), voxels(&dataset, 1, [16, 192, 192]));
}

#[test]
fn labels_of_prepared_files_lie_as_their_voxels_and_raw_scans_have_none() {
    let mask = FoundFile {
        path: golden().file("prepared_ct.nii.gz"),
        id: "prepared_ct.nii.gz".into(),
        entry: 0,
        bytes: 0,
        modified: None,
    };
    let dataset = open(golden().folder(), "prepared_ct.nii.gz", &prepared()).unwrap();
    // The file's own voxels are no labels: some are negative.
    assert!(dataset.label_map(0, &mask).unwrap_err().message().contains("labels are whole numbers"));
    let raw = open(golden().folder(), "ct.nii.gz", &Ct::option_presets().remove(0).1).unwrap();
    assert!(raw.label_map(0, &mask).unwrap_err().message().contains("has no masks"));
}

#[test]
fn options_of_sub_volumes_are_refused_by_name() {
    for (name, value) in [("stride", json!(8)), ("spacing_mm", json!([1, 1, 1]))] {
        for preparation in ["reference", "prepared"] {
            let options = json!({ "preparation": preparation, "size": [16, 48, 48], name: value });
            let error = open(golden().folder(), "prepared_ct.nii.gz", &options).unwrap_err();
            assert!(error.message().starts_with(&format!("{name} is set, and preparation is")), "{error}");
        }
    }
}
