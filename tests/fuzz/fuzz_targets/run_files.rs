//! Files of a run folder: `state.json` of a stage and of its checkpoint, `buffer.jsonl`, `metrics.jsonl`,
//! `timing.jsonl`, `manifest.json`, `initial.json`, `scores.json`. The input is each of them, as it is and with a
//! correct checksum. Needs the feature `run-folder`, and with it Burn.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::evaluation::Scores;
use medcoss_core::run::{RunLayout, check_manifest, read_metrics};
use medcoss_core::weights::InitialModel;
use medcoss_fuzz::run::{layout, stage, with_checksum};
use medcoss_runtime::timing::EpochTime;

fuzz_target!(|content: &[u8]| {
    look_at(content);
    if let Ok(text) = std::str::from_utf8(content) {
        look_at(with_checksum(text).as_bytes());
    }
});

fn write(path: &ConfinedPath, content: &[u8]) {
    std::fs::write(path.path(), content).expect("room for an input");
}

fn look_at(content: &[u8]) {
    static RUN: OnceLock<RunLayout> = OnceLock::new();
    let run = RUN.get_or_init(layout);
    let stage = stage(run);
    let checkpoint = stage.file("checkpoint-00001");
    let scores = run.evaluation("tasks");
    for folder in [&checkpoint, &scores, &run.initial()] {
        folder.create_folder().expect("a folder for inputs");
    }
    for name in [RunLayout::STATE, RunLayout::BUFFER, RunLayout::METRICS, RunLayout::TIMING, RunLayout::MANIFEST] {
        write(&stage.file(name), content);
    }
    write(&checkpoint.join(RunLayout::STATE), content);
    write(&scores.join(RunLayout::SCORES), content);
    match stage.finished() {
        // The state may name any files; none of them has to exist.
        Ok(Some(state)) => drop(stage.check_files(&state)),
        Ok(None) => panic!("state.json is there"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let _ = (stage.running(), stage.check_checkpoints(), check_manifest(stage.path()), Scores::check_files(&scores));
    initial(run, content);
    let n_lines = content.split(|&byte| byte == b'\n').count();
    if let Ok(buffer) = stage.buffer() {
        assert!(buffer.entries.len() <= n_lines);
    }
    if let Ok(metrics) = read_metrics(&stage.file(RunLayout::METRICS)) {
        assert!(metrics.len() <= n_lines);
        for line in &metrics {
            let _ = line.current_pretext();
        }
    }
    assert!(EpochTime::read(&stage.file(RunLayout::TIMING)).len() <= n_lines);
}

/// Reads the description of imported weights, once beside a manifest that names it and once as the manifest.
fn initial(run: &RunLayout, content: &[u8]) {
    let folder = run.initial();
    write(&folder.join(RunLayout::INITIAL_DESCRIPTION), content);
    medcoss_core::run::write_manifest(&folder).expect("room for a manifest");
    let _ = InitialModel::read(run);
    write(&folder.join(RunLayout::MANIFEST), content);
    let _ = (InitialModel::read(run), InitialModel::check_files(run));
}
