//! Which stretches of recordings are samples.

use medcoss_sdk::serde_json::{Value, json};
use medcoss_sdk::{Dataset, View, code};

use crate::recordings::{Signal, edf, ids, load, open, plain, ramp, refused, with};

#[test]
fn records_of_a_discontinuous_file_are_segments() {
    let base = tempfile::tempdir().unwrap();
    let records: Vec<Vec<i16>> = (0..5).map(|record| ramp(record, 2)).collect();
    let records: Vec<&[i16]> = records.iter().map(Vec::as_slice).collect();
    let begins =
        ["+0.5\x14\x14", "+1.5\x14\x14", "+10.25\x14\x14\0+11\x14late\x14", "+11.25\x14\x14", "+12.2500001\x14\x14"];
    let signals = [Signal::of("Cz", &records), Signal::annotations(&begins)];
    std::fs::write(base.path().join("a.edf"), edf("EDF+D", "1", &signals)).unwrap();
    let options = with(plain(&["Cz"]), json!({ "seconds": 2.0, "stride_seconds": 1.0 }));
    let dataset = open(base.path(), &["a.edf"], options).unwrap();
    // Two records, and three from 9.75 s on: a sample of two seconds lies in one of them.
    assert_eq!(ids(&dataset), ["a.edf#s=0000", "a.edf#s=0009.750", "a.edf#s=0010.750"]);
    let sample = load(&dataset, 2, View::Evaluation, 0).unwrap();
    let expected: Vec<f32> = [3, 4].iter().flat_map(|&record| ramp(record, 2)).map(f32::from).collect();
    let mean = expected.iter().sum::<f32>() / 40.0;
    assert!(sample.tokens.iter().zip(&expected).all(|(a, b)| (a - (b - mean) / 1000.0).abs() < 1e-6));
    for (begins, what) in [
        (["+0\x14\x14", "", "+2\x14\x14", "+3\x14\x14", "+4\x14\x14"], "does not say when its record 1 begins"),
        (
            ["+0\x14\x14", "+0.5\x14\x14", "+2\x14\x14", "+3\x14\x14", "+4\x14\x14"],
            "its record 1 begins at 0.5 s, before",
        ),
        (
            ["+0\x14\x14", "+x\x14\x14", "+2\x14\x14", "+3\x14\x14", "+4\x14\x14"],
            "the annotations of its data record 1",
        ),
    ] {
        let signals = [Signal::of("Cz", &records), Signal::annotations(&begins)];
        std::fs::write(base.path().join("a.edf"), edf("EDF+D", "1", &signals)).unwrap();
        let error = refused(base.path(), &["a.edf"], plain(&["Cz"]));
        assert!(error.code() == code::CORRUPT && error.message().contains(what), "{error}");
    }
    std::fs::write(base.path().join("a.edf"), edf("EDF+D", "1", &signals[..1])).unwrap();
    let error = refused(base.path(), &["a.edf"], plain(&["Cz"]));
    assert!(error.message().contains("has no annotation signal"), "{error}");
}

