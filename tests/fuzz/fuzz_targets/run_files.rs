//! The files of a run folder: `state.json`, `buffer.jsonl`, `metrics.jsonl`, each of them the input. Needs the feature
//! `run-folder`, and with it Burn.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_core::run::{StageFolder, StageState, read_json, read_metrics};
use medcoss_fuzz::folder;

fuzz_target!(|content: &[u8]| {
    let stage = StageFolder::new(folder(), 1, "text");
    std::fs::create_dir_all(stage.path()).expect("a folder for a stage");
    for name in ["state.json", "buffer.jsonl", "metrics.jsonl"] {
        std::fs::write(stage.file(name), content).expect("room for an input");
    }
    let whole = read_json::<StageState>(&stage.file("state.json"));
    match stage.finished() {
        Ok(Some(state)) => {
            assert_eq!(whole.ok().as_ref(), Some(&state));
            // Whatever the checksums name; none of it has to be there.
            let _ = stage.verify(&state);
        }
        Ok(None) => panic!("state.json is there"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let n_lines = content.split(|&byte| byte == b'\n').count();
    if let Ok(buffer) = stage.buffer() {
        assert!(buffer.entries.len() <= n_lines);
    }
    if let Ok(metrics) = read_metrics(&stage.file("metrics.jsonl")) {
        assert!(metrics.len() <= n_lines);
    }
});
