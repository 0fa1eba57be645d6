//! Fine-tuning that keeps its model, predictions on the files' own grids, and their scores, through the whole program.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use medcoss_test_support::program::{medcoss, refused, succeeded, text};
use serde_json::Value;

/// Voxels of a file along its axes `(i, j, k)`: superior, left, anterior.
const SHAPE: [usize; 3] = [36, 26, 22];
/// Rows of the affine: right, anterior and superior of an index. The origin and the steps are of no round number.
const AFFINE: [[f32; 4]; 3] = [[0.0, -2.0, 0.0, 31.5], [0.0, 0.0, 1.25, -12.25], [1.5, 0.0, 0.0, 7.75]];
const N: usize = 10;

/// A NIfTI-1 file of 16-bit numbers, the first axis the fastest.
fn nifti(path: &Path, value: impl Fn([usize; 3]) -> i16) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut bytes = vec![0u8; 352];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &348i32.to_le_bytes());
    put(40, &3i16.to_le_bytes());
    for (axis, side) in SHAPE.iter().enumerate() {
        put(42 + 2 * axis, &(*side as i16).to_le_bytes());
    }
    put(70, &4i16.to_le_bytes());
    put(72, &16i16.to_le_bytes());
    for (axis, step) in [1.0f32, 1.5, 2.0, 1.25].iter().enumerate() {
        put(76 + 4 * axis, &step.to_le_bytes());
    }
    put(108, &352f32.to_le_bytes());
    put(112, &1f32.to_le_bytes());
    put(123, &[2]);
    put(254, &1i16.to_le_bytes());
    for (row, values) in AFFINE.iter().enumerate() {
        values.iter().enumerate().for_each(|(column, value)| put(280 + 16 * row + 4 * column, &value.to_le_bytes()));
    }
    put(344, b"n+1\0");
    let [ni, nj, nk] = SHAPE;
    for at in 0..ni * nj * nk {
        bytes.extend(value([at % ni, at / ni % nj, at / (ni * nj)]).to_le_bytes());
    }
    fs::write(path, bytes).unwrap();
}

/// Whether a voxel lies in the block of a scan, whose place differs along each axis.
fn inside(scan: usize, [i, j, k]: [usize; 3]) -> bool {
    let first = [6 + scan * 3 % 13, 4 + scan * 5 % 9, 3 + scan * 2 % 7];
    (first[0]..first[0] + 14).contains(&i)
        && (first[1]..first[1] + 11).contains(&j)
        && (first[2]..first[2] + 9).contains(&k)
}

/// Scans with a bright block, their masks, a run that learned them, and a task.
fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for scan in 0..N {
        let noise = |[i, j, k]: [usize; 3]| ((i * 37 + j * 91 + k * 53 + scan * 17) % 101) as i16;
        let image = move |at: [usize; 3]| noise(at) + if inside(scan, at) { 900 } else { 100 };
        nifti(&folder.path().join(format!("scans/s{scan}.nii")), image);
        nifti(&folder.path().join(format!("masks/s{scan}.nii")), |at| if inside(scan, at) { 7 } else { 0 });
    }
    let run = "[model]\npreset = \"demo\"\nlayer_scale = 0.1\n[training]\nepochs = 1\nwarmup_epochs = 0\nbatch_size = 8\n[[stage]]\n\
               modality = \"mri\"\ndata = \"scans\"\noptions = { size = [16, 32, 32] }\n";
    fs::write(folder.path().join("run.toml"), run).unwrap();
    let task = "[[task]]\nname = \"block\"\nmodality = \"mri\"\ndata = \"scans\"\noptions = { drop_ends_ratio = 0.0 }\n\
                labels = { masks = \"masks\", classes = { block = [7] } }\n\
                [task.finetune]\ntarget = \"segmentation\"\ndecoder = { name = \"multi-scale\", feature_size = 4 }\n\
                [task.finetune.training]\nepochs = 12\nbatch_size = 4\nlearning_rate = 4e-3\n";
    fs::write(folder.path().join("task.toml"), task).unwrap();
    let at = |name: &str| text(&folder.path().join(name));
    succeeded(medcoss(&["pretrain", &at("run.toml"), "--out", &at("run"), "--quiet"]));
    folder
}

