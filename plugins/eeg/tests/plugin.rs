//! The plugin as the host uses it: synthetic recordings, files written by hand, settings and files that are wrong.

use std::path::{Path, PathBuf};

use medcoss_eeg::{Eeg, Options, Windows};
use medcoss_sdk::serde_json::{Value, json};
use medcoss_sdk::{
    Continuous, Dataset, Error, Geometry, Modality, OpenRequest, Patches, Sample, Tokens, View, code, sample_rng,
    serde_json,
};

fn open(base: &Path, data: &[&str], options: Value) -> Result<Windows, Error> {
    let data = data.iter().map(PathBuf::from).collect();
    let options = serde_json::from_value(options).map_err(|error| Error::bad_request(error.to_string()))?;
    Eeg::open(OpenRequest { base: base.to_owned(), data, options, assets: None })
}

fn shape(dataset: &Windows) -> Continuous {
    let Geometry::Continuous(own) = dataset.geometry() else { panic!("tokens are continuous") };
    own
}

/// Buffers of a sample.
#[derive(Debug, Clone, PartialEq)]
struct Filled {
    tokens: Vec<f32>,
    mask: Vec<u8>,
    valid: Vec<u8>,
    coordinates: Vec<f32>,
}

/// What a sample is, and what `load` says of it.
fn filled(dataset: &Windows, index: usize, view: View, seed: u64) -> (Filled, Result<(), Error>) {
    let Continuous { grid, d_token, coordinates, .. } = shape(dataset);
    let n: usize = grid.iter().product();
    let mut filled = Filled {
        tokens: vec![0.0; n * d_token],
        mask: vec![0; n],
        valid: vec![1; n],
        coordinates: vec![0.0; n * coordinates.len()],
    };
    let sample = Sample::Continuous(Patches {
        tokens: &mut filled.tokens,
        mask: &mut filled.mask,
        valid: &mut filled.valid,
        coordinates: &mut filled.coordinates,
        ..Patches::default()
    });
    let outcome = dataset.load(index, view, &mut sample_rng(seed), sample);
    (filled, outcome)
}

fn load(dataset: &Windows, index: usize, view: View, seed: u64) -> Result<Filled, Error> {
    let (filled, outcome) = filled(dataset, index, view, seed);
    outcome.map(|()| filled)
}

/// Why the first sample cannot be opened or loaded.
fn refused(base: &Path, data: &[&str], options: Value) -> Error {
    open(base, data, options).and_then(|dataset| load(&dataset, 0, View::Evaluation, 0)).unwrap_err()
}

fn synthetic(n: usize, seed: u64) -> (tempfile::TempDir, Windows, Value) {
    let folder = tempfile::tempdir().unwrap();
    let made = Eeg::synthesise(folder.path(), n, seed).unwrap();
    let dataset = open(folder.path(), &["."], made.options.clone()).unwrap();
    (folder, dataset, made.options)
}

fn ids(dataset: &Windows) -> Vec<String> {
    (0..dataset.len()).map(|index| dataset.record(index).id).collect()
}

/// A signal of a file that is written by hand: label, unit, physical and digital ends, and the samples of each record.
#[derive(Clone)]
struct Signal {
    label: &'static str,
    unit: &'static str,
    ends: [&'static str; 4],
    records: Vec<Vec<u8>>,
}

impl Signal {
    /// A signal of tenths of microvolts.
    fn of(label: &'static str, records: &[&[i16]]) -> Self {
        let records = records.iter().map(|samples| samples.iter().flat_map(|sample| sample.to_le_bytes()).collect());
        Self { label, unit: "uV", ends: ["-3276.8", "3276.7", "-32768", "32767"], records: records.collect() }
    }

