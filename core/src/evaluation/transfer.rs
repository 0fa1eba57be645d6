//! Measures of continual learning over the tasks of an evaluation, apart for each scale: scores in [0, 1] and distances have no common mean.

use std::collections::{BTreeMap, BTreeSet};

use super::metric::{Metric, Scale};
use super::score_matrix::ScoreMatrix;
use super::scores::{Scores, TaskSummary, Transfer};
use crate::Result;

impl TaskSummary {
    /// Scale of the primary metric; none for a metric that this version does not know.
    pub fn scale(&self) -> Option<Scale> {
        Metric::by_name(&self.primary_metric).map(Metric::scale)
    }
}

impl Scores {
    /// Scales of the tasks' primary metrics.
    pub fn scales(&self) -> BTreeSet<Scale> {
        self.tasks.iter().filter_map(TaskSummary::scale).collect()
    }

    /// Tasks whose primary metric has this scale.
    pub fn tasks_of(&self, scale: Scale) -> Vec<&TaskSummary> {
        self.tasks.iter().filter(|task| task.scale() == Some(scale)).collect()
    }

    /// Mean of the primary metrics after the last evaluated stage, by scale, over the tasks that have a score.
    pub fn averages(&self) -> BTreeMap<Scale, f64> {
        let last = self.stages.iter().map(|stage| stage.stage).max().unwrap_or_default();
        let average = |scale: Scale| {
            let values: Vec<f64> = self
                .tasks_of(scale)
                .into_iter()
                .filter_map(|task| self.primary(last, task).map(|score| score.value))
                .collect();
            (!values.is_empty()).then(|| (scale, values.iter().sum::<f64>() / values.len() as f64))
        };
        self.scales().into_iter().filter_map(average).collect()
    }

    /// Measures of continual learning by scale; empty unless the initial model and all stages were evaluated. They are computed from the scores, also
    /// for documents of earlier versions, which had one measure for all tasks.
    ///
    /// # Errors
    /// Scores that form no matrix.
    pub fn measures(&self) -> Result<BTreeMap<Scale, Transfer>> {
        let mut measures = BTreeMap::new();
        for scale in self.scales() {
            if let Some(transfer) = self.measure(&self.tasks_of(scale))? {
                measures.insert(scale, transfer);
            }
        }
        Ok(measures)
    }

    /// Stores the measures of continual learning in the document: as [`Scores::transfer`] where all tasks have one scale, otherwise by scale.
    ///
    /// # Errors
    /// As [`Scores::measures`].
    pub fn store_measures(&mut self) -> Result<()> {
        let mut measures = self.measures()?;
        self.transfer =
            if self.scales().len() == 1 { measures.pop_first().map(|(_, transfer)| transfer) } else { None };
        self.transfer_by_scale = measures;
        Ok(())
    }

