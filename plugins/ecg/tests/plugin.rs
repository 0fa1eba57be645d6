//! The plugin as the host uses it: synthetic records, records written by hand, settings and files that are wrong.

use std::path::{Path, PathBuf};

/// Grid, values in a token and masked tokens.
fn sizes(geometry: &Geometry) -> (Vec<usize>, usize, usize) {
    let Geometry::Continuous(own) = geometry else { panic!("tokens are continuous") };
    (own.grid.clone(), own.d_token, own.n_masked)
}

use medcoss_ecg::{Ecg, Options, Records};
use medcoss_sdk::serde_json::{Value, json};
use medcoss_sdk::{
    Continuous, Dataset, Error, Geometry, Modality, OpenRequest, Patches, Sample, Tokens, View, check_ranges, code,
    sample_rng, serde_json,
};

fn open(base: &Path, data: &[&str], options: Value) -> Result<Records, Error> {
    let data = data.iter().map(PathBuf::from).collect();
    let options = serde_json::from_value(options).map_err(|error| Error::bad_request(error.to_string()))?;
    Ecg::open(OpenRequest { base: base.to_owned(), data, options, assets: None })
}

fn load(dataset: &Records, index: usize, view: View, seed: u64) -> Result<(Vec<f32>, Vec<u8>), Error> {
    let Geometry::Continuous(Continuous { grid, d_token, .. }) = dataset.geometry() else {
        panic!("tokens are continuous")
    };
    let n_tokens: usize = grid.iter().product();
    let (mut tokens, mut mask) = (vec![0.0; n_tokens * d_token], vec![0; n_tokens]);
    let sample = Sample::Continuous(Patches::new(&mut tokens, &mut mask));
    dataset.load(index, view, &mut sample_rng(seed), sample)?;
    Ok((tokens, mask))
}

fn synthetic(n: usize, seed: u64) -> (tempfile::TempDir, Records) {
    let folder = tempfile::tempdir().unwrap();
    let made = Ecg::synthesise(folder.path(), n, seed).unwrap();
    let dataset = open(folder.path(), &["."], made.options).unwrap();
    (folder, dataset)
}

#[test]
fn synthetic_records_open_with_labels_in_both_formats() {
    let (_folder, dataset) = synthetic(7, 5);
    let ids: Vec<_> = (0..dataset.len()).map(|index| dataset.record(index).id).collect();
    assert_eq!(ids.len(), 7);
    assert_eq!(ids[..4], ["ecg_0000.csv", "ecg_0001.hea", "ecg_0002.hea", "ecg_0003.csv"]);
    let labels: Vec<_> = (0..4).map(|index| dataset.record(index).label.unwrap()).collect();
    assert_eq!(labels, ["normal", "ectopic", "normal", "ectopic"]);
    // Four seconds at 100 Hz in patches of 50: twelve leads of eight tokens, three quarters of them masked.
    assert_eq!(sizes(&dataset.geometry()), (vec![12, 8], 50, 72));
    for index in 0..7 {
        let (tokens, mask) = load(&dataset, index, View::Evaluation, 0).unwrap();
        assert_eq!(mask, [0; 96]);
        for lead in tokens.chunks_exact(400) {
            let mean = lead.iter().sum::<f32>() / 400.0;
            let variance = lead.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 400.0;
            assert!(mean.abs() < 1e-4 && (variance - 1.0).abs() < 1e-3, "{mean} {variance}");
        }
    }
}

#[test]
fn the_same_seed_writes_the_same_files() {
    let [first, again, other] = [5, 5, 6].map(|seed| synthetic(3, seed).0);
    for name in ["ecg_0000.csv", "ecg_0001.hea", "ecg_0001.dat", "ecg_0002.dat"] {
        let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!(read(&first), read(&again), "{name}");
        assert_ne!(read(&first), read(&other), "{name}");
    }
}

#[test]
fn a_training_sample_depends_on_its_seed_alone() {
    let (_folder, dataset) = synthetic(3, 1);
    for index in 0..3 {
        let one = load(&dataset, index, View::Training, 11).unwrap();
        assert_eq!(one, load(&dataset, index, View::Training, 11).unwrap());
        let other = load(&dataset, index, View::Training, 12).unwrap();
        assert!(one.0 != other.0 && one.1 != other.1);
        assert_eq!(one.1.iter().filter(|&&masked| masked == 1).count(), 72);
        assert_eq!(
            load(&dataset, index, View::Evaluation, 1).unwrap(),
            load(&dataset, index, View::Evaluation, 2).unwrap()
        );
    }
}

