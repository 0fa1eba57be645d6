//! Splits of a task's samples into training and test: stratified by class, grouped, seeded.

use rand::RngExt;

use super::bootstrap::members;
use crate::rng::{self, Rng};
use crate::{EvaluationError, Result, SettingError};

/// Training and test split: positions of a task's samples, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// Positions of the training samples.
    pub train: Vec<usize>,
    /// Positions of the test samples.
    pub test: Vec<usize>,
}

impl Split {
    /// Draws a split with about the fraction `test` of each class in the test split, at least one sample of each class in both splits, and all
    /// samples of a group in one split. `labels` and `groups` are by sample; samples of one group have the same number in `groups`.
    ///
    /// Groups are taken from the largest to the smallest, equal ones in a drawn order, and each goes to the side that brings the shares
    /// of its classes nearer to the wanted ones. Samples that each are a group of their own are thereby stratified exactly.
    ///
    /// # Errors
    /// A share that is not between 0 and 1; a class that is not on both sides, with what it lacks.
    pub fn draw(labels: &[usize], groups: &[usize], test: f64, seed: u64) -> Result<Self> {
        if !(test > 0.0 && test < 1.0) {
            return Err(SettingError::out_of_range("split.test", test, "between 0.0 and 1.0").into());
        }
        let n_classes = labels.iter().max().map_or(0, |most| most + 1);
        let mut groups_left = members(groups);
        shuffle(&mut groups_left, &mut rng::keyed(seed, "evaluation split", &[]));
        groups_left.sort_by_key(|members| std::cmp::Reverse(members.len()));

        let counts: Vec<Vec<usize>> = groups_left.iter().map(|members| counted(labels, members, n_classes)).collect();
        let all: Vec<usize> = (0..n_classes).map(|class| counts.iter().map(|count| count[class]).sum()).collect();
        let wanted: Vec<f64> =
            all.iter().map(|&n| (n as f64 * test).round().clamp(1.0, (n as f64 - 1.0).max(1.0))).collect();
        let mut tested = vec![0; n_classes];
        let mut in_test = vec![false; groups_left.len()];
        for (at, count) in counts.iter().enumerate() {
            let distance = |with: bool| -> f64 {
                let class = |class: usize| {
                    let found = tested[class] + if with { count[class] } else { 0 };
                    ((found as f64 - wanted[class]) / all[class].max(1) as f64).powi(2)
                };
                (0..n_classes).filter(|class| count[*class] > 0).map(class).sum()
            };
            if distance(true) < distance(false) {
                in_test[at] = true;
                tested.iter_mut().zip(count).for_each(|(sum, n)| *sum += n);
            }
        }
        balance(&counts, &all, &mut tested, &mut in_test);

        let side = |wanted: bool| {
            let chosen = groups_left.iter().zip(&in_test).filter(|(_, side)| **side == wanted);
            let mut places: Vec<usize> = chosen.flat_map(|(members, _)| members).copied().collect();
            places.sort_unstable();
            places
        };
        let split = Self { train: side(false), test: side(true) };
        split.check(labels, n_classes)?;
        Ok(split)
    }

    /// Checks that every class occurs in both splits.
    ///
    /// # Errors
    /// The first class that is not, by its number.
    pub fn check(&self, labels: &[usize], n_classes: usize) -> Result<()> {
        for (name, places) in [("training", &self.train), ("test", &self.test)] {
            if places.is_empty() {
                return Err(EvaluationError::EmptySplit { split: name }.into());
            }
            if let Some(class) = (0..n_classes).find(|class| places.iter().all(|at| labels[*at] != *class)) {
                return Err(EvaluationError::MissingClass { class, n_classes, split: name }.into());
            }
        }
        Ok(())
    }
}

/// Moves the smallest group with a missing class into the split that lacks the class, where the other split can spare the group.
fn balance(counts: &[Vec<usize>], all: &[usize], tested: &mut [usize], in_test: &mut [bool]) {
    for class in 0..all.len() {
        for to_test in [true, false] {
            let lacks = if to_test { tested[class] == 0 } else { tested[class] == all[class] };
            if !lacks || all[class] == 0 {
                continue;
            }
            let spares = |at: &usize| {
                in_test[*at] != to_test && counts[*at][class] > 0 && {
                    let stays = |other: usize| {
                        let on_its_side = if to_test { all[other] - tested[other] } else { tested[other] };
                        counts[*at][other] == 0 || on_its_side > counts[*at][other]
                    };
                    (0..all.len()).all(stays)
                }
            };
            let smallest = (0..counts.len()).filter(spares).min_by_key(|at| counts[*at].iter().sum::<usize>());
            if let Some(at) = smallest {
                in_test[at] = to_test;
                for (sum, n) in tested.iter_mut().zip(&counts[at]) {
                    *sum = if to_test { *sum + n } else { *sum - n };
                }
            }
        }
    }
}