#[test]
fn a_fine_tuned_model_segments_files_on_their_own_grids() {
    let folder = prepared();
    let at = |name: &str| text(&folder.path().join(name));
    let tuned =
        succeeded(medcoss(&["finetune", &at("run"), &at("task.toml"), "--out", &at("model"), "--quiet", "--json"]));
    let tuned: Value = serde_json::from_str(&tuned).unwrap();
    assert_eq!(tuned["classes"], serde_json::json!(["block"]));
    let score = |metric: &str| {
        let all = tuned["scores"].as_array().unwrap();
        all.iter().find(|score| score["metric"] == metric).unwrap()["value"].as_f64().unwrap()
    };
    assert!(score("dice") > 0.8, "{tuned}");
    assert!(score("hd95_mm") < 8.0, "{tuned}");
    let cases = fs::read_to_string(folder.path().join("model/cases.csv")).unwrap();
    assert!(cases.starts_with("id,group,metric,value\n") && cases.contains(",dice:block,"), "{cases}");

    let planned = succeeded(medcoss(&["finetune", &at("run"), &at("task.toml"), "--plan", "--quiet"]));
    assert!(planned.contains("12 epochs.\n") && planned.contains("training samples/s: about"), "{planned}");

    // A finished model is not trained again, and predictions go into a new folder.
    let error = refused(medcoss(&["finetune", &at("run"), &at("task.toml"), "--out", &at("model"), "--quiet"]));
    assert!(error.contains("holds a finished model"), "{error}");

    let predict = |out: &str, more: &[&str]| {
        let (model, scans, out) = (at("model"), at("scans"), at(out));
        medcoss(&[&["predict", &model, &scans, "--out", &out, "--quiet", "--json"], more].concat())
    };
    let report: Value = serde_json::from_str(&succeeded(predict("one", &[]))).unwrap();
    assert_eq!((&report["n_files"], report["uncovered"].as_object().unwrap().len()), (&N.into(), 0), "{report}");
    // The mask has the file's grid, its orientation, and the label of the masks that were learned from.
    let mut bytes = Vec::new();
    let masks: Vec<String> = report["masks"].as_object().unwrap().keys().cloned().collect();
    let third = masks.iter().find(|mask| mask.ends_with("s3.nii.gz")).unwrap();
    let file = File::open(folder.path().join("one").join(third)).unwrap();
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    let original = fs::read(folder.path().join("scans/s3.nii")).unwrap();
    assert_eq!(bytes[40..48], original[40..48], "the same number of voxels along each axis");
    assert_eq!(bytes[280..328], original[280..328], "the same sform, to the bit");
    let [ni, nj, _] = SHAPE;
    let (mut both, mut sizes) = (0, [0, 0]);
    for (place, label) in bytes[352..].iter().enumerate() {
        assert!([0, 7].contains(label));
        let is = inside(3, [place % ni, place / ni % nj, place / (ni * nj)]);
        both += usize::from(is && *label == 7);
        sizes = [sizes[0] + usize::from(is), sizes[1] + usize::from(*label == 7)];
    }
    let dice = 2.0 * both as f64 / (sizes[0] + sizes[1]) as f64;
    assert!(dice > 0.75, "{dice}: {sizes:?} voxels");

    // Overlapping samples, flips and filters; the same command gives the same bytes.
    let more = ["--set", "stride=8", "--flips", "--largest-component"];
    succeeded(predict("two", &more));
    succeeded(predict("three", &more));
    let files = ["two", "three"].map(|out| fs::read(folder.path().join(out).join(third)).unwrap());
    assert_eq!(files[0], files[1]);
    let error = refused(predict("one", &[]));
    assert!(error.contains("is not empty"), "{error}");
    let error = refused(predict("four", &["--set", "size=[16,48,48]"]));
    assert!(error.contains("the model reads"), "{error}");

    // Scores of the predictions, as of anyone's.
    let scored = succeeded(medcoss(&["score", &at("two"), &at("masks"), "--json", "--quiet"]));
    let scored: Value = serde_json::from_str(&scored).unwrap();
    assert_eq!(scored["cases"].as_array().unwrap().len(), N);
    assert!(scored["scores"][0]["value"].as_f64().unwrap() > 0.75, "{scored}");
    let perfect = succeeded(medcoss(&["score", &at("masks"), &at("masks"), "--json", "--quiet"]));
    let perfect: Value = serde_json::from_str(&perfect).unwrap();
    assert_eq!(perfect["scores"][0]["value"], 1.0);

    // A damaged model is refused.
    let weights = folder.path().join("model/weights.safetensors");
    let mut damaged = fs::read(&weights).unwrap();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(&weights, damaged).unwrap();
    let error = refused(predict("five", &[]));
    assert!(error.contains("weights.safetensors"), "{error}");
}

