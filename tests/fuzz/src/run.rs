//! A small run for the targets that read one: a record, the plugins, and one finished stage of texts.

use medcoss_core::buffer::BufferEntry;
use medcoss_core::model::{
    FamilyConfig, FamilyTokens, InitialValues, Interpolation, ModelConfig, Preset, TextAttention, Variant,
};
use medcoss_core::run::{CHECKSUM_PLACEHOLDER, FORMAT, RunLayout, StageFolder, StageState, insert_checksum};
use medcoss_runtime::config::RunConfig;
use medcoss_runtime::record::write_with_checksum;
use medcoss_sdk::serde_json;

use crate::{VOCABULARY, folder, put};

/// The modality of the run's only stage. Its family has the same name.
pub const MODALITY: &str = "text";

/// Data of the stage: eight labelled texts.
const REPORTS: &str =
    "report,finding\nclear lung,none\na b,some\nlung s,none\nb a,some\nclear,none\na,some\nb,none\nlung,some\n";

const CONFIG: &str = "seed = 0\n[model]\npreset = \"demo\"\n[training]\nepochs = 1\nbatch_size = 2\n[[stage]]\nmodality = \"text\"\n\
                      data = \"reports.csv\"\noptions = { tokenizer = \"vocab.txt\", max_length = 16, text_column = \"report\", label_column = \"finding\" }\n";

/// Writes the run's record into a folder of this process, and the data beside it.
pub fn layout() -> RunLayout {
    put("vocab.txt", VOCABULARY.as_bytes());
    put("reports.csv", REPORTS.as_bytes());
    put("small.toml", CONFIG.as_bytes());
    let run = RunLayout::create(&folder().join("run")).expect("a folder for a run");
    let config = RunConfig::read(&folder().join("small.toml"), &[]).expect("a good configuration");
    config.write_record(&run.record()).expect("room for a record");
    let lock = "[[plugin]]\nid = \"text\"\nversion = \"0.1.0\"\nfile = \"built-in\"\n";
    write_with_checksum(&run.plugins_lock(), lock).expect("room for the plugins");
    stage(&run).path().create_folder().expect("a folder for a stage");
    run
}

/// The folder of the run's only stage.
pub fn stage(run: &RunLayout) -> StageFolder {
    StageFolder::new(run, 1, MODALITY)
}

/// Content of the stage's `state.json` after it is finished.
pub fn state() -> StageState {
    StageState {
        format: FORMAT,
        checksum: CHECKSUM_PLACEHOLDER.into(),
        stage: 1,
        modality: MODALITY.into(),
        family: MODALITY.into(),
        model: model(),
        seed: 0,
        epochs_done: 1,
        epochs: 1,
        steps: 4,
        unfinished: None,
        n_samples: 8,
        fingerprint: "0".repeat(64),
        invalid_samples: Default::default(),
        checksums: Default::default(),
    }
}

/// The smallest valid model of two families.
pub fn model() -> ModelConfig {
    let mut dimensions = Preset::Demo.dimensions();
    (dimensions.width, dimensions.layers, dimensions.heads, dimensions.mlp_width) = (8, 1, 1, 8);
    (dimensions.decoder_width, dimensions.decoder_layers, dimensions.decoder_heads) = (8, 1, 1);
    let family = |name: &str, n_decoder_positions, tokens| FamilyConfig {
        name: name.into(),
        n_positions: 16,
        n_decoder_positions,
        tokens,
        d_target: None,
        layout: None,
        interpolation: Interpolation::Linear,
    };
    let vocabulary = VOCABULARY.lines().count();
    let families = vec![
        family(MODALITY, 0, FamilyTokens::Discrete { vocabulary }),
        family("signal", 16, FamilyTokens::Continuous { d_token: 2 }),
    ];
    ModelConfig {
        dimensions,
        variant: Variant::default(),
        initial_values: InitialValues::default(),
        text_attention: TextAttention::Bidirectional,
        families,
    }
}

/// A JSON document with its checksum, as in a run folder.
pub fn document(value: &impl serde::Serialize) -> String {
    with_checksum(&serde_json::to_string_pretty(value).expect("a document"))
}

/// A text with a correct checksum, if it has a field for one.
pub fn with_checksum(text: &str) -> String {
    format!("{}\n", insert_checksum(text.strip_suffix('\n').unwrap_or(text), "\"checksum\": \""))
}

/// `buffer.jsonl` with this number of samples.
pub fn buffer(n: usize) -> String {
    let entry = |at| BufferEntry { id: format!("sample {at}"), cluster: 0, distance: 0.5, backfilled: false };
    (0..n).map(|at| serde_json::to_string(&entry(at)).expect("a line") + "\n").collect()
}

/// Parts of an input between zero bytes; missing parts are empty.
pub fn parts<const N: usize>(content: &[u8]) -> [&[u8]; N] {
    let mut parts = content.splitn(N, |&byte| byte == 0);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}
