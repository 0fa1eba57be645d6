//! Folds of cross-validation: stratified by class, grouped, seeded.

use super::bootstrap::members;
use super::split::{Split, counted, shuffle};
use crate::rng;
use crate::{Result, SettingError};

/// Most folds.
const MAX_FOLDS: usize = 1000;

/// Number of the fold of each sample, from 0, with about equal shares of every class in each fold and all samples of a group in one. `labels` and
/// `groups` are by sample, as for [`Split::draw`].
///
/// Groups are taken from the largest to the smallest, equal ones in a drawn order. Each goes to the fold where it adds least to the sum over classes of
/// squared shares, which is smallest where the shares are equal; of equals to the one with fewer samples, then to the first.
///
/// # Errors
/// Fewer than two folds or more than 1000.
pub fn draw_folds(labels: &[usize], groups: &[usize], n_folds: usize, seed: u64) -> Result<Vec<usize>> {
    if !(2..=MAX_FOLDS).contains(&n_folds) {
        return Err(SettingError::out_of_range("split.folds", n_folds, "2 to 1000").into());
    }
    let n_classes = labels.iter().max().map_or(0, |most| most + 1);
    let mut groups_left = members(groups);
    shuffle(&mut groups_left, &mut rng::keyed(seed, "evaluation folds", &[]));
    groups_left.sort_by_key(|members| std::cmp::Reverse(members.len()));
    let all = counted(labels, &(0..labels.len()).collect::<Vec<usize>>(), n_classes);
    let mut in_fold = vec![vec![0usize; n_classes]; n_folds];
    let mut sizes = vec![0usize; n_folds];
    let mut folds = vec![0; labels.len()];
    for members in &groups_left {
        let count = counted(labels, members, n_classes);
        let added = |fold: usize| -> f64 {
            let class = |class: usize| {
                let (before, more) = (in_fold[fold][class] as f64, count[class] as f64);
                (2.0 * before * more + more * more) / (all[class] as f64).powi(2)
            };
            (0..n_classes).filter(|class| count[*class] > 0).map(class).sum()
        };
        let order = |a: &usize, b: &usize| added(*a).total_cmp(&added(*b)).then(sizes[*a].cmp(&sizes[*b]));
        let fold = (0..n_folds).min_by(order).unwrap_or_default();
        in_fold[fold].iter_mut().zip(&count).for_each(|(sum, n)| *sum += n);
        sizes[fold] += members.len();
        members.iter().for_each(|at| folds[*at] = fold);
    }
    Ok(folds)
}

impl Split {
    /// The split that tests one fold of [`draw_folds`] and trains on the others.
    ///
    /// # Errors
    /// A class that is not on both sides.
    pub fn of_fold(labels: &[usize], folds: &[usize], fold: usize) -> Result<Self> {
        let side = |test: bool| (0..folds.len()).filter(|at| (folds[*at] == fold) == test).collect();
        let split = Self { train: side(false), test: side(true) };
        split.check(labels, labels.iter().max().map_or(0, |most| most + 1))?;
        Ok(split)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_are_equal_where_they_can_be() {
        // Two classes of 50 and 25 samples: ten and five in each of five folds.
        let labels: Vec<usize> = (0..75).map(|at| usize::from(at % 3 == 0)).collect();
        let alone: Vec<usize> = (0..75).collect();
        let folds = draw_folds(&labels, &alone, 5, 3).unwrap();
        for fold in 0..5 {
            let n = |class| (0..75).filter(|at| folds[*at] == fold && labels[*at] == class).count();
            assert_eq!([n(0), n(1)], [10, 5], "fold {fold}");
            let split = Split::of_fold(&labels, &folds, fold).unwrap();
            assert_eq!((split.train.len(), split.test.len()), (60, 15));
        }
        assert_ne!(folds, draw_folds(&labels, &alone, 5, 4).unwrap());
        assert!(draw_folds(&labels, &alone, 1, 0).unwrap_err().to_string().contains("split.folds is 1"));
        // Three samples of a class cannot be in four folds.
        assert!(
            Split::of_fold(
                &[0, 0, 0, 0, 1, 1],
                &draw_folds(&[0, 0, 0, 0, 1, 1], &[0, 1, 2, 3, 4, 4], 2, 0).unwrap(),
                0
            )
            .is_err()
        );
    }

    proptest! {
        #[test]
        fn every_group_is_tested_once(
            samples in prop::collection::vec((0usize..4, 0usize..12), 1..80), n_folds in 2usize..6, seed: u64,
        ) {
            let (labels, groups): (Vec<usize>, Vec<usize>) = samples.into_iter().unzip();
            let folds = draw_folds(&labels, &groups, n_folds, seed).unwrap();
            prop_assert_eq!(folds.len(), labels.len());
            prop_assert!(folds.iter().all(|fold| *fold < n_folds));
            for (at, group) in groups.iter().enumerate() {
                prop_assert!(groups.iter().zip(&folds).all(|(other, fold)| other != group || *fold == folds[at]));
            }
            prop_assert_eq!(&folds, &draw_folds(&labels, &groups, n_folds, seed).unwrap());
        }
    }
}