#[test]
fn what_a_task_lacks_for_fine_tuning_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| text(&folder.path().join(name));
    let head = "[[task]]\nname = \"a\"\nmodality = \"xray\"\ndata = \"images\"\n";
    for (task, expected) in [
        ("".to_string(), "protocol is missing"),
        ("protocol = \"linear\"\n[task.finetune]\n".into(), "both protocol and finetune are set"),
        ("[task.finetune]\ntarget = \"segmentation\"\n".into(), "needs masks"),
        ("[task.finetune]\ntarget = \"multi-label\"\n".into(), "a column for each label"),
        ("[task.finetune]\nvalidation = 1.0\n".into(), "finetune.validation is 1"),
        ("[task.finetune.training]\nlayer_decay = 0.0\n".into(), "layer_decay is 0"),
        ("[task.finetune]\ntargets = \"classes\"\n".into(), "did you mean target?"),
    ] {
        fs::write(folder.path().join("task.toml"), format!("{head}{task}")).unwrap();
        let error = refused(medcoss(&["finetune", &at("run"), &at("task.toml"), "--out", &at("model"), "--quiet"]));
        assert!(error.contains(expected), "{task}\n{error}");
        assert!(!folder.path().join("model").exists());
    }
    let error = refused(medcoss(&["predict", &at(""), &at("images"), "--out", &at("out"), "--quiet"]));
    assert!(error.contains("holds no finished model"), "{error}");
}

#[test]
fn models_are_compared_by_how_many_labels_they_learned_from() {
    let folder = prepared();
    let at = |name: &str| text(&folder.path().join(name));
    let (run, task, out) = (at("run"), at("task.toml"), at("study"));
    let study = |fractions: &str| {
        let settings = ["--set", "finetune.training.epochs=2", "--set", "split={ folds = 3 }"];
        let mut command =
            vec!["label-efficiency", &run, &task, "--fractions", fractions, "--seeds", "2", "--out", &out];
        command.extend(settings);
        command.extend(["--json", "--quiet"]);
        let found: Value = serde_json::from_str(&succeeded(medcoss(&command))).unwrap();
        found
    };
    let found = study("0.5,1");
    assert_eq!(found["models"], serde_json::json!(["run", "scratch"]));
    let points = found["points"].as_array().unwrap();
    assert_eq!(points.len(), 4, "{found}");
    // Of ten scans a third is tested, a fifth of the rest is for validation, and half of what is left is learned from.
    let n_train: Vec<f64> = points.iter().map(|point| point["n_train"].as_f64().unwrap()).collect();
    assert!(n_train[0] < n_train[1] && n_train[0] == n_train[2], "{found}");
    let difference = &found["differences"][0];
    // Seeds 0 and 1 test two folds, no scan twice.
    let n_groups = difference["n_groups"].as_u64().unwrap();
    // Each scan gives three samples.
    assert!((6..=8).contains(&n_groups) && difference["n_cases"].as_u64() == Some(3 * n_groups), "{difference}");
    assert!((0.0..=1.0).contains(&difference["p_value"].as_f64().unwrap()));
    let page = fs::read_to_string(folder.path().join("study/label-efficiency.html")).unwrap();
    assert!(page.contains("block: dice by labels") && !page.contains("<script"), "{page}");
    assert!(folder.path().join("study/run-0.5-seed0/report.html").is_file());
    // What is kept is read, and another fraction is added.
    let more = study("0.5,0.75,1");
    assert_eq!(more["points"].as_array().unwrap().len(), 6);
    assert_eq!(more["points"][0], found["points"][0]);
    // A folder with another model is refused.
    let mut command = vec!["label-efficiency", &run, &task, "--fractions", "0.5", "--seeds", "1", "--out", &out];
    command.extend(["--set", "finetune.training.epochs=3", "--quiet"]);
    let error = refused(medcoss(&command));
    assert!(error.contains("run-0.5-seed0 holds another model"), "{error}");
}