#[test]
fn masked_times_are_the_same_in_all_leads() {
    let (folder, _) = synthetic(1, 1);
    let options =
        json!({ "sampling_rate_hz": 100, "seconds": 4.0, "patch_size": 50, "masking": "times", "mask_ratio": 0.6 });
    let dataset = open(folder.path(), &["ecg_0000.csv"], options).unwrap();
    // Of eight times, floor(8 * 0.4) = 3 stay visible.
    assert_eq!(sizes(&dataset.geometry()), (vec![12, 8], 50, 60));
    let (_, mask) = load(&dataset, 0, View::Training, 3).unwrap();
    assert_eq!(mask[..8].iter().filter(|&&masked| masked == 1).count(), 5);
    assert!(mask.chunks_exact(8).all(|lead| lead == &mask[..8]));
}

/// A ramp of 10 samples at 10 Hz would be below the allowed rates: 40 samples at 20 Hz, II twice I.
fn ramp() -> String {
    let line = |time: usize| format!("{},{},{}\n", time, time, 2 * time);
    format!("sample,I,II\n{}", (0..40).map(line).collect::<String>())
}

#[test]
fn tokens_are_stretches_of_leads_in_their_order() {
    let base = tempfile::tempdir().unwrap();
    std::fs::write(base.path().join("a.csv"), ramp()).unwrap();
    let options = json!({
        "leads": ["II", "aVL", "III"], "sampling_rate_hz": 20, "csv_sampling_rate_hz": 20, "seconds": 1.5, "patch_size": 5, "normalise": "none",
        "amplitude_scaling": 0, "baseline_wander": 0,
    });
    let dataset = open(base.path(), &["."], options).unwrap();
    let (tokens, _) = load(&dataset, 0, View::Evaluation, 0).unwrap();
    // The middle 30 of 40 samples, times 5 to 34, less their mean 19.5. aVL = I - II / 2 = 0, III = II - I = I.
    for (token, values) in tokens.chunks_exact(5).enumerate() {
        for (at, &value) in values.iter().enumerate() {
            let time = (token % 6 * 5 + at) as f32 + 5.0 - 19.5;
            let expected = [2.0 * time, 0.0, time][token / 6];
            assert!((value - expected).abs() < 1e-4, "token {token}, {at}: {value} instead of {expected}");
        }
    }
    // In training, windows begin anywhere: without the mean they are all alike, so look at the raw order of the ramp.
    let (train, _) = load(&dataset, 0, View::Training, 1).unwrap();
    assert!(
        train.iter().zip(&tokens).all(|(a, b)| (a - b).abs() < 1e-4),
        "a ramp less its mean is the same everywhere"
    );
}

#[test]
fn random_stretches_reach_from_end_to_end() {
    let base = tempfile::tempdir().unwrap();
    // A step in the middle: its place in the sample shows where the window began.
    let text: String = (0..60).map(|time| format!("{}\n", usize::from(time >= 30))).collect();
    std::fs::write(base.path().join("a.csv"), format!("V1\n{text}")).unwrap();
    let options = json!({
        "leads": ["V1"], "sampling_rate_hz": 20, "csv_sampling_rate_hz": 20, "seconds": 2.0, "patch_size": 10, "amplitude_scaling": 0, "baseline_wander": 0,
    });
    let dataset = open(base.path(), &["a.csv"], options).unwrap();
    let mut begins = std::collections::BTreeSet::new();
    for seed in 0..400 {
        let (tokens, _) = load(&dataset, 0, View::Training, seed).unwrap();
        begins.insert(30 - tokens.iter().position(|&value| value > 0.0).unwrap());
    }
    assert_eq!(begins, (0..20).collect());
}

#[test]
fn kept_records_are_the_samples_again_without_the_data() {
    let (folder, dataset) = synthetic(6, 2);
    let kept = tempfile::tempdir().unwrap();
    let indices = [4, 0, 2, 4];
    let made = dataset.save_samples(&indices, kept.path()).unwrap();
    let expected: Vec<_> = indices.iter().map(|&index| load(&dataset, index, View::Training, 9).unwrap()).collect();
    folder.close().unwrap();
    let entries: Vec<_> = made.data.iter().map(|path| path.to_str().unwrap()).collect();
    let again = open(kept.path(), &entries, made.options).unwrap();
    assert_eq!(again.len(), 4);
    for (index, expected) in expected.iter().enumerate() {
        assert_eq!(load(&again, index, View::Training, 9).unwrap(), *expected);
    }
}

