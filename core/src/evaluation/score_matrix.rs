//! Scores of tasks after each stage, and what they say of continual learning.

use serde::Serialize;

use crate::{Error, Result};

/// Scores by stage and task: row `i` after stage `i`, column `j` of the task that belongs to stage `j`. Figures are such that higher
/// is better, also of tasks whose score is better when lower: those enter with the other sign.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreMatrix {
    rows: Vec<Vec<f64>>,
}

impl ScoreMatrix {
    /// From one row a stage.
    ///
    /// # Errors
    /// A matrix that is not square, scores that are not finite.
    pub fn new(rows: Vec<Vec<f64>>) -> Result<Self> {
        let n = rows.len();
        if n == 0 || rows.iter().any(|row| row.len() != n) {
            let sizes: Vec<usize> = rows.iter().map(Vec::len).collect();
            return Err(Error::Data(format!("{n} stages with {sizes:?} scores: expected as many tasks as stages")));
        }
        if rows.iter().flatten().any(|score| !score.is_finite()) {
            return Err(Error::Data("a score that is no finite number".into()));
        }
        Ok(Self { rows })
    }

    fn last(&self) -> &[f64] {
        &self.rows[self.rows.len() - 1]
    }

    /// Mean over tasks after the last stage.
    pub fn average(&self) -> f64 {
        mean(self.last().iter().copied())
    }

    /// Backward transfer (Lopez-Paz and Ranzato, 2017): mean over all tasks but the last of the score after the last stage minus that
    /// after the task's own. Negative where tasks were forgotten; 0 with one stage.
    pub fn backward_transfer(&self) -> f64 {
        mean((0..self.rows.len() - 1).map(|task| self.last()[task] - self.rows[task][task]))
    }

    /// Forgetting (Chaudhry et al., 2018): mean over all tasks but the last of the best earlier score minus that after the last stage.
    /// Positive where tasks were forgotten; 0 with one stage.
    pub fn forgetting(&self) -> f64 {
        let n = self.rows.len();
        let best = |task: usize| (0..n - 1).map(|stage| self.rows[stage][task]).fold(f64::NEG_INFINITY, f64::max);
        mean((0..n - 1).map(|task| best(task) - self.last()[task]))
    }

    /// Forward transfer (Lopez-Paz and Ranzato, 2017): mean over all tasks but the first of the score just before the task's own stage minus
    /// that of a model with fresh parameters. Positive where earlier stages helped; 0 with one stage.
    pub fn forward_transfer(&self, fresh: &[f64]) -> f64 {
        mean((1..self.rows.len()).map(|task| self.rows[task - 1][task] - fresh[task]))
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len();
    if n == 0 { 0.0 } else { values.sum::<f64>() / n as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stage_forgets_nothing() {
        let matrix = ScoreMatrix::new(vec![vec![0.7]]).unwrap();
        assert_eq!((matrix.average(), matrix.backward_transfer(), matrix.forgetting()), (0.7, 0.0, 0.0));
        assert!(ScoreMatrix::new(vec![vec![0.1, 0.2]]).is_err());
        assert!(ScoreMatrix::new(vec![vec![f64::NAN]]).is_err());
    }
}
