//! The score matrix of continual learning: scores of tasks after each stage, and measures such as forgetting.

use serde::Serialize;

use crate::{Error, EvaluationError, Result};

/// Score matrix: row `i` after stage `i`, a column a task. Each task belongs to a stage, the first that learned the task's modality; several tasks
/// may belong to one stage. Higher is better in every column: scores that are better when lower enter with the opposite sign.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreMatrix {
    /// Scores of the initial model, by task.
    start: Option<Vec<f64>>,
    /// Scores after each stage, by task.
    rows: Vec<Vec<f64>>,
    /// Number of each task's stage, from 1; 0 for a task of the initial model.
    own_stages: Vec<usize>,
}

impl ScoreMatrix {
    /// A score matrix of one row a stage, with one task for each stage.
    ///
    /// # Errors
    /// A matrix that is not square, scores that are not finite.
    pub fn new(rows: Vec<Vec<f64>>) -> Result<Self> {
        let n = rows.len();
        if rows.iter().any(|row| row.len() != n) {
            let sizes: Vec<usize> = rows.iter().map(Vec::len).collect();
            return Err(no_matrix(format!("{n} stages with {sizes:?} scores: expected as many tasks as stages")));
        }
        Self::of_tasks(None, rows, (1..=n).collect())
    }

    /// A score matrix of one row a stage; `own_stages` is by task, from 1. A task whose modality came with the initial weights has 0 and needs
    /// `start`, the scores of the initial model.
    ///
    /// # Errors
    /// No stage, rows of another length, tasks of stages that are not there, scores that are not finite.
    pub fn of_tasks(start: Option<Vec<f64>>, rows: Vec<Vec<f64>>, own_stages: Vec<usize>) -> Result<Self> {
        let n = own_stages.len();
        if rows.is_empty() || start.iter().chain(&rows).any(|row| row.len() != n) {
            let sizes: Vec<usize> = rows.iter().map(Vec::len).collect();
            return Err(no_matrix(format!("{} stages with {sizes:?} scores for {n} tasks", rows.len())));
        }
        if let Some(stage) = own_stages.iter().find(|stage| **stage > rows.len() || (**stage == 0 && start.is_none())) {
            return Err(no_matrix(format!("a task belongs to stage {stage}, which has no scores")));
        }
        if start.iter().chain(&rows).flatten().any(|score| !score.is_finite()) {
            return Err(no_matrix("a score is not finite".into()));
        }
        Ok(Self { start, rows, own_stages })
    }

    /// Score after a stage, from 1; 0 for the initial model, whose scores must be present.
    fn after(&self, stage: usize, task: usize) -> f64 {
        match (stage, &self.start) {
            (0, Some(start)) => start[task],
            _ => self.rows[stage.max(1) - 1][task],
        }
    }

    fn last(&self, task: usize) -> f64 {
        self.after(self.rows.len(), task)
    }

    /// Tasks that a later stage could cause to be forgotten.
    fn exposed(&self) -> impl Iterator<Item = usize> {
        (0..self.own_stages.len()).filter(|task| self.own_stages[*task] < self.rows.len())
    }

    /// Average score: mean over tasks after the last stage.
    pub fn average(&self) -> f64 {
        mean((0..self.own_stages.len()).map(|task| self.last(task)))
    }

    /// Backward transfer (Lopez-Paz and Ranzato, 2017): mean over tasks of all stages but the last of the score after the last stage minus
    /// that after the task's own. Negative where tasks were forgotten; 0 with one stage.
    pub fn backward_transfer(&self) -> f64 {
        mean(self.exposed().map(|task| self.last(task) - self.after(self.own_stages[task], task)))
    }

    /// Forgetting (Chaudhry et al., 2018): mean over tasks of all stages but the last of the best score after an earlier stage minus that
    /// after the last. Positive where tasks were forgotten; 0 with one stage.
    pub fn forgetting(&self) -> f64 {
        let n = self.rows.len();
        let best = |task: usize| {
            (self.own_stages[task].min(1)..n).map(|stage| self.after(stage, task)).fold(f64::NEG_INFINITY, f64::max)
        };
        mean(self.exposed().map(|task| best(task) - self.last(task)))
    }

    /// Forward transfer (Lopez-Paz and Ranzato, 2017): mean over tasks of all stages but the first of the score just before the task's own
    /// stage minus that of a model with fresh parameters (`fresh`, by task). Positive where earlier stages helped; 0 with one stage.
    pub fn forward_transfer(&self, fresh: &[f64]) -> f64 {
        let later = (0..self.own_stages.len()).filter(|task| self.own_stages[*task] > 1);
        mean(later.map(|task| self.after(self.own_stages[task] - 1, task) - fresh[task]))
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

fn no_matrix(detail: String) -> Error {
    EvaluationError::Scores { detail }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stage_forgets_nothing() {
        let matrix = ScoreMatrix::new(vec![vec![0.7]]).unwrap();
        assert_eq!((matrix.average(), matrix.backward_transfer(), matrix.forgetting()), (0.7, 0.0, 0.0));
        assert_eq!(matrix.forward_transfer(&[0.1]), 0.0);
        assert!(ScoreMatrix::new(vec![vec![0.1, 0.2]]).is_err());
        assert!(ScoreMatrix::new(vec![vec![f64::NAN]]).is_err());
        assert!(ScoreMatrix::new(Vec::new()).is_err());
    }

    /// Three stages; two tasks of the first, none of the second, one of the third.
    #[test]
    fn several_tasks_of_one_stage_and_none_of_another_enter_by_their_own_stages() {
        let rows = vec![vec![0.8, 0.6, 0.1], vec![0.9, 0.5, 0.3], vec![0.7, 0.5, 0.9]];
        let matrix = ScoreMatrix::of_tasks(None, rows, vec![1, 1, 3]).unwrap();
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found}");
        close(matrix.average(), (0.7 + 0.5 + 0.9) / 3.0);
        close(matrix.backward_transfer(), ((0.7 - 0.8) + (0.5 - 0.6)) / 2.0);
        close(matrix.forgetting(), ((0.9 - 0.7) + (0.6 - 0.5)) / 2.0);
        close(matrix.forward_transfer(&[0.0, 0.0, 0.25]), 0.3 - 0.25);
    }

    #[test]
    fn errors_that_enter_negated_have_the_signs_of_scores() {
        // A distance of 2 after its own stage, and of 5 after the last.
        let matrix = ScoreMatrix::of_tasks(None, vec![vec![-2.0], vec![-5.0]], vec![1]).unwrap();
        assert_eq!((matrix.backward_transfer(), matrix.forgetting()), (-3.0, 3.0));
    }

    #[test]
    fn tasks_of_initial_weights_are_compared_with_the_initial_model() {
        let matrix = ScoreMatrix::of_tasks(Some(vec![0.9]), vec![vec![0.7], vec![0.6]], vec![0]).unwrap();
        assert!((matrix.backward_transfer() + 0.3).abs() < 1e-12 && (matrix.forgetting() - 0.3).abs() < 1e-12);
        assert_eq!(matrix.forward_transfer(&[0.9]), 0.0);
        assert!(ScoreMatrix::of_tasks(None, vec![vec![0.7]], vec![0]).is_err());
        assert!(ScoreMatrix::of_tasks(None, vec![vec![0.7]], vec![2]).is_err());
    }
}
