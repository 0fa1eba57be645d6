//! The choices of the reference implementation that are settings here: what each changes in a stage.

use medcoss_core::Error;
use medcoss_core::buffer::{BufferConfig, FeatureMode};
use medcoss_core::continual::{MedcossConfig, StrategyConfig};
use medcoss_core::optimisation::{MissingGradients, OptimiserConfig};
use medcoss_core::run::{RunLayout, StageFolder, StoredModel};
use medcoss_core::stage::StageSettings;

use crate::synthetic::{Impatient, Synthetic, metrics, run, run_watched, settings};

fn zero() -> StageSettings {
    let usual = settings(2);
    let optimiser = OptimiserConfig { missing_gradients: MissingGradients::Zero, ..usual.optimiser.clone() };
    StageSettings { optimiser, ..usual }
}

/// Movement of a family's embedder in the second stage, whose batches are of another family but for one of the buffer an epoch.
fn movement(settings: &StageSettings) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (Synthetic::counting(40), Synthetic::waves(64));
    let states = run(folder.path(), &first, &second, settings).unwrap();
    let layout = RunLayout::open(folder.path()).unwrap();
    let tokens = |at: usize, name: &str| {
        let stored = StoredModel::of_stage(&StageFolder::new(&layout, at + 1, name), &states[at]);
        let mut found = Vec::new();
        let model = stored.load(&medcoss_core::device::by_name("cpu").unwrap()).unwrap();
        model
            .visit_parameters(&mut |parameter| {
                if parameter.path == "embedders.0.tokens" {
                    found = parameter.values()?;
                }
                Ok(())
            })
            .unwrap();
        found
    };
    let (before, after) = (tokens(0, "counting"), tokens(1, "waves"));
    before.iter().zip(&after).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn parameters_without_a_gradient_move_where_it_counts_as_zero() {
    let [skipped, zero] = [movement(&settings(2)), movement(&zero())];
    assert!(zero > 1.2 * skipped, "{zero} with zeros, {skipped} without");
}

#[test]
fn missing_gradients_as_zero_survive_an_interruption() {
    let (stopped, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (Synthetic::counting(30), Synthetic::waves(40));
    let often = StageSettings { checkpoint_every_steps: Some(2), checkpoint_every: 5, ..zero() };
    let expected = run(whole.path(), &first, &second, &zero()).unwrap();
    let found = loop {
        let mut observer = Impatient { patience: 9, ..Impatient::default() };
        match run_watched(stopped.path(), &first, &second, &often, &mut observer) {
            Ok(states) => break states,
            Err(Error::Interrupted { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(found, expected);
    assert!(found.iter().all(|state| state.updated_parameters.is_empty()), "a finished stage counts no more");
}

#[test]
fn an_incomplete_accumulation_is_dropped_and_one_that_is_never_complete_refused() {
    let folder = tempfile::tempdir().unwrap();
    // 24 / 8 = 3 batches: an update of two, and one batch more.
    let (first, second) = (Synthetic::counting(24), Synthetic::waves(8));
    let drops = StageSettings { epochs: 3, gradient_accumulation: 2, drop_last: true, ..settings(1) };
    // The second stage has a batch of its own and one of the buffer.
    run(folder.path(), &first, &second, &drops).unwrap();
    for (epoch, line) in metrics(folder.path(), "01-counting").iter().enumerate() {
        assert_eq!(line.learning_rate, drops.schedule().learning_rate(epoch as f64), "the rate of the first update");
    }
    let never = StageSettings { gradient_accumulation: 4, ..drops };
    let error = run(tempfile::tempdir().unwrap().path(), &first, &second, &never).unwrap_err().to_string();
    assert!(error.contains("training.gradient_accumulation is 4") && error.contains("the 3 batches"), "{error}");
}

#[test]
fn a_buffer_smaller_than_a_batch_is_left_out_and_named() {
    let (first, second) = (Synthetic::counting(30), Synthetic::waves(40));
    let usual = settings(2);
    // 30 * 0.2 = 6 samples, a batch has 8.
    let drops = StageSettings { buffer: BufferConfig { drop_last: true, ..usual.buffer.clone() }, ..settings(2) };
    for (settings, rehearses) in [(usual, true), (drops, false)] {
        let folder = tempfile::tempdir().unwrap();
        let mut observer = Impatient { patience: usize::MAX, ..Impatient::default() };
        run_watched(folder.path(), &first, &second, &settings, &mut observer).unwrap();
        let line = &metrics(folder.path(), "02-waves")[0];
        assert_eq!(line.distillation.contains_key("counting"), rehearses);
        let said =
            observer.warnings.iter().any(|warning| warning.contains("counting is not rehearsed: it has 6 samples"));
        assert_eq!(said, !rehearses, "{:?}", observer.warnings);
    }
}

#[test]
fn features_in_training_mode_and_a_teacher_of_its_own_give_other_numbers_and_the_same_again() {
    let (first, second) = (Synthetic::waves(60), Synthetic::waves(40));
    let usual = StageSettings { epochs: 3, ..settings(2) };
    let buffer = BufferConfig { feature_mode: FeatureMode::Training, pool_padding: true, ..usual.buffer.clone() };
    let medcoss =
        MedcossConfig { teacher_temporal_position: true, teacher_drop_path: true, ..MedcossConfig::default() };
    let strategy = StrategyConfig { medcoss, ..StrategyConfig::default() };
    let run = |settings: &StageSettings| {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &first, &second, settings).unwrap();
        let layout = RunLayout::open(folder.path()).unwrap();
        let buffer = StageFolder::new(&layout, 1, "waves").buffer().unwrap();
        (buffer, metrics(folder.path(), "02-waves"))
    };
    let (plain_buffer, plain) = run(&usual);
    let (buffer_, _) = run(&StageSettings { buffer: buffer.clone(), ..usual.clone() });
    assert_ne!(buffer_, plain_buffer);
    let (same_buffer, other) = run(&StageSettings { strategy: strategy.clone(), ..usual.clone() });
    assert_eq!(same_buffer, plain_buffer);
    // The teacher is the student at the first update; with a position and a depth of its own its features differ.
    assert!(other[0].distillation["waves"] > plain[0].distillation["waves"]);
    let both = StageSettings { strategy, buffer, ..usual };
    assert_eq!(run(&both), run(&both));
}
