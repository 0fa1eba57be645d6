//! Outputs of a fine-tuned model: probabilities of samples or voxels.

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Device, Tensor};

use super::targets::{SampleTargets, TargetKind};
use super::task_config::TaskModelConfig;
use super::task_model::TaskModel;
use crate::data::{BatchLoader, BatchRequest, Dataset, HostBatch, LoaderOptions};
use crate::decoders::TokenGrid;
use crate::model::{DeviceBatch, PatchTensors};
use crate::{DeviceError, Error, Result};

/// Outputs of some samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs {
    /// Dataset index of each sample.
    pub rows: Vec<u64>,
    /// Number of voxels of a sample, in the order of `[depth, height, width]`; 1 for whole samples.
    pub n_voxels: usize,
    /// Number of values of a voxel or sample: one a class (with exclusive classes of voxels the background's first), or the number that was learned.
    pub n_values: usize,
    /// Probabilities, or the number, `[rows, voxels, values]`.
    pub values: Vec<f32>,
    /// Affine map of each sample from tokens to voxels of its file, see [`crate::data::RawBatch::affines`]; empty where they are not known.
    pub affines: Vec<Vec<f32>>,
    /// Samples that could not be read, by their index, with the reason.
    pub invalid: Vec<(u64, String)>,
}

/// Prediction with a model, neither augmented nor masked.
pub struct Predictor<'a> {
    /// The model, without gradients.
    pub model: &'a TaskModel,
    /// Its configuration.
    pub config: &'a TaskModelConfig,
    /// Whether voxels are the mean over all flips of a sample's axes.
    pub flips: bool,
    /// Number of samples in a batch.
    pub batch_size: usize,
    /// Loading of samples.
    pub loader: LoaderOptions,
    /// Device of the model, without gradients.
    pub device: &'a Device,
}

impl Predictor<'_> {
    /// Outputs of samples, batch by batch in their order: memory does not grow with their number. An error of `sink` ends the prediction.
    ///
    /// # Errors
    /// A dataset that fails as a whole, an error of `sink`.
    pub fn for_each(
        &self,
        dataset: &dyn Dataset,
        indices: &[u64],
        sink: &mut dyn FnMut(Outputs) -> Result<()>,
    ) -> Result<()> {
        let batches: Vec<&[u64]> = indices.chunks(self.batch_size.max(1)).collect();
        let request = |item: usize| BatchRequest::evaluation(dataset, batches[item].to_vec());
        BatchLoader::new(self.loader.num_workers, request).for_each(0..batches.len(), |item, loaded| {
            let rows: Vec<u64> = loaded.valid.iter().map(|at| batches[item][*at]).collect();
            let invalid = loaded.invalid.into_iter().map(|(index, report)| (index, report.message)).collect();
            let Some(batch) = loaded.batch else {
                return sink(Outputs {
                    rows,
                    n_voxels: 1,
                    n_values: 0,
                    values: Vec::new(),
                    affines: Vec::new(),
                    invalid,
                });
            };
            let affines = match &batch {
                HostBatch::Patches(patches) if !patches.affines.is_empty() => {
                    patches.affines.chunks_exact(patches.affines.len() / rows.len()).map(<[f32]>::to_vec).collect()
                }
                _ => Vec::new(),
            };
            let values = self.of_batch(&DeviceBatch::new(batch, self.device));
            let [_, n_voxels, n_values] = values.dims();
            sink(Outputs { rows, n_voxels, n_values, values: read(values)?, affines, invalid })
        })
    }

    /// Probabilities `[B, V, values]` of a batch.
    fn of_batch(&self, batch: &DeviceBatch) -> Tensor<3> {
        let direct = probabilities(self.model.forward(self.config, batch, None), &self.config.target);
        let (DeviceBatch::Patches(patches), Some(grid), true) =
            (batch, &self.config.grid, self.flips && self.config.target.is_segmentation())
        else {
            return direct;
        };
        let axes: Vec<usize> = (0..3).filter(|axis| grid.space()[*axis] > 1).collect();
        let mut sum = direct;
        for subset in 1..1u32 << axes.len() {
            let flipped: Vec<usize> =
                axes.iter().enumerate().filter(|(at, _)| subset >> at & 1 == 1).map(|(_, axis)| *axis).collect();
            let mirrored = DeviceBatch::Patches(PatchTensors {
                visible: grid.flipped_tokens(patches.visible.clone(), &flipped),
                ..patches.clone()
            });
            let found = probabilities(self.model.forward(self.config, &mirrored, None), &self.config.target);
            sum = sum + flipped_voxels(found, grid, &flipped);
        }
        sum / f64::from(1u32 << axes.len())
    }
}

