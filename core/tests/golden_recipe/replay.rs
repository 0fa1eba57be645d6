//! Six batches of a stage with rehearsal, three updates, with both treatments of parameters without a gradient.

use std::collections::{BTreeMap, BTreeSet};

use burn::optim::{GradientsAccumulator, GradientsParams};
use medcoss_core::data::{HostBatch, TokenBatch};
use medcoss_core::model::{Model, fill_missing_gradients};
use medcoss_core::optimisation::{OptimiserConfig, Schedule, adamw};
use medcoss_core::pretext::pretext_loss;
use medcoss_core::weights::UNUSED;

use super::{FORWARD, Models, Recipe, close, names, norm, published, without_key_bias};

/// Error of a tensor's movement, over the norm of the movement.
const MOVEMENT: f64 = 1e-3;

impl Recipe {
    /// A batch of reports, each token and its mask entry from the sample or its partner.
    fn mixed_text(&self, batch: usize) -> HostBatch {
        let of = |name: &str| format!("batch_{batch}.{name}");
        let HostBatch::Tokens(plain) = self.text([&of("ids"), &of("mask")], None) else { panic!("text") };
        let (own, partners) = (self.integers(&of("own")), self.integers(&of("permutation")));
        let draws = self.floats(&of("draws"));
        let ratio = self.floats(&of("ratio"))[0];
        let from = |at: usize| {
            assert_eq!(own[at] == 1, draws[at] < ratio);
            let (row, token) = (at / plain.length, at % plain.length);
            if own[at] == 1 { at } else { partners[row] as usize * plain.length + token }
        };
        let all = 0..plain.ids.len();
        HostBatch::Tokens(TokenBatch {
            ids: all.clone().map(|at| plain.ids[from(at)]).collect(),
            attended: all.map(|at| plain.attended[from(at)]).collect(),
            ..plain
        })
    }
}

/// Values of all parameters by published name.
fn values(model: &Model, models: &Models) -> BTreeMap<String, Vec<f32>> {
    published(model, &models.config, &mut |parameter| Some(parameter.values().unwrap()))
}

fn replay(zeros: bool) {
    let variant = if zeros { "zeros" } else { "none" };
    let (recipe, mut models) = (Recipe::open("replay"), Models::open());
    let start = values(&models.student, &models);
    let config = OptimiserConfig { weight_decay: 0.05, ..OptimiserConfig::default() };
    let mut optimiser = adamw(&config, &models.student);
    let schedule = OptimiserConfig { base_learning_rate: 1e-3, ..config };
    let schedule = Schedule::new(&schedule, 256, 0, 1);
    let mut known = BTreeSet::new();
    let mut losses = Vec::new();
    for update in 0..3 {
        let mut accumulated = GradientsAccumulator::<Model>::new();
        for batch in 2 * update..2 * update + 2 {
            let of = |name: &str| format!("batch_{batch}.{name}");
            let student = &models.student;
            let loss = match batch {
                0 | 5 => {
                    let images = models.upload(recipe.patches(&of("data"), Some(&of("noise")), None));
                    let family = models.family("image");
                    let encoded = student.encode(family, &images, recipe.index(&of("temporal")), None);
                    pretext_loss(student, family, &images, encoded)
                }
                1 | 4 => {
                    let mixed = [of("permutation"), of("lambda")];
                    let mixed = Some([mixed[0].as_str(), &mixed[1]]);
                    let volumes = models.upload(recipe.patches(&of("data"), Some(&of("noise")), mixed));
                    let places = [recipe.index(&of("temporal")), recipe.index(&of("teacher_temporal"))];
                    models.matching("volume", places).loss(&volumes, None, None)
                }
                _ => {
                    let text = models.upload(recipe.mixed_text(batch));
                    models.matching("text", [0, 0]).loss(&text, None, None)
                }
            };
            losses.push(loss.clone().into_scalar::<f32>());
            let gradients = loss.div_scalar(2.0).backward();
            accumulated.accumulate(student, GradientsParams::from_grads(gradients, student));
        }
        let mut gradients = accumulated.grads();
        if zeros {
            fill_missing_gradients(&models.student, &mut gradients, &mut known);
        }
        // The rate of the first batch of each update.
        let rate = schedule.learning_rate(2.0 * update as f64 / 6.0);
        let expected = recipe.notes[variant]["learning_rates"][update].as_f64().unwrap();
        assert!((rate - expected).abs() < 1e-15, "{rate} {expected}");
        let student = models.student.clone();
        models.student = optimiser.step(rate, student, gradients);
        moved(&recipe, variant, update, &models, &start);
    }
    let expected: Vec<f32> =
        recipe.file.doubles(&format!("losses.{variant}")).unwrap().into_iter().map(|loss| loss as f32).collect();
    close(&format!("losses.{variant}"), &losses, &expected, FORWARD);
}

/// Compares the movement of every tensor since the start with the golden one.
fn moved(recipe: &Recipe, variant: &str, update: usize, models: &Models, start: &BTreeMap<String, Vec<f32>>) {
    let now = values(&models.student, models);
    let all = names(&recipe.notes["names"]);
    let norms = recipe.file.doubles(&format!("moved_norm.{variant}")).unwrap();
    let mut worst = (0.0, String::new());
    let (mut n_moved, mut n_still) = (0, 0);
    for (at, name) in all.iter().enumerate() {
        // Of two tensors no part of a model is made, here or there: they are kept for an export.
        let Some(now) = now.get(name) else {
            assert!(UNUSED.iter().any(|(unused, _)| unused == name), "{name}");
            continue;
        };
        let movement: Vec<f32> = now.iter().zip(&start[name]).map(|(now, then)| now - then).collect();
        let key = format!("moved.{variant}.{}.{name}", update + 1);
        if recipe.file.shape(&key).is_err() {
            assert!(movement.iter().all(|value| *value == 0.0), "{name} moved in update {} ({variant})", update + 1);
            assert_eq!(norms[update * all.len() + at], 0.0, "{name}");
            n_still += 1;
            continue;
        }
        n_moved += 1;
        let expected = recipe.floats(&key);
        let step = recipe.notes["stored_every_kth_value"][name].as_u64().unwrap_or(1) as usize;
        let places: Vec<usize> = (0..movement.len()).collect();
        let kept = without_key_bias(name, &places);
        let pairs = movement.iter().enumerate().step_by(step).zip(&expected);
        let pairs = pairs.filter(|((at, _), _)| kept.binary_search(at).is_ok());
        let (found, expected): (Vec<f32>, Vec<f32>) = pairs.map(|((_, found), expected)| (*found, *expected)).unzip();
        let difference: Vec<f32> = found.iter().zip(&expected).map(|(found, expected)| found - expected).collect();
        let error = norm(&difference) / norm(&expected).max(f64::MIN_POSITIVE);
        assert!(error < MOVEMENT, "{variant}, update {update}, {name}: {error:.1e} of its movement");
        if error > worst.0 {
            worst = (error, name.clone());
        }
        if !super::has_key_bias(name) {
            let expected = norms[update * all.len() + at];
            assert!((norm(&movement) / expected - 1.0).abs() < MOVEMENT, "{name}: norm of its movement");
        }
    }
    println!(
        "{variant}, update {}: {n_moved} tensors moved, {n_still} did not; largest error {:.1e} of the movement ({})",
        update + 1,
        worst.0,
        worst.1
    );
}

#[test]
fn a_stage_with_rehearsal_step_by_step_without_missing_gradients() {
    replay(false);
}

#[test]
fn a_stage_with_rehearsal_step_by_step_with_missing_gradients_as_zero() {
    replay(true);
}
