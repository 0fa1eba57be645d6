//! Every strategy over two stages: its training samples, its files, and that a resumed run equals an uninterrupted one.

use std::path::Path;

use crate::synthetic::{Impatient, Synthetic, metrics, run, run_watched, settings};
use medcoss_core::Error;
use medcoss_core::buffer::BufferSelection;
use medcoss_core::continual::{DistillationTarget, Strategy, model_of_stage};
use medcoss_core::model::Model;
use medcoss_core::run::{RunLayout, StageFolder, StageState, StoredModel};
use medcoss_core::stage::StageSettings;

fn with(strategy: Strategy) -> StageSettings {
    let mut settings = settings(2);
    settings.epochs = 6;
    settings.strategy.name = strategy;
    (settings.strategy.ewc.n_samples, settings.strategy.ewc.lambda) = (5, 1.0);
    settings
}

fn load(folder: &Path, state: &StageState, modality: &str) -> Model {
    let device = medcoss_core::device::by_name("cpu").unwrap();
    let folder = StageFolder::new(&RunLayout::open(folder).unwrap(), state.stage, modality);
    StoredModel::of_stage(&folder, state).load(&device).unwrap()
}

/// Values by path.
fn encoder(model: &Model) -> Vec<(String, Vec<f32>)> {
    let mut found = Vec::new();
    model
        .visit_parameters(&mut |parameter| {
            if parameter.path.starts_with("encoder.") {
                found.push((parameter.path.to_string(), parameter.values()?));
            }
            Ok(())
        })
        .unwrap();
    found
}

#[test]
fn each_strategy_trains_on_its_samples_and_writes_its_files() {
    let (first, second) = (Synthetic::waves(60), Synthetic::counting(50));
    for strategy in Strategy::ALL {
        let folder = tempfile::tempdir().unwrap();
        let states = run(folder.path(), &first, &second, &with(strategy)).unwrap();
        let line = metrics(folder.path(), "02-counting").pop().unwrap();
        let pretext: Vec<&str> = line.pretext.keys().map(String::as_str).collect();
        let distilled: Vec<&str> = line.distillation.keys().map(String::as_str).collect();
        let (expected_pretext, expected_distilled): (&[&str], &[&str]) = match strategy {
            Strategy::Medcoss => (&["counting"], &["waves"]),
            Strategy::Replay | Strategy::Joint => (&["counting", "waves"], &[]),
            Strategy::Lwf | Strategy::Cassle => (&["counting"], &["counting"]),
            _ => (&["counting"], &[]),
        };
        assert_eq!((&pretext[..], &distilled[..]), (expected_pretext, expected_distilled), "{strategy}");
        assert_eq!(line.penalty.is_some_and(|penalty| penalty > 0.0), strategy == Strategy::Ewc, "{strategy}");

        let buffer = StageFolder::new(&RunLayout::open(folder.path()).unwrap(), 1, "waves").buffer().unwrap();
        assert_eq!(buffer.entries.len(), if strategy.keeps_buffer() { 12 } else { 0 }, "{strategy}");
        let files: Vec<&str> = states[1].checksums.keys().map(String::as_str).collect();
        let further = match strategy {
            Strategy::Ewc => Some("importance.bpk"),
            Strategy::Packnet => Some("owners.bpk"),
            _ => None,
        };
        let mut expected: Vec<&str> =
            ["buffer.jsonl", "metrics.jsonl", "model.bpk"].into_iter().chain(further).collect();
        expected.sort_unstable();
        assert_eq!(files, expected, "{strategy}");
        // Under `joint` only the last stage learns: 7 batches of the first modality for 6 of the second.
        let steps: Vec<u64> = states.iter().map(|state| state.steps).collect();
        let expected = match strategy {
            Strategy::Joint => vec![0, 6 * (7 + 6)],
            Strategy::Medcoss | Strategy::Replay => vec![6 * 7, 6 * (6 + 1)],
            _ => vec![6 * 7, 6 * 6],
        };
        assert_eq!(steps, expected, "{strategy}");
    }
}