/// Voxels `[B, V, values]` flipped along some of the three axes.
fn flipped_voxels(voxels: Tensor<3>, grid: &TokenGrid, axes: &[usize]) -> Tensor<3> {
    let [n, n_voxels, n_values] = voxels.dims();
    let [depth, height, width] = grid.space();
    let voxels: Tensor<5> = voxels.reshape([n, depth, height, width, n_values]);
    let flipped = axes.iter().fold(voxels, |voxels, axis| voxels.flip([axis + 1]));
    flipped.reshape([n, n_voxels, n_values])
}

/// Probabilities of scores `[B, V, outputs]`: of each class, with thresholds of ordinal classes as differences; a number in its own unit.
pub(super) fn probabilities(scores: Tensor<3>, target: &TargetKind) -> Tensor<3> {
    match target {
        TargetKind::Classes { .. } | TargetKind::Segmentation { overlapping: false, .. } => softmax(scores, 2),
        TargetKind::MultiLabel { .. } | TargetKind::Segmentation { overlapping: true, .. } => sigmoid(scores),
        TargetKind::Regression { mean, deviation } => scores * *deviation + *mean,
        TargetKind::Ordinal { .. } => {
            // Probability of lying above each threshold; they fall, also where the model disagrees with itself.
            let [n, n_voxels, n_thresholds] = scores.dims();
            let above = sigmoid(scores);
            let mut falling = vec![above.clone().narrow(2, 0, 1)];
            for threshold in 1..n_thresholds {
                let before = falling[threshold - 1].clone();
                let own = above.clone().narrow(2, threshold, 1);
                falling.push(own.clone().mask_where(own.greater(before.clone()), before));
            }
            let above = Tensor::cat(falling, 2);
            let ones = Tensor::ones([n, n_voxels, 1], &above.device());
            let zeros = Tensor::zeros([n, n_voxels, 1], &above.device());
            Tensor::cat(vec![ones, above.clone()], 2) - Tensor::cat(vec![above, zeros], 2)
        }
    }
}

pub(super) fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor.try_into_vec_as::<f32>().map_err(|error| Error::from(DeviceError::read_back("outputs of the model", error)))
}

/// Sum over samples of the metric by which epochs are chosen, and the number of terms, see [`TargetKind::metric`]. `probabilities` are of all samples.
pub(super) fn metric_terms(probabilities: &[f32], samples: &[SampleTargets], target: &TargetKind) -> (f64, f64) {
    let n_values = (probabilities.len() / samples.len().max(1)).max(1);
    let (mut sum, mut n) = (0.0, 0.0);
    for (own, sample) in probabilities.chunks_exact(n_values).zip(samples) {
        let (term, n_terms) = match (target, sample) {
            (TargetKind::Classes { .. }, SampleTargets::Class(class)) => {
                (f64::from(u8::from(largest(own) == *class)), 1.0)
            }
            (TargetKind::Ordinal { .. }, SampleTargets::Class(class)) => {
                (1.0 - largest(own).abs_diff(*class) as f64, 1.0)
            }
            (TargetKind::Regression { deviation, .. }, SampleTargets::Number(number)) => {
                (1.0 - (f64::from(own[0]) - number).abs() / deviation, 1.0)
            }
            (TargetKind::MultiLabel { .. }, SampleTargets::Labels(labels)) => {
                let known = labels.iter().zip(own).filter_map(|(label, own)| label.map(|label| label == (*own >= 0.5)));
                let right: Vec<f64> = known.map(|right| f64::from(u8::from(right))).collect();
                (right.iter().sum(), right.len() as f64)
            }
            (
                TargetKind::Segmentation { classes, overlapping },
                SampleTargets::Voxels { classes: truth, annotated },
            ) => {
                let dice = hard_dice(own, truth, classes.len(), *overlapping);
                let known = dice.into_iter().enumerate().filter(|(class, _)| annotated.get(*class) != Some(&false));
                let known: Vec<f64> = known.map(|(_, dice)| dice).collect();
                (known.iter().sum(), known.len() as f64)
            }
            _ => panic!("targets of another kind"),
        };
        sum += term;
        n += n_terms;
    }
    (sum, n)
}

