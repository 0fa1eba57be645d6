//! Scores by model and fraction of the labels, and differences between models.

use std::collections::BTreeMap;

use anyhow::Result;
use medcoss_core::evaluation::PairedDifferences;
use serde::Serialize;

use crate::comparison::Spread;
use crate::csv_table::CsvTable;
use crate::finetuning::KeptModel;

/// Number of drawn permutations of a paired test.
const N_PERMUTATIONS: usize = 10_000;

/// One fine-tuning: model, fraction of the training split, seed, and what it found.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Name of the pre-trained model.
    pub model: String,
    /// Fraction of the training samples.
    pub fraction: f64,
    /// Seed of splits, head and training.
    pub seed: u64,
    /// The kept model.
    pub kept: KeptModel,
}

/// Scores by model and fraction, and differences between models.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelEfficiency {
    /// Name of the task.
    pub task: String,
    /// The metric.
    pub metric: String,
    /// Names of the models in their order; the others are compared with the first.
    pub models: Vec<String>,
    /// Fractions of the training split, ascending.
    pub fractions: Vec<f64>,
    /// Seeds of splits, heads and trainings.
    pub seeds: Vec<u64>,
    /// Scores of each model and fraction.
    pub points: Vec<LabelPoint>,
    /// Differences to the first model.
    pub differences: Vec<ModelDifference>,
}

/// Scores of one model at one fraction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelPoint {
    /// Name of the model.
    pub model: String,
    /// Fraction of the training split.
    pub fraction: f64,
    /// Mean number of training samples over seeds.
    pub n_train: f64,
    /// Mean and deviation over seeds.
    pub spread: Spread,
    /// Score of each seed.
    pub by_seed: Vec<f64>,
}

/// Difference of a model to the first at one fraction, over the cases of all seeds: the same case in two seeds is of the same group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelDifference {
    /// Name of the model.
    pub model: String,
    /// Fraction of the training split.
    pub fraction: f64,
    /// Number of pairs of case and seed, and of groups.
    pub n_cases: usize,
    /// Number of groups, such as patients.
    pub n_groups: usize,
    /// Mean difference to the first model.
    pub mean: f64,
    /// Ends of the paired bootstrap 95 % interval over groups.
    pub interval: [f64; 2],
    /// Two-sided p-value of a paired permutation test over groups.
    pub p_value: f64,
}

impl LabelEfficiency {
    /// Gathers finished trials; those that are missing leave gaps. Models and seeds keep their order.
    ///
    /// # Errors
    /// A metric that a model has not.
    pub fn of(task: &str, metric: &str, trials: &[Trial]) -> Result<Self> {
        let mut models: Vec<String> = Vec::new();
        let (mut fractions, mut seeds): (Vec<f64>, Vec<u64>) = (Vec::new(), Vec::new());
        for trial in trials {
            if !models.contains(&trial.model) {
                models.push(trial.model.clone());
            }
            if !fractions.contains(&trial.fraction) {
                fractions.push(trial.fraction);
            }
            if !seeds.contains(&trial.seed) {
                seeds.push(trial.seed);
            }
        }
        fractions.sort_by(f64::total_cmp);
        let mut points = Vec::new();
        let mut differences = Vec::new();
        for model in &models {
            for &fraction in &fractions {
                let of = |name: &str| -> Vec<&Trial> {
                    trials.iter().filter(|trial| trial.model == name && trial.fraction == fraction).collect()
                };
                let own = of(model);
                let by_seed =
                    own.iter().map(|trial| Ok(trial.kept.score(metric)?.value)).collect::<Result<Vec<f64>>>()?;
                let Some(spread) = Spread::of(&by_seed) else { continue };
                let n_train = own.iter().map(|trial| trial.kept.n_train as f64).sum::<f64>() / own.len() as f64;
                points.push(LabelPoint { model: model.clone(), fraction, n_train, spread, by_seed });
                if *model != models[0]
                    && let Some(difference) = difference(metric, &own, &of(&models[0]))?
                {
                    differences.push(ModelDifference { model: model.clone(), fraction, ..difference });
                }
            }
        }
        Ok(Self { task: task.into(), metric: metric.into(), models, fractions, seeds, points, differences })
    }

    /// The scores as CSV, a line for each model, fraction and seed.
    ///
    /// # Errors
    /// Text that cannot be written as CSV.
    pub fn to_csv(&self) -> Result<Vec<u8>> {
        let mut table = CsvTable::new();
        table.row(["model", "fraction", "n_train", "seed", self.metric.as_str()])?;
        for point in &self.points {
            for (seed, value) in self.seeds.iter().zip(&point.by_seed) {
                let cells =
                    [point.fraction.to_string(), point.n_train.to_string(), seed.to_string(), value.to_string()];
                table.row([point.model.clone()].iter().chain(&cells))?;
            }
        }
        table.finish()
    }
}