/// Draws at most `most` samples, ascending: of each kind its proportional share, and at least `least` where the kind has as many. `kinds` are by
/// sample, such as the class, or class and split.
pub fn draw_samples(kinds: &[usize], most: usize, least: usize, seed: u64) -> Vec<usize> {
    if kinds.len() <= most {
        return (0..kinds.len()).collect();
    }
    let mut kinds_left = members(kinds);
    // Ordered by kind and not by first sample, so that the draw does not depend on the order of the data.
    kinds_left.sort_by_key(|members| kinds[members[0]]);
    let share = most as f64 / kinds.len() as f64;
    let mut draws = rng::keyed(seed, "evaluation samples", &[]);
    let mut chosen = Vec::with_capacity(most);
    for members in &mut kinds_left {
        shuffle(members, &mut draws);
        let n = ((members.len() as f64 * share).round() as usize).max(least).min(members.len());
        chosen.extend_from_slice(&members[..n]);
    }
    chosen.sort_unstable();
    chosen
}

pub(super) fn counted(labels: &[usize], members: &[usize], n_classes: usize) -> Vec<usize> {
    let mut count = vec![0; n_classes];
    members.iter().for_each(|at| count[labels[*at]] += 1);
    count
}

/// Shuffles values (Fisher and Yates).
pub(super) fn shuffle<T>(values: &mut [T], draws: &mut Rng) {
    for last in (1..values.len()).rev() {
        values.swap(last, draws.random_range(0..=last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn alone(n: usize) -> Vec<usize> {
        (0..n).collect()
    }

    #[test]
    fn samples_without_groups_are_stratified_exactly() {
        let labels: Vec<usize> = (0..100).map(|at| usize::from(at >= 80)).collect();
        let split = Split::draw(&labels, &alone(100), 0.3, 4).unwrap();
        let n = |places: &[usize], class| places.iter().filter(|at| labels[**at] == class).count();
        assert_eq!([n(&split.test, 0), n(&split.test, 1), n(&split.train, 0), n(&split.train, 1)], [24, 6, 56, 14]);
        assert_ne!(split, Split::draw(&labels, &alone(100), 0.3, 5).unwrap());
    }

    #[test]
    fn samples_that_cannot_be_split_are_an_error() {
        let error =
            |labels: &[usize], groups: &[usize], test| Split::draw(labels, groups, test, 0).unwrap_err().to_string();
        assert!(error(&[0, 0, 1, 1], &alone(4), 1.0).contains("split.test is 1"));
        assert!(error(&[0, 0, 1], &alone(3), 0.5).contains("class 1 of 2 has no sample in the"));
        // One group holds all of class 1.
        assert!(error(&[0, 0, 1, 1], &[0, 1, 2, 2], 0.5).contains("class 1 of 2 has no sample in the"));
    }

    #[test]
    fn a_draw_of_samples_keeps_shares_and_spares_small_kinds() {
        let kinds: Vec<usize> = (0..1000).map(|at| if at < 2 { 7 } else { at % 2 }).collect();
        let chosen = draw_samples(&kinds, 100, 2, 9);
        let n = |kind| chosen.iter().filter(|at| kinds[**at] == kind).count();
        assert_eq!([n(0), n(1), n(7)], [50, 50, 2]);
        assert_eq!(chosen, draw_samples(&kinds, 100, 2, 9));
        assert_eq!(draw_samples(&kinds, 1000, 2, 9).len(), 1000);
    }

    proptest! {
        #[test]
        fn groups_are_never_divided_and_the_same_seed_gives_the_same_split(
            samples in prop::collection::vec((0usize..4, 0usize..12), 1..80), test in 0.05f64..0.95, seed: u64,
        ) {
            let (labels, groups): (Vec<usize>, Vec<usize>) = samples.into_iter().unzip();
            let split = Split::draw(&labels, &groups, test, seed);
            if let Ok(split) = &split {
                let mut all = [split.train.as_slice(), &split.test].concat();
                all.sort_unstable();
                prop_assert_eq!(all, alone(labels.len()));
                for at in &split.test {
                    prop_assert!(split.train.iter().all(|other| groups[*other] != groups[*at]));
                }
            }
            prop_assert_eq!(split.ok(), Split::draw(&labels, &groups, test, seed).ok());
        }

        /// Where each group is of one class and each class has two groups, every class can be on both sides, and is.
        #[test]
        fn every_class_is_on_both_sides_where_groups_are_of_one_class(
            sizes in prop::collection::vec((0usize..3, 1usize..9), 0..20), test in 0.05f64..0.95, seed: u64,
        ) {
            let two_of_each = (0..3).flat_map(|class| [(class, 2), (class, 3)]);
            let (mut labels, mut groups) = (Vec::new(), Vec::new());
            for (group, (class, size)) in two_of_each.chain(sizes).enumerate() {
                labels.extend(vec![class; size]);
                groups.extend(vec![group; size]);
            }
            prop_assert!(Split::draw(&labels, &groups, test, seed).is_ok());
        }
    }
}
