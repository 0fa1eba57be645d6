//! The features by which the reference selects a buffer, the counts, and the selection.

use medcoss_core::buffer::{BufferConfig, BufferInitialisation, KMeansPolicy};
use medcoss_core::clustering::Clusters;
use medcoss_core::model::{Model, StochasticDepth};

use super::{FORWARD, Models, Recipe, close};

/// A mean over all tokens, padding of text included.
fn pooled(tokens: &[f32], n: usize, width: usize) -> Vec<f32> {
    let n_tokens = tokens.len() / n / width;
    let mean = |at: usize| {
        let (sample, column) = (at / width, at % width);
        (0..n_tokens).map(|token| tokens[(sample * n_tokens + token) * width + column]).sum::<f32>() / n_tokens as f32
    };
    (0..n * width).map(mean).collect()
}

#[test]
fn features_in_both_modes_pooled_with_padding() {
    let (recipe, inputs, models) = (Recipe::open("buffer"), Recipe::open("replay"), Models::open());
    let golden = super::Golden::open();
    let model: Model = golden.import("medcoss_tiny.pth").model;
    for (kind, batch) in [("image", 0), ("volume", 1), ("text", 2)] {
        let of = |name: &str| format!("batch_{batch}.{name}");
        let samples = match kind {
            "text" => inputs.text([&of("ids"), &of("mask")], None),
            _ => inputs.patches(&of("data"), None, None),
        };
        let (n, family) = (samples.n(), models.family(kind));
        let samples = medcoss_core::model::DeviceBatch::new(samples, &golden.device);
        let temporal = if kind == "text" { 0 } else { recipe.index(&format!("{kind}.temporal")) };
        let encode = |temporal: usize, depth: Option<StochasticDepth>| {
            let mut depth = depth;
            let tokens = model.encode(family, &samples, temporal, depth.as_mut());
            tokens.into_data().try_to_vec::<f32>().unwrap()
        };
        let same = |name: &str, found: &[f32]| {
            let name = format!("{kind}.{name}");
            close(&name, found, &recipe.floats(&name), FORWARD);
        };
        let training = encode(temporal, Some(recipe.depth(&format!("{kind}.keep"))));
        same("train.tokens", &training);
        same("train.pooled", &pooled(&training, n, 64));
        same("train_without_drop.pooled", &pooled(&encode(temporal, None), n, 64));
        let evaluation = encode(0, None);
        same("eval.tokens", &evaluation);
        same("eval.pooled", &pooled(&evaluation, n, 64));
    }
}

fn policy() -> KMeansPolicy {
    let BufferConfig { cluster_ratio, ratio, .. } = BufferConfig::default();
    KMeansPolicy {
        cluster_ratio,
        ratio,
        backfill: false,
        mini_batches: false,
        initialisation: BufferInitialisation::KMeansPlusPlus,
        n_starts: 10,
    }
}

#[test]
fn counts_by_the_references_rule() {
    let recipe = Recipe::open("buffer");
    for row in recipe.notes["counts"]["rule"].as_array().unwrap() {
        let number = |name: &str| row[name].as_u64().map(|number| number as usize);
        let n = number("samples").unwrap();
        let found = policy().counts(n);
        match number("kept_per_centre") {
            Some(kept) => assert_eq!(found, [number("centres").unwrap(), kept], "{n} samples"),
            // The reference divides by zero; here there is one cluster.
            None => assert_eq!(found, [1, (n / 20).max(1)], "{n} samples"),
        }
    }
}

#[test]
fn the_selection_keeps_the_same_samples() {
    let recipe = Recipe::open("buffer");
    let (labels, distances) =
        (recipe.integers("selection.labels"), recipe.file.doubles("selection.distances").unwrap());
    let centres = recipe.floats("selection.centres");
    let features = recipe.floats("selection.features");
    // The nearest of the given centres, found a second time.
    for (at, point) in features.chunks_exact(8).enumerate() {
        let centre = &centres[8 * labels[at] as usize..][..8];
        let square: f64 = point.iter().zip(centre).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        assert!((square.sqrt() - distances[at]).abs() < 1e-6);
    }
    let clusters = Clusters {
        centres: centres.iter().map(|value| f64::from(*value)).collect(),
        labels: labels.iter().map(|label| *label as usize).collect(),
        distances: distances.clone(),
        n_centres: 3,
    };
    let selected = policy().nearest(&clusters);
    assert_eq!(selected.len(), recipe.integers("selection.kept").len());

    // In each cluster the nearest come first; of members at one distance any may be kept.
    let expected: Vec<Vec<u64>> = recipe.notes["selection"]["kept_per_centre_by_distance_then_index"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kept| kept.as_array().unwrap().iter().map(|index| index.as_u64().unwrap()).collect())
        .collect();
    let mut found = vec![Vec::new(); expected.len()];
    for selected in &selected {
        found[selected.cluster].push(selected.index as u64);
    }
    for (cluster, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let distance = |index: &u64| distances[*index as usize];
        let of = |indices: &[u64]| indices.iter().map(distance).collect::<Vec<_>>();
        assert_eq!(found.len(), expected.len(), "cluster {cluster}: {found:?}, expected {expected:?}");
        for (found, expected) in of(found).iter().zip(of(expected)) {
            assert!((found - expected).abs() < 1e-6, "cluster {cluster}: {found} {expected}");
        }
    }
    println!("kept: {found:?}");
}
