//! Stages over small synthetic datasets: learning, rehearsal, determinism, continuation after a failure.

use std::path::Path;
use std::sync::atomic::Ordering;

use crate::synthetic::{Impatient, Synthetic, metrics, run, run_watched, settings};
use medcoss_core::RunError;
use medcoss_core::buffer::BufferSelection;
use medcoss_core::model::Precision;
use medcoss_core::run::{RunLayout, StageFolder, StoredModel};
use medcoss_core::stage::{Observer, StageSettings, StepReport};
use medcoss_core::{Error, device};

#[test]
fn two_stages_learn_keep_a_buffer_and_distil_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = StageSettings { epochs: 60, ..settings(2) };
    let states = run(folder.path(), &Synthetic::waves(60), &Synthetic::counting(50), &settings).unwrap();

    let waves = metrics(folder.path(), "01-waves");
    assert_eq!(waves.len(), 60);
    assert!(waves[59].pretext["waves"] < 0.7 * waves[0].pretext["waves"], "{waves:?}");
    assert!(waves.iter().all(|line| line.distillation.is_empty()));

    let counting = metrics(folder.path(), "02-counting");
    // Lower than the entropy of 11 equally frequent ids: the model must use neighbouring tokens.
    assert!(counting[59].pretext["counting"] < 0.9 * 11f64.ln(), "{counting:?}");
    assert!(counting.iter().all(|line| line.distillation["waves"].is_finite()));
    // At the first update the student still is the teacher, but for stochastic depth.
    assert!(counting[0].distillation["waves"] > 0.0);

    let buffer = StageFolder::new(&RunLayout::open(folder.path()).unwrap(), 1, "waves").buffer().unwrap();
    assert_eq!(buffer.entries.len(), 12);
    // 50 / 8 batches of text and 12 / 8 of the buffer an epoch.
    assert_eq!(states[1].steps, 60 * (50 / 8 + 1));
    assert_eq!(states[1].model.families.len(), 2);
}

#[test]
fn the_same_seed_gives_the_same_bytes_with_any_number_of_workers() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = run(one.path(), &Synthetic::counting(30), &Synthetic::waves(40), &settings(1)).unwrap();
    let b = run(other.path(), &Synthetic::counting(30), &Synthetic::waves(40), &settings(3)).unwrap();
    assert_eq!(a, b);
    assert!(a.iter().all(|state| state.checksums.len() == 3));
}

#[test]
fn the_learning_rate_is_that_of_the_first_accumulated_batch() {
    let folder = tempfile::tempdir().unwrap();
    let settings = StageSettings { epochs: 3, gradient_accumulation: 2, ..settings(1) };
    // 32 / 8 = 4 batches of the first modality make two updates an epoch: the last begins in its middle.
    run(folder.path(), &Synthetic::counting(32), &Synthetic::waves(8), &settings).unwrap();
    for (epoch, line) in metrics(folder.path(), "01-counting").iter().enumerate() {
        let expected = settings.schedule().learning_rate(epoch as f64 + 0.5);
        assert_eq!(line.learning_rate, expected);
    }
}