#[test]
fn kept_records_hold_nothing_but_the_signals_of_their_leads() {
    let folder = tempfile::tempdir().unwrap();
    let planted = ["Quillfeather", "7739120", "16-08-1947"];
    let [name, number, date] = planted;
    // An odd number of samples of 12 bits behind a prologue, with a signal that is no lead.
    let file = format!("{name}_{number}");
    let bytes: Vec<u8> = (0..9 + (3 * 2 * 301_usize).div_ceil(2)).map(|at| (at * 37 % 251) as u8).collect();
    std::fs::write(folder.path().join(format!("{file}.dat")), [&name.as_bytes()[..9], &bytes[9..]].concat()).unwrap();
    let header = format!(
        "# {name}\n{file} 2 250.5/1000(0) 301 11:39:16 {date}\n{file}.dat 212+9 200.5(-3.5)/mV 12 7 0 0 0 ECG lead I\n\
         {file}.dat 212+9 100/uV 12 0 0 0 0 {name} {number}\n# born {date}\n"
    );
    std::fs::write(folder.path().join(format!("{file}.hea")), header).unwrap();
    // Times of a clock, and a column that is no lead.
    let mut csv = format!("time;{name};MDC_ECG_LEAD_I (uV)\n");
    for at in 0..300 {
        let gap = if at == 7 { String::new() } else { format!("{}", 0.1 * f64::from(at * at % 97)) };
        csv.push_str(&format!("{};{number} {date};{gap}\n", 7_739_120.25 + 0.004 * f64::from(at)));
    }
    std::fs::write(folder.path().join(format!("{file}.csv")), csv).unwrap();
    let options = json!({ "leads": ["I"], "sampling_rate_hz": 100, "seconds": 1, "patch_size": 50, "mask_ratio": 0.5 });
    let dataset = open(folder.path(), &["."], options).unwrap();
    assert_eq!(dataset.len(), 2);
    let kept = tempfile::tempdir().unwrap();
    let made = dataset.save_samples(&[0, 1], kept.path()).unwrap();
    let entries: Vec<_> = made.data.iter().map(|path| path.to_str().unwrap()).collect();
    let again = open(kept.path(), &entries, made.options).unwrap();
    for index in 0..2 {
        for seed in 0..20 {
            let expected = load(&dataset, index, View::Training, seed).unwrap();
            assert_eq!(load(&again, index, View::Training, seed).unwrap(), expected);
        }
    }
    for entry in ["000000", "000001"] {
        for file in std::fs::read_dir(kept.path().join(entry)).unwrap() {
            let path = file.unwrap().path();
            let content = [std::fs::read(&path).unwrap(), path.to_string_lossy().as_bytes().to_vec()].concat();
            let content = String::from_utf8_lossy(&content).to_lowercase();
            for planted in planted {
                assert!(!content.contains(&planted.to_lowercase()), "{} holds {planted}", path.display());
            }
        }
    }
}

#[test]
fn an_image_has_two_columns_of_six_leads() {
    let (_folder, dataset) = synthetic(1, 2);
    let (tokens, _) = load(&dataset, 0, View::Evaluation, 0).unwrap();
    let file = dataset.render(Tokens::values(&tokens)).unwrap();
    let reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
    // Four seconds of 75 pixels, 25 boxes of three pixels a lead.
    assert_eq!((reader.info().width, reader.info().height), (2 * 300, 6 * 75));
    assert_eq!(dataset.render(Tokens::values(&tokens[1..])).unwrap_err().code(), code::BAD_REQUEST);
}

#[test]
fn labels_come_from_comments_of_headers_too() {
    let (folder, _) = synthetic(3, 2);
    let header = folder.path().join("ecg_0001.hea");
    let text = std::fs::read_to_string(&header).unwrap();
    std::fs::write(&header, format!("{text}# Age: 71\n#Dx: 164884008\n")).unwrap();
    let options = json!({ "label_comment": "Dx", "sampling_rate_hz": 100, "seconds": 4.0, "patch_size": 50 });
    let dataset = open(folder.path(), &["."], options).unwrap();
    let labels: Vec<_> = (0..3).map(|index| dataset.record(index).label).collect();
    assert_eq!(labels, [None, Some("164884008".to_string()), None]);
}

