//! Weighted k-nearest-neighbour classification on frozen features.

use super::labelled_features::{LabelledFeatures, product};
use crate::{EvaluationError, Result, SettingError};

/// k-nearest-neighbour classifier of Wu et al. (*Unsupervised Feature Learning via Non-Parametric Instance Discrimination*, CVPR 2018) as DINO (Caron
/// et al., ICCV 2021) uses it: the `k` training samples of the highest cosine vote for their class with the weight `exp(cosine / temperature)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NearestNeighbours {
    /// Number of neighbours that vote, in `1..=n_train`.
    pub k: usize,
    /// Temperature of the votes, above 0; a low temperature gives the nearest neighbours more weight.
    pub temperature: f64,
}

impl Default for NearestNeighbours {
    /// DINO's settings: 20 neighbours, temperature 0.07.
    fn default() -> Self {
        Self { k: 20, temperature: 0.07 }
    }
}

impl NearestNeighbours {
    /// Class scores `[n_test, n_classes]`: fractions of the votes, each row adding up to 1. Of training samples with equal cosines the first is
    /// nearer.
    ///
    /// # Errors
    /// Settings out of range, more neighbours than training samples, empty splits.
    pub fn scores(&self, train: &LabelledFeatures, test: &LabelledFeatures, n_classes: usize) -> Result<Vec<f64>> {
        LabelledFeatures::check_pair(train, test)?;
        self.check(train.len())?;
        let known = train.unit_rows();
        let mut scores = Vec::with_capacity(test.len() * n_classes);
        for row in test.unit_rows() {
            let mut near: Vec<(f64, usize)> =
                known.iter().zip(&train.labels).map(|(known, label)| (product(known, &row), *label)).collect();
            near.sort_by(|a, b| b.0.total_cmp(&a.0));
            let highest = near[0].0;
            let mut votes = vec![0.0; n_classes];
            for (cosine, label) in &near[..self.k] {
                // Cosines relative to the nearest, so that low temperatures do not overflow a double.
                votes[*label] += ((cosine - highest) / self.temperature).exp();
            }
            let all: f64 = votes.iter().sum();
            scores.extend(votes.into_iter().map(|votes| votes / all));
        }
        Ok(scores)
    }

    /// Checks that the settings are in range for a training split of `n_train` samples.
    ///
    /// # Errors
    /// The setting that is not.
    pub fn check(&self, n_train: usize) -> Result<()> {
        if self.k == 0 || self.k > n_train {
            return Err(EvaluationError::Neighbours { k: self.k, n_train }.into());
        }
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            return Err(SettingError::out_of_range("temperature", self.temperature, "above 0").into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(rows: &[[f32; 2]], labels: &[usize]) -> LabelledFeatures {
        LabelledFeatures { values: rows.concat(), width: 2, labels: labels.to_vec() }
    }

    #[test]
    fn votes_are_those_computed_by_hand() {
        // Cosines with (1, 0): 1, 0.6, 0, -1; lengths do not count.
        let train = set(&[[2.0, 0.0], [3.0, 4.0], [0.0, 5.0], [-1.0, 0.0]], &[0, 1, 1, 2]);
        let test = set(&[[7.0, 0.0]], &[0]);
        let votes = |k, temperature| NearestNeighbours { k, temperature }.scores(&train, &test, 3).unwrap();
        let close = |found: Vec<f64>, expected: [f64; 3]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} instead of {expected:?}");
        };
        close(votes(1, 0.5), [1.0, 0.0, 0.0]);
        // e^2, e^1.2 + e^0.
        let (near, far) = (2.0f64.exp(), 1.2f64.exp() + 1.0);
        close(votes(3, 0.5), [near / (near + far), far / (near + far), 0.0]);
        close(votes(4, 1e-4), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let (train, test) = (set(&[[1.0, 0.0]], &[0]), set(&[[1.0, 0.0]], &[0]));
        let error =
            |k, temperature| NearestNeighbours { k, temperature }.scores(&train, &test, 1).unwrap_err().to_string();
        assert!(error(2, 0.07).contains("k is 2, not in 1 to the 1 samples"));
        assert!(error(1, 0.0).contains("temperature is 0"));
        let none = NearestNeighbours { k: 1, temperature: 1.0 }.scores(&set(&[], &[]), &test, 1);
        assert!(none.unwrap_err().to_string().contains("training split has no samples"));
    }
}