    /// The annotation signal, of 40 bytes a record.
    fn annotations(records: &[&str]) -> Self {
        let bytes = |text: &&str| {
            let mut bytes = text.as_bytes().to_vec();
            bytes.resize(40, 0);
            bytes
        };
        let ends = ["-1", "1", "-32768", "32767"];
        Self { label: "EDF Annotations", unit: "", ends, records: records.iter().map(bytes).collect() }
    }
}

/// A file as the format describes it, with fields in the order of the format.
fn edf(reserved: &str, record_seconds: &str, signals: &[Signal]) -> Vec<u8> {
    let field = |text: &str, length: usize| format!("{text:length$}").into_bytes()[..length].to_vec();
    let n_records = signals[0].records.len();
    let mut bytes = field("0", 8);
    bytes.extend(field("7739120 F 16-AUG-1947 Quillfeather_Ada", 80));
    bytes.extend(field("Startdate 16-AUG-2001 X Quillfeather X", 80));
    bytes.extend(field("16.08.01", 8));
    bytes.extend(field("11.39.16", 8));
    bytes.extend(field(&(256 * (signals.len() + 1)).to_string(), 8));
    bytes.extend(field(reserved, 44));
    bytes.extend(field(&n_records.to_string(), 8));
    bytes.extend(field(record_seconds, 8));
    bytes.extend(field(&signals.len().to_string(), 4));
    signals.iter().for_each(|signal| bytes.extend(field(signal.label, 16)));
    signals.iter().for_each(|_| bytes.extend(field("Quillfeather's cap", 80)));
    signals.iter().for_each(|signal| bytes.extend(field(signal.unit, 8)));
    for end in 0..4 {
        signals.iter().for_each(|signal| bytes.extend(field(signal.ends[end], 8)));
    }
    signals.iter().for_each(|_| bytes.extend(field("HP:0.1Hz", 80)));
    signals.iter().for_each(|signal| bytes.extend(field(&(signal.records[0].len() / 2).to_string(), 8)));
    signals.iter().for_each(|_| bytes.extend(field("", 32)));
    for record in 0..n_records {
        signals.iter().for_each(|signal| bytes.extend(&signal.records[record]));
    }
    bytes
}

/// Options without any change of the values: 20 Hz, two seconds, microvolts in hundreds.
fn plain(channels: &[&str]) -> Value {
    json!({
        "channels": channels, "sampling_rate_hz": 20, "seconds": 1.0, "patch_size": 5, "band_hz": null,
        "normalise": "none", "clip": 1000.0, "flat_uv": 0.0,
    })
}

fn with(mut options: Value, more: Value) -> Value {
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options
}

/// Samples of a record of 20 at 20 Hz, different in each record and signal.
fn ramp(record: usize, factor: i16) -> Vec<i16> {
    (0..20).map(|at| factor * (at * at % 17) + 100 * record as i16).collect()
}

#[test]
fn synthetic_recordings_open_as_windows_with_labels_and_patients() {
    let (_folder, dataset, _) = synthetic(8, 5);
    let expected = [
        "eeg_0000.edf#s=0000",
        "eeg_0000.edf#s=0002",
        "eeg_0000.edf#s=0004",
        "eeg_0001.edf#s=0000",
        "eeg_0001.edf#s=0002",
        "eeg_0001.edf#s=0004",
        // Four seconds, a gap of three, and two seconds.
        "eeg_0002.edf#s=0000",
        "eeg_0002.edf#s=0002",
        "eeg_0002.edf#s=0007",
        "eeg_0003.bdf#s=0000",
        "eeg_0003.bdf#s=0002",
        "eeg_0003.bdf#s=0004",
    ];
    assert_eq!(ids(&dataset), expected);
    let record = dataset.record(4);
    assert_eq!((record.file(), record.label.as_deref()), ("eeg_0001.edf", Some("closed")));
    assert_eq!(record.group.as_deref(), Some("p00"));
    let own = shape(&dataset);
    assert_eq!((own.grid.clone(), own.d_token, own.n_masked, own.patch.clone()), (vec![19, 4], 50, 38, vec![1, 50]));
    assert_eq!((own.axes[0].places[7].as_str(), own.axes[1].step), ("T7", Some(0.5)));
    for index in 0..dataset.len() {
        let sample = load(&dataset, index, View::Evaluation, 0).unwrap();
        assert_eq!(sample.mask, [0; 76]);
        // Of the second recording three channels are missing: Fz, T8 and O2.
        let missing: Vec<usize> = (0..19).filter(|&channel| sample.valid[channel * 4] == 0).collect();
        assert_eq!(missing, if (3..6).contains(&index) { vec![4, 11, 18] } else { vec![] });
        let of_valid = sample.tokens.chunks(200).zip(sample.valid.chunks(4)).filter(|(_, valid)| valid[0] == 1);
        let squares: Vec<f32> = of_valid.flat_map(|(values, _)| values.iter().map(|value| value * value)).collect();
        let variance = squares.iter().sum::<f32>() / squares.len() as f32;
        assert!((variance - 1.0).abs() < 1e-3, "{index}: {variance}");
    }
}

#[test]
fn eyes_that_are_closed_show_alpha_at_the_back() {
    let (folder, _, options) = synthetic(24, 3);
    let options = with(
        options,
        json!({ "normalise": "none", "band_hz": [7.0, 13.0], "channels": ["Fp1", "O1"], "mask_ratio": 0.5 }),
    );
    let dataset = open(folder.path(), &["."], options).unwrap();
    for index in 0..dataset.len() {
        let sample = load(&dataset, index, View::Evaluation, 0).unwrap();
        let power = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>();
        let is_closed = power(&sample.tokens[200..]) > 3.0 * power(&sample.tokens[..200]);
        assert_eq!(dataset.record(index).label.as_deref(), Some(if is_closed { "closed" } else { "open" }), "{index}");
    }
}

#[test]
fn the_same_seed_writes_the_same_files() {
    let [first, again, other] = [5, 5, 6].map(|seed| synthetic(8, seed).0);
    for name in ["eeg_0000.edf", "eeg_0001.edf", "eeg_0002.edf", "eeg_0003.bdf", "labels.csv"] {
        let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!(read(&first), read(&again), "{name}");
        assert_eq!(read(&first) == read(&other), name == "labels.csv", "{name}");
    }
}

#[test]
fn a_training_sample_depends_on_its_seed_alone() {
    let (folder, _, options) = synthetic(8, 1);
    let dataset = open(folder.path(), &["."], with(options, json!({ "channel_dropout": 0.3 }))).unwrap();
    for index in [0, 4, 8, 9] {
        let one = load(&dataset, index, View::Training, 11).unwrap();
        assert_eq!(one, load(&dataset, index, View::Training, 11).unwrap());
        let other = load(&dataset, index, View::Training, 12).unwrap();
        assert!(one.tokens != other.tokens && one.mask != other.mask && one.valid != other.valid);
        assert_eq!(one.mask.iter().filter(|&&masked| masked == 1).count(), 38);
        // Half of the tokens that exist are masked, as of all.
        let n_valid = one.valid.iter().filter(|&&valid| valid == 1).count();
        let masked = one.valid.iter().zip(&one.mask).filter(|&(&valid, &mask)| valid == 1 && mask == 1).count();
        assert!(masked.abs_diff(n_valid / 2) <= 1, "{masked} of {n_valid}");
        let evaluated = load(&dataset, index, View::Evaluation, 1).unwrap();
        assert_eq!(evaluated, load(&dataset, index, View::Evaluation, 2).unwrap());
    }
}

/// Scales as devices write them: microvolts, inverted millivolts, volts. Expected are the numbers that pyedflib 0.1.42
/// reads of this file (`EdfReader.readSignal`), in microvolts.
#[test]
fn stored_numbers_are_the_microvolts_of_pyedflib() {
    let base = tempfile::tempdir().unwrap();
    let scaled = |label, unit, ends| Signal {
        unit,
        ends,
        ..Signal::of(label, &[[-2048, -1000, -1, 0, 1, 777, 2046, 2047].as_slice(); 3])
    };
    let signals = [
        scaled("EEG Fp1-REF", "uV", ["-187.5", "187.3", "-2048", "2047"]),
        scaled("EEG Fp2-REF", "mV", ["3.2", "-3.1", "-2048", "2047"]),
        scaled("EEG C3-A2", "V", ["-0.00051", "0.0005", "-2000", "2047"]),
    ];
    std::fs::write(base.path().join("a.edf"), edf("", "0.4", &signals)).unwrap();
    let options = json!({
        "channels": ["Fp1", "FP2", "C3"], "sampling_rate_hz": 20, "seconds": 0.4, "patch_size": 4, "band_hz": null,
        "normalise": "none", "clip": 1000.0,
    });
    let dataset = open(base.path(), &["a.edf"], options).unwrap();
    assert_eq!(ids(&dataset), ["a.edf#s=0000", "a.edf#s=0000.400", "a.edf#s=0000.800"]);
    let sample = load(&dataset, 1, View::Evaluation, 0).unwrap();
    for (found, expected) in sample.tokens.chunks(8).zip(PYEDFLIB) {
        let mean = expected.iter().sum::<f64>() / 8.0;
        for (found, expected) in found.iter().zip(expected) {
            let found = f64::from(*found) * 100.0;
            assert!((found - (expected - mean)).abs() < 1e-3, "{found} instead of {}", expected - mean);
        }
    }
}

/// Microvolts of the three signals by pyedflib.
const PYEDFLIB: [[f64; 8]; 3] = [
    [-187.5, -91.580488, -0.145763, -0.054237, 0.037289, 71.061661, 187.208474, 187.3],
    [3200.0, 1587.692308, 50.769231, 49.230769, 47.692308, -1146.153846, -3098.461538, -3100.0],
    [-521.979244, -260.432419, -11.114406, -10.864838, -10.615271, 183.049172, 499.750432, 500.0],
];

#[test]
fn tokens_are_stretches_of_channels_in_the_order_of_the_options() {
    let base = tempfile::tempdir().unwrap();
    let signal = |label, factor| Signal::of(label, &[&ramp(0, factor), &ramp(1, factor), &ramp(2, factor)]);
    let signals = [signal("EEG T3-LE", 3), signal("ECG", 9), signal("FP1.", 5), signal("EEG Cz-LE", 7)];
    std::fs::write(base.path().join("a.EDF"), edf("", "1", &signals)).unwrap();
    let options = with(plain(&["Cz", "T7", "Fp1-T7", "O1"]), json!({ "min_channels_ratio": 0.75 }));
    let dataset = open(base.path(), &["."], options.clone()).unwrap();
    assert_eq!(shape(&dataset).axes[0].places, ["Cz", "T7", "Fp1-T7", "O1"]);
    let sample = load(&dataset, 2, View::Evaluation, 0).unwrap();
    for (channel, factor) in [(0, 7.0), (1, 3.0), (2, 2.0)] {
        let tenths: Vec<f32> = (0..20).map(|at| factor * (at * at % 17) as f32).collect();
        let mean = tenths.iter().sum::<f32>() / 20.0;
        for (found, tenth) in sample.tokens[channel * 20..][..20].iter().zip(&tenths) {
            assert!((found - (tenth - mean) / 1000.0).abs() < 1e-6, "{channel}: {found} {tenth}");
        }
    }
    assert_eq!(sample.tokens[60..], [0.0; 20]);
    assert_eq!(sample.valid, [[1; 12].as_slice(), &[0; 4]].concat());
    // Four tokens of Cz at the vertex, then four of T7 at the left ear; nothing where nothing exists.
    assert!(sample.coordinates[..12].chunks(3).all(|xyz| xyz == [0.0, 0.0, 1.0]));
    assert!(sample.coordinates[12] < -0.99 && sample.coordinates[13].abs() < 1e-6);
    assert_eq!(sample.coordinates[36..], [0.0; 12]);
    // A channel that is no electrode has no place, and then none has one.
    let dataset = open(base.path(), &["."], with(options, json!({ "channels": ["Cz", "ECG"] }))).unwrap();
    assert!(shape(&dataset).coordinates.is_empty());
}

#[test]
fn an_average_reference_leaves_a_sum_of_zero() {
    let base = tempfile::tempdir().unwrap();
    let signals = [("C3", 3), ("C4", 5), ("Cz", 11)].map(|(label, factor)| Signal::of(label, &[&ramp(0, factor)]));
    std::fs::write(base.path().join("a.edf"), edf("", "1", &signals)).unwrap();
    let options = with(plain(&["C3", "Cz", "C4", "Pz"]), json!({ "reference": "average" }));
    let sample = load(&open(base.path(), &["."], options).unwrap(), 0, View::Evaluation, 0).unwrap();
    for time in 0..20 {
        let [one, two, three, missing] = [0, 1, 2, 3].map(|channel| sample.tokens[channel * 20 + time]);
        assert!((one + two + three).abs() < 1e-6 && missing == 0.0);
    }
    let options: Options = serde_json::from_value(with(plain(&["C3-Cz"]), json!({ "reference": "average" }))).unwrap();
    assert!(Eeg::geometry(&options).unwrap_err().message().starts_with("reference is average"));
}

#[test]
fn missing_channels_are_refused_where_they_are_not_marked() {
    let base = tempfile::tempdir().unwrap();
    std::fs::write(base.path().join("a.edf"), edf("", "1", &[Signal::of("EEG Cz-REF", &[&ramp(0, 3)])])).unwrap();
    let options = with(plain(&["Cz", "Pz"]), json!({ "missing_channels": "refuse" }));
    let error = refused(base.path(), &["a.edf"], options.clone());
    assert_eq!(error.code(), code::UNSUPPORTED);
    let expected = "of 2 channels 1 are missing (Pz), at least 2 must be there; its signals are EEG Cz-REF";
    assert!(error.message().starts_with(expected), "{error}");
    let named: Options = serde_json::from_value(with(options, json!({ "channels": ["Cz"] }))).unwrap();
    let Geometry::Continuous(own) = Eeg::geometry(&named).unwrap() else { panic!() };
    assert!(!own.validity, "where all channels are there, nothing needs to be marked");
    let marked = open(base.path(), &["a.edf"], plain(&["Cz", "Pz"])).unwrap();
    assert_eq!(load(&marked, 0, View::Training, 1).unwrap().valid, [1, 1, 1, 1, 0, 0, 0, 0]);
    let error = refused(base.path(), &["a.edf"], plain(&["Cz", "Pz", "Fz"]));
    assert!(error.message().contains("at least 2 must be there"), "one of three is less than half: {error}");
}

#[test]
fn masked_times_are_the_same_in_all_channels() {
    let (folder, _, options) = synthetic(8, 1);
    let options = with(options, json!({ "masking": "times", "mask_ratio": 0.6 }));
    let dataset = open(folder.path(), &["eeg_0001.edf"], options).unwrap();
    // Of four times, floor(4 * 0.4) = 1 stays visible.
    assert_eq!(shape(&dataset).n_masked, 57);
    let sample = load(&dataset, 0, View::Training, 3).unwrap();
    assert_eq!(sample.mask[..4].iter().filter(|&&masked| masked == 1).count(), 3);
    assert!(sample.mask.chunks_exact(4).all(|channel| channel == &sample.mask[..4]));
}

#[test]
fn flat_windows_are_skipped_and_complete_where_features_are_asked_for() {
    let base = tempfile::tempdir().unwrap();
    let flat = [7_i16; 20];
    let signals = ["C3", "C4"].map(|label| Signal::of(label, &[&flat, &ramp(1, 4), &flat]));
    std::fs::write(base.path().join("a.edf"), edf("", "1", &signals)).unwrap();
    let options = with(plain(&["C3", "C4"]), json!({ "flat_uv": 0.5, "time_shift": 0.0 }));
    let dataset = open(base.path(), &["a.edf"], options).unwrap();
    for view in [View::Training, View::Evaluation] {
        for (index, is_flat) in [(0, true), (1, false), (2, true)] {
            let (sample, outcome) = filled(&dataset, index, view, 4);
            assert_eq!(outcome.as_ref().err().map(Error::code), is_flat.then_some(code::SKIPPED), "{index}");
            assert!(sample.tokens.iter().all(|value| value.is_finite()) && sample.valid == [1; 8]);
            assert_eq!(sample.coordinates[2], sample.coordinates[5]);
            if is_flat {
                let error = outcome.unwrap_err();
                assert_eq!(error.message(), "no channel varies by 0.5 microvolts");
            }
        }
    }
}

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

#[test]
fn an_image_has_a_row_for_each_channel() {
    let (_folder, dataset, _) = synthetic(4, 2);
    let sample = load(&dataset, 3, View::Evaluation, 0).unwrap();
    let image = |file: Vec<u8>| {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        ((frame.width, frame.height), pixels)
    };
    let hidden: Vec<bool> = (0..76).map(|token| token == 5).collect();
    let (size, pixels) =
        image(dataset.render(Tokens::Continuous { values: &sample.tokens, hidden: Some(&hidden) }).unwrap());
    assert_eq!(size, (200, 19 * 32));
    // The second token of the second channel is grey from top to bottom, the others are not.
    let grey = |x: usize, y: usize| pixels[(y * 200 + x) * 3] == 191;
    assert!((32..64).all(|y| (50..100).all(|x| grey(x, y))));
    assert!(!(32..64).any(|y| grey(49, y) || grey(100, y)));
    assert_eq!(dataset.render(Tokens::values(&sample.tokens[1..])).unwrap_err().code(), code::BAD_REQUEST);
}

#[test]
fn wrong_settings_are_named_with_a_remedy() {
    for (options, name) in [
        (json!({ "channels": [] }), "channels"),
        (json!({ "channels": ["T3", "EEG T7-REF"] }), "channels"),
        (json!({ "min_channels_ratio": 0.0 }), "min_channels_ratio"),
        (json!({ "sampling_rate_hz": 10 }), "sampling_rate_hz"),
        (json!({ "seconds": -1.0 }), "seconds"),
        (json!({ "seconds": 1e9 }), "seconds"),
        (json!({ "stride_seconds": 0.0 }), "stride_seconds"),
        (json!({ "seconds": 10.1 }), "patch_size"),
        (json!({ "patch_size": 0 }), "patch_size"),
        (json!({ "band_hz": [0.0, 40.0] }), "band_hz"),
        (json!({ "band_hz": [1.0, 100.0] }), "band_hz"),
        (json!({ "band_hz": [40.0, 1.0] }), "band_hz"),
        (json!({ "notch_hz": 55.0 }), "notch_hz"),
        (json!({ "clip": 0.0 }), "clip"),
        (json!({ "flat_uv": -1.0 }), "flat_uv"),
        (json!({ "mask_ratio": 0.0 }), "mask_ratio"),
        (json!({ "mask_ratio": 0.9999 }), "mask_ratio"),
        (json!({ "time_shift": 1.5 }), "time_shift"),
        (json!({ "amplitude_scaling": 1.0 }), "amplitude_scaling"),
        (json!({ "channel_dropout": 1.0 }), "channel_dropout"),
        (json!({ "group_column": "patient" }), "group_column"),
    ] {
        let given: Options = serde_json::from_value(options.clone()).unwrap();
        let error = Eeg::geometry(&given).unwrap_err();
        assert_eq!(error.code(), code::BAD_REQUEST);
        assert!(error.message().starts_with(name), "{options}: {error}");
    }
    for (_, preset) in Eeg::option_presets() {
        Eeg::geometry(&serde_json::from_value(preset).unwrap()).unwrap();
    }
}

#[test]
fn bad_recordings_spoil_their_own_sample_only_and_say_what_to_do() {
    let (folder, _, _) = synthetic(8, 0);
    let put = |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).unwrap();
    let whole =
        edf("", "1", &[Signal::of("Cz", &[&ramp(0, 3), &ramp(1, 3)]), Signal::of("Pz", &[&ramp(0, 3), &ramp(1, 3)])]);
    let changed = |at: usize, text: &str| {
        let mut bytes = whole.clone();
        bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
        bytes
    };
    put("bad_channels.edf", &whole);
    put("bad_cut.edf", &whole[..whole.len() - 1]);
    put("bad_digital.edf", &changed(256 + 2 * 120, "32767   "));
    put("bad_duration.edf", &changed(244, "0       "));
    put("bad_empty.edf", b"");
    put("bad_header.edf", &changed(184, "99999   "));
    put("bad_huge.edf", &changed(236, "99999999"));
    put("bad_sampling.edf", &changed(256 + 2 * 216, "-1      "));
    put("bad_signals.edf", &changed(252, "9999"));
    put("bad_unknown.edf", &changed(236, "-2      "));
    put("bad_version.edf", &changed(0, "RIFF"));
    let options = json!({ "channels": ["Cz", "Pz", "Fp1", "O1"], "min_channels_ratio": 0.75, "seconds": 2.0, "sampling_rate_hz": 100, "patch_size": 50, "band_hz": null });
    let dataset = open(folder.path(), &["."], options).unwrap();
    let expected = [
        ("bad_channels.edf", code::UNSUPPORTED, "of 4 channels 2 are missing (Fp1, O1)"),
        ("bad_cut.edf", code::CORRUPT, "it states 2 data records of 80 bytes, and holds 1\nhint: copy"),
        ("bad_digital.edf", code::CORRUPT, "signal 0 (Cz) has no scale"),
        ("bad_duration.edf", code::CORRUPT, "data records of \"0\" s"),
        ("bad_empty.edf", code::CORRUPT, "it has 0 bytes"),
        ("bad_header.edf", code::CORRUPT, "a header of \"99999\" bytes, and 2 signals"),
        ("bad_huge.edf", code::CORRUPT, "states 99999999 data records"),
        ("bad_sampling.edf", code::CORRUPT, "signal 0 (Cz) has \"-1\" as number of samples"),
        ("bad_signals.edf", code::CORRUPT, "states \"9999\" signals"),
        ("bad_unknown.edf", code::CORRUPT, "states \"-2\" data records"),
        ("bad_version.edf", code::CORRUPT, "does not begin as an EDF"),
    ];
    for (index, (name, expected, word)) in expected.into_iter().enumerate() {
        let error = load(&dataset, index, View::Training, 0).unwrap_err();
        assert_eq!((dataset.record(index).id.as_str(), error.code()), (name, expected), "{error}");
        assert!(error.message().contains(word), "{name}: {error}");
    }
    for index in expected.len()..dataset.len() {
        load(&dataset, index, View::Training, 0).unwrap();
    }
    // A recording that was never finished does not know its length.
    put("open.edf", &changed(236, "-1      "));
    let dataset = open(folder.path(), &["open.edf"], plain(&["Cz"])).unwrap();
    assert_eq!(ids(&dataset), ["open.edf#s=0000", "open.edf#s=0001"]);
    let error = refused(folder.path(), &["open.edf"], with(plain(&["Cz"]), json!({ "seconds": 5.0 })));
    assert!(error.message().contains("its longest stretch without a gap has 2.000 s"), "{error}");
    // What was opened before a change is not mixed with what came after it.
    put("open.edf", &whole[..whole.len() - 80]);
    assert_eq!(load(&dataset, 0, View::Evaluation, 0).unwrap_err().code(), code::CORRUPT);
}