#[test]
fn the_fingerprint_follows_signal_files() {
    let (folder, dataset) = synthetic(3, 3);
    let before = dataset.fingerprint().hex();
    let options = json!({ "sampling_rate_hz": 100, "seconds": 4.0, "patch_size": 50 });
    assert_eq!(open(folder.path(), &["."], options.clone()).unwrap().fingerprint().hex(), before);
    let path = folder.path().join("ecg_0001.dat");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, [bytes.as_slice(), &[0; 24]].concat()).unwrap();
    assert_ne!(open(folder.path(), &["."], options).unwrap().fingerprint().hex(), before);
    // What was opened before the change is not mixed with what came after it.
    assert_eq!(load(&dataset, 1, View::Evaluation, 0).unwrap_err().code(), code::CORRUPT);
}

#[test]
fn wrong_settings_are_named_with_a_remedy() {
    for (options, name) in [
        (json!({ "leads": [] }), "leads"),
        (json!({ "leads": ["I", "lead_i"] }), "leads"),
        (json!({ "sampling_rate_hz": 0 }), "sampling_rate_hz"),
        (json!({ "sampling_rate_hz": 100000 }), "sampling_rate_hz"),
        (json!({ "seconds": -1.0 }), "seconds"),
        (json!({ "seconds": 1e9 }), "seconds"),
        (json!({ "seconds": 9.1 }), "patch_size"),
        (json!({ "patch_size": 0 }), "patch_size"),
        (json!({ "csv_sampling_rate_hz": 0.0 }), "csv_sampling_rate_hz"),
        (json!({ "mask_ratio": 0.0 }), "mask_ratio"),
        (json!({ "mask_ratio": 0.9999 }), "mask_ratio"),
        (json!({ "amplitude_scaling": 1.0 }), "amplitude_scaling"),
        (json!({ "baseline_wander": -0.1 }), "baseline_wander"),
        (json!({ "lead_dropout": 1.0 }), "lead_dropout"),
    ] {
        let given: Options = serde_json::from_value(options.clone()).unwrap();
        // As the SDK does before it calls the plugin.
        let error = check_ranges(&given).and_then(|()| Ecg::geometry(&given)).unwrap_err();
        assert_eq!(error.code(), code::BAD_REQUEST);
        assert!(error.message().starts_with(name), "{options}: {error}");
    }
    let error = Ecg::geometry(&Options { seconds: 9.1, ..Options::default() }).unwrap_err();
    assert!(error.message().contains("hint: with seconds = 9 "), "{error}");
    assert!(serde_json::from_value::<Options>(json!({ "second": 9.0 })).is_err());
}

#[test]
fn bad_records_spoil_their_own_sample_only_and_say_what_to_do() {
    let (folder, _) = synthetic(3, 0);
    let put = |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).unwrap();
    put("bad_empty.csv", b"");
    put("bad_lead.csv", b"I,II\n1,2\n");
    put("bad_short.csv", b"I,II,V1,V2,V3,V4,V5,V6\n1,2,1,1,1,1,1,1\n");
    put("bad_words.hea", b"no header at all\n");
    put("bad_huge.hea", &vec![b'#'; 1 << 20]);
    put("bad_many.hea", b"x 4294967295 500 18446744073709551615\nx.dat 16\n");
    put("bad_file.hea", b"x 1 500\nx.dat 16\n");
    let cut = std::fs::read(folder.path().join("ecg_0001.dat")).unwrap();
    let header = std::fs::read_to_string(folder.path().join("ecg_0001.hea")).unwrap();
    put("cut.dat", &cut[..cut.len() / 2 - 1]);
    put("bad_cut.hea", header.replace("ecg_0001.dat", "cut.dat").as_bytes());

    let options = json!({ "sampling_rate_hz": 100, "seconds": 4.0, "patch_size": 50 });
    let dataset = open(folder.path(), &["."], options).unwrap();
    assert_eq!(dataset.len(), 11);
    for (index, (name, expected, word)) in [
        ("bad_cut.hea", code::CORRUPT, "hint: copy"),
        ("bad_empty.csv", code::CORRUPT, "empty"),
        ("bad_file.hea", code::UNREADABLE, "x.dat is missing"),
        ("bad_huge.hea", code::CORRUPT, "262144 bytes"),
        ("bad_lead.csv", code::UNSUPPORTED, "hint: lower the option seconds"),
        ("bad_many.hea", code::CORRUPT, "4294967295"),
        ("bad_short.csv", code::UNSUPPORTED, "0.002 s long"),
        ("bad_words.hea", code::CORRUPT, "number of signals"),
    ]
    .into_iter()
    .enumerate()
    {
        let error = load(&dataset, index, View::Training, 0).unwrap_err();
        assert_eq!((dataset.record(index).id.as_str(), error.code()), (name, expected), "{error}");
        assert!(error.message().starts_with(name) && error.message().contains(word), "{error}");
    }
    for index in 8..11 {
        load(&dataset, index, View::Training, 0).unwrap();
    }
    for (entry, expected) in [("nowhere", code::UNREADABLE), ("ecg_0001.dat", code::UNSUPPORTED)] {
        let opened = open(folder.path(), &[entry], json!({}));
        let error = opened.and_then(|dataset| load(&dataset, 0, View::Evaluation, 0).map(drop)).unwrap_err();
        assert_eq!(error.code(), expected, "{error}");
    }
}

