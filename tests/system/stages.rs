//! The whole program over all five plugins as shared libraries: from synthetic files to a run folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use medcoss_test_support::process::wait_until;
use medcoss_test_support::program::{medcoss, refused, succeeded, text};
use serde_json::Value;

/// A demo of few samples, and its JSON summary.
fn demo(folder: &Path, extra: &[&str]) -> Value {
    let out = text(folder);
    let mut arguments = vec!["demo", "--no-builtin", "--json", "--samples", "24", "--out", &out];
    arguments.extend_from_slice(extra);
    serde_json::from_str(&succeeded(medcoss(&arguments))).expect("JSON")
}

fn stages(run: &Path) -> Vec<PathBuf> {
    let mut stages: Vec<PathBuf> =
        std::fs::read_dir(run.join("stages")).unwrap().map(|entry| entry.unwrap().path()).collect();
    stages.sort();
    stages
}

/// Files of a stage that must be equal in two equal runs.
const FILES: [&str; 4] = ["metrics.jsonl", "buffer.jsonl", "model.bpk", "state.json"];

/// Files of a run that must be equal in two equal runs, with their content.
fn content(run: &Path) -> Vec<(String, Vec<u8>)> {
    let files = stages(run).into_iter().flat_map(|stage| FILES.map(|name| stage.join(name)));
    files.map(|path| (text(path.strip_prefix(run).unwrap()), std::fs::read(&path).unwrap())).collect()
}

#[test]
fn five_plugins_from_files_train_one_model_in_five_stages() {
    let folder = tempfile::tempdir().unwrap();
    let summary = demo(&folder.path().join("demo"), &[]);
    let stages = summary["stages"].as_array().unwrap();
    let modalities: Vec<_> = stages.iter().map(|stage| stage["modality"].as_str().unwrap()).collect();
    assert_eq!(modalities[..5], ["text", "xray", "ct", "mri", "pathology"]);
    // A build for tests also has the fixture, of a family that the host does not know: it becomes one more stage. So do
    // the plugins that are not linked into the host, where the whole workspace was built.
    assert!(modalities[5..].contains(&"fixture"), "{modalities:?}");
    let others = ["ecg", "echo", "eeg", "fixture", "oct", "video"];
    assert!(modalities[5..].iter().all(|modality| others.contains(modality)), "{modalities:?}");
    let mut all_waited = 0.0;
    for (at, stage) in stages.iter().enumerate() {
        let (first, last) = (stage["pretext_first"].as_f64().unwrap(), stage["pretext_last"].as_f64().unwrap());
        assert!(last < first, "{stage}");
        let distilled = stage["distillation_last"].as_array().unwrap();
        assert_eq!(distilled.len(), at, "one distillation loss for each earlier modality: {stage}");
        assert!(distilled.iter().all(|pair| pair[1].as_f64().unwrap().is_finite()));
        let share = stage["n_buffer"].as_f64().unwrap() / stage["n_samples"].as_f64().unwrap();
        assert!((0.02..0.07).contains(&share), "{stage}");
        let (waited, seconds) = (stage["waited_seconds"].as_f64().unwrap(), stage["seconds"].as_f64().unwrap());
        assert!((0.0..seconds).contains(&waited), "{stage}");
        all_waited += waited;
    }
    assert!(all_waited > 0.0, "nothing is there before the first batch of a stage is read");
    for plugin in summary["plugins"].as_array().unwrap() {
        assert!(plugin["location"].as_str().unwrap().ends_with(".so"), "{plugin}");
    }

    // The run folder records every setting and contains no absolute path.
    let run = folder.path().join("demo/run");
    for name in ["run.toml", "plugins.lock"] {
        let content = std::fs::read_to_string(run.join(name)).unwrap();
        assert!(!content.contains(&text(folder.path())) && !content.contains("\"/"), "{content}");
    }
    for (name, content) in content(&run) {
        let place = text(folder.path()).into_bytes();
        assert!(!content.windows(place.len()).any(|window| window == place), "{name} holds a path of this machine");
    }
}

