//! Comparison of continual strategies over seeds: the scores of each run's models, in one document and one table.

mod published;
mod statistics;
mod variant;

use std::collections::BTreeMap;

use medcoss_core::evaluation::{Scale, Scores};
use serde::{Deserialize, Serialize};

use crate::config::RunConfig;
use crate::csv_table::CsvTable;

pub use published::{Against, BesideAverage, Protocol, PublishedAverage, PublishedResults};
pub use statistics::{Paired, Spread};
pub use variant::Variant;

/// Metrics of continual learning, under their names in a comparison.
const TRANSFER: [&str; 4] = ["average", "forgetting", "backward transfer", "forward transfer"];

/// One run of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparedRun {
    /// Name of the run's variant.
    pub variant: String,
    /// Seed of the run.
    pub seed: u64,
    /// Path of the run folder, relative to the comparison's folder.
    pub folder: String,
    /// Values by metric: primary metrics of tasks after the last stage, and metrics of continual learning where they
    /// are defined.
    pub figures: BTreeMap<String, f64>,
}

/// A comparison of variants over seeds, with its results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Name of the tasks file.
    pub tasks_file: String,
    /// Names of the variants in the requested order. The others are compared with the first.
    pub variants: Vec<String>,
    /// Seeds of the runs.
    pub seeds: Vec<u64>,
    /// Names of the metrics in the order of the table: metrics of continual learning, then tasks with their primary
    /// metric.
    pub figures: Vec<String>,
    /// The finished runs, one for each variant and seed.
    pub runs: Vec<ComparedRun>,
    /// Mean and standard deviation over seeds, by variant and metric.
    pub over_seeds: BTreeMap<String, BTreeMap<String, Spread>>,
    /// Differences to the first variant seed by seed, by variant (without the first) and metric.
    pub against_first: BTreeMap<String, BTreeMap<String, Paired>>,
    /// Published results to print beside the measured ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<Against>,
}

impl ComparedRun {
    /// A compared run, with the metrics from its evaluation.
    pub fn new(variant: &str, seed: u64, folder: String, scores: &Scores) -> Self {
        let mut figures = BTreeMap::new();
        let last = scores.stages.iter().map(|stage| stage.stage).max().unwrap_or_default();
        for task in &scores.tasks {
            if let Some(score) = scores.primary(last, task) {
                figures.insert(task_figure(&task.name, &task.primary_metric), score.value);
            }
        }
        let name = |measure: usize, scale: &Scale| measure_figure(TRANSFER[measure], *scale, scores);
        for (scale, average) in &scores.averages() {
            figures.insert(name(0, scale), *average);
        }
        for (scale, transfer) in &scores.measures().unwrap_or_default() {
            let values = [transfer.average, transfer.forgetting, transfer.backward_transfer, transfer.forward_transfer];
            figures.extend(values.into_iter().enumerate().map(|(measure, value)| (name(measure, scale), value)));
        }
        Self { variant: variant.into(), seed, folder, figures }
    }
}

/// Name of a measure of continual learning, with the scale of its tasks where the tasks have several.
fn measure_figure(measure: &str, scale: Scale, scores: &Scores) -> String {
    if scores.scales().len() > 1 { format!("{measure} ({scale})") } else { measure.into() }
}

/// Name of a task's score in a comparison.
pub fn task_figure(task: &str, metric: &str) -> String {
    format!("{task} ({})", metric.replace('_', " "))
}

impl Comparison {
    /// A comparison of finished runs. `scores` is any of their evaluations and gives the order of the tasks.
    pub fn new(variants: Vec<String>, seeds: Vec<u64>, scores: &Scores, runs: Vec<ComparedRun>) -> Self {
        let is_known = |figure: &String| runs.iter().any(|run| run.figures.contains_key(figure));
        let of_scale = |scale| TRANSFER.iter().map(move |measure| measure_figure(measure, scale, scores));
        let mut figures: Vec<String> = scores.scales().into_iter().flat_map(of_scale).filter(is_known).collect();
        figures.extend(scores.tasks.iter().map(|task| task_figure(&task.name, &task.primary_metric)));
        Self::of_figures(scores.tasks_file.clone(), variants, seeds, figures, runs)
    }

    /// A comparison of finished runs by figures in their order; `tasks_file` is where the figures come from.
    pub fn of_figures(
        tasks_file: String,
        variants: Vec<String>,
        seeds: Vec<u64>,
        figures: Vec<String>,
        runs: Vec<ComparedRun>,
    ) -> Self {
        let value = |variant: &str, seed: u64, figure: &str| {
            let run = runs.iter().find(|run| run.variant == variant && run.seed == seed)?;
            run.figures.get(figure).copied()
        };
        let mut over_seeds = BTreeMap::new();
        let mut against_first = BTreeMap::new();
        for variant in &variants {
            let spread = |figure: &String| {
                let values: Vec<f64> = seeds.iter().filter_map(|seed| value(variant, *seed, figure)).collect();
                Some((figure.clone(), Spread::of(&values)?))
            };
            over_seeds.insert(variant.clone(), figures.iter().filter_map(spread).collect());
            let Some(first) = variants.first().filter(|first| *first != variant) else { continue };
            let paired = |figure: &String| {
                let difference = |seed: &u64| Some(value(variant, *seed, figure)? - value(first, *seed, figure)?);
                let differences: Vec<f64> = seeds.iter().filter_map(difference).collect();
                Some((figure.clone(), Paired::of(&differences)?))
            };
            against_first.insert(variant.clone(), figures.iter().filter_map(paired).collect());
        }
        Self { tasks_file, variants, seeds, figures, runs, over_seeds, against_first, against: None }
    }

