//! Sampling of an epoch: a shuffled list of single-modality batches (section 3.3 of the paper).

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::rng::{self, Rng};

/// Sampling of the batches of an epoch: with or without replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Every batch is drawn at random from all samples, as in the reference. An epoch of one pool, such as that of a first stage, is drawn without
    /// replacement all the same, as there.
    #[default]
    WithReplacement,
    /// Every sample is drawn at most once an epoch.
    WithoutReplacement,
}

/// Training objective of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Objective {
    /// Pretext task: masked modelling.
    Pretext,
    /// Distillation, on the buffer of an earlier stage.
    Distillation,
}

/// A pool of samples that batches are drawn from: indices into one dataset.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    /// Number of the dataset in the stage.
    pub dataset: usize,
    pub objective: Objective,
    /// Label of the losses: the modality, with the stage's number where the modality comes again.
    pub label: String,
    pub indices: Vec<u64>,
    /// How often each sample is drawn, relative to the others, above 0; empty where all are drawn equally often.
    pub weights: Vec<f64>,
    /// Number of samples in a batch.
    pub batch_size: usize,
    /// Number of passes over the pool in an epoch.
    pub passes: f64,
}

/// Plan of one training step: a batch of one modality.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// Number of the pool.
    pub pool: usize,
    /// Indices of the samples in the pool's dataset.
    pub indices: Vec<u64>,
    /// Seeds of the samples, one a sample.
    pub seeds: Vec<u64>,
}

/// Plan of one epoch: its batches, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EpochPlan {
    pub steps: Vec<Step>,
}

impl EpochPlan {
    /// Number of batches of an epoch: `floor(n / batch)` of each pool for each pass, at least one of a pool that is not empty.
    pub fn n_steps(pools: &[Pool]) -> usize {
        pools.iter().map(n_batches).sum()
    }

    /// Draws the plan of an epoch. A pool smaller than a batch gives batches of its own size. A pool with weights is drawn with replacement.
    pub fn new(pools: &[Pool], sampling: Sampling, seed: u64, [stage, epoch]: [u64; 2]) -> Self {
        let sampling = if pools.len() == 1 { Sampling::WithoutReplacement } else { sampling };
        let mut steps = Vec::new();
        for (number, pool) in pools.iter().enumerate() {
            let mut generator = rng::keyed(seed, "samples", &[stage, epoch, number as u64]);
            let mut left = Vec::new();
            let sums = cumulative(&pool.weights);
            for _ in 0..n_batches(pool) {
                let size = pool.batch_size.min(pool.indices.len());
                let indices: Vec<u64> = (0..size)
                    .map(|_| match sampling {
                        _ if !sums.is_empty() => pool.indices[weighted(&sums, &mut generator)],
                        Sampling::WithReplacement => pool.indices[generator.random_range(0..pool.indices.len())],
                        Sampling::WithoutReplacement => take(&mut left, &pool.indices, &mut generator),
                    })
                    .collect();
                let seeds = (0..size).map(|_| generator.random()).collect();
                steps.push(Step { pool: number, indices, seeds });
            }
        }
        let mut generator = rng::keyed(seed, "order", &[stage, epoch]);
        for last in (1..steps.len()).rev() {
            steps.swap(last, generator.random_range(0..=last));
        }
        Self { steps }
    }
}

fn n_batches(pool: &Pool) -> usize {
    match pool.indices.len() {
        0 => 0,
        n => (((n / pool.batch_size) as f64 * pool.passes).round() as usize).max(1),
    }
}

/// Sums of the weights up to each sample.
fn cumulative(weights: &[f64]) -> Vec<f64> {
    let add = |sum: &mut f64, weight: &f64| {
        *sum += weight;
        Some(*sum)
    };
    weights.iter().scan(0.0, add).collect()
}

/// Draws a position in proportion to the weights, whose sums these are.
fn weighted(sums: &[f64], generator: &mut Rng) -> usize {
    let all = sums.last().copied().unwrap_or_default();
    let drawn = generator.random::<f64>() * all;
    // Rounding may take the draw to the very end.
    sums.partition_point(|sum| *sum <= drawn).min(sums.len() - 1)
}