#[test]
fn the_same_seed_gives_the_same_run_whatever_the_threads_and_however_often_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let demo_folder = folder.path().join("demo");
    demo(&demo_folder, &["--seed", "3"]);
    let expected = content(&demo_folder.join("run"));

    let config = text(&demo_folder.join("demo.toml"));
    let again = text(&folder.path().join("again"));
    let arguments = ["pretrain", &config, "--no-builtin", "--quiet", "--out", &again, "--set"];
    let with = |last: &[&str]| medcoss(&[&arguments[..], last].concat());
    // Killed in the first, the second and the fourth stage, with a different number of threads each time.
    for (at, n_stages) in [1, 2, 4].into_iter().enumerate() {
        let threads = format!("data.num_workers={}", at + 1);
        let mut command = Command::new(medcoss_test_support::program::path());
        command.args(arguments).arg(&threads).stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        if Path::new(&again).join("run.toml").exists() {
            command.arg("--resume");
        }
        let mut child = command.spawn().unwrap();
        let has_begun = |stage: &PathBuf| stage.join("metrics.jsonl").exists();
        wait_until("the stage begins", || {
            let run = Path::new(&again);
            run.join("stages").exists() && stages(run).iter().filter(|stage| has_begun(stage)).count() >= n_stages
        });
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // The checkpoint's optimiser needs no driver of a GPU, also in a build that could use one.
    let mut command = Command::new(medcoss_test_support::program::path());
    command.args(arguments).args(["data.num_workers=3", "--resume"]);
    let resumed = command.env("VK_DRIVER_FILES", "/nowhere").env("VK_ICD_FILENAMES", "/nowhere").output().unwrap();
    let said = String::from_utf8_lossy(&resumed.stderr);
    assert!(resumed.status.success() && !said.contains("adapter") && !said.contains("ERROR"), "{said}");
    let found = content(Path::new(&again));
    for ((name, expected), (_, found)) in expected.iter().zip(&found) {
        assert!(expected == found, "{name} differs");
    }
    assert_eq!(expected.len(), found.len());

    // A run is not continued with other settings.
    let errors = refused(with(&["seed=4", "--resume"]));
    assert!(errors.contains("seed was 3") && errors.contains("is 4 now"), "{errors}");
    // Without --resume, nothing is overwritten.
    let errors = refused(with(&["seed=3"]));
    assert!(errors.contains("is not empty") && errors.contains("--resume"), "{errors}");
}

/// Every file of a run with its digest, except the lock, which contains the id of a process.
fn all_files(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            all_files(&path, found);
        } else if path.file_name().is_some_and(|name| name != ".lock") {
            let digest = medcoss_core::run::sha256_of_content(std::fs::File::open(&path).unwrap()).unwrap();
            found.push((path, digest));
        }
    }
}

#[test]
fn a_stage_that_was_added_by_mistake_can_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&folder.path().join(name));
    demo(&folder.path().join("demo"), &[]);
    let run = path("demo/run");
    let content = || {
        let mut found = Vec::new();
        all_files(Path::new(&run), &mut found);
        found
    };
    let before = content();
    let samples = path("more");
    succeeded(medcoss(&["synth", "--modality", "xray", "--samples", "12", "--out", &samples]));
    let images: Vec<PathBuf> = std::fs::read_dir(&samples)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "png"))
        .collect();
    let intact: Vec<Vec<u8>> = images.iter().map(|path| std::fs::read(path).unwrap()).collect();
    images.iter().for_each(|path| std::fs::write(path, b"torn").unwrap());

    // Data of the new stage must be below the data root, which is the folder of the demo.
    let moved = path("demo/data/more");
    std::fs::rename(&samples, &moved).unwrap();
    let (data, root) = (moved.clone(), path("demo"));
    let add = |size: &str| {
        let demo = ["--data-root", &root, "--no-builtin", "--quiet", "--set", size];
        medcoss(&[&["stage", "add", &run, "--modality", "xray", "--data", &data][..], &demo[..]].concat())
    };
    let error = refused(add("options.size=64"));
    assert!(error.contains("the run is as it was") && error.contains("torn"), "{error}");
    assert_eq!(content(), before);

    for (path, bytes) in images.iter().zip(intact) {
        std::fs::write(Path::new(&moved).join(path.file_name().unwrap()), bytes).unwrap();
    }
    succeeded(add("options.size=64"));
    assert!(refused(medcoss(&["stage", "remove", &run])).contains("--finished"));
    succeeded(medcoss(&["stage", "remove", &run, "--finished"]));
    assert_eq!(content(), before);
}