#[test]
fn a_run_resumed_after_a_failure_equals_an_uninterrupted_one() {
    let (broken, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (Synthetic::counting(30), Synthetic::waves(40));
    let expected = run(whole.path(), &first, &second, &settings(2)).unwrap();
    for patience in [1, 17, 40] {
        first.patience.store(patience, Ordering::Relaxed);
        second.patience.store(patience, Ordering::Relaxed);
        let error = run(broken.path(), &first, &second, &settings(2)).unwrap_err();
        assert_eq!(error.to_string(), "out of patience");
    }
    first.patience.store(usize::MAX, Ordering::Relaxed);
    second.patience.store(usize::MAX, Ordering::Relaxed);
    assert_eq!(run(broken.path(), &first, &second, &settings(2)).unwrap(), expected);
    let left: Vec<_> = std::fs::read_dir(broken.path().join("stages/02-waves"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("checkpoint"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

fn checkpoints(folder: &Path, stage: &str) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder.join("stages").join(stage))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("checkpoint"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_run_stopped_within_an_epoch_equals_an_uninterrupted_one() {
    let (stopped, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (Synthetic::counting(30), Synthetic::waves(40));
    let often = StageSettings { checkpoint_every_steps: Some(2), checkpoint_every: 5, ..settings(2) };
    let expected = run(whole.path(), &first, &second, &settings(1)).unwrap();
    let mut places = Vec::new();
    let found = loop {
        let mut observer = Impatient { patience: 7, ..Impatient::default() };
        match run_watched(stopped.path(), &first, &second, &often, &mut observer) {
            Ok(states) => break states,
            Err(Error::Interrupted { place, .. }) => places.push(place),
            Err(error) => panic!("{error}"),
        }
        assert!(places.len() < 40, "{places:?}");
    };
    assert_eq!(found, expected);
    for stage in ["01-counting", "02-waves"] {
        assert_eq!(metrics(stopped.path(), stage), metrics(whole.path(), stage));
    }
    // 30 / 8 batches an epoch and two a checkpoint: the requests fall within epochs, between epochs and into the selection of the buffer.
    assert!(places.iter().any(|place| place.contains("epoch 3, step 2 of 3")), "{places:?}");
    assert!(places.iter().any(|place| place.contains("while the buffer was chosen")), "{places:?}");
}

#[test]
fn a_damaged_checkpoint_is_skipped_and_changes_no_result() {
    let (stopped, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (Synthetic::counting(30), Synthetic::waves(40));
    let expected = run(whole.path(), &first, &second, &settings(2)).unwrap();
    let mut observer = Impatient { patience: 20, ..Impatient::default() };
    run_watched(stopped.path(), &first, &second, &settings(2), &mut observer).unwrap_err();
    let names = checkpoints(stopped.path(), "01-counting");
    assert_eq!(names.len(), 2, "{names:?}");
    let spoil = |checkpoint: &str, file: &str| {
        let path = stopped.path().join("stages/01-counting").join(checkpoint).join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        std::fs::write(&path, bytes).unwrap();
    };
    spoil(&names[1], "optimizer.bpk");
    let mut observer = Impatient { patience: usize::MAX, ..Impatient::default() };
    assert_eq!(run_watched(stopped.path(), &first, &second, &settings(2), &mut observer).unwrap(), expected);
    assert_eq!(observer.warnings.len(), 1);
    assert!(observer.warnings[0].contains("optimizer.bpk"), "{:?}", observer.warnings);

    // With all checkpoints damaged the stage fails; training does not silently restart.
    let none = tempfile::tempdir().unwrap();
    let mut observer = Impatient { patience: 20, ..Impatient::default() };
    run_watched(none.path(), &first, &second, &settings(2), &mut observer).unwrap_err();
    for name in checkpoints(none.path(), "01-counting") {
        std::fs::write(none.path().join("stages/01-counting").join(name).join("state.json"), "{}").unwrap();
    }
    let error = run(none.path(), &first, &second, &settings(2)).unwrap_err();
    assert!(error.to_string().contains("none of the checkpoints of stages/01-counting"), "{error}");
    assert!(matches!(error, Error::Run(RunError::NoValidCheckpoint { .. })), "{error:?}");
}

#[test]
fn a_modality_that_comes_again_has_losses_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &Synthetic::waves(40), &Synthetic::waves(30), &settings(2)).unwrap();
    let lines = metrics(folder.path(), "02-waves");
    assert_eq!(lines[0].pretext.keys().collect::<Vec<_>>(), ["waves#2"]);
    assert_eq!(lines[0].distillation.keys().collect::<Vec<_>>(), ["waves"]);
}

#[test]
fn a_few_invalid_samples_are_named_and_left_out_and_many_stop_the_stage() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Synthetic::waves(60);
    first.unreadable = vec![3];
    let settings = StageSettings { max_invalid_fraction: 0.02, ..settings(2) };
    let states = run(folder.path(), &first, &Synthetic::counting(30), &settings).unwrap();
    assert_eq!(states[0].invalid_samples.keys().collect::<Vec<_>>(), ["waves/003"]);
    assert!(
        StageFolder::new(&RunLayout::open(folder.path()).unwrap(), 1, "waves")
            .buffer()
            .unwrap()
            .entries
            .iter()
            .all(|e| e.id != "waves/003")
    );

    let folder = tempfile::tempdir().unwrap();
    first.unreadable = vec![3, 4, 5];
    let error = run(folder.path(), &first, &Synthetic::counting(30), &settings).unwrap_err().to_string();
    assert!(
        error.contains("2 of 60") && error.contains("it is torn") && error.contains("max_invalid_fraction"),
        "{error}"
    );
}

/// A fraction of 1 % is no sample of 48.
#[test]
fn one_invalid_sample_of_a_small_dataset_is_above_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Synthetic::waves(48);
    first.unreadable = vec![3];
    let error = run(folder.path(), &first, &Synthetic::counting(30), &settings(2)).unwrap_err().to_string();
    assert!(error.contains("1 of 48") && error.contains("max_invalid_fraction"), "{error}");
}

/// The features of a stage are read in batches of 32: the second batch has no readable sample, and so no width of its own.
#[test]
fn a_batch_without_readable_samples_does_not_disturb_the_selection() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Synthetic::waves(40);
    first.unreadable = (32..40).collect();
    let settings = StageSettings { max_invalid_fraction: 0.2, epochs: 2, ..settings(2) };
    run(folder.path(), &first, &Synthetic::counting(30), &settings).unwrap();
    let buffer = StageFolder::new(&RunLayout::open(folder.path()).unwrap(), 1, "waves").buffer().unwrap();
    // A fifth of the 32 readable samples.
    assert_eq!(buffer.entries.len(), 6);
    assert!(buffer.entries.iter().all(|entry| entry.distance.is_finite() && *entry.id < *"waves/032"), "{buffer:?}");
}

#[test]
fn a_checkpoint_of_more_epochs_than_the_stage_has_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (Synthetic::waves(40), Synthetic::counting(30));
    let mut observer = Impatient { patience: 18, ..Impatient::default() };
    run_watched(folder.path(), &first, &second, &settings(2), &mut observer).unwrap_err();
    let fewer = StageSettings { epochs: 1, warmup_epochs: 0, ..settings(2) };
    let error = run(folder.path(), &first, &second, &fewer).unwrap_err();
    assert!(matches!(error, Error::Run(RunError::CheckpointMismatch { field: "finished epochs", .. })), "{error:?}");
    assert!(error.to_string().contains("at most 1"), "{error}");
}

#[test]
fn stages_with_equally_many_samples_draw_different_ones_for_their_buffers() {
    for selection in [BufferSelection::Random, BufferSelection::Reservoir] {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = StageSettings { epochs: 2, ..settings(2) };
        settings.buffer.selection = selection;
        run(folder.path(), &Synthetic::waves(40), &Synthetic::counting(40), &settings).unwrap();
        let kept = |number: usize, modality: &str| -> Vec<String> {
            let buffer = StageFolder::new(&RunLayout::open(folder.path()).unwrap(), number, modality).buffer().unwrap();
            buffer.entries.iter().map(|entry| entry.id.replace(modality, "")).collect()
        };
        let (first, second) = (kept(1, "waves"), kept(2, "counting"));
        assert_eq!((first.len(), second.len()), (8, 8));
        assert_ne!(first, second, "{selection:?}");
    }
}

#[test]
fn a_loss_that_is_not_finite_stops_the_stage_at_its_step_however_late_it_is_read() {
    let mut first = Synthetic::waves(60);
    first.value = 1e30;
    let mut settings = settings(2);
    settings.optimiser.base_learning_rate = 1e12;
    let mut errors = Vec::new();
    for loss_every_steps in [None, Some(4), Some(1000)] {
        let folder = tempfile::tempdir().unwrap();
        settings.loss_every_steps = loss_every_steps;
        settings.checkpoint_every_steps = Some(2);
        let error = run(folder.path(), &first, &Synthetic::counting(30), &settings).unwrap_err().to_string();
        assert!(error.contains("stages/01-waves, epoch 1, step") && error.contains("pretext loss of waves"), "{error}");
        assert!(error.contains("checkpoint"), "{error}");
        errors.push((error, checkpoints(folder.path(), "01-waves")));
    }
    assert!(errors.iter().all(|found| *found == errors[0]), "{errors:#?}");
}

#[test]
fn losses_that_are_read_together_equal_those_read_one_by_one() {
    let (first, second) = (Synthetic::waves(40), Synthetic::counting(90));
    let run = |loss_every_steps: usize| {
        let folder = tempfile::tempdir().unwrap();
        let settings = StageSettings { loss_every_steps: Some(loss_every_steps), epochs: 3, ..settings(2) };
        let mut reports = Reports::default();
        let states = run_watched(folder.path(), &first, &second, &settings, &mut reports).unwrap();
        (states, metrics(folder.path(), "01-waves"), metrics(folder.path(), "02-counting"), reports.0)
    };
    let at_once = run(1);
    // 5 batches, and 11 and 1 of the buffer; three epochs of each.
    assert_eq!(at_once.3.len(), 3 * (5 + 12));
    for together in [2, 7, 100] {
        assert_eq!(run(together), at_once, "{together}");
    }
}

/// Keeps what it hears of each batch.
#[derive(Default)]
struct Reports(Vec<(usize, usize, String, f32)>);

impl Observer for Reports {
    fn step(&mut self, report: &StepReport<'_>) {
        self.0.push((report.epoch, report.step, report.label.into(), report.loss));
    }
}

#[test]
fn bfloat16_products_give_nearly_equal_losses_and_float32_parameters() {
    let (first, second) = (Synthetic::waves(60), Synthetic::counting(50));
    let run = |precision: Precision| {
        let folder = tempfile::tempdir().unwrap();
        let settings = StageSettings { precision, epochs: 10, ..settings(2) };
        let states = run(folder.path(), &first, &second, &settings).unwrap();
        let stored = StoredModel::of_stage(
            &StageFolder::new(&RunLayout::open(folder.path()).unwrap(), 2, "counting"),
            &states[1],
        );
        let model = stored.load(&device::by_name("cpu").unwrap()).unwrap();
        assert_eq!(model.precision(), Precision::Float32);
        let mut n_fine = 0;
        model
            .visit_parameters(&mut |parameter| {
                // bfloat16 lacks the last 16 bits.
                n_fine += usize::from(parameter.values()?.iter().any(|value| value.to_bits() & 0xffff != 0));
                Ok(())
            })
            .unwrap();
        assert!(n_fine > 30, "{n_fine} parameters have more bits than bfloat16");
        [metrics(folder.path(), "01-waves"), metrics(folder.path(), "02-counting")].concat()
    };
    let (many, few) = (run(Precision::Float32), run(Precision::Bfloat16));
    assert_ne!(many, few);
    for (many, few) in many.iter().zip(&few) {
        for (label, loss) in many.pretext.iter().chain(&many.distillation) {
            let other = few.pretext.get(label).or(few.distillation.get(label)).unwrap();
            // The distillation loss is a small difference of large numbers.
            let near = if many.pretext.contains_key(label) { 0.05 } else { 0.2 };
            assert!((loss - other).abs() < near * loss, "{label}: {loss} and {other}");
        }
    }
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = settings(2);
    wrong.buffer.ratio = 1.5;
    let error = run(folder.path(), &Synthetic::waves(9), &Synthetic::counting(9), &wrong).unwrap_err().to_string();
    assert!(error.contains("buffer.ratio is 1.5"), "{error}");
    assert!(!folder.path().join("stages").exists());
}