/// Splits that the data give, and what is wrong with them.
#[test]
fn splits_of_lists_and_names_are_taken_as_they_are() {
    let folder = prepared();
    let at = |name: &str| text(&folder.path().join(name));
    let (run, task) = (at("run"), at("task.toml"));
    let (train, rest): (String, String) = ("s0.nii\ns1\nscans/s2.nii\ns3\n".into(), "s4\ns5\ns6\n".into());
    fs::write(folder.path().join("train.txt"), &train).unwrap();
    fs::write(folder.path().join("val.txt"), rest).unwrap();
    fs::write(folder.path().join("test.txt"), "s7 1\ns8 0\ns99 1\n").unwrap();
    let tuned = |out: &str, split: &str| {
        let (out, split) = (at(out), format!("split={split}"));
        let mut command = vec!["finetune", &run, &task, "--out", &out, "--set", &split];
        command.extend(["--set", "finetune.training.epochs=1", "--json", "--quiet"]);
        medcoss(&command)
    };
    let lists = "{ lists = { train = 'train.txt', validation = 'val.txt', test = 'test.txt' } }";
    let found: Value = serde_json::from_str(&succeeded(tuned("lists", lists))).unwrap();
    assert_eq!(found["n_samples"], serde_json::json!({"train": 12, "validation": 9, "test": 6}), "{found}");
    let pattern = "{ pattern = '^scans/s([0-9])', values = { test = ['7', '8', '9'] } }";
    let found: Value = serde_json::from_str(&succeeded(tuned("pattern", pattern))).unwrap();
    // Of seven for training, a fifth is drawn for validation.
    assert_eq!(found["n_samples"]["test"], 9, "{found}");

    fs::write(folder.path().join("test.txt"), "s7\ns3\n").unwrap();
    let error = refused(tuned("twice", lists));
    assert!(
        error.contains("sample scans/s3.nii") && error.contains("is in two lists, train.txt and test.txt"),
        "{error}"
    );
    let error = refused(tuned("unknown", "{ pattern = '^scans/(s)' }"));
    assert!(error.contains("\"s\" is no name of a split") && error.contains("split.values"), "{error}");
    let error = refused(tuned("both", "{ pattern = '^(.)', folds = 3 }"));
    assert!(error.contains("both folds and pattern"), "{error}");
    let grouped = ["--set", "group={ pattern = '(scans)' }"];
    fs::write(folder.path().join("test.txt"), "s7\n").unwrap();
    let (out, split) = (at("torn"), format!("split={lists}"));
    let mut command = vec!["finetune", &run, &task, "--out", &out, "--set", &split];
    command.extend(grouped);
    command.push("--quiet");
    let error = refused(medcoss(&command));
    assert!(error.contains("1 groups are on two sides of the given split"), "{error}");
}
