//! `medcoss synth` through the fixture's library.

use std::fs;

use medcoss_test_support::sandbox::{Sandbox, put_fixture};
use serde_json::Value;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    put_fixture(&sandbox.folder("data/medcoss/plugins"), "gait.so");
    sandbox
}

fn synth<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["synth", "--modality", "fixture", "--no-builtin", "--out", out];
    arguments.extend(more);
    arguments
}

#[test]
fn files_are_written_and_what_suits_them_is_printed() {
    let sandbox = sandbox();
    let answer = sandbox.run(synth("new/series", &["--samples", "19"]));
    let expected = "Wrote 19 samples of fixture 0.3.1 (seed 0) to new/series: 3 files, 6.8 KiB.\n\
                    Each has 12 tokens of 4 values, 6 masked.\n\n\
                    In a configuration:\n\n  modality = \"fixture\"\n  data = [\".\"]\n  options = { length = 48, patch = 4 }\n";
    assert_eq!((answer.code, answer.err.as_str()), (0, ""));
    assert_eq!(answer.out, expected);
    assert_eq!(fs::read_to_string(sandbox.path("work/new/series/series_2.csv")).unwrap().lines().count(), 3);
}

#[test]
fn a_seed_decides_the_bytes() {
    let sandbox = sandbox();
    let written = |out: &str, seed: &str| {
        let answer = sandbox.run(synth(out, &["--samples", "5", "--seed", seed, "--json"]));
        let report: Value = serde_json::from_str(&answer.out).unwrap();
        assert_eq!((&report["n_samples"], &report["n_files"]), (&Value::from(5), &Value::from(1)));
        fs::read(sandbox.path("work").join(out).join("series_0.csv")).unwrap()
    };
    assert_eq!(written("a", "7"), written("b", "7"));
    assert_ne!(written("c", "8"), written("d", "7"));
}

#[test]
fn a_folder_with_something_in_it_is_refused_and_left_as_it_is() {
    let sandbox = sandbox();
    let folder = sandbox.folder("work/mine");
    fs::write(folder.join("thesis.txt"), "years").unwrap();
    let answer = sandbox.run(synth("mine", &["--samples", "5"]));
    assert_eq!(answer.code, 1);
    assert_eq!(answer.err, "error: --out mine is not empty\nhint: give a new or an empty folder\n");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    let file = sandbox.run(synth("mine/thesis.txt", &["--samples", "5"]));
    assert_eq!(file.code, 1);
    assert!(file.err.starts_with("error: --out mine/thesis.txt is not a folder that can be read\n"), "{}", file.err);
}

#[test]
fn an_empty_folder_is_taken() {
    let sandbox = sandbox();
    sandbox.folder("work/empty");
    assert_eq!(sandbox.run(synth("empty", &["--samples", "1"])).code, 0);
    assert!(sandbox.path("work/empty/series_0.csv").is_file());
}

#[test]
fn no_samples_and_unknown_modalities_are_refused_before_anything_is_written() {
    let sandbox = sandbox();
    assert_eq!(sandbox.run(synth("out", &["--samples", "0"])).code, 1);
    let answer = sandbox.run(["synth", "--modality", "xrays", "--no-builtin", "--out", "out", "--samples", "3"]);
    assert_eq!(answer.code, 1);
    assert!(
        answer.err.starts_with("error: there is no plugin for modality \"xrays\"\nhint: found: fixture\n"),
        "{}",
        answer.err
    );
    assert!(!sandbox.path("work/out").exists());
}
