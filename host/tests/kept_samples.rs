//! Saved buffer samples equal the samples of their dataset: for every plugin, for every sample, augmented and not.

#![cfg(feature = "builtin")]

use medcoss_abi::message::{Keep, Open, Synthesise};
use medcoss_fixture as _;
use medcoss_plugin_host::{Batch, OpenDataset, Plugin, PluginLocation, View};
use medcoss_test_support::data;
use {medcoss_ct as _, medcoss_mri as _, medcoss_pathology as _, medcoss_text as _, medcoss_xray as _};

fn plugin(id: &str) -> Plugin {
    let builtin = medcoss_abi::builtins().into_iter().find(|builtin| builtin.id == id).expect("it is linked in");
    Plugin::from_header(builtin.header, id, PluginLocation::BuiltIn).unwrap()
}

fn fill(dataset: &OpenDataset, view: View, index: usize) -> Batch {
    let mut batch = Batch::default();
    assert_eq!(dataset.fill(view, &[index as u64], &[index as u64 + 7], &mut batch).unwrap(), []);
    batch
}

/// Keeps samples of a dataset in another order than theirs, and compares what comes back.
fn come_back(plugin: &Plugin, open: &Open, tolerance: f32) {
    let dataset = plugin.open(open).unwrap();
    let assets = tempfile::tempdir().unwrap();
    let has_assets = !dataset.save_assets(assets.path()).unwrap().is_empty();
    let indices: Vec<u64> = (0..dataset.ids().len() as u64).rev().step_by(3).collect();
    let kept = tempfile::tempdir().unwrap();
    let how = dataset.keep(&Keep { folder: kept.path().into(), indices: indices.clone() }).unwrap();
    let request = Open {
        base: kept.path().into(),
        data: how.data,
        options: how.options,
        assets: has_assets.then(|| assets.path().into()),
    };
    let again = plugin.open(&request).unwrap();
    assert_eq!(again.ids().len(), indices.len(), "{}", plugin.name());
    assert_eq!(again.shape(), dataset.shape());
    let mut furthest = 0.0f32;
    for (position, &index) in indices.iter().enumerate() {
        for view in [View::Evaluation, View::Training] {
            let mut batch = Batch::default();
            assert_eq!(dataset.fill(view, &[index], &[position as u64 + 7], &mut batch).unwrap(), []);
            let other = fill(&again, view, position);
            assert_eq!((&batch.mask, &batch.ids, &batch.labels), (&other.mask, &other.ids, &other.labels));
            for (a, b) in batch.tokens.iter().zip(&other.tokens) {
                furthest = furthest.max((a - b).abs());
            }
        }
    }
    println!("{}: {} samples of {}, furthest apart {furthest}", plugin.name(), indices.len(), dataset.ids().len());
    assert!(furthest <= tolerance, "{}: {furthest} apart", plugin.name());
}

#[test]
fn synthetic_samples_of_every_plugin_come_back() {
    for id in ["fixture", "text", "xray", "ct", "mri", "pathology"] {
        let plugin = plugin(id);
        assert!(plugin.keeps(), "{id}");
        let folder = tempfile::tempdir().unwrap();
        let made = plugin.synthesise(&Synthesise { folder: folder.path().into(), n_samples: 24, seed: 5 }).unwrap();
        let open = Open { base: folder.path().into(), data: made.data, options: made.options, assets: None };
        // Tiles of slides are kept with 16 bit; everything else to the bit.
        come_back(&plugin, &open, if id == "pathology" { 1e-4 } else { 0.0 });
    }
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn real_samples_come_back() {
    let data = data("");
    let stages: [(&str, &[&str], serde_json::Value, f32); 6] = [
        ("ct", &["ct/organs/images"], serde_json::json!({ "size": [16, 64, 80], "spacing_mm": [3.0, 2.5, 2.0] }), 0.0),
        ("ct", &["ct/organs/images"], serde_json::json!({ "size": [32, 48, 64], "hu_range": [-200, 300] }), 0.0),
        ("mri", &["mri/hippocampus_dicom"], serde_json::json!({ "size": [16, 64, 64], "stride": 5 }), 0.0),
        ("pathology", &["pathology/wsi"], serde_json::json!({ "size": 64, "tile_size": 500 }), 1e-4),
        ("xray", &["xray/covid19/png"], serde_json::json!({ "size": 64 }), 0.0),
        ("text", &["text/pubmed_rct/share.txt"], serde_json::json!({ "unit": "sentence", "vocab_size": 512 }), 0.0),
    ];
    for (id, entries, options, tolerance) in stages {
        let entries = entries.iter().map(Into::into).collect();
        come_back(&plugin(id), &Open { base: data.clone(), data: entries, options, assets: None }, tolerance);
    }
}
