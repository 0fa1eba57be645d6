//! A subset of a dataset, as a dataset of its own.

use std::sync::Arc;

use rand::RngExt;

use super::account::DataAccount;
use super::dataset::{Dataset, RawBatch, SampleReport, TargetSpec, TokenSpec, View};
use super::grid_layout::GridLayout;
use crate::Result;
use crate::confined_path::ConfinedPath;
use crate::rng;

/// Subset of another dataset, in the order of the given indices.
pub struct Subset<'a> {
    dataset: &'a dyn Dataset,
    indices: Vec<u64>,
    ids: Vec<String>,
    weights: Vec<f64>,
}

impl<'a> Subset<'a> {
    /// The subset of the samples `indices`; each index must be below the number of samples.
    pub fn new(dataset: &'a dyn Dataset, indices: Vec<u64>) -> Self {
        let ids = indices.iter().map(|index| dataset.ids()[*index as usize].clone()).collect();
        let weights = match dataset.weights() {
            [] => Vec::new(),
            weights => indices.iter().map(|index| weights[*index as usize]).collect(),
        };
        Self { dataset, indices, ids, weights }
    }
}

impl Dataset for Subset<'_> {
    fn modality(&self) -> &str {
        self.dataset.modality()
    }

    fn family(&self) -> &str {
        self.dataset.family()
    }

    fn spec(&self) -> TokenSpec {
        self.dataset.spec()
    }

    fn ids(&self) -> &[String] {
        &self.ids
    }

    fn account(&self) -> Option<&DataAccount> {
        self.dataset.account()
    }

    fn fingerprint(&self) -> &str {
        self.dataset.fingerprint()
    }

    fn layout(&self) -> Option<&Arc<GridLayout>> {
        self.dataset.layout()
    }

    fn vocabulary_digest(&self) -> Option<&str> {
        self.dataset.vocabulary_digest()
    }

    fn targets(&self) -> TargetSpec {
        self.dataset.targets()
    }

    fn weights(&self) -> &[f64] {
        &self.weights
    }

    fn fill(&self, view: View, indices: &[u64], seeds: &[u64], batch: &mut RawBatch) -> Result<Vec<SampleReport>> {
        let indices: Vec<u64> = indices.iter().map(|index| self.indices[*index as usize]).collect();
        self.dataset.fill(view, &indices, seeds, batch)
    }

    fn keep(&self, indices: &[u64], folder: &ConfinedPath) -> Result<()> {
        let indices: Vec<u64> = indices.iter().map(|index| self.indices[*index as usize]).collect();
        self.dataset.keep(&indices, folder)
    }
}

/// Draws `n_wanted` of `pool` at random without replacement, or all of them if the pool has no more; ascending. `place` is the key of the draw, such
/// as the number of a stage.
pub fn sample_without_replacement(pool: &[u64], n_wanted: usize, seed: u64, place: &[u64]) -> Vec<u64> {
    let mut generator = rng::keyed(seed, "selection", place);
    let mut left = pool.to_vec();
    let mut drawn: Vec<u64> =
        (0..n_wanted.min(pool.len())).map(|_| left.swap_remove(generator.random_range(0..left.len()))).collect();
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_drawn_once_each_and_the_same_key_draws_the_same() {
        let pool: Vec<u64> = (0..50).map(|n| 3 * n).collect();
        let drawn = sample_without_replacement(&pool, 7, 5, &[1]);
        assert_eq!((drawn.len(), &drawn), (7, &sample_without_replacement(&pool, 7, 5, &[1])));
        assert_ne!(drawn, sample_without_replacement(&pool, 7, 5, &[2]));
        assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]) && drawn.iter().all(|index| pool.contains(index)));
        assert_eq!(sample_without_replacement(&pool, 80, 5, &[1]), pool);
    }
}
