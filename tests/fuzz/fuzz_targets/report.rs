//! Report on a run. The input is its files with zero bytes between them: `state.json`, `metrics.jsonl`, `timing.jsonl`,
//! `buffer.jsonl` and `scores.json`, which get correct checksums. The page is drawn whatever they contain, and once
//! more without names. Needs the feature `run-folder`, and with it Burn.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::run::RunLayout;
use medcoss_fuzz::run::{buffer, document, layout, parts, stage, state, with_checksum};
use medcoss_fuzz::{first_input, folder};
use medcoss_plugin_host::PluginRegistry;
use medcoss_runtime::Silent;
use medcoss_runtime::report::history::RunHistory;
use medcoss_runtime::report::{Making, anonymise, events};

const METRICS: &str = r#"{"stage":1,"modality":"text","epoch":1,"step":4,"learning_rate":0.5,"pretext":{"text":1.5},"distillation":{"ct":0.25}}
{"stage":1,"modality":"text","epoch":2,"step":8,"learning_rate":0.25,"pretext":{"text":0.002},"distillation":{},"penalty":3}
"#;
const TIMING: &str = r#"{"epoch":1,"n_samples":8,"seconds":2.5}
{"epoch":2,"n_samples":8,"seconds":2.0,"peak_rss_bytes":7,"waited_seconds":0.5}
"#;
const SCORES: &str = r#"{"format": 4, "checksum": "0000000000000000000000000000000000000000000000000000000000000000", "tasks_file": "small",
"tasks_sha256": "", "seeds": [0], "tasks": [{"name": "words", "modality": "text", "own_stage": 1, "protocol": "knn", "primary_metric":
"accuracy", "higher_is_better": true, "classes": ["a"], "n_train": 0, "n_test": 4}], "stages": [{"stage": 0, "modality": null}, {"stage": 1,
"modality": "text"}], "scores": [{"stage": 1, "task": "words", "metric": "accuracy", "value": 0.5, "low": 0.25, "high": 0.75, "n": 4,
"by_seed": [0.5]}], "transfer": {"average": 0.5, "backward_transfer": 0.0, "forgetting": 0.0, "forward_transfer": 0.25}}"#;

fn first() {
    let state = document(&state());
    let all = [state.as_str(), METRICS, TIMING, &buffer(3), SCORES].join("\0");
    first_input("report", "whole", all.as_bytes());
    // A running stage: it has no state.
    first_input("report", "running", ["", METRICS, TIMING, "", SCORES].join("\0").as_bytes());
}

fn write(path: &ConfinedPath, content: &[u8]) {
    std::fs::write(path.path(), content).expect("room for an input");
}

fn write_document(path: &ConfinedPath, content: &[u8]) {
    match std::str::from_utf8(content) {
        Ok(text) => write(path, with_checksum(text).as_bytes()),
        Err(_) => write(path, content),
    }
}

fuzz_target!(init: first(), |content: &[u8]| {
    static RUN: OnceLock<RunLayout> = OnceLock::new();
    let run = RUN.get_or_init(layout);
    let [state, metrics, timing, buffer, scores] = parts(content);
    let stage = stage(run);
    let evaluation = run.evaluation("small");
    evaluation.create_folder().expect("a folder for scores");
    let _ = std::fs::remove_file(stage.file(RunLayout::STATE).path());
    if !state.is_empty() {
        write_document(&stage.file(RunLayout::STATE), state);
    }
    write(&stage.file(RunLayout::METRICS), metrics);
    write(&stage.file(RunLayout::TIMING), timing);
    write(&stage.file(RunLayout::BUFFER), buffer);
    write_document(&evaluation.join(RunLayout::SCORES), scores);
    let read = || RunHistory::read(&folder().join("run"));
    let Ok(history) = read() else { return };
    let registry = PluginRegistry::default();
    let making = Making { registry: &registry, base: folder(), device: "cpu", n_samples: 4, observer: &Silent };
    events::write(&history, &folder().join("events")).expect("room for events");
    let mut runs = vec![history, read().expect("what was read is read again")];
    check(&making.make(&runs[..1]).0);
    check(&making.make(&runs).0);
    anonymise(&mut runs);
    check(&making.make(&runs).0);
});

/// Checks the coordinates of a page. Quotation marks of names are escaped, so that these attributes are coordinates.
fn check(page: &str) {
    for wrong in ["=\"NaN", "=\"inf", "=\"-inf", "--good:NaN", "grow:NaN", "<script"] {
        assert!(!page.contains(wrong), "{wrong}");
    }
}
