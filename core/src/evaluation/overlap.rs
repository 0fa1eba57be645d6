//! Overlap of a predicted mask with the true one: counts of voxels, and the metrics that follow from them.

use serde::{Deserialize, Serialize};

use crate::{EvaluationError, Result};

/// Formula of the Dice coefficient. The formulas differ by little where masks are large, and in what two empty masks have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiceFormula {
    /// `2 |A and B| / (|A| + |B|)`; two empty masks have 1. The reference's for images.
    #[default]
    Standard,
    /// `2 |A and B| / (|A| + |B| + 1)`: equal masks are below 1, and two empty ones have 0. The reference's for volumes.
    ReferenceVolume,
    /// As [`DiceFormula::ReferenceVolume`], but two empty masks have 1. The reference's on the validation set of images while training.
    ReferenceValidation,
}

/// Counts of voxels of a predicted and a true mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    /// Voxels in both masks.
    pub n_true_positive: usize,
    /// Voxels in the predicted mask only.
    pub n_false_positive: usize,
    /// Voxels in the true mask only.
    pub n_false_negative: usize,
}

impl Overlap {
    /// Counts the voxels of two masks of one shape.
    ///
    /// # Errors
    /// Masks of different sizes.
    pub fn of(predicted: &[bool], truth: &[bool]) -> Result<Self> {
        if predicted.len() != truth.len() {
            let found = format!("{} voxels", predicted.len());
            return Err(EvaluationError::array(
                "the predicted mask",
                found,
                format!("{}, as the true one", truth.len()),
            )
            .into());
        }
        let n_predicted = predicted.iter().filter(|voxel| **voxel).count();
        let n_true = truth.iter().filter(|voxel| **voxel).count();
        let n_both = predicted.iter().zip(truth).filter(|(predicted, truth)| **predicted && **truth).count();
        Ok(Self { n_true_positive: n_both, n_false_positive: n_predicted - n_both, n_false_negative: n_true - n_both })
    }

    /// Size of the predicted mask in voxels.
    pub fn n_predicted(&self) -> usize {
        self.n_true_positive + self.n_false_positive
    }

    /// Size of the true mask in voxels.
    pub fn n_true(&self) -> usize {
        self.n_true_positive + self.n_false_negative
    }

    /// Dice coefficient, in [0, 1].
    pub fn dice(&self, formula: DiceFormula) -> f64 {
        let sizes = (self.n_predicted() + self.n_true()) as f64;
        let twice = 2.0 * self.n_true_positive as f64;
        match formula {
            DiceFormula::Standard | DiceFormula::ReferenceValidation if sizes == 0.0 => 1.0,
            DiceFormula::Standard => twice / sizes,
            DiceFormula::ReferenceVolume | DiceFormula::ReferenceValidation => twice / (sizes + 1.0),
        }
    }

    /// Intersection over union (Jaccard index), in [0, 1]. Two empty masks have 1, as with [`DiceFormula::Standard`].
    pub fn iou(&self) -> f64 {
        ratio(self.n_true_positive, self.n_predicted() + self.n_false_negative).unwrap_or(1.0)
    }

    /// Sensitivity (recall): fraction of the true mask that is predicted, in [0, 1]; none where the true mask is empty.
    pub fn sensitivity(&self) -> Option<f64> {
        ratio(self.n_true_positive, self.n_true())
    }

    /// Precision: fraction of the predicted mask that is true, in [0, 1]; none where the predicted mask is empty.
    pub fn precision(&self) -> Option<f64> {
        ratio(self.n_true_positive, self.n_predicted())
    }

    /// Volume of the predicted mask minus that of the true one, in the unit of `voxel_volume`, such as mm3.
    pub fn volume_difference(&self, voxel_volume: f64) -> f64 {
        (self.n_false_positive as f64 - self.n_false_negative as f64) * voxel_volume
    }

    /// Volume difference over the true volume, at least -1; none where the true mask is empty.
    pub fn relative_volume_difference(&self) -> Option<f64> {
        let n_true = self.n_true() as f64;
        (n_true > 0.0).then(|| self.volume_difference(1.0) / n_true)
    }
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_follow_from_counts_by_hand() {
        let mask = |text: &str| text.chars().map(|voxel| voxel == '#').collect::<Vec<_>>();
        // Three of five predicted voxels are true; one of four true ones is missed.
        let overlap = Overlap::of(&mask("#####..."), &mask("..####..")).unwrap();
        assert_eq!(overlap, Overlap { n_true_positive: 3, n_false_positive: 2, n_false_negative: 1 });
        assert_eq!((overlap.iou(), overlap.sensitivity(), overlap.precision()), (0.5, Some(0.75), Some(0.6)));
        let dices = [DiceFormula::Standard, DiceFormula::ReferenceVolume, DiceFormula::ReferenceValidation];
        assert_eq!(dices.map(|formula| overlap.dice(formula)), [6.0 / 9.0, 0.6, 0.6]);
        assert_eq!((overlap.volume_difference(1.5), overlap.relative_volume_difference()), (1.5, Some(0.25)));

        let empty = Overlap::of(&[false; 3], &[false; 3]).unwrap();
        assert_eq!(dices.map(|formula| empty.dice(formula)), [1.0, 0.0, 1.0]);
        assert_eq!((empty.iou(), empty.sensitivity(), empty.precision()), (1.0, None, None));
        assert_eq!((empty.relative_volume_difference(), empty.volume_difference(2.0)), (None, 0.0));
        let missed = Overlap::of(&[false; 3], &[true; 3]).unwrap();
        assert_eq!((missed.iou(), missed.sensitivity(), missed.precision()), (0.0, Some(0.0), None));
        assert_eq!(missed.relative_volume_difference(), Some(-1.0));
        assert_eq!(dices.map(|formula| missed.dice(formula)), [0.0; 3]);

        let error = Overlap::of(&[true; 3], &[true; 4]).unwrap_err().to_string();
        assert_eq!(error, "the predicted mask has 3 voxels, expected 4, as the true one");
    }

    #[test]
    fn formulas_have_names_in_settings() {
        let name = serde_json::to_value(DiceFormula::ReferenceVolume).unwrap();
        assert_eq!(name, "reference-volume");
    }
}
