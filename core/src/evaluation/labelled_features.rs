//! Labelled features: the input of the probes.

use crate::{EvaluationError, Result};

/// Features of samples with their classes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LabelledFeatures {
    /// Features, `[n, width]`, row-major.
    pub values: Vec<f32>,
    /// Number of values in a row.
    pub width: usize,
    /// Class of each row, `[n]`.
    pub labels: Vec<usize>,
}

impl LabelledFeatures {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Rows of the features.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width.max(1))
    }

    /// Checks that a training and a test set fit together: neither is empty, and both have the same width.
    pub(super) fn check_pair(train: &Self, test: &Self) -> Result<()> {
        for (split, set) in [("training", train), ("test", test)] {
            if set.is_empty() {
                return Err(EvaluationError::EmptySplit { split }.into());
            }
        }
        if train.width != test.width || [train, test].iter().any(|set| set.values.len() != set.len() * set.width) {
            return Err(EvaluationError::Features {
                detail: format!(
                    "features have {} and {} values a row: expected the same, and a row a sample",
                    train.width, test.width
                ),
            }
            .into());
        }
        Ok(())
    }

    /// Rows scaled to length 1, so that a product of two rows is their cosine; a row of zeros stays zero.
    pub(super) fn unit_rows(&self) -> Vec<Vec<f64>> {
        let unit = |row: &[f32]| {
            let length = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            row.iter().map(|value| f64::from(*value) / if length > 0.0 { length } else { 1.0 }).collect()
        };
        self.rows().map(unit).collect()
    }
}

/// Dot product of two rows.
pub(super) fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