/// Position of the largest value; of equal ones the first.
pub(crate) fn largest(values: &[f32]) -> usize {
    (1..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}

/// Dice of each class of a sample, of the most likely class of each voxel, or of those with a probability of one half; 1 where neither has the class.
fn hard_dice(probabilities: &[f32], truth: &[u16], n_classes: usize, overlapping: bool) -> Vec<f64> {
    let n_values = n_classes + usize::from(!overlapping);
    let mut counts = vec![[0u64; 3]; n_classes];
    for (own, truth) in probabilities.chunks_exact(n_values).zip(truth) {
        if *truth == super::targets::IGNORED_VOXEL {
            continue;
        }
        let most = if overlapping { 0 } else { largest(own) };
        for (class, [both, predicted, present]) in counts.iter_mut().enumerate() {
            let is_predicted = if overlapping { own[class] > 0.5 } else { most == class + 1 };
            let is_present = truth >> class & 1 == 1;
            *both += u64::from(is_predicted && is_present);
            *predicted += u64::from(is_predicted);
            *present += u64::from(is_present);
        }
    }
    let dice = |[both, predicted, present]: &[u64; 3]| match predicted + present {
        0 => 1.0,
        n => 2.0 * *both as f64 / n as f64,
    };
    counts.iter().map(dice).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    #[test]
    fn ordinal_probabilities_are_differences_and_never_negative() {
        let target = TargetKind::Ordinal { classes: vec!["a".into(), "b".into(), "c".into()] };
        // Logits of one half and three quarters: the second disagrees, and is cut to the first.
        let scores = Tensor::from_data(TensorData::new(vec![0.0f32, 3f32.ln()], [1, 1, 2]), &Device::flex());
        let found = read(probabilities(scores, &target)).unwrap();
        assert!(
            found.iter().zip([0.5, 0.0, 0.5]).all(|(found, expected)| (found - expected).abs() < 1e-6),
            "{found:?}"
        );
    }

    #[test]
    fn metrics_of_hand_made_outputs() {
        let names = |n: usize| (0..n).map(|at| at.to_string()).collect::<Vec<_>>();
        let classes = TargetKind::Classes { classes: names(2) };
        let samples = [SampleTargets::Class(0), SampleTargets::Class(1)];
        assert_eq!(metric_terms(&[0.9, 0.1, 0.6, 0.4], &samples, &classes), (1.0, 2.0));
        let labels = TargetKind::MultiLabel { classes: names(3) };
        let samples = [SampleTargets::Labels(vec![Some(true), None, Some(true)])];
        assert_eq!(metric_terms(&[0.9, 0.1, 0.3], &samples, &labels), (1.0, 2.0));
        let voxels = TargetKind::Segmentation { classes: names(2), overlapping: false };
        // Background, first, second class; the last voxel does not count.
        let own = [0.8, 0.1, 0.1, 0.1, 0.8, 0.1, 0.1, 0.8, 0.1, 0.1, 0.8, 0.1];
        let truth = SampleTargets::Voxels { classes: vec![0, 1, 0, u16::MAX], annotated: vec![] };
        let (sum, n) = metric_terms(&own, std::slice::from_ref(&truth), &voxels);
        assert!((sum - (2.0 / 3.0 + 1.0)).abs() < 1e-12 && n == 2.0, "{sum}");
        let unknown = SampleTargets::Voxels { classes: vec![0, 1, 0, u16::MAX], annotated: vec![false, true] };
        assert_eq!(metric_terms(&own, &[unknown], &voxels), (1.0, 1.0));
    }
}