/// Every record cut off at many places, and with single bytes changed: an answer or an error, never a panic.
#[test]
fn no_damage_makes_a_panic() {
    let (folder, _) = synthetic(3, 8);
    let options = json!({ "sampling_rate_hz": 100, "seconds": 1.0, "patch_size": 50 });
    let (mut n_read, mut n_refused) = (0, 0);
    for name in ["ecg_0000.csv", "ecg_0001.hea", "ecg_0001.dat", "ecg_0002.dat"] {
        let path = folder.path().join(name);
        let whole = std::fs::read(&path).unwrap();
        let entry = name.replace(".dat", ".hea");
        for at in (0..whole.len()).step_by(whole.len() / 40 + 1) {
            let mut changed = whole.clone();
            changed[at] ^= 0x55;
            for content in [&whole[..at], &changed] {
                std::fs::write(&path, content).unwrap();
                let dataset = open(folder.path(), &[&entry], options.clone()).unwrap();
                match load(&dataset, 0, View::Training, at as u64) {
                    Ok((tokens, _)) => {
                        assert!(tokens.iter().all(|value| value.is_finite()));
                        n_read += 1;
                    }
                    Err(error) => {
                        assert!(
                            [code::CORRUPT, code::UNSUPPORTED, code::UNREADABLE].contains(&error.code()),
                            "{error}"
                        );
                        n_refused += 1;
                    }
                }
            }
        }
        std::fs::write(&path, &whole).unwrap();
    }
    assert!(n_read > 50 && n_refused > 50, "{n_read} read, {n_refused} refused");
}

#[test]
fn the_plugin_keeps_the_contract() {
    medcoss_conformance::assert_conforms("ecg");
}

#[test]
fn files_that_state_gigabytes_are_refused_before_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let sparse = |name: &str| std::fs::File::create(folder.path().join(name)).unwrap().set_len(1 << 40).unwrap();
    for name in ["a.csv", "a.hea", "r.dat"] {
        sparse(name);
    }
    // A second of a signal that has a thousand million samples in it.
    std::fs::write(folder.path().join("b.hea"), "b 1 1000000000\nr.dat 16 200 16 0 0 0 0 I\n").unwrap();
    let dataset = open(
        folder.path(),
        &["."],
        json!({ "seconds": 1, "leads": ["I"], "sampling_rate_hz": 100, "patch_size": 50, "mask_ratio": 0.5 }),
    )
    .unwrap();
    let reasons: Vec<String> = (0..dataset.len())
        .map(|index| load(&dataset, index, View::Evaluation, 0).map(|_| ()).unwrap_err().to_string())
        .collect();
    for (reason, expected) in reasons.iter().zip([
        "a.csv: line 1 is longer than 65536 bytes",
        "a.hea: its header has more than 262144 bytes",
        "b.hea: 1 signals of 10",
    ]) {
        assert!(reason.starts_with(expected), "{reason}");
    }
}

/// Tokens, mask and validity of a sample.
type Filled = (Vec<f32>, Vec<u8>, Vec<u8>);

