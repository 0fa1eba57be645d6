//! Samples that are read repeatedly, and their comparison.

use medcoss_caller::{FillPattern, SampleView, View};

use crate::batch::{Batch, difference, same};
use crate::outcome::{Stop, violation};
use crate::samples_under_test::Samples;

const REMEDY: &str =
    "draw all random numbers from the `rng` argument of `load`; keep no state from one call to the next";

/// Samples one by one, as the others are compared with.
pub(crate) fn alone(samples: &Samples, view: View, seed: u64) -> Result<Vec<Batch>, Stop> {
    samples.indices.iter().map(|index| samples.dataset.read(view, &[*index], seed, FillPattern::EmptySample)).collect()
}

pub(crate) fn compare(
    samples: &Samples,
    at: usize,
    how: &str,
    a: SampleView<'_>,
    b: SampleView<'_>,
) -> Result<(), Stop> {
    if same(&a, &b) {
        return Ok(());
    }
    let id = samples.dataset.id(samples.indices[at]);
    Err(violation(format!("sample {id} differs {how}: {}; the same bytes were expected", difference(&a, &b)), REMEDY))
}

/// Whether samples are the same when they are read again, in both views.
pub(crate) fn read_again(samples: &Samples, seed: u64) -> Result<(), Stop> {
    for view in View::ALL {
        let (first, again) = (alone(samples, view, seed)?, alone(samples, view, seed)?);
        for (at, (a, b)) in first.iter().zip(&again).enumerate() {
            compare(samples, at, "when it is read a second time with the same seed", a.sample(0), b.sample(0))?;
        }
    }
    Ok(())
}
