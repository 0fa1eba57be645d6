//! What samples hold: values, masks, places, labels, images.

use medcoss_eeg::{Eeg, Options};
use medcoss_sdk::serde_json::json;
use medcoss_sdk::{Dataset, Error, Geometry, Modality, Tokens, View, code, serde_json};

use crate::recordings::{Signal, edf, filled, ids, load, open, plain, ramp, refused, shape, synthetic, with};

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
