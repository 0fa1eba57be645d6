//! Samples that a run keeps.

use std::path::PathBuf;

use medcoss_sdk::serde_json::json;
use medcoss_sdk::{Dataset, View};

use crate::recordings::{Filled, Signal, edf, load, open, plain, ramp, synthetic, with};

#[test]
fn kept_windows_are_the_samples_again_without_the_data() {
    let (folder, _, options) = synthetic(8, 2);
    let options = with(
        options,
        json!({ "band_hz": [2.0, 30.0], "notch_hz": 50.0, "seconds": 1.0, "stride_seconds": 0.5, "time_shift": 1.0 }),
    );
    let dataset = open(folder.path(), &["."], options).unwrap();
    let kept = tempfile::tempdir().unwrap();
    let n = dataset.len();
    let indices = [n - 1, 0, n / 2, 5, 13, 24, 5];
    let made = dataset.save_samples(&indices, kept.path()).unwrap();
    let views = [(View::Evaluation, 0), (View::Training, 9), (View::Training, 10)];
    let expected: Vec<Vec<Filled>> = indices
        .iter()
        .map(|&index| views.map(|(view, seed)| load(&dataset, index, view, seed).unwrap()).to_vec())
        .collect();
    folder.close().unwrap();
    let entries: Vec<_> = made.data.iter().map(|path| path.to_str().unwrap()).collect();
    let again = open(kept.path(), &entries, made.options).unwrap();
    assert_eq!(again.len(), indices.len());
    for (index, expected) in expected.iter().enumerate() {
        for ((view, seed), expected) in views.into_iter().zip(expected) {
            let found = load(&again, index, view, seed).unwrap();
            assert!((&found.mask, &found.valid) == (&expected.mask, &expected.valid), "sample {index}, {view:?}");
            let furthest = found.tokens.iter().zip(&expected.tokens).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(furthest < 1e-4, "sample {index}, {view:?}: {furthest}");
        }
    }
}

#[test]
fn kept_windows_hold_nothing_but_the_signals_of_their_channels() {
    let base = tempfile::tempdir().unwrap();
    let records: Vec<Vec<i16>> = (0..30).map(|record| ramp(record, 2)).collect();
    let records: Vec<&[i16]> = records.iter().map(Vec::as_slice).collect();
    let texts = vec!["+0\x14\x14\0+0.5\x14Quillfeather awake\x14"; 30];
    let other = Signal { unit: "degC", ..Signal::of("Quillfeather", &records) };
    let signals = [other, Signal::of("EEG Cz-REF", &records), Signal::annotations(&texts)];
    let name = "Quillfeather_7739120.edf";
    std::fs::write(base.path().join(name), edf("EDF+C", "1", &signals)).unwrap();
    let dataset = open(base.path(), &["."], plain(&["Cz"])).unwrap();
    let kept = tempfile::tempdir().unwrap();
    let made = dataset.save_samples(&[11, 29], kept.path()).unwrap();
    assert_eq!(made.data, ["000000.edf", "000001.edf"].map(PathBuf::from));
    assert!(!made.options.to_string().contains("Quill"), "{}", made.options);
    for file in &made.data {
        let bytes = std::fs::read(kept.path().join(file)).unwrap();
        // A window of a second with half a second for shifts and for resampling before and behind it, not the whole
        // recording.
        assert!(bytes.len() < 1500, "{}", bytes.len());
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        for planted in ["quill", "7739120", "1947", "aug", "16.08", "awake"] {
            assert!(!text.contains(planted), "{} holds {planted}", file.display());
        }
    }
}
