//! The files of a run folder: `state.json`, `buffer.jsonl`, `metrics.jsonl`, `manifest.json`, each of them the input, as it is and with
//! a correct checksum. Needs the feature `run-folder`, and with it Burn.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_core::run::{RunLayout, StageFolder, check_manifest, read_metrics, insert_checksum};
use medcoss_fuzz::folder;

fuzz_target!(|content: &[u8]| {
    look_at(content);
    if let Ok(text) = std::str::from_utf8(content) {
        let with_checksum = insert_checksum(text.strip_suffix('\n').unwrap_or(text), "\"checksum\": \"");
        look_at(format!("{with_checksum}\n").as_bytes());
    }
});

fn look_at(content: &[u8]) {
    let stage = StageFolder::new(&RunLayout::open(folder()).expect("a folder"), 1, "text");
    stage.path().create_folder().expect("a folder for a stage");
    for name in ["state.json", "buffer.jsonl", "metrics.jsonl", "manifest.json"] {
        std::fs::write(stage.file(name).path(), content).expect("room for an input");
    }
    match stage.finished() {
        // Whatever the checksums name; none of it has to be there.
        Ok(Some(state)) => drop(stage.check_files(&state)),
        Ok(None) => panic!("state.json is there"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let _ = check_manifest(stage.path());
    let n_lines = content.split(|&byte| byte == b'\n').count();
    if let Ok(buffer) = stage.buffer() {
        assert!(buffer.entries.len() <= n_lines);
    }
    if let Ok(metrics) = read_metrics(&stage.file("metrics.jsonl")) {
        assert!(metrics.len() <= n_lines);
    }
}