    /// The comparison with published results beside its averages. `config` is the configuration that the variants change,
    /// `scores` any of the evaluations.
    #[must_use]
    pub fn beside(mut self, published: PublishedResults, config: &RunConfig, scores: &Scores) -> Self {
        let average = |strategy: &str, scale: Scale| {
            let figure = measure_figure(TRANSFER[0], scale, scores);
            scores.scales().contains(&scale).then(|| self.over_seeds.get(strategy)?.get(&figure).copied()).flatten()
        };
        let rows = published.averages.iter().map(|published| BesideAverage {
            published: published.clone(),
            score: average(&published.strategy, Scale::Fraction),
            distance_mm: average(&published.strategy, Scale::Millimetres),
        });
        let (title, sources) = (published.title.clone(), published.sources.clone());
        let measured = Protocol::of(config, scores, self.seeds.len());
        self.against =
            Some(Against { title, sources, averages: rows.collect(), published: published.protocol, measured });
        self
    }

    /// The comparison as CSV, one line for each run and metric.
    ///
    /// # Errors
    /// Text that cannot be written as CSV.
    pub fn to_csv(&self) -> anyhow::Result<Vec<u8>> {
        let mut table = CsvTable::new();
        table.row(["variant", "seed", "figure", "value"])?;
        for run in &self.runs {
            for (figure, value) in &run.figures {
                table.row([&run.variant, &run.seed.to_string(), figure, &value.to_string()])?;
            }
        }
        table.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(values: &[(usize, &str, f64)]) -> Scores {
        let tasks = serde_json::json!([
            {"name": "a", "modality": "m", "own_stage": 1, "protocol": "knn", "primary_metric": "accuracy",
             "higher_is_better": true, "classes": ["x", "y"], "n_train": 4, "n_test": 4},
            {"name": "b", "modality": "m", "own_stage": 1, "protocol": "segmentation", "primary_metric": "hd95_mm",
             "higher_is_better": false, "classes": ["x"], "n_train": 4, "n_test": 4},
        ]);
        let score = |(stage, task, value): &(usize, &str, f64)| {
            let metric = if *task == "a" { "accuracy" } else { "hd95_mm" };
            serde_json::json!({"stage": stage, "task": task, "metric": metric, "value": value, "low": value, "high": value,
                "n": 4, "by_seed": [value]})
        };
        serde_json::from_value(serde_json::json!({
            "format": 4, "checksum": "", "tasks_file": "tasks", "tasks_sha256": "", "seeds": [0], "tasks": tasks,
            "stages": [{"stage": 1, "modality": "m"}, {"stage": 2, "modality": "n"}],
            "scores": values.iter().map(score).collect::<Vec<_>>(), "transfer": null,
        }))
        .unwrap()
    }

    #[test]
    fn runs_become_means_and_paired_differences() {
        let run = |variant: &str, seed, a, b| {
            let scores = scores(&[(1, "a", 0.9), (2, "a", a), (2, "b", b)]);
            ComparedRun::new(variant, seed, String::new(), &scores)
        };
        let runs =
            vec![run("one", 0, 0.5, 2.0), run("one", 1, 0.7, 4.0), run("two", 0, 0.6, 1.0), run("two", 1, 0.9, 2.0)];
        // Values after the last stage. Fractions and distances have averages of their own.
        assert_eq!(runs[0].figures["a (accuracy)"], 0.5);
        let averages = ["average (scores in [0, 1])", "average (distances in mm)"];
        assert_eq!(averages.map(|name| runs[0].figures[name]), [0.5, 2.0]);
        let comparison = Comparison::new(vec!["one".into(), "two".into()], vec![0, 1], &scores(&[]), runs);
        assert_eq!(comparison.figures, [averages[0], averages[1], "a (accuracy)", "b (hd95 mm)"]);
        assert!((comparison.over_seeds["one"]["a (accuracy)"].mean - 0.6).abs() < 1e-12);
        let paired = comparison.against_first["two"]["b (hd95 mm)"];
        assert_eq!((paired.n, paired.mean), (2, -1.5));
        let csv = String::from_utf8(comparison.to_csv().unwrap()).unwrap();
        assert_eq!(csv.lines().count(), 1 + 4 * 4);
    }
}
