//! Opening of a run's buffer samples by plugins: `buffer/open.json`, with files of several plugins beside it. Needs the
//! feature `run-folder`, and with it Burn.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use medcoss_core::data::{Dataset, RawBatch, View};
use medcoss_core::run::{RunLayout, StageFolder};
use medcoss_ct::Ct;
use medcoss_ecg::Ecg;
use medcoss_fuzz::run::{buffer, layout, stage};
use medcoss_fuzz::{VOCABULARY, first_input, folder};
use medcoss_pathology::Pathology;
use medcoss_plugin_host::{Loading, Plugin, PluginRegistry, Search};
use medcoss_runtime::plugin_dataset::PluginDataset;
use medcoss_sdk::{Modality, serde_json::json};
use medcoss_text::Text;
use medcoss_video::Video;
use medcoss_xray::Xray;

const IDS: [&str; 6] = ["text", "xray", "pathology", "ct", "ecg", "video"];

fn first() {
    let inputs = [
        ("text", json!({ "data": ["0.txt"], "options": { "tokenizer": "vocab.txt", "max_length": 8 } })),
        ("xray", json!({ "data": ["0.png"], "options": { "size": 32, "patch_size": 16 } })),
        ("ct", json!({ "data": ["0.nii"], "options": { "size": [16, 32, 32], "cache_mb": 16 } })),
        (
            "ecg",
            json!({ "data": ["0.csv"], "options": { "seconds": 1, "leads": ["I", "II"], "sampling_rate_hz": 100, "patch_size": 50 } }),
        ),
        ("video", json!({ "data": ["0.gif"], "options": {} })),
    ];
    for (name, input) in inputs {
        first_input("kept_samples", name, input.to_string().as_bytes());
    }
}

struct Kept {
    stage: StageFolder,
    plugins: Vec<Plugin>,
}

impl Kept {
    fn new() -> Self {
        let stage = stage(&layout());
        std::fs::write(stage.file(RunLayout::BUFFER).path(), buffer(1)).expect("room for a buffer");
        let samples = stage.file(RunLayout::BUFFER_SAMPLES).join("samples");
        samples.create_folder().expect("a folder for samples");
        let samples = samples.path();
        std::fs::write(samples.join("0.txt"), "clear lung\n").expect("room for a sample");
        std::fs::write(samples.join("vocab.txt"), VOCABULARY).expect("room for a vocabulary");
        for (extension, synthesise) in [
            ("png", Xray::synthesise as fn(&Path, usize, u64) -> _),
            ("tif", Pathology::synthesise),
            ("csv", Ecg::synthesise),
            ("gif", Video::synthesise),
            ("gz", Ct::synthesise),
            ("xml", Text::synthesise),
        ] {
            let made = folder().join("made");
            std::fs::create_dir_all(&made).expect("a folder for what is made");
            synthesise(&made, 2, 1).expect("room for samples");
            let file = files_below(&made).into_iter().find(|path| path.extension().is_some_and(|own| own == extension));
            if let Some(file) = file {
                std::fs::copy(file, samples.join(format!("0.{extension}"))).expect("room for a sample");
            }
            std::fs::remove_dir_all(&made).expect("a folder that was made");
        }
        let volume = std::fs::read(samples.join("0.gz")).expect("a volume");
        std::fs::write(samples.join("0.nii"), medcoss_fuzz::small_volume(&volume)).expect("room for a sample");
        std::fs::remove_file(samples.join("0.gz")).expect("a volume");
        let search = Search { folders: Vec::new(), builtin: true };
        let registry = PluginRegistry::discover(&search, medcoss_abi::builtins(), Loading::Unprobed);
        let plugins = IDS.map(|id| registry.load(id).expect("a plugin that is linked")).to_vec();
        Self { stage, plugins }
    }
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

fuzz_target!(init: first(), |content: &[u8]| {
    static KEPT: OnceLock<Kept> = OnceLock::new();
    let Kept { stage, plugins } = KEPT.get_or_init(Kept::new);
    let path = stage.file(RunLayout::BUFFER_SAMPLES).join("open.json");
    std::fs::write(path.path(), content).expect("room for an input");
    for plugin in plugins {
        let samples = match PluginDataset::open_kept(plugin, stage, None) {
            Ok(samples) => samples,
            Err(error) => {
                let message = format!("{error:#}");
                assert!(!message.is_empty() && message.len() < 16384, "a message of {} bytes", message.len());
                continue;
            }
        };
        for view in [View::Evaluation, View::Training] {
            let filled = samples.fill(view, &[0], &[1], &mut RawBatch::default());
            // An answer that breaks the contract would be an error here.
            filled.expect("a sample, or its error");
        }
    }
});
