//! Comparison of two models on the same cases: permutation test and bootstrap interval of the mean difference.

use rand::RngExt;

use super::bootstrap::{N_RESAMPLES, Resamples, members};
use crate::{EvaluationError, Result, SettingError, rng};

/// Number of permutations up to which all are counted rather than drawn: up to 14 groups.
pub const MAX_EXACT_PERMUTATIONS: usize = 20_000;
/// Default number of drawn permutations.
pub const N_PERMUTATIONS: usize = 10_000;

/// Differences of two models' scores, case by case, with the groups of the cases. Cases of one group, such as a patient's scans, are not independent:
/// they change sign together and are drawn together. Every case has the same weight in the mean.
#[derive(Debug, Clone, PartialEq)]
pub struct PairedDifferences {
    values: Vec<f64>,
    /// Positions of the cases of each group.
    members: Vec<Vec<usize>>,
    groups: Vec<usize>,
}

/// Result of a paired permutation test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PermutationTest {
    /// Mean difference.
    pub mean: f64,
    /// Two-sided p-value: how often a mean at least as far from 0 arises where each group's differences have either sign with equal probability.
    pub p_value: f64,
    /// Number of counted permutations.
    pub n_permutations: usize,
    /// Whether these are all permutations.
    pub is_exact: bool,
}

impl PairedDifferences {
    /// Differences `first - second` of scores by case. `groups` has the number of each case's group; for independent cases, distinct numbers.
    ///
    /// # Errors
    /// No cases, arrays of different lengths, scores that are not finite.
    pub fn new(first: &[f64], second: &[f64], groups: &[usize]) -> Result<Self> {
        if first.is_empty() {
            return Err(EvaluationError::EmptySplit { split: "test" }.into());
        }
        for (name, found) in [("the second model", second.len()), ("the array of groups", groups.len())] {
            if found != first.len() {
                let expected = format!("{}, one a score of the first model", first.len());
                return Err(EvaluationError::array(name, format!("{found} values"), expected).into());
            }
        }
        for (name, scores) in [("the first model", first), ("the second model", second)] {
            if let Some(at) = scores.iter().position(|score| !score.is_finite()) {
                let expected = "finite scores; cases without a score are left out for both models";
                let found = format!("{} for case {at}", scores[at]);
                return Err(EvaluationError::array(name, found, expected).into());
            }
        }
        let values = first.iter().zip(second).map(|(first, second)| first - second).collect();
        Ok(Self { values, members: members(groups), groups: groups.to_vec() })
    }