    fn measure(&self, tasks: &[&TaskSummary]) -> Result<Option<Transfer>> {
        if self.stages.len() < 2 || self.stages[0].stage != 0 {
            return Ok(None);
        }
        let value = |stage: usize, task: &TaskSummary| {
            let sign = if task.higher_is_better { 1.0 } else { -1.0 };
            self.primary(stage, task).map(|score| sign * score.value)
        };
        let row = |stage: usize| tasks.iter().map(|task| value(stage, task)).collect::<Option<Vec<f64>>>();
        let rows: Option<Vec<Vec<f64>>> = self.stages.iter().map(|stage| row(stage.stage)).collect();
        let Some((start, rows)) = rows.as_ref().and_then(|rows| rows.split_first()) else { return Ok(None) };
        let last = self.stages[self.stages.len() - 1].stage;
        let values = tasks.iter().filter_map(|task| self.primary(last, task)).map(|score| score.value);
        let average = values.sum::<f64>() / tasks.len() as f64;
        let own_stages = tasks.iter().map(|task| task.own_stage).collect();
        let matrix = ScoreMatrix::of_tasks(Some(start.clone()), rows.to_vec(), own_stages)?;
        Ok(Some(Transfer {
            average,
            backward_transfer: matrix.backward_transfer(),
            forgetting: matrix.forgetting(),
            forward_transfer: matrix.forward_transfer(start),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tasks with a primary metric each, and their values by stage.
    fn scores(tasks: &[(&str, bool)], rows: &[(usize, &[f64])]) -> Scores {
        let name = |at: usize| format!("task {at}");
        let summary = |(at, (metric, higher)): (usize, &(&str, bool))| {
            serde_json::json!({"name": name(at), "modality": "m", "own_stage": 1, "protocol": "knn", "primary_metric": metric,
                "higher_is_better": higher, "classes": [], "n_train": 1, "n_test": 1})
        };
        let row = |(stage, values): &(usize, &[f64])| {
            let score = |(at, value): (usize, &f64)| {
                serde_json::json!({"stage": stage, "task": name(at), "metric": tasks[at].0, "value": value, "low": value,
                    "high": value, "n": 1, "by_seed": [value]})
            };
            values.iter().enumerate().map(score).collect::<Vec<_>>()
        };
        serde_json::from_value(serde_json::json!({
            "format": 4, "checksum": "", "tasks_file": "t", "tasks_sha256": "", "seeds": [0],
            "tasks": tasks.iter().enumerate().map(summary).collect::<Vec<_>>(),
            "stages": rows.iter().map(|(stage, _)| serde_json::json!({"stage": stage, "modality": null})).collect::<Vec<_>>(),
            "scores": rows.iter().flat_map(row).collect::<Vec<_>>(), "transfer": null,
        }))
        .unwrap()
    }

    #[test]
    fn distances_and_fractions_are_never_averaged() {
        let tasks = [("auc", true), ("hd95_mm", false), ("dice", true), ("hd95_voxels", false), ("hd95_mm", false)];
        let mut scores = scores(
            &tasks,
            &[(0, &[0.5, 9.0, 0.1, 9.0, 9.0]), (1, &[0.9, 2.0, 0.7, 3.0, 4.0]), (2, &[0.8, 6.0, 0.4, 3.5, 6.0])],
        );
        scores.store_measures().unwrap();
        assert_eq!(scores.transfer, None);
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
        let measures = &scores.transfer_by_scale;
        assert_eq!(measures.len(), 3);
        close(measures[&Scale::Fraction].average, 0.6);
        close(measures[&Scale::Fraction].forgetting, 0.2);
        close(measures[&Scale::Millimetres].average, 6.0);
        close(measures[&Scale::Millimetres].backward_transfer, -3.0);
        close(measures[&Scale::Voxels].average, 3.5);
        close(measures[&Scale::Voxels].forgetting, 0.5);
        assert_eq!(scores.averages().len(), 3);
        // The names in the document.
        let json = serde_json::to_value(&scores).unwrap();
        for scale in ["fraction", "voxels", "mm"] {
            assert!(json["transfer_by_scale"][scale]["average"].is_f64(), "{json}");
        }
    }

    #[test]
    fn tasks_of_one_scale_have_one_measure() {
        let tasks = [("auc", true), ("accuracy", true)];
        let mut all = scores(&tasks, &[(0, &[0.5, 0.5]), (1, &[0.9, 0.7]), (2, &[0.8, 0.4])]);
        all.store_measures().unwrap();
        assert!(all.transfer_by_scale.is_empty() && (all.transfer.unwrap().average - 0.6).abs() < 1e-12);
        // Not every stage was evaluated, or a score is missing.
        for rows in [&[(2, &[0.8, 0.4][..])][..], &[(0, &[0.5]), (1, &[0.9])]] {
            let mut some = scores(&tasks, rows);
            some.store_measures().unwrap();
            assert!(some.transfer.is_none() && some.transfer_by_scale.is_empty());
            assert_eq!(some.averages().len(), 1);
        }
    }
}
