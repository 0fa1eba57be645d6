//! Comparison of predicted masks with true ones, sample by sample, empty masks included.

use serde::{Deserialize, Serialize};

use super::metric::Metric;
use super::segmentation::{dice, hausdorff_95_of};
use super::segmentation_maps::ClassMaps;
use crate::Result;

/// Segmentation scores of one sample, by class without the background.
///
/// A class that is neither there nor predicted is segmented rightly: Dice 1. One that is there or predicted, and not both, has Dice 0. In
/// both cases there is no border to measure from, so there is no distance, neither 0 nor infinite: such pairs of sample and
/// class are left out of means of distances, and counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleSegmentation {
    /// Index of the sample.
    pub index: u64,
    /// Dice coefficient of each class, in [0, 1]; none where the class was not annotated in the sample.
    pub dice: Vec<Option<f64>>,
    /// Whether true and predicted mask of a class are both empty.
    pub both_empty: Vec<bool>,
    /// HD95 of each class in voxels: 95th percentile of the distances between borders; none where a mask is empty.
    pub hd95_voxels: Vec<Option<f64>>,
    /// HD95 of each class in millimetres; none where a mask is empty or the spacing is unknown.
    pub hd95_mm: Vec<Option<f64>>,
}

/// Segmentation scores of all samples of a test split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentationScores {
    /// Names of the classes without the background.
    pub classes: Vec<String>,
    /// Scores of each sample.
    pub samples: Vec<SampleSegmentation>,
}

impl SampleSegmentation {
    /// Scores of one sample from its true and predicted classes, both of the shape of `maps`; `at` is the sample's position among their rows.
    ///
    /// # Errors
    /// None for a valid shape.
    pub fn compare(maps: &ClassMaps, at: usize, truth: &[u8], predicted: &[u8]) -> Result<Self> {
        let of_class = |class: usize| {
            [truth, predicted].map(|map| map.iter().map(|&found| usize::from(found) == class).collect::<Vec<_>>())
        };
        let masks: Vec<Option<[Vec<bool>; 2]>> = (1..=maps.classes.len()).map(of_class).map(Some).collect();
        Self::of_masks(maps.rows[at], &maps.shape, maps.spacing_mm[at].as_deref(), &masks)
    }

    /// Scores of one sample from the true and the predicted mask of each class, none for a class that was not annotated; `spacing_mm` is the distance of neighbouring voxels along each axis, where
    /// it is known.
    ///
    /// # Errors
    /// None for a valid shape.
    pub fn of_masks(
        index: u64,
        shape: &[usize],
        spacing_mm: Option<&[f64]>,
        masks: &[Option<[Vec<bool>; 2]>],
    ) -> Result<Self> {
        let n = masks.len();
        let mut scores = Self {
            index,
            dice: Vec::with_capacity(n),
            both_empty: Vec::with_capacity(n),
            hd95_voxels: Vec::with_capacity(n),
            hd95_mm: Vec::with_capacity(n),
        };
        for masks in masks {
            let Some([truth, predicted]) = masks else {
                scores.dice.push(None);
                scores.both_empty.push(false);
                scores.hd95_voxels.push(None);
                scores.hd95_mm.push(None);
                continue;
            };
            let empty = [truth, predicted].map(|mask| !mask.contains(&true));
            scores.dice.push(Some(dice(truth, predicted)));
            scores.both_empty.push(empty == [true, true]);
            // Of an image the border is found in its plane: as a volume of one slice, every pixel would be border.
            let distance = |spacing: &[f64]| hausdorff_95_of(truth, predicted, shape, spacing);
            let measurable = empty == [false, false];
            scores.hd95_voxels.push(measurable.then(|| distance(&vec![1.0; shape.len()])).transpose()?);
            scores.hd95_mm.push(spacing_mm.filter(|_| measurable).map(distance).transpose()?);
        }
        Ok(scores)
    }

    fn values(&self, metric: Metric, class: usize) -> Option<f64> {
        match metric {
            Metric::Dice => self.dice[class],
            Metric::Hd95Voxels => self.hd95_voxels[class],
            Metric::Hd95Mm => self.hd95_mm[class],
            _ => None,
        }
    }
}

impl SegmentationScores {
    /// Mean of a segmentation metric over the samples at `places` and over all classes; a position may occur more than once. None where no pair of
    /// sample and class has a value.
    pub fn mean(&self, metric: Metric, places: &[usize]) -> Option<f64> {
        let classes = 0..self.classes.len();
        mean(
            places
                .iter()
                .flat_map(|&at| classes.clone().filter_map(move |class| self.samples[at].values(metric, class))),
        )
    }

    /// Mean of a segmentation metric over all samples, for each class.
    pub fn by_class(&self, metric: Metric) -> Vec<Option<f64>> {
        let of_class = |class| mean(self.samples.iter().filter_map(|sample| sample.values(metric, class)));
        (0..self.classes.len()).map(of_class).collect()
    }