/// Files cut off at many places, and with single bytes changed: an answer or an error, never a panic.
#[test]
fn no_damage_makes_a_panic() {
    let (folder, _, options) = synthetic(8, 8);
    let options = with(options, json!({ "annotation_labels": true, "labels": null, "group_column": null }));
    let (mut n_read, mut n_refused) = (0, 0);
    for name in ["eeg_0001.edf", "eeg_0002.edf", "eeg_0003.bdf"] {
        let path = folder.path().join(name);
        let whole = std::fs::read(&path).unwrap();
        let header = (0..256).step_by(3).chain((256..5800).step_by(61));
        for at in header.chain((5800..whole.len()).step_by(whole.len() / 20)) {
            let mut changed = whole.clone();
            changed[at] ^= 0x15;
            for content in [&whole[..at], &changed] {
                std::fs::write(&path, content).unwrap();
                let loaded = open(folder.path(), &[name], options.clone()).and_then(|dataset| {
                    let last = dataset.len() - 1;
                    let _ = dataset.record(last);
                    load(&dataset, last, View::Training, at as u64)
                });
                match loaded {
                    Ok(sample) => {
                        assert!(sample.tokens.iter().all(|value| value.is_finite()));
                        n_read += 1;
                    }
                    Err(error) => {
                        let known = [code::CORRUPT, code::UNSUPPORTED, code::UNREADABLE, code::SKIPPED];
                        assert!(known.contains(&error.code()), "{error}");
                        n_refused += 1;
                    }
                }
            }
        }
        std::fs::write(&path, &whole).unwrap();
    }
    assert!(n_read > 100 && n_refused > 100, "{n_read} read, {n_refused} refused");
}

#[test]
fn files_that_state_gigabytes_are_refused_before_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    // Records of 99999999 samples a second, of which a sample would take a thousand million.
    let mut bytes = edf("", "1", &[Signal::of("Cz", &[&ramp(0, 3)])]);
    bytes[236..244].copy_from_slice(b"999     ");
    bytes[256 + 216..256 + 224].copy_from_slice(b"99999999");
    let path = folder.path().join("a.edf");
    std::fs::write(&path, &bytes).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(1 << 42).unwrap();
    let dataset = open(folder.path(), &["a.edf"], plain(&["Cz"])).unwrap();
    let error = load(&dataset, 0, View::Evaluation, 0).unwrap_err();
    assert!(error.message().contains("do not fit into memory"), "{error}");
    // Slow signals would make windows without number.
    bytes[244..252].copy_from_slice(b"1000000 ");
    std::fs::write(&path, &bytes).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(1 << 42).unwrap();
    let error = refused(folder.path(), &["a.edf"], plain(&["Cz"]));
    assert!(error.message().contains("samples; at most"), "{error}");
}

#[test]
fn the_plugin_keeps_the_contract() {
    medcoss_conformance::assert_conforms("eeg");
}