/// A random one of the remaining samples, which are refilled when none remain.
fn take(left: &mut Vec<u64>, all: &[u64], generator: &mut Rng) -> u64 {
    if left.is_empty() {
        left.extend_from_slice(all);
    }
    left.swap_remove(generator.random_range(0..left.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools() -> Vec<Pool> {
        let pool = |dataset, objective, indices| Pool {
            dataset,
            objective,
            label: String::new(),
            indices,
            weights: Vec::new(),
            batch_size: 5,
            passes: 1.0,
        };
        vec![
            pool(0, Objective::Pretext, (0..23).collect()),
            pool(1, Objective::Distillation, vec![4, 9, 11]),
            pool(2, Objective::Distillation, vec![]),
        ]
    }

    #[test]
    fn batches_are_counted_by_floor_and_never_less_than_one() {
        let plan = EpochPlan::new(&pools(), Sampling::default(), 1, [0, 0]);
        assert_eq!(plan.steps.len(), EpochPlan::n_steps(&pools()));
        let count = |pool| plan.steps.iter().filter(|step| step.pool == pool).count();
        assert_eq!([count(0), count(1), count(2)], [4, 1, 0]);
        let small = plan.steps.iter().find(|step| step.pool == 1).map(|step| step.indices.len());
        assert_eq!(small, Some(3));
    }

    #[test]
    fn a_pool_may_have_more_or_less_than_one_pass() {
        let mut pools = pools();
        (pools[0].passes, pools[1].passes) = (2.5, 0.2);
        let plan = EpochPlan::new(&pools, Sampling::default(), 1, [0, 0]);
        let count = |pool| plan.steps.iter().filter(|step| step.pool == pool).count();
        assert_eq!([count(0), count(1), count(2)], [10, 1, 0]);
    }

    proptest::proptest! {
        #[test]
        fn an_epoch_has_the_references_batches_each_of_one_pool(
            sizes in proptest::collection::vec(0usize..40, 1..5), batch_size in 1usize..12, seed: u64,
        ) {
            let pool = |(dataset, n): (usize, &usize)| Pool {
                dataset,
                objective: if dataset == 0 { Objective::Pretext } else { Objective::Distillation },
                label: String::new(),
                indices: (0..*n as u64).map(|index| 100 * dataset as u64 + index).collect(),
                weights: Vec::new(),
                batch_size,
                passes: 1.0,
            };
            let pools: Vec<Pool> = sizes.iter().enumerate().map(pool).collect();
            for sampling in [Sampling::WithReplacement, Sampling::WithoutReplacement] {
                let plan = EpochPlan::new(&pools, sampling, seed, [1, 2]);
                for (at, &n) in sizes.iter().enumerate() {
                    let steps: Vec<_> = plan.steps.iter().filter(|step| step.pool == at).collect();
                    assert_eq!(steps.len(), if n == 0 { 0 } else { (n / batch_size).max(1) });
                    for step in &steps {
                        assert_eq!((step.indices.len(), step.seeds.len()), (n.min(batch_size), n.min(batch_size)));
                        assert!(step.indices.iter().all(|index| pools[at].indices.contains(index)));
                    }
                    let mut drawn: Vec<u64> = steps.iter().flat_map(|step| step.indices.clone()).collect();
                    let n_drawn = drawn.len();
                    drawn.sort_unstable();
                    drawn.dedup();
                    let repeats = sampling == Sampling::WithReplacement && pools.len() > 1;
                    assert!(repeats || drawn.len() == n_drawn);
                }
            }
        }
    }

    #[test]
    fn weights_are_frequencies() {
        let mut pools = pools();
        pools[0].indices = (0..2000).collect();
        pools[0].weights = (0..2000).map(|at| [1.0, 3.0, 0.5, 0.001][at % 4]).collect();
        pools.truncate(1);
        let mut drawn = [0f64; 4];
        for epoch in 0..5 {
            let plan = EpochPlan::new(&pools, Sampling::default(), 7, [0, epoch]);
            plan.steps.iter().flat_map(|step| &step.indices).for_each(|index| drawn[*index as usize % 4] += 1.0);
        }
        let n: f64 = drawn.iter().sum();
        assert_eq!(n, 10_000.0);
        for (found, weight) in drawn.into_iter().zip([1.0, 3.0, 0.5, 0.001]) {
            let share = weight / 4.501;
            assert!((found - n * share).abs() < 3.0 * (n * share * (1.0 - share)).sqrt(), "{weight}: {found}");
        }
    }

    #[test]
    fn epochs_differ_and_repeat_by_their_key() {
        let plan = |epoch| EpochPlan::new(&pools(), Sampling::default(), 1, [2, epoch]);
        assert_eq!(plan(3), plan(3));
        assert_ne!(plan(3), plan(4));
    }

    #[test]
    fn without_replacement_no_sample_comes_twice() {
        let plan = EpochPlan::new(&pools(), Sampling::WithoutReplacement, 1, [0, 0]);
        let mut seen: Vec<_> =
            plan.steps.iter().filter(|step| step.pool == 0).flat_map(|step| step.indices.clone()).collect();
        seen.sort_unstable();
        let n = seen.len();
        seen.dedup();
        assert_eq!((n, seen.len()), (20, 20));
    }
}