/// A sample, and what `load` says of it.
fn filled(dataset: &Records, index: usize, view: View) -> (Filled, Result<(), Error>) {
    let (grid, d_token, _) = sizes(&dataset.geometry());
    let n: usize = grid.iter().product();
    let (mut tokens, mut mask, mut valid) = (vec![0.0; n * d_token], vec![0; n], vec![1; n]);
    let patches = Patches { tokens: &mut tokens, mask: &mut mask, valid: &mut valid, ..Patches::default() };
    let outcome = dataset.load(index, view, &mut sample_rng(5), Sample::Continuous(patches));
    ((tokens, mask, valid), outcome)
}

#[test]
fn missing_leads_are_tokens_that_do_not_exist() {
    let base = tempfile::tempdir().unwrap();
    std::fs::write(base.path().join("a.csv"), ramp()).unwrap();
    let options = |missing: &str, normalise: &str| {
        json!({
            "leads": ["V1", "I", "V2", "II"], "sampling_rate_hz": 20, "seconds": 2.0, "patch_size": 10,
            "csv_sampling_rate_hz": 20.0, "mask_ratio": 0.5, "missing_leads": missing, "normalise": normalise,
        })
    };
    let dataset = open(base.path(), &["."], options("mark", "record")).unwrap();
    let ((tokens, mask, valid), outcome) = filled(&dataset, 0, View::Training);
    outcome.unwrap();
    assert_eq!(valid, [[0; 4], [1; 4], [0; 4], [1; 4]].concat());
    assert!(tokens[..40].iter().chain(&tokens[80..120]).all(|&value| value == 0.0));
    let of_valid = mask.iter().zip(&valid).filter(|&(&mask, &valid)| mask == 1 && valid == 1).count();
    assert_eq!((mask.iter().filter(|&&masked| masked == 1).count(), of_valid), (8, 4));
    // What is missing has no share in the deviation of the record.
    let ((tokens, _, _), outcome) = filled(&dataset, 0, View::Evaluation);
    outcome.unwrap();
    let variance = tokens.iter().map(|value| value * value).sum::<f32>() / 80.0;
    assert!((variance - 1.0).abs() < 1e-4, "{variance}");

    let ((..), outcome) = filled(&open(base.path(), &["."], options("refuse", "lead")).unwrap(), 0, View::Evaluation);
    assert!(outcome.unwrap_err().message().contains("there is no lead V1"));
    let kept = tempfile::tempdir().unwrap();
    let made = dataset.save_samples(&[0], kept.path()).unwrap();
    let again = open(kept.path(), &[made.data[0].to_str().unwrap()], made.options).unwrap();
    assert_eq!(filled(&again, 0, View::Training).0, filled(&dataset, 0, View::Training).0);
}

#[test]
fn flat_records_are_skipped_and_complete() {
    let base = tempfile::tempdir().unwrap();
    std::fs::write(base.path().join("a.csv"), format!("I,II\n{}", "0.3,0.302\n".repeat(40))).unwrap();
    let options = json!({
        "leads": ["I", "II"], "sampling_rate_hz": 20, "seconds": 2.0, "patch_size": 10, "csv_sampling_rate_hz": 20.0, "mask_ratio": 0.5,
    });
    let dataset = open(base.path(), &["."], options).unwrap();
    for view in [View::Training, View::Evaluation] {
        let ((tokens, ..), outcome) = filled(&dataset, 0, view);
        let error = outcome.unwrap_err();
        assert_eq!((error.code(), error.message()), (code::SKIPPED, "no lead varies by 0.005 mV"));
        assert!(tokens.iter().all(|value| value.is_finite()));
    }
}

#[test]
fn records_of_one_patient_are_a_group() {
    let (folder, _) = synthetic(3, 2);
    let table = "file,rhythm,patient,site\necg_0000.csv,normal,p1,A\necg_0001.hea,ectopic,p1,B\n";
    std::fs::write(folder.path().join("patients.txt"), table).unwrap();
    let options = json!({
        "labels": { "file": "patients.txt", "key_column": "file", "label_column": "rhythm", "group_column": "patient", "metadata_columns": ["site"] },
    });
    let dataset = open(folder.path(), &["."], options).unwrap();
    let groups: Vec<_> = (0..3).map(|index| dataset.record(index).group.unwrap()).collect();
    assert_eq!(groups, ["p1", "p1", "ecg_0002.hea"]);
    assert_eq!((&dataset.record(1).metadata["site"], dataset.record(2).metadata.len()), (&json!("B"), 0));
}
