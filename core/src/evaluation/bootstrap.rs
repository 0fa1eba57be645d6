//! Bootstrap intervals of metrics: percentile intervals over resamples of the test split (Efron, 1979).

use rand::RngExt;

use crate::rng;
use crate::{Error, EvaluationError, Result};

/// Default number of resamples of an interval.
pub const N_RESAMPLES: usize = 1000;
/// Maximum number of draws for one resample with all classes.
const MOST_DRAWS: usize = 100;

/// Bootstrap resamples of a test split, drawn with replacement group by group, since samples of one group are not independent. Every resample has
/// every class, as metrics need: a resample without a class is drawn again. The same split, groups and seed give the same resamples, so that models
/// are compared on equal terms.
#[derive(Debug, Clone)]
pub struct Resamples {
    /// Positions in the split, by resample.
    places: Vec<Vec<usize>>,
}

impl Resamples {
    /// Draws resamples. `labels` and `groups` are by sample; samples of one group have the same number in `groups`.
    ///
    /// # Errors
    /// No samples; a class so rare that a hundred draws for one resample do not meet it.
    pub fn draw(labels: &[usize], groups: &[usize], n_resamples: usize, seed: u64) -> Result<Self> {
        if labels.is_empty() {
            return Err(EvaluationError::EmptySplit { split: "test" }.into());
        }
        let n_classes = labels.iter().max().map_or(0, |most| most + 1);
        let present: Vec<bool> = (0..n_classes).map(|class| labels.contains(&class)).collect();
        let members = members(groups);
        let mut draws = rng::keyed(seed, "bootstrap", &[]);
        let mut one = || {
            for _ in 0..MOST_DRAWS {
                let drawn = (0..members.len()).flat_map(|_| &members[draws.random_range(0..members.len())]);
                let places: Vec<usize> = drawn.copied().collect();
                let mut found = vec![false; n_classes];
                places.iter().for_each(|at| found[labels[*at]] = true);
                if found == present {
                    return Ok(places);
                }
            }
            let rarest = |class: &usize| members.iter().filter(|of| of.iter().any(|at| labels[*at] == *class)).count();
            let class = (0..n_classes).filter(|class| present[*class]).min_by_key(rarest).unwrap_or_default();
            Err(Error::from(EvaluationError::RareClass {
                n_draws: MOST_DRAWS,
                class,
                n_found: rarest(&class),
                n_groups: members.len(),
            }))
        };
        Ok(Self { places: (0..n_resamples).map(|_| one()).collect::<Result<_>>()? })
    }

    /// Bootstrap interval: the 2.5th and the 97.5th percentile of a metric over the resamples, with values between two ranks interpolated.
    ///
    /// # Errors
    /// Those of the metric.
    pub fn interval(&self, metric: impl Fn(&[usize]) -> Result<f64>) -> Result<[f64; 2]> {
        let mut values: Vec<f64> = self.places.iter().map(|places| metric(places)).collect::<Result<_>>()?;
        values.sort_by(f64::total_cmp);
        Ok([0.025, 0.975].map(|share| percentile(&values, share)))
    }
}

/// Positions of the samples of each group, in the order of the groups' first samples.
pub(super) fn members(groups: &[usize]) -> Vec<Vec<usize>> {
    let mut numbers = std::collections::HashMap::new();
    let mut members: Vec<Vec<usize>> = Vec::new();
    for (at, group) in groups.iter().enumerate() {
        let number = *numbers.entry(*group).or_insert(members.len());
        if number == members.len() {
            members.push(Vec::new());
        }
        members[number].push(at);
    }
    members
}

/// Percentile of ascending values, interpolated as NumPy's default.
fn percentile(values: &[f64], share: f64) -> f64 {
    let place = share * (values.len().saturating_sub(1)) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    match (values.get(below), values.get(above)) {
        (Some(below), Some(above)) => below + (above - below) * place.fract(),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_numpys() {
        let values: Vec<f64> = (0..5).map(f64::from).collect();
        assert_eq!([0.0, 0.025, 0.5, 1.0].map(|share| percentile(&values, share)), [0.0, 0.1, 2.0, 4.0]);
    }

    /// Means of 60 draws between 0 and 1: nineteen of twenty intervals should hold the half.
    #[test]
    fn intervals_of_a_mean_hold_the_true_one_as_often_as_they_say() {
        let mut draws = rng::keyed(5, "test", &[]);
        let (labels, groups) = (vec![0; 60], (0..60).collect::<Vec<_>>());
        let mut held = 0;
        for trial in 0..300 {
            let values: Vec<f64> = (0..60).map(|_| draws.random::<f64>()).collect();
            let resamples = Resamples::draw(&labels, &groups, 300, trial).unwrap();
            let mean = |places: &[usize]| Ok(places.iter().map(|at| values[*at]).sum::<f64>() / places.len() as f64);
            let [low, high] = resamples.interval(mean).unwrap();
            held += usize::from(low <= 0.5 && 0.5 <= high);
        }
        assert!((273..=294).contains(&held), "{held} of 300");
    }

    #[test]
    fn samples_of_a_group_are_drawn_together_which_widens_the_interval() {
        // Forty groups of ten equal samples.
        let labels = vec![0; 400];
        let mean =
            |places: &[usize]| Ok(places.iter().map(|at| ((at / 10) % 2) as f64).sum::<f64>() / places.len() as f64);
        let width = |groups: Vec<usize>| {
            let [low, high] = Resamples::draw(&labels, &groups, N_RESAMPLES, 1).unwrap().interval(mean).unwrap();
            high - low
        };
        // 2 * 1.96 * 0.5 / sqrt(n).
        let (alone, grouped) = (width((0..400).collect()), width((0..400).map(|at| at / 10).collect()));
        assert!((alone - 0.098).abs() < 0.015 && (grouped - 0.31).abs() < 0.04, "{alone} and {grouped}");
    }

    #[test]
    fn every_resample_has_every_class_or_drawing_fails() {
        let labels = [0, 0, 0, 0, 0, 0, 0, 2];
        let groups: Vec<usize> = (0..8).collect();
        let resamples = Resamples::draw(&labels, &groups, 200, 3).unwrap();
        assert!(resamples.places.iter().all(|places| places.len() == 8 && places.contains(&7)));
        // Twenty classes with one sample each are never all in a resample.
        let labels: Vec<usize> = (0..20).collect();
        let error = Resamples::draw(&labels, &labels, 1, 3).unwrap_err().to_string();
        assert!(error.contains("is in 1 of its 20 groups"), "{error}");
    }
}
