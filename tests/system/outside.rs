//! Modalities of plugins that are not linked into the host: shared libraries in a plugin folder become stages of a run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use medcoss_test_support::sandbox::{Sandbox, build_folder};
use serde_json::Value;

/// Modalities of the project that are not linked into the host.
const OUTSIDE: [&str; 5] = ["ecg", "echo", "eeg", "oct", "video"];

/// The library of one of the project's plugins that is not linked into the host. A build of the workspace leaves it
/// beside the program. Where it is missing, or older than its sources or the SDK's, it is built here, in the profile of
/// the program.
fn library(id: &str) -> PathBuf {
    let library = build_folder().join(format!("libmedcoss_{id}.so"));
    let root = medcoss_test_support::repository();
    let built = fs::metadata(&library).and_then(|metadata| metadata.modified()).ok();
    let sources = [format!("plugins/{id}/src"), "sdk/src".into(), "sdk/abi/src".into()];
    let changed = sources.iter().map(|sources| youngest(&root.join(sources))).max();
    if built < changed {
        let mut build = Command::new(env!("CARGO"));
        build.current_dir(&root).args(["build", "--locked", "--package", &format!("medcoss-{id}"), "--target-dir"]);
        let profile = build_folder().parent().unwrap().to_owned();
        build.arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success());
    }
    library
}

