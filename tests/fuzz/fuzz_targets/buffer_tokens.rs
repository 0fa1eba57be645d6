//! Tokens of buffer samples, which a run reads where the plugin is missing: `buffer/tokens.safetensors`. Needs the
//! feature `run-folder`, and with it Burn.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use medcoss_abi::NOT_A_TARGET;
use medcoss_abi::message::Geometry;
use medcoss_core::data::{Dataset, RawBatch, TokenSpec, View};
use medcoss_core::run::{RunLayout, StageFolder, StageState};
use medcoss_fuzz::first_input;
use medcoss_fuzz::run::{buffer, layout, stage, state};
use medcoss_runtime::buffer_tokens::{self, BufferTokens};

const N: usize = 3;

fn first() {
    let run = layout();
    let folder = stage(&run).file(RunLayout::BUFFER_SAMPLES);
    folder.create_folder().expect("a folder for samples");
    let continuous = Geometry::grid(vec![2, 2], 2, 3);
    let discrete = Geometry::sequence(5, 9, 0, 4);
    for (name, geometry) in [("continuous", continuous), ("discrete", discrete)] {
        let sample = |position: u64, _view: View| {
            let mut batch = RawBatch::default();
            match geometry {
                Geometry::Continuous(_) => batch.tokens = vec![position as f32; 8],
                Geometry::Discrete(_) => {
                    batch.ids = vec![2, 5, 6, 3, 0];
                    batch.labels = vec![NOT_A_TARGET, 5, NOT_A_TARGET, NOT_A_TARGET, NOT_A_TARGET];
                    batch.lengths = vec![4];
                }
            }
            Ok(batch)
        };
        buffer_tokens::write(&folder, &geometry, N, sample).expect("room for tokens");
        let made = std::fs::read(folder.join("tokens.safetensors").path()).expect("what was written");
        first_input("buffer_tokens", name, &made);
    }
}

fuzz_target!(init: first(), |content: &[u8]| {
    static STAGE: OnceLock<(StageFolder, StageState)> = OnceLock::new();
    let (stage, state) = STAGE.get_or_init(|| {
        let stage = stage(&layout());
        std::fs::write(stage.file(RunLayout::BUFFER).path(), buffer(N)).expect("room for a buffer");
        (stage, state())
    });
    let path = stage.file(RunLayout::BUFFER_SAMPLES).join("tokens.safetensors");
    std::fs::write(path.path(), content).expect("room for an input");
    let tokens = match BufferTokens::open(stage, state) {
        Ok(tokens) => tokens,
        Err(error) => return assert!(!format!("{error:#}").is_empty()),
    };
    assert_eq!(tokens.ids().len(), N);
    for view in [View::Evaluation, View::Training] {
        let mut batch = RawBatch::default();
        let invalid = tokens.fill(view, &[2, 0, 1], &[1, 2, 3], &mut batch).expect("samples that are there");
        if invalid.is_empty() {
            check(tokens.spec(), view, &batch);
        }
    }
    assert!(tokens.fill(View::Evaluation, &[N as u64], &[0], &mut RawBatch::default()).is_err());
});

fn check(spec: TokenSpec, view: View, batch: &RawBatch) {
    match spec {
        TokenSpec::Continuous { n_tokens, d_token, n_masked } => {
            assert_eq!(batch.tokens.len(), N * n_tokens * d_token);
            assert!(batch.tokens.iter().all(|value| value.is_finite()));
            let masked = batch.mask.iter().filter(|&&masked| masked == 1).count();
            assert_eq!(masked, if view == View::Training { N * n_masked } else { 0 });
        }
        TokenSpec::Discrete { length, vocabulary } => {
            let known = |id: i32| usize::try_from(id).is_ok_and(|id| id < vocabulary);
            assert!(batch.ids.len() == N * length && batch.ids.iter().all(|&id| known(id)));
            assert!(batch.labels.iter().all(|&id| id == NOT_A_TARGET || known(id)));
            assert!(batch.lengths.iter().all(|&own| usize::try_from(own).is_ok_and(|own| (1..=length).contains(&own))));
        }
    }
}