    /// Mean difference over cases.
    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }

    /// Number of groups.
    pub fn n_groups(&self) -> usize {
        self.members.len()
    }

    /// Paired permutation test (Fisher, 1935): the sign of each group's differences is flipped or not. With up to 14 groups all possibilities are counted
    /// (2 to the power of the groups is at most [`MAX_EXACT_PERMUTATIONS`]); with more, `n_draws` are drawn from the seed, and the p-value is
    /// `(k + 1) / (n_draws + 1)`, so that it is never 0 (Phipson and Smyth, 2010).
    ///
    /// # Errors
    /// A number of draws that is not 1 to 10,000,000, where draws are needed.
    pub fn permutation_test(&self, n_draws: usize, seed: u64) -> Result<PermutationTest> {
        let sums: Vec<f64> = self.members.iter().map(|of| of.iter().map(|at| self.values[*at]).sum()).collect();
        // Sums of the same numbers in another order differ by rounding.
        let slack = 1e-12 * sums.iter().map(|sum| sum.abs()).sum::<f64>();
        let observed = sums.iter().sum::<f64>().abs() - slack;
        let n_all = u32::try_from(sums.len()).ok().and_then(|n| 2usize.checked_pow(n));
        if let Some(n_all) = n_all.filter(|n| *n <= MAX_EXACT_PERMUTATIONS) {
            let flipped = |set: usize| {
                let signed = |(at, sum): (usize, &f64)| if set >> at & 1 == 1 { -sum } else { *sum };
                sums.iter().enumerate().map(signed).sum::<f64>()
            };
            let n = (0..n_all).filter(|set| flipped(*set).abs() >= observed).count();
            return Ok(PermutationTest {
                mean: self.mean(),
                p_value: n as f64 / n_all as f64,
                n_permutations: n_all,
                is_exact: true,
            });
        }
        if !(1..=10_000_000).contains(&n_draws) {
            return Err(SettingError::out_of_range("the number of permutations", n_draws, "1 to 10000000").into());
        }
        let mut draws = rng::keyed(seed, "paired permutation", &[]);
        let mut drawn = || sums.iter().map(|sum| if draws.random::<bool>() { -sum } else { *sum }).sum::<f64>();
        let n = (0..n_draws).filter(|_| drawn().abs() >= observed).count();
        Ok(PermutationTest {
            mean: self.mean(),
            p_value: (n + 1) as f64 / (n_draws + 1) as f64,
            n_permutations: n_draws,
            is_exact: false,
        })
    }

    /// Paired bootstrap: the 95 % percentile interval of the mean difference over resamples of groups, [`N_RESAMPLES`] by default.
    ///
    /// # Errors
    /// A number of resamples that is not 1 to 1,000,000.
    pub fn bootstrap_interval(&self, n_resamples: Option<usize>, seed: u64) -> Result<[f64; 2]> {
        let n_resamples = n_resamples.unwrap_or(N_RESAMPLES);
        if !(1..=1_000_000).contains(&n_resamples) {
            return Err(SettingError::out_of_range("the number of resamples", n_resamples, "1 to 1000000").into());
        }
        // Differences have no classes that a resample might lack.
        let resamples = Resamples::draw(&vec![0; self.values.len()], &self.groups, n_resamples, seed)?;
        resamples.interval(|places| Ok(places.iter().map(|at| self.values[*at]).sum::<f64>() / places.len() as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differences(values: &[f64], groups: &[usize]) -> PairedDifferences {
        PairedDifferences::new(values, &vec![0.0; values.len()], groups).unwrap()
    }

    #[test]
    fn all_signs_are_counted_where_they_are_few() {
        // Sums of 1, 2, 3 with signs: 6 and -6 alone are as far from 0 as 6.
        let test = differences(&[1.0, 2.0, 3.0], &[0, 1, 2]).permutation_test(1, 0).unwrap();
        assert_eq!(test, PermutationTest { mean: 2.0, p_value: 0.25, n_permutations: 8, is_exact: true });
        // 1 + 2 - 3: every sum is at least as far from 0.
        let test = differences(&[1.0, 2.0, -3.0], &[0, 1, 2]).permutation_test(1, 0).unwrap();
        assert_eq!((test.mean, test.p_value), (0.0, 1.0));
        // Two groups: 3 and 3.
        let test = differences(&[1.0, 2.0, 3.0], &[7, 7, 1]).permutation_test(1, 0).unwrap();
        assert_eq!((test.p_value, test.n_permutations), (0.5, 4));
        // Sums that are equal but for rounding count.
        let test = differences(&[0.1, 0.2, 0.3], &[0, 1, 2]).permutation_test(1, 0).unwrap();
        assert_eq!(test.p_value, 0.25);
    }

    #[test]
    fn drawn_signs_come_near_to_all_of_them() {
        // The 15th group has no difference: each permutation of the others counts twice, and all are too many.
        let mut values: Vec<f64> = (0..14).map(|at| (at as f64 * 2.4).sin() + 0.35).collect();
        let exact = differences(&values, &(0..14).collect::<Vec<_>>()).permutation_test(1, 0).unwrap();
        assert!(exact.is_exact && exact.p_value > 0.02 && exact.p_value < 0.5, "{exact:?}");
        values.push(0.0);
        let drawn = differences(&values, &(0..15).collect::<Vec<_>>());
        let first = drawn.permutation_test(N_PERMUTATIONS, 5).unwrap();
        // Four standard deviations.
        let deviation = (exact.p_value * (1.0 - exact.p_value) / N_PERMUTATIONS as f64).sqrt();
        assert!(!first.is_exact && (first.p_value - exact.p_value).abs() < 4.0 * deviation, "{first:?}, {exact:?}");
        assert_eq!(first, drawn.permutation_test(N_PERMUTATIONS, 5).unwrap());
        assert_ne!(first.p_value, drawn.permutation_test(N_PERMUTATIONS, 6).unwrap().p_value);
        assert!(drawn.permutation_test(0, 5).unwrap_err().to_string().contains("1 to 10000000"));
        // A difference that no drawn permutation reaches has a p-value above 0.
        let sure = differences(&[1.0; 40], &(0..40).collect::<Vec<_>>()).permutation_test(99, 5).unwrap();
        assert_eq!(sure.p_value, 0.01);
    }

    #[test]
    fn intervals_are_wider_where_cases_are_grouped() {
        let values: Vec<f64> = (0..60).map(|at| 0.3 + ((at / 10) as f64 * 1.7).sin()).collect();
        let by_case = differences(&values, &(0..60).collect::<Vec<_>>());
        let by_group = differences(&values, &(0..60).map(|at| at / 10).collect::<Vec<_>>());
        assert_eq!((by_case.n_groups(), by_group.n_groups()), (60, 6));
        let interval = |differences: &PairedDifferences| differences.bootstrap_interval(None, 1).unwrap();
        let ([low, high], [group_low, group_high]) = (interval(&by_case), interval(&by_group));
        assert!(low < by_case.mean() && by_case.mean() < high);
        // About the root of ten.
        let ratio = (group_high - group_low) / (high - low);
        assert!((2.0..4.5).contains(&ratio), "{ratio}");
        // Normal approximation by case.
        let n = values.len() as f64;
        let variance = values.iter().map(|value| (value - by_case.mean()).powi(2)).sum::<f64>() / n;
        assert!(((high - low) / (2.0 * 1.96 * (variance / n).sqrt()) - 1.0).abs() < 0.15);
        assert_eq!(interval(&by_case), interval(&by_case));
        assert!(by_case.bootstrap_interval(Some(0), 1).is_err());
    }

    #[test]
    fn scores_that_do_not_fit_are_named() {
        let message = |first: &[f64], second: &[f64], groups: &[usize]| {
            PairedDifferences::new(first, second, groups).unwrap_err().to_string()
        };
        assert!(message(&[], &[], &[]).contains("no samples"));
        assert!(message(&[1.0, 2.0], &[1.0], &[0, 1]).starts_with("the second model has 1 values, expected 2"));
        assert!(message(&[1.0], &[1.0], &[0, 1]).starts_with("the array of groups has 2 values, expected 1"));
        assert!(message(&[1.0, f64::NAN], &[1.0, 1.0], &[0, 1]).starts_with("the first model has NaN for case 1"));
    }
}
