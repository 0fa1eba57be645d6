//! Masked autoencoders with their decoders: facebookresearch/mae, and `ViTMAEForPreTraining` of transformers.

use burn::tensor::Device;
use medcoss_core::data::{HostBatch, PatchBatch};
use medcoss_core::model::{DeviceBatch, PatchTensors};
use medcoss_core::pretext::{pretext_loss, reconstruct};
use medcoss_core::weights::{Import, Imported, TensorFile};

use super::{Expected, Image, compare, heads, imported, largest_error, layer_norm, positions_at, values, weights};

/// The tokens with the smallest noise stay visible, in its order; the others are masked.
fn masked(image: &Image, noise: &[f32], n_visible: usize, normalise: bool) -> PatchBatch {
    let n_tokens = image.n_tokens();
    let mut batch = PatchBatch {
        n: image.n,
        n_tokens,
        d_token: image.d_token,
        n_visible,
        layout: Some(image.layout()),
        ..PatchBatch::default()
    };
    for (sample, noise) in noise.chunks(n_tokens).enumerate() {
        let mut order: Vec<usize> = (0..n_tokens).collect();
        order.sort_by(|a, b| noise[*a].total_cmp(&noise[*b]));
        let mut hidden = order.split_off(n_visible);
        hidden.sort_unstable();
        for token in order {
            batch.visible_index.push(token as i32);
            batch.visible.extend(image.token(sample, token));
        }
        for token in hidden {
            batch.masked_index.push(token as i32);
            let values = image.token(sample, token);
            let n = values.len() as f32;
            let mean = values.iter().sum::<f32>() / n;
            let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / (n - 1.0);
            let (mean, deviation) = if normalise { (mean, (variance + 1e-6).sqrt()) } else { (0.0, 1.0) };
            batch.targets.extend(values.iter().map(|value| (value - mean) / deviation));
        }
    }
    batch
}

/// Latents, predictions and both losses. `of_mask` and `of_image` precede the names of the tensors. Returns the largest error.
fn compare_masked(imported: &Imported, expected: &Expected, of_image: &str, of_mask: &str) -> f32 {
    let device = Device::flex();
    let image = expected.image(&format!("{of_image}image"), 16);
    let noise = expected.floats(&format!("{of_image}noise"));
    let batch = |normalise| masked(&image, &noise, 4, normalise);
    let patches = PatchTensors::new(batch(false), &device);
    let latents = imported.model.encode_patches(0, &patches, 0, None);
    let predicted = reconstruct(&imported.model, 0, latents.clone(), &patches);
    let mut worst = expected.same(&format!("{of_mask}latent"), &values(latents));
    worst = worst.max(expected.same(&format!("{of_mask}pred"), &values(predicted)));
    for (name, normalise) in [("loss", false), ("loss_normalised_pixels", true)] {
        let batch = DeviceBatch::new(HostBatch::Patches(batch(normalise)), &device);
        let encoded = imported.model.encode(0, &batch, 0, None);
        let loss = pretext_loss(&imported.model, 0, &batch, encoded);
        worst = worst.max(expected.same(&format!("{of_mask}{name}"), &values(loss)));
    }
    println!("{of_mask} masked: {worst:.1e}");
    worst
}

/// The file also holds an optimiser's state and an `argparse.Namespace`.
#[test]
fn mae() {
    let expected = Expected::open("mae");
    let mae = imported("mae_pretrain.pth", &heads(4));
    compare_masked(&mae, &expected, "", "masked.");
    let image = expected.image("image", 16);
    let states = mae.model.hidden_states(0, &image.batch());
    let blocks = states.blocks.iter().enumerate().map(|(at, block)| (format!("after_block_{}", at + 1), block.clone()));
    let others = [("embedded".to_string(), states.embedded.clone()), ("normed".to_string(), states.output.clone())];
    for (name, tensor) in blocks.chain(others) {
        let name = format!("features.{name}");
        if expected.has(&name) {
            println!("{name}: {:.1e}", expected.same(&name, &values(tensor)));
        }
    }
    let pooled = values(states.blocks[2].clone().narrow(1, 1, 16).mean_dim(1));
    let file = TensorFile::open(&weights("mae_pretrain.pth")).unwrap();
    expected.same("features.pool_mean_then_norm", &layer_norm(&pooled, &file, 48));
    let rows = expected.floats("positions_6x6").split_off(48);
    let error = largest_error(&positions_at(&mae, [6, 6]), &rows);
    println!("positions_6x6: {error:.1e}");
    assert!(error < super::TOLERANCE, "{error:e}");
    let left: Vec<&str> = mae.report.left.iter().map(|entry| entry.key.as_str()).collect();
    assert!(left.iter().any(|key| key.starts_with("optimizer")) && left.contains(&"args"), "{left:?}");
    assert!(mae.report.fresh.is_empty(), "{:?}", mae.report.fresh);
}

#[test]
fn transformers_mae() {
    let expected = Expected::open("hf");
    let mae = imported("hf_vit_mae", &Import::default());
    compare_masked(&mae, &expected, "hf_vit_mae.", "hf_vit_mae.");
    assert_eq!(mae.config.variant.decoder_epsilon, 1e-12);
    compare(&mae, &expected, "hf_vit_mae.features", &expected, "hf_vit_mae");
}
