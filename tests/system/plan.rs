//! `medcoss plan` compared with the runs that it estimates.

use std::path::Path;

use medcoss_test_support::program::{medcoss, refused, succeeded, text};
use serde_json::Value;

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn json(output: std::process::Output) -> Value {
    serde_json::from_str(&succeeded(output)).expect("JSON")
}

/// Size of a run's files in bytes, without the files of times.
fn bytes_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => bytes_of(&entry.path()),
            false => entry.metadata().unwrap().len(),
        })
        .sum()
}

const HEAD: &str = "[model]\npreset = \"demo\"\n[training]\nepochs = 3\nbatch_size = 4\n";

#[test]
fn a_plan_counts_the_work_of_the_run_and_leaves_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&folder.path().join(name));
    let config = path("run.toml");
    let mut stages = String::from(HEAD);
    for (modality, options) in [("text", "vocab_size = 300, max_length = 32"), ("xray", "size = 64")] {
        let out = path(modality);
        succeeded(medcoss(&["synth", "--no-builtin", "--modality", modality, "--samples", "40", "--out", &out]));
        let data = names(Path::new(&out)).into_iter().find(|name| name == "reports.txt").unwrap_or(".".into());
        stages += &format!(
            "[[stage]]\nmodality = \"{modality}\"\nroot = \"{modality}\"\ndata = \"{data}\"\noptions = {{ {options} }}\n"
        );
    }
    std::fs::write(&config, stages).unwrap();

    for (at, settings) in [
        &["strategy.name=medcoss", "buffer.ratio=0.3", "buffer.store=materialised"][..],
        &["strategy.name=joint", "training.batch_size=3"],
        &["strategy.name=ewc", "strategy.ewc.n_samples=5", "training.gradient_accumulation=3"],
    ]
    .into_iter()
    .enumerate()
    {
        let out = path(&format!("run-{at}"));
        let mut rest = vec!["--no-builtin", "--quiet", "--json", "--out", &out];
        settings.iter().for_each(|setting| rest.extend(["--set", setting]));
        let before = names(folder.path());
        let plan = json(medcoss(&[&["plan", &config, "--seconds", "1"], &rest[..]].concat()));
        assert_eq!(names(folder.path()), before);

        let run = json(medcoss(&[&["pretrain", &config], &rest[..]].concat()));
        let (planned, done) = (plan["stages"].as_array().unwrap(), run["stages"].as_array().unwrap());
        assert_eq!(planned.len(), done.len());
        for (planned, done) in planned.iter().zip(done) {
            assert_eq!((&planned["modality"], &planned["n_samples"]), (&done["modality"], &done["n_samples"]));
            assert_eq!(planned["n_kept"], done["n_buffer"], "{planned}");
            let name = format!("{:02}-{}", done["stage"].as_u64().unwrap(), done["modality"].as_str().unwrap());
            let state = std::fs::read_to_string(Path::new(&out).join("stages").join(name).join("state.json")).unwrap();
            let state: Value = serde_json::from_str(&state).unwrap();
            assert_eq!(planned["n_steps"], state["steps"], "{planned}");
            let seconds = planned["training_seconds"].as_f64().unwrap() + planned["other_seconds"].as_f64().unwrap();
            assert!(seconds > 0.0 && seconds < 600.0, "{planned}");
        }
        // Estimates of time and memory depend on the machine; their types and signs do not.
        let memory = &plan["memory"];
        assert_eq!(memory["weights"].as_u64().unwrap(), 4 * plan["n_parameters"].as_u64().unwrap());
        assert!(memory["peak"].as_u64().unwrap() > 4 * memory["weights"].as_u64().unwrap());
        let (planned, found) = (plan["disk_bytes"].as_u64().unwrap() as f64, bytes_of(Path::new(&out)) as f64);
        assert!((planned / found - 1.0).abs() < 0.25, "planned {planned}, found {found} bytes");
    }
}

#[test]
fn errors_that_would_stop_the_run_stop_the_plan() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("run.toml");
    let stage = "[model]\npreset = \"demo\"\n[training]\nepochs = 1\nbatch_size = 2\n[[stage]]\nmodality = \"text\"\n";
    std::fs::write(&config, format!("{stage}data = \"notes.txt\"\n")).unwrap();
    let ask =
        || refused(medcoss(&["plan", &text(&config), "--no-builtin", "--out", &text(&folder.path().join("run"))]));
    let errors = ask();
    assert!(errors.contains("stage 1 text") && errors.contains("notes.txt"), "{errors}");
    std::fs::write(&config, stage.replace("epochs = 1", "epochs = 0") + "data = \"notes.txt\"\n").unwrap();
    let errors = ask();
    assert!(errors.contains("training.epochs is 0"), "{errors}");
    assert_eq!(names(folder.path()), ["run.toml"]);
}