    /// Scores of one class alone.
    pub fn of_class(&self, class: usize) -> Self {
        let one = |sample: &SampleSegmentation| SampleSegmentation {
            index: sample.index,
            dice: vec![sample.dice[class]],
            both_empty: vec![sample.both_empty[class]],
            hd95_voxels: vec![sample.hd95_voxels[class]],
            hd95_mm: vec![sample.hd95_mm[class]],
        };
        Self { classes: vec![self.classes[class].clone()], samples: self.samples.iter().map(one).collect() }
    }

    /// Number of pairs of sample and annotated class whose HD95 is undefined, because one mask or both are empty.
    pub fn n_undefined_hd95(&self) -> usize {
        let pairs = self.samples.iter().flat_map(|sample| sample.dice.iter().zip(&sample.hd95_voxels));
        pairs.filter(|(dice, distance)| dice.is_some() && distance.is_none()).count()
    }

    /// Number of pairs of sample and class in which both masks are empty; their Dice coefficient counts as 1.
    pub fn n_both_empty(&self) -> usize {
        self.samples.iter().flat_map(|sample| &sample.both_empty).filter(|empty| **empty).count()
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0usize), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps(spacing_mm: Option<Vec<f64>>) -> ClassMaps {
        ClassMaps {
            shape: vec![2, 6],
            grid: vec![1, 2],
            classes: vec!["1".into(), "2".into()],
            rows: vec![7],
            spacing_mm: vec![spacing_mm],
            values: vec![],
            invalid: vec![],
        }
    }

    fn compared(truth: [u8; 12], predicted: [u8; 12], spacing_mm: Option<Vec<f64>>) -> SampleSegmentation {
        SampleSegmentation::compare(&maps(spacing_mm), 0, &truth, &predicted).unwrap()
    }

    #[test]
    fn overlap_and_distance_by_class_in_voxels_and_millimetres() {
        // Class 1 is shifted by one column of three; class 2 lies two rows... one row below.
        let truth = [1, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0];
        let predicted = [0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2];
        let scores = compared(truth, predicted, Some(vec![5.0, 0.5]));
        assert_eq!(scores.dice, [Some(0.5), Some(0.0)]);
        // Distances of borders, both ways: 1 0 0 1 of class 1, and 1 1 of class 2.
        assert_eq!(scores.hd95_voxels, [Some(1.0), Some(1.0)]);
        assert_eq!(scores.hd95_mm, [Some(0.5), Some(5.0)]);
        assert_eq!(compared(truth, predicted, None).hd95_mm, [None, None]);
    }

    #[test]
    fn a_class_that_was_not_annotated_counts_for_nothing() {
        let (mask, other) = (vec![true, false], vec![false, true]);
        let sample = |second: Option<[Vec<bool>; 2]>| {
            SampleSegmentation::of_masks(0, &[1, 2], None, &[Some([mask.clone(), mask.clone()]), second]).unwrap()
        };
        let samples = vec![sample(None), sample(Some([mask.clone(), other.clone()]))];
        let scores = SegmentationScores { classes: vec!["1".into(), "2".into()], samples };
        assert_eq!(scores.by_class(Metric::Dice), [Some(1.0), Some(0.0)]);
        assert_eq!(scores.mean(Metric::Dice, &[0, 1]), Some(2.0 / 3.0));
        assert_eq!((scores.n_undefined_hd95(), scores.n_both_empty()), (0, 0));
    }

    #[test]
    fn empty_masks_have_a_dice_and_no_distance() {
        let (nothing, something) = ([0; 12], [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let spacing = || Some(vec![1.0, 1.0]);
        let samples = vec![
            compared(nothing, nothing, spacing()),
            compared(something, nothing, spacing()),
            compared(nothing, something, spacing()),
            compared(something, something, spacing()),
        ];
        let dices: Vec<f64> = samples.iter().map(|sample| sample.dice[0].unwrap()).collect();
        assert_eq!(dices, [1.0, 0.0, 0.0, 1.0]);
        let distances: Vec<_> = samples.iter().map(|sample| (sample.hd95_voxels[0], sample.hd95_mm[0])).collect();
        assert_eq!(distances, [(None, None), (None, None), (None, None), (Some(0.0), Some(0.0))]);

        let scores = SegmentationScores { classes: vec!["1".into(), "2".into()], samples };
        // Class 2 is nowhere.
        assert_eq!(scores.by_class(Metric::Dice), [Some(0.5), Some(1.0)]);
        assert_eq!(scores.by_class(Metric::Hd95Mm), [Some(0.0), None]);
        assert_eq!((scores.n_undefined_hd95(), scores.n_both_empty()), (7, 5));
        assert_eq!(scores.mean(Metric::Dice, &[1, 3, 3]), Some((0.5 + 1.0 + 1.0) / 3.0));
        assert_eq!(scores.mean(Metric::Hd95Voxels, &[0, 1]), None);
        assert_eq!(scores.mean(Metric::Hd95Voxels, &[0, 1, 2, 3]), Some(0.0));
    }
}
