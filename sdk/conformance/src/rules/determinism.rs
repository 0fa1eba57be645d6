//! Determinism: all randomness comes from a sample's seed.

use medcoss_caller::{FillPattern, SampleView, View};
use std::sync::Mutex;

use crate::batch::{Batch, difference, same};
use crate::open_dataset::{OpenDataset, seed_of};
use crate::outcome::{RuleResult, Stop, passed, violation};
use crate::plugin_under_test::PluginUnderTest;
use crate::repeated_reading::{alone, compare};

/// Times that each thread reads all samples.
const N_ROUNDS: usize = 3;

pub(super) fn evaluation_fixed(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.repeatable_samples()?;
    let seed = under_test.request.seed;
    let (first, other) = (alone(&samples, View::Evaluation, seed)?, alone(&samples, View::Evaluation, !seed)?);
    for (at, (a, b)) in first.iter().zip(&other).enumerate() {
        compare(&samples, at, "in the evaluation view with another seed", a.sample(0), b.sample(0)).map_err(
            |stop| match stop {
                Stop::Violation { detail, .. } => violation(detail, "augment in the training view only"),
                skip => skip,
            },
        )?;
    }
    passed("")
}

pub(super) fn repeatable(under_test: &mut PluginUnderTest) -> RuleResult {
    under_test.try_repeatable()?;
    passed("")
}

pub(super) fn order(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.repeatable_samples()?;
    let seed = under_test.request.seed;
    let n = samples.indices.len();
    let most = samples.batch_size();
    // Forwards, backwards, and with every sample twice; in batches of one to all, as far as memory goes.
    let forwards: Vec<usize> = (0..n).collect();
    let backwards: Vec<usize> = (0..n).rev().collect();
    let twice: Vec<usize> = (0..n).flat_map(|at| [at, n - 1 - at]).collect();
    for view in View::ALL {
        let expected = alone(&samples, view, seed)?;
        for order in [&forwards, &backwards, &twice] {
            for size in [1, 2, 3, most].map(|size| size.min(most)) {
                for places in order.chunks(size) {
                    let indices: Vec<u64> = places.iter().map(|&at| samples.indices[at]).collect();
                    let batch = samples.dataset.read(view, &indices, seed, FillPattern::EmptySample)?;
                    for (slot, &at) in places.iter().enumerate() {
                        let how = format!("at place {slot} of a batch of {} from when it is read alone", places.len());
                        compare(&samples, at, &how, expected[at].sample(0), batch.sample(slot))?;
                    }
                }
            }
        }
    }
    passed(format!("{n} samples forwards, backwards and twice, in batches of up to {most}"))
}

pub(super) fn threads(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.repeatable_samples()?;
    let seed = under_test.request.seed;
    let n_threads = under_test.request.n_threads.max(2);
    let expected = alone(&samples, View::Training, seed)?;
    let n = expected.len();
    let found = Mutex::new(None);
    let dataset = &samples.dataset;
    let indices = &samples.indices;
    std::thread::scope(|scope| {
        for thread in 0..n_threads {
            let (expected, found) = (&expected, &found);
            let started = std::thread::Builder::new().spawn_scoped(scope, move || {
                for step in 0..n * N_ROUNDS {
                    // Threads begin at different samples, every other one backwards.
                    let place = (step + thread * n / n_threads) % n;
                    let at = if thread % 2 == 0 { place } else { n - 1 - place };
                    let stop = match dataset.read(View::Training, &[indices[at]], seed, FillPattern::EmptySample) {
                        Ok(batch) if same(&batch.sample(0), &expected[at].sample(0)) => continue,
                        Ok(batch) => {
                            let difference = difference(&expected[at].sample(0), &batch.sample(0));
                            violation(
                                format!(
                                    "sample {} differs on one of {n_threads} threads: {difference}; the same bytes were \
                                     expected",
                                    dataset.id(indices[at])
                                ),
                                "keep no state by thread, and none that threads share without a lock",
                            )
                        }
                        Err(stop) => stop,
                    };
                    let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    found.get_or_insert(stop);
                    return;
                }
            });
            if let Err(error) = started {
                let stop = violation(
                    format!("no further thread can be started: {error}"),
                    "hold less memory and fewer threads",
                );
                found.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(stop);
                return;
            }
        }
    });
    match found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some(stop) => Err(stop),
        None => passed(format!("{n} samples, {N_ROUNDS} times on each of {n_threads} threads")),
    }
}

pub(super) fn seeds(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.repeatable_samples()?;
    let seed = under_test.request.seed;
    // Few tokens make equal masks likely: over several samples and seeds equality of all is not.
    let first = alone(&samples, View::Training, seed)?;
    for round in 1..=4 {
        let other = alone(&samples, View::Training, seed_of(seed, round))?;
        let differs = |(a, b): (&Batch, &Batch)| match (a.sample(0), b.sample(0)) {
            (SampleView::Continuous { mask, .. }, SampleView::Continuous { mask: other, .. }) => mask != other,
            (a, b) => !same(&a, &b),
        };
        if first.iter().zip(&other).any(differs) {
            return passed("");
        }
    }
    Err(violation(
        format!("{} samples have the same masks with five different seeds; different ones were expected", first.len()),
        "draw the mask from the `rng` that `load` is given",
    ))
}

pub(super) fn apart(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.repeatable_samples()?;
    let plugin = under_test.plugin()?;
    let seed = under_test.request.seed;
    let expected = alone(&samples, View::Training, seed)?;
    let other_data = under_test
        .synthesise("beside", seed.wrapping_add(1))
        .map_err(|_| crate::plugin_under_test::needs("synthesise"))?;
    let twin = OpenDataset::new(plugin, &samples.open)?;
    let other = OpenDataset::new(plugin, &other_data)?;
    let remedy = "keep what belongs to a dataset in the dataset, not in statics";
    let look = |with: &str, read: &OpenDataset| {
        for (at, index) in samples.indices.iter().enumerate() {
            if !other.records.is_empty() {
                let neighbour = index % other.len() as u64;
                // Whether the neighbour's sample can be read is no matter here.
                let mut batch = Batch::new(&other.shape, FillPattern::EmptySample);
                other.fill(View::Training, &[neighbour], &[seed_of(seed, neighbour)], &mut batch)?;
            }
            let batch = read.read(View::Training, &[*index], seed, FillPattern::EmptySample)?;
            let (a, b) = (expected[at].sample(0), batch.sample(0));
            if !same(&a, &b) {
                let id = samples.dataset.id(*index);
                let difference = difference(&a, &b);
                return Err(violation(
                    format!("sample {id} differs {with}: {difference}; the same bytes were expected"),
                    remedy,
                ));
            }
        }
        Ok(())
    };
    look("with other data open", &samples.dataset)?;
    look("when the data are open twice", &twin)?;
    drop(twin);
    look("after another dataset was closed", &samples.dataset)?;
    passed("three datasets open at once")
}