#[test]
fn a_stage_added_to_a_finished_run_begins_with_its_last_model() {
    let folder = tempfile::tempdir().unwrap();
    let demo_folder = folder.path().join("demo");
    demo(&demo_folder, &[]);
    let run = text(&demo_folder.join("run"));
    let before = content(Path::new(&run));
    let config = demo_folder.join("demo.toml");
    let settings = std::fs::read_to_string(&config).unwrap();
    let last = settings.rfind("[[stage]]").unwrap();
    let settings = format!("{settings}\n{}", &settings[last..]);
    std::fs::write(&config, settings).unwrap();

    let output = medcoss(&["pretrain", &text(&config), "--no-builtin", "--resume", "--json", "--out", &run]);
    let summary: Value = serde_json::from_str(&succeeded(output)).unwrap();
    assert_eq!(summary["stages"].as_array().unwrap().len(), before.len() / FILES.len() + 1);
    let after = content(Path::new(&run));
    assert_eq!(after[..before.len()], before[..]);
}

#[test]
fn bad_input_is_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("xray");
    succeeded(medcoss(&["synth", "--modality", "xray", "--samples", "12", "--out", &text(&data)]));
    let stage = "[model]\npreset = \"demo\"\n[training]\nepochs = 1\nbatch_size = 4\n[[stage]]\n";
    let run = |name: &str, settings: &str, extra: &[&str]| {
        let config = folder.path().join(format!("{name}.toml"));
        std::fs::write(&config, format!("{stage}{settings}")).unwrap();
        let (config, out) = (text(&config), text(&folder.path().join(name)));
        medcoss(&[&["pretrain", &config, "--out", &out], extra].concat())
    };
    let good = "modality = \"xray\"\ndata = \"xray\"\noptions = { size = 64 }\n";
    for (name, settings, extra, expected) in [
        ("missing", "modality = \"xray\"\ndata = \"xrays\"\n", &[][..], &["xrays", "hint: "][..]),
        ("modality", "modality = \"xrai\"\ndata = \"xray\"\n", &[], &["xrai", "did you mean", "xray"]),
        (
            "option",
            "modality = \"xray\"\ndata = \"xray\"\noptions = { sizes = 64 }\n",
            &[],
            &["sizes", "did you mean", "size"],
        ),
        ("setting", "modality = \"xray\"\ndata = \"xray\"\nepoch = 3\n", &[], &["epoch", "did you mean epochs"]),
        ("ratio", good, &["--set", "buffer.ratio=2"], &["buffer.ratio is 2", "1.0"]),
        ("mask", "modality = \"xray\"\ndata = \"xray\"\noptions = { mask_ratio = 1.5 }\n", &[], &["mask_ratio", "1.5"]),
        ("device", good, &["--device", "gpu"], &["gpu", "cpu, cuda"]),
        ("nowhere", good, &["--plugin-dir", "no/such/folder"], &["no/such/folder"]),
        ("resume", good, &["--resume"], &["no run to resume"]),
        (
            "infinite",
            good,
            &["--set", "optimiser.base_learning_rate=1e30", "--set", "training.epochs=4"],
            &["loss of xray", "hint: lower"],
        ),
    ] {
        let errors = refused(run(name, settings, extra));
        for part in expected {
            assert!(errors.contains(part), "{name}: {part:?} is not in\n{errors}");
        }
    }
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let errors = refused(run("nothing", "modality = \"xray\"\ndata = \"empty\"\n", &[]));
    assert!(errors.contains("empty") && errors.contains("PNG"), "{errors}");
}
