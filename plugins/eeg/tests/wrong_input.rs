//! Settings and files that are wrong.

use medcoss_eeg::{Eeg, Options};
use medcoss_sdk::serde_json::json;
use medcoss_sdk::{Dataset, Modality, View, check_ranges, code, serde_json};

use crate::recordings::{Signal, edf, ids, load, open, plain, ramp, refused, synthetic, with};

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
    ] {
        let given: Options = serde_json::from_value(options.clone()).unwrap();
        // As the SDK does before it calls the plugin.
        let error = check_ranges(&given).and_then(|()| Eeg::geometry(&given)).unwrap_err();
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
    let options = with(options, json!({ "annotation_labels": true, "labels": null }));
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
