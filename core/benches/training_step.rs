//! Time of one masked-autoencoder training step (forward, backward, AdamW), the median of a few, by preset.
//!
//! `cargo bench -p medcoss-core --bench training_step -- vit-tiny 16`; named peer: the same step in PyTorch.

use std::time::Instant;

use burn::optim::GradientsParams;
use medcoss_core::data::{PatchBatch, Prepared, TokenSpec};
use medcoss_core::model::{Model, ModelConfig, Preset, TextAttention};
use medcoss_core::optimisation::{OptimiserConfig, adamw};
use medcoss_core::pretext::pretext_loss;

const N_TOKENS: usize = 196;
const D_TOKEN: usize = 768;
const N_VISIBLE: usize = 49;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let name = arguments.first().map_or("vit-tiny", String::as_str);
    let n: usize = arguments.get(1).and_then(|n| n.parse().ok()).unwrap_or(16);
    let preset: Preset = serde_json::from_value(name.into()).expect("a preset: vit-base, vit-small, vit-tiny, demo");
    let spec = TokenSpec::Continuous { n_tokens: N_TOKENS, d_token: D_TOKEN, n_masked: N_TOKENS - N_VISIBLE };
    let mut config =
        ModelConfig { dimensions: preset.dimensions(), text_attention: TextAttention::default(), families: Vec::new() };
    let family = config.admit("image", "bench", spec, None).expect("a new family");
    let device = medcoss_core::device::by_name("cpu").expect("a processor").autodiff();
    let mut model = Model::new(&config, 0, 1, &device);
    let mut optimiser = adamw(&OptimiserConfig::default(), &model);
    let batch = Prepared::Patches(batch(n));

    let mut seconds: Vec<f64> = (0..9)
        .map(|_| {
            let began = Instant::now();
            let loss = pretext_loss(&model, family, &batch, model.encode(family, &batch, 0, None, &device));
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimiser.step(1e-4, model.clone(), gradients);
            assert!(loss.into_scalar::<f32>().is_finite());
            began.elapsed().as_secs_f64()
        })
        .skip(2)
        .collect();
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    println!("{name}, batch {n}: {:.1} ms a step, {:.1} samples/s", 1000.0 * median, n as f64 / median);
}

/// The first quarter of the tokens visible, values from a fixed pattern.
fn batch(n: usize) -> PatchBatch {
    let pattern = |at: usize| ((at * 7919 % 1009) as f32 / 504.5) - 1.0;
    let n_masked = N_TOKENS - N_VISIBLE;
    PatchBatch {
        n,
        n_tokens: N_TOKENS,
        d_token: D_TOKEN,
        n_visible: N_VISIBLE,
        visible: (0..n * N_VISIBLE * D_TOKEN).map(pattern).collect(),
        visible_index: (0..n * N_VISIBLE).map(|at| (at % N_VISIBLE) as i32).collect(),
        masked_index: (0..n * n_masked).map(|at| (N_VISIBLE + at % n_masked) as i32).collect(),
        targets: (0..n * n_masked * D_TOKEN).map(pattern).collect(),
    }
}
