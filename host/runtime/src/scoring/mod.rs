//! Scores of predictions that anyone made: masks against masks, tables of probabilities against tables of labels.

mod masks;
mod table;

pub use masks::{CaseOfMasks, MaskOptions, MaskScores, score_masks};
pub use table::{TableOptions, TableScores, score_table};

use medcoss_core::evaluation::{N_RESAMPLES, Resamples};
use serde::Serialize;

/// A metric over all cases.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Name of the metric, with `:class` for one class.
    pub metric: String,
    /// Value: the mean over cases, or the metric of all.
    pub value: f64,
    /// Bootstrap 95 % interval over cases: its ends.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Number of cases that have a value.
    pub n: usize,
    /// Number of cases without one, such as a distance where a mask is empty.
    pub n_undefined: usize,
}

/// Mean and interval of a value by case; none where no case has one.
fn summary(metric: String, values: &[Option<f64>], seed: u64) -> anyhow::Result<Option<Summary>> {
    let known: Vec<f64> = values.iter().copied().flatten().collect();
    if known.is_empty() {
        return Ok(None);
    }
    let mean = |places: &[usize]| places.iter().map(|at| known[*at]).sum::<f64>() / places.len().max(1) as f64;
    let all: Vec<usize> = (0..known.len()).collect();
    let resamples = Resamples::draw(&vec![0; known.len()], &all, N_RESAMPLES, seed)?;
    let [low, high] = resamples.interval(|places| Ok(mean(places)))?;
    let (value, n) = (mean(&all), known.len());
    Ok(Some(Summary { metric, value, low, high, n, n_undefined: values.len() - n }))
}