/// Time at which the newest file below a folder was written.
fn youngest(folder: &Path) -> SystemTime {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let written = |path: PathBuf| match path.is_dir() {
        true => youngest(&path),
        false => fs::metadata(path).unwrap().modified().unwrap(),
    };
    entries.map(written).max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The JSON output of a command that must succeed.
fn json(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let answer = sandbox.run(arguments.iter().chain(&["--json"]));
    assert_eq!(answer.code, 0, "{arguments:?}: {}", answer.err);
    serde_json::from_str(&answer.out).unwrap()
}

fn ids(listing: &Value) -> Vec<&str> {
    listing["plugins"].as_array().unwrap().iter().map(|plugin| plugin["id"].as_str().unwrap()).collect()
}

/// Options as `--set` expects them, one per option, without those of the table of labels. `prefix` names the table that they belong to.
fn settings(options: &Value, prefix: &str) -> Vec<String> {
    let values = options.as_object().unwrap().iter().filter(|(name, _)| *name != "labels");
    values.flat_map(|(name, value)| ["--set".to_string(), format!("{prefix}{name}={value}")]).collect()
}

#[test]
fn modalities_that_the_host_does_not_know_become_stages_of_a_finished_run() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("mine");
    let mine = ["--plugin-dir", folder.to_str().unwrap()];
    for id in OUTSIDE {
        fs::copy(library(id), folder.join(format!("lib{id}.so"))).unwrap();
    }

    // Without the folder the program has its five plugins only; with the folder it has the others as well.
    assert_eq!(ids(&json(&sandbox, &["plugin", "list"])), ["ct", "mri", "pathology", "text", "xray"]);
    let listing = json(&sandbox, &["plugin", "list", mine[0], mine[1]]);
    let all = ["ct", "ecg", "echo", "eeg", "mri", "oct", "pathology", "text", "video", "xray"];
    assert_eq!(ids(&listing), all);

    for id in OUTSIDE {
        let library = folder.join(format!("lib{id}.so"));
        let answer = sandbox.run(["plugin", "check", library.to_str().unwrap()]);
        assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
    }

    // A finished run over two of the five.
    let mut config = String::from(
        "[model]\npreset = \"demo\"\n[buffer]\nratio = 0.2\n[training]\nepochs = 1\nwarmup_epochs = 0\nbatch_size = 4\n",
    );
    for (id, options) in [("text", "max_length = 24"), ("xray", "size = 64")] {
        json(&sandbox, &["synth", "--modality", id, "--samples", "20", "--out", id]);
        let data = if id == "text" { "text/reports.txt" } else { id };
        config.push_str(&format!("[[stage]]\nmodality = \"{id}\"\ndata = \"{data}\"\noptions = {{ {options} }}\n"));
    }
    fs::write(sandbox.path("work/run.toml"), config).unwrap();
    json(&sandbox, &["pretrain", "run.toml", "--out", "run", "--quiet"]);

    // One more stage for each: write samples, check them, train the stage.
    for (at, id) in (2..).zip(OUTSIDE) {
        let made = json(&sandbox, &["synth", "--modality", id, "--samples", "20", "--out", id, mine[0], mine[1]]);
        let check = ["data", "check", "--modality", id, "--data", id, "--quiet", mine[0], mine[1]].map(String::from);
        let check = [check.to_vec(), settings(&made["options"], "")].concat();
        let check = json(&sandbox, &check.iter().map(String::as_str).collect::<Vec<_>>());
        // A table of labels beside GIFs and images is not a clip, and one beside records is not a record.
        assert!(check["n_samples"].as_u64() >= Some(20) && check["n_invalid"] == 0, "{check}");

        let add =
            ["stage", "add", "run", "--modality", id, "--data", id, "--data-root", ".", "--quiet", mine[0], mine[1]];
        let add = [add.map(String::from).to_vec(), settings(&made["options"], "options.")].concat();
        let summary = json(&sandbox, &add.iter().map(String::as_str).collect::<Vec<_>>());
        let stages = summary["stages"].as_array().unwrap();
        assert_eq!(stages.len(), at + 1);
        let stage = &stages[at];
        assert_eq!(stage["modality"], id);
        assert!(stage["pretext_last"].as_f64().unwrap().is_finite(), "{stage}");
        let distilled = stage["distillation_last"].as_array().unwrap();
        let rehearsed: Vec<_> = distilled.iter().map(|pair| pair[0].as_str().unwrap()).collect();
        let mut earlier: Vec<_> = ["text", "xray"].into_iter().chain(OUTSIDE).take(at).collect();
        earlier.sort_unstable();
        assert_eq!(rehearsed, earlier);
        assert!(distilled.iter().all(|pair| pair[1].as_f64().is_some_and(f64::is_finite)), "{stage}");
    }
    let answer = sandbox.run(["show", "run", "--verify"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(OUTSIDE.iter().all(|id| answer.out.contains(id)), "{}", answer.out);

    // Without the folder, the error names the plugins that the run needs.
    let answer =
        sandbox.run(["stage", "add", "run", "--modality", "text", "--data", "text/reports.txt", "--data-root", "."]);
    assert_eq!(answer.code, 1, "{}", answer.err);
    assert!(answer.err.contains("ecg"), "{}", answer.err);
}

/// An EDF recording whose first two seconds are repeated three times, so that its windows are nearly one; none for a kind of
/// file that is more than plain EDF.
fn repeated(edf: &[u8]) -> Option<Vec<u8>> {
    let text = |from: usize, len: usize| std::str::from_utf8(&edf[from..from + len]).unwrap().trim().to_owned();
    if !text(192, 44).is_empty() || edf[0] != b'0' {
        return None;
    }
    let [n_header, n_records] = [text(184, 8), text(236, 8)].map(|number| number.parse::<usize>().unwrap());
    let (seconds, n_bytes): (f64, _) = (text(244, 8).parse().unwrap(), (edf.len() - n_header) / n_records);
    let n_repeated = (2.0 / seconds).round() as usize;
    let again = edf[n_header..][..n_repeated * n_bytes].repeat(3);
    let count = format!("{:<8}", 3 * n_repeated);
    Some([&edf[..236], count.as_bytes(), &edf[244..n_header], &again].concat())
}

/// Recordings have random classes, so no feature can tell them; but a window tells which recording it is of.
#[test]
fn windows_of_one_recording_stay_on_one_side_of_a_split() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("mine");
    let mine = ["--plugin-dir", folder.to_str().unwrap()];
    fs::copy(library("eeg"), folder.join("libeeg.so")).unwrap();
    json(&sandbox, &["synth", "--modality", "eeg", "--samples", "240", "--out", "synthetic", mine[0], mine[1]]);
    let recordings = sandbox.folder("work/recordings");
    let mut names: Vec<_> =
        fs::read_dir(sandbox.path("work/synthetic")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let mut table = String::from("file,class\n");
    for name in names {
        let bytes = fs::read(sandbox.path("work/synthetic").join(&name)).unwrap();
        let is_edf = Path::new(&name).extension().is_some_and(|extension| extension == "edf");
        let Some(recording) = is_edf.then(|| repeated(&bytes)).flatten() else { continue };
        fs::write(recordings.join(&name), recording).unwrap();
        // The Thue-Morse sequence: as many of each class, and no period.
        let class = table.lines().count().wrapping_sub(1).count_ones() % 2;
        table.push_str(&format!("{},{}\n", name.to_str().unwrap(), ["a", "b"][class as usize]));
    }
    assert!(table.lines().count() > 20, "{table}");
    fs::write(sandbox.path("work/classes.csv"), table).unwrap();
    let options = "options = { sampling_rate_hz = 100, seconds = 2, patch_size = 50, band_hz = [0.5, 40.0] }";
    let config = format!(
        "[model]\npreset = \"demo\"\n[buffer]\nratio = 0.2\n[training]\nepochs = 1\nwarmup_epochs = 0\nbatch_size = 8\n\
         [[stage]]\nmodality = \"eeg\"\ndata = \"recordings\"\n{options}\n"
    );
    fs::write(sandbox.path("work/run.toml"), config).unwrap();
    json(&sandbox, &["pretrain", "run.toml", "--out", "run", "--quiet", mine[0], mine[1]]);
    let task = |name: &str, more: &str| {
        format!(
            "[[task]]\nname = \"{name}\"\nmodality = \"eeg\"\ndata = \"recordings\"\nprotocol = \"knn\"\nk = 1\n{more}\
             labels = {{ table = \"classes.csv\", key = \"file\", label = \"class\" }}\n"
        )
    };
    let tasks = task("by-recording", "") + &task("by-window", "group = \"none\"\n");
    fs::write(sandbox.path("work/tasks.toml"), tasks).unwrap();
    let eval = ["eval", "run", "tasks.toml", "--seeds", "5", "--data-root", ".", "--quiet", mine[0], mine[1]];
    let scores = json(&sandbox, &eval);
    let [recording, window] = [0, 1].map(|at| &scores["tasks"][at]);
    assert_eq!((&recording["grouping"], &window["grouping"]), (&"record".into(), &"none".into()));
    let n = |task: &Value, name: &str| task[name].as_u64().unwrap();
    assert_eq!(n(recording, "n_groups") * 3, n(recording, "n_train") + n(recording, "n_test"));
    assert_eq!(n(window, "n_groups"), n(window, "n_train") + n(window, "n_test"));
    assert_eq!(n(recording, "n_test") % 3, 0, "recordings are whole");
    let accuracy = |task: &str| {
        let scores = scores["scores"].as_array().unwrap().iter();
        let of_task = |score: &&Value| score["task"] == task && score["metric"] == "accuracy";
        scores.into_iter().find(of_task).unwrap()["value"].as_f64().unwrap()
    };
    assert!(accuracy("by-window") > 0.9, "the leak that groups prevent: {scores}");
    assert!(accuracy("by-recording") < 0.75, "{scores}");
}

#[test]
fn no_source_file_of_host_or_core_names_them() {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let is_text = path
                .extension()
                .is_some_and(|extension| ["rs", "toml", "css"].contains(&&*extension.to_string_lossy()));
            if path.is_dir() {
                walk(&path, found)
            } else if is_text {
                found.push(path)
            }
        }
    }
    let root = medcoss_test_support::repository();
    let mut files = Vec::new();
    for folder in ["host", "host/plugin-host", "host/runtime", "core"] {
        for part in ["src", "tests", "benches", "configs", "examples"] {
            walk(&root.join(folder).join(part), &mut files);
        }
    }
    assert!(files.len() > 80, "{} files", files.len());
    // Records of runs in earlier formats are migrated, and contain the former names of options.
    files.retain(|path| !path.ends_with("host/runtime/src/renamed_settings.rs"));
    for path in files {
        let text = fs::read_to_string(&path).unwrap().to_lowercase();
        // The published weights have `video` in the names of their patch embeddings; `oct` is a part of other words.
        let text = text.replace("video_embed", "").replace("\"oct\"", "\"(oct)\"");
        for id in ["ecg", "eeg", "echocardio", "(oct)", "tomography", "video", "gene expression"] {
            assert!(!text.contains(id), "{id} in {}", path.display());
        }
    }
    // None of the plugins is linked in.
    for manifest in ["host/Cargo.toml", "host/plugin-host/Cargo.toml", "host/runtime/Cargo.toml", "core/Cargo.toml"] {
        let text = fs::read_to_string(root.join(manifest)).unwrap();
        assert!(OUTSIDE.iter().all(|id| !text.contains(&format!("medcoss-{id}"))), "{manifest}");
    }
}