#[test]
fn annotations_are_labels_or_places_of_samples() {
    let base = tempfile::tempdir().unwrap();
    let records: Vec<Vec<i16>> = (0..4).map(|record| ramp(record, 2)).collect();
    let records: Vec<&[i16]> = records.iter().map(Vec::as_slice).collect();
    let texts = [
        "+0.25\x14\x14\0+0.25\x152\x14T0\x14",
        "+1.25\x14\x14",
        "+2.25\x14\x14\0+2.25\x151.75\x14T1\x14",
        "+3.25\x14\x14\0+3.75\x14T1\x14",
    ];
    let signals = [Signal::of("Cz", &records), Signal::annotations(&texts)];
    std::fs::write(base.path().join("a.edf"), edf("EDF+C", "1", &signals)).unwrap();
    // A file of stages beside its recording, which is no sample.
    std::fs::write(base.path().join("stages.edf"), edf("EDF+C", "0", &[Signal::annotations(&["+0\x14\x14"])])).unwrap();
    let labels = |options: Value| -> Vec<(String, Option<String>)> {
        let dataset = open(base.path(), &["."], options).unwrap();
        (0..dataset.len()).map(|index| dataset.record(index)).map(|record| (record.id, record.label)).collect()
    };
    let expected = [("0000", Some("T0")), ("0001", Some("T0")), ("0002", Some("T1")), ("0003", Some("T1"))];
    let named = |(seconds, label): (&str, Option<&str>)| (format!("a.edf#s={seconds}"), label.map(String::from));
    assert_eq!(labels(with(plain(&["Cz"]), json!({ "annotation_labels": true }))), expected.map(named));
    assert_eq!(labels(plain(&["Cz"])), expected.map(|(seconds, _)| named((seconds, None))));
    // The last one is followed by half a second alone.
    let at = with(plain(&["Cz"]), json!({ "window_annotation": "T1" }));
    assert_eq!(labels(at), [("0002", None)].map(named));
    let error = refused(base.path(), &["a.edf"], with(plain(&["Cz"]), json!({ "window_annotation": "T9" })));
    assert!(error.message().contains("no annotation \"T9\" is followed by 1 s of signal"), "{error}");
    let error = refused(base.path(), &["stages.edf"], plain(&["Cz"]));
    assert!(error.message().contains("annotations alone"), "{error}");
}

#[test]
fn training_samples_are_shifted_within_the_recording() {
    let base = tempfile::tempdir().unwrap();
    // A staircase that says the time: 0, 1, 2, ... tenths of microvolts.
    let records: Vec<Vec<i16>> = (0..3).map(|record| (0..20).map(|at| record * 20 + at).collect()).collect();
    let records: Vec<&[i16]> = records.iter().map(Vec::as_slice).collect();
    std::fs::write(base.path().join("a.edf"), edf("", "1", &[Signal::of("Cz", &records), Signal::of("Pz", &records)]))
        .unwrap();
    let options =
        with(plain(&["Cz", "Pz"]), json!({ "time_shift": 0.25, "amplitude_scaling": 0.0, "normalise": "none" }));
    // Means are taken off, so the shift shows in a difference to a channel that does not move.
    let dataset = open(base.path(), &["a.edf"], options).unwrap();
    let sample = load(&dataset, 1, View::Training, 0).unwrap();
    let steps: Vec<f32> = sample.tokens[..20].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().all(|step| (step - 1e-3).abs() < 1e-6), "a stretch of the staircase: {steps:?}");
    let firsts = |index: usize| -> std::collections::BTreeSet<i64> {
        // The steps of squares say where they are.
        (0..200).map(|seed| shift_of(&base, index, seed)).collect()
    };
    assert_eq!(firsts(0), (0..=5).collect());
    assert_eq!(firsts(1), (-5..=5).collect());
    assert_eq!(firsts(2), (-5..=0).collect());
}

/// By how many samples a training sample of squares of the time is shifted.
fn shift_of(base: &tempfile::TempDir, index: usize, seed: u64) -> i64 {
    let path = base.path().join("squares.edf");
    if !path.exists() {
        let records: Vec<Vec<i16>> =
            (0..3_i16).map(|record| (0..20).map(|at| (record * 20 + at).pow(2)).collect()).collect();
        let records: Vec<&[i16]> = records.iter().map(Vec::as_slice).collect();
        std::fs::write(&path, edf("", "1", &[Signal::of("Cz", &records)])).unwrap();
    }
    let options = with(plain(&["Cz"]), json!({ "time_shift": 0.25, "amplitude_scaling": 0.0 }));
    let dataset = open(base.path(), &["squares.edf"], options).unwrap();
    let sample = load(&dataset, index, View::Training, seed).unwrap();
    // (t + 1)^2 - t^2 = 2 t + 1, in thousandths of the unit.
    let step = (sample.tokens[1] - sample.tokens[0]) * 1000.0;
    ((step - 1.0) / 2.0).round() as i64 - 20 * index as i64
}