/// The difference between two models over the cases that both have with the same seed; none where cases have no such metric.
fn difference(metric: &str, own: &[&Trial], first: &[&Trial]) -> Result<Option<ModelDifference>> {
    let (mut values, mut groups): ([Vec<f64>; 2], Vec<usize>) = Default::default();
    for trial in own {
        let Some(other) = first.iter().find(|other| other.seed == trial.seed) else { continue };
        let other = by_case(metric, &other.kept);
        for (id, (group, value)) in by_case(metric, &trial.kept) {
            if let Some((_, before)) = other.get(id) {
                values[0].push(value);
                values[1].push(*before);
                groups.push(group);
            }
        }
    }
    if groups.is_empty() {
        return Ok(None);
    }
    let paired = PairedDifferences::new(&values[0], &values[1], &groups)?;
    Ok(Some(ModelDifference {
        model: String::new(),
        fraction: 0.0,
        n_cases: groups.len(),
        n_groups: paired.n_groups(),
        mean: paired.mean(),
        interval: paired.bootstrap_interval(None, 0)?,
        p_value: paired.permutation_test(N_PERMUTATIONS, 0)?.p_value,
    }))
}

/// Group and value of each case, the mean over the classes where the metric has several.
fn by_case<'a>(metric: &str, kept: &'a KeptModel) -> BTreeMap<&'a str, (usize, f64)> {
    // The mean absolute error of a model is the mean of its cases' absolute errors.
    let metric = metric.strip_prefix("mean_").unwrap_or(metric);
    let mut sums: BTreeMap<&str, (usize, f64, usize)> = BTreeMap::new();
    for case in &kept.cases {
        let name = case.metric.split(':').next().unwrap_or_default();
        if let Some(value) = case.value.filter(|_| name == metric) {
            let (_, sum, n) = sums.entry(&case.id).or_insert((case.group, 0.0, 0));
            (*sum, *n) = (*sum + value, *n + 1);
        }
    }
    sums.into_iter().map(|(id, (group, sum, n))| (id, (group, sum / n as f64))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finetuning::{CaseScore, TestScore};

    fn trial(model: &str, fraction: f64, seed: u64, cases: &[f64]) -> Trial {
        let value = cases.iter().sum::<f64>() / cases.len() as f64;
        let score = TestScore { metric: "dice".into(), value, low: value, high: value, n: cases.len() };
        let case = |(at, value): (usize, &f64)| CaseScore {
            id: format!("case{at}"),
            group: at,
            metric: "dice:organ".into(),
            value: Some(*value),
        };
        let cases = cases.iter().enumerate().map(case).collect();
        let kept = KeptModel { scores: vec![score], cases, n_train: (fraction * 100.0) as usize };
        Trial { model: model.into(), fraction, seed, kept }
    }

    #[test]
    fn models_are_compared_case_by_case_at_each_fraction() {
        let trials = [
            trial("run", 1.0, 0, &[0.9, 0.8, 0.7, 0.8]),
            trial("run", 1.0, 1, &[0.9, 0.8, 0.7, 0.8]),
            trial("run", 0.1, 0, &[0.5, 0.5, 0.5, 0.5]),
            trial("fresh", 1.0, 0, &[0.8, 0.7, 0.6, 0.7]),
            trial("fresh", 1.0, 1, &[0.8, 0.7, 0.6, 0.7]),
        ];
        let found = LabelEfficiency::of("organ", "dice", &trials).unwrap();
        assert_eq!((found.fractions.as_slice(), found.seeds.as_slice()), (&[0.1, 1.0][..], &[0, 1][..]));
        assert_eq!(found.points.len(), 3);
        let difference = &found.differences[0];
        assert_eq!((difference.n_cases, difference.n_groups), (8, 4));
        // Of the 16 signs of four groups with equal sums, two are as far from 0.
        assert!((difference.mean + 0.1).abs() < 1e-12 && (difference.p_value - 0.125).abs() < 1e-12, "{difference:?}");
        let csv = String::from_utf8(found.to_csv().unwrap()).unwrap();
        assert!(csv.starts_with("model,fraction,n_train,seed,dice\n") && csv.lines().count() == 6, "{csv}");
        let error = LabelEfficiency::of("organ", "auc", &trials).unwrap_err().to_string();
        assert!(error.contains("no score auc") && error.contains("it has dice"), "{error}");
    }
}