#[test]
fn a_resumed_run_of_any_strategy_equals_an_uninterrupted_one() {
    let (first, second) = (Synthetic::counting(30), Synthetic::waves(40));
    for strategy in Strategy::ALL {
        let (stopped, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let expected = run(whole.path(), &first, &second, &with(strategy)).unwrap();
        let often = StageSettings { checkpoint_every_steps: Some(2), ..with(strategy) };
        let mut n_stops = 0;
        let found = loop {
            let mut observer = Impatient { patience: 7, ..Impatient::default() };
            match run_watched(stopped.path(), &first, &second, &often, &mut observer) {
                Ok(states) => break states,
                Err(Error::Interrupted { .. }) => n_stops += 1,
                Err(error) => panic!("{strategy}: {error}"),
            }
            assert!(n_stops < 60, "{strategy}");
        };
        assert_eq!(found, expected, "{strategy}");
        assert!(n_stops >= 5, "{strategy}: {n_stops}");
        for stage in ["01-counting", "02-waves"] {
            assert_eq!(metrics(stopped.path(), stage), metrics(whole.path(), stage), "{strategy}");
        }
    }
}

#[test]
fn packnet_recovers_a_previous_model_and_single_starts_from_the_initial_model() {
    let (first, second) = (Synthetic::waves(40), Synthetic::counting(40));
    let device = medcoss_core::device::by_name("cpu").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let states = run(folder.path(), &first, &second, &with(Strategy::Packnet)).unwrap();
    let last =
        StoredModel::of_stage(&StageFolder::new(&RunLayout::open(folder.path()).unwrap(), 2, "counting"), &states[1]);
    let before = encoder(&load(folder.path(), &states[0], "waves"));
    assert_ne!(encoder(&last.load(&device).unwrap()), before);
    assert_eq!(encoder(&model_of_stage(&last, 1, &device).unwrap()), before);
    assert_eq!(encoder(&model_of_stage(&last, 2, &device).unwrap()), encoder(&last.load(&device).unwrap()));

    // The second model of `single` equals the model of a run with the second modality alone, except for random draws, whose key has the stage.
    let folder = tempfile::tempdir().unwrap();
    let few = StageSettings { optimiser: no_learning(), ..with(Strategy::Single) };
    let states = run(folder.path(), &first, &second, &few).unwrap();
    let fresh = encoder(&Model::new(&states[1].model, states[1].seed, 2, &device));
    for ((path, found), (_, expected)) in encoder(&load(folder.path(), &states[1], "counting")).iter().zip(&fresh) {
        assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-20), "{path}");
    }
}

fn no_learning() -> medcoss_core::optimisation::OptimiserConfig {
    medcoss_core::optimisation::OptimiserConfig { base_learning_rate: 1e-30, ..Default::default() }
}

#[test]
fn every_selection_fills_the_buffer_and_every_target_is_distilled() {
    let (first, second) = (Synthetic::counting(40), Synthetic::waves(40));
    let mut buffers = Vec::new();
    for selection in [
        BufferSelection::KMeans,
        BufferSelection::MiniBatchKMeans,
        BufferSelection::Random,
        BufferSelection::Herding,
        BufferSelection::Reservoir,
        BufferSelection::KCentre,
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = with(Strategy::Medcoss);
        settings.buffer.selection = selection;
        run(folder.path(), &first, &second, &settings).unwrap();
        let buffer = StageFolder::new(&RunLayout::open(folder.path()).unwrap(), 1, "counting").buffer().unwrap();
        let mut ids: Vec<String> = buffer.entries.into_iter().map(|entry| entry.id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 8, "{selection:?}");
        // These data fit into one mini-batch, so that mini-batch k-means may find the clusters of full k-means.
        if selection != BufferSelection::MiniBatchKMeans {
            buffers.push(ids);
        }
    }
    buffers.sort();
    buffers.dedup();
    assert_eq!(buffers.len(), 5, "two samplers chose the same");

    let mut losses = Vec::new();
    for (target, weight) in [
        (DistillationTarget::Tokens, 1.0),
        (DistillationTarget::Class, 1.0),
        (DistillationTarget::Mean, 1.0),
        (DistillationTarget::Tokens, 0.0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = with(Strategy::Medcoss);
        (settings.strategy.medcoss.distillation_target, settings.strategy.medcoss.distillation_weight) =
            (target, weight);
        run(folder.path(), &first, &second, &settings).unwrap();
        losses.push(metrics(folder.path(), "02-waves").pop().unwrap().distillation["counting"]);
    }
    assert!(losses[..3].iter().all(|loss| *loss > 0.0) && losses[3] == 0.0, "{losses:?}");
    assert!(losses[0] != losses[1] && losses[1] != losses[2], "{losses:?}");
}
