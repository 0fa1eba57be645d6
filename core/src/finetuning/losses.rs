//! Losses of downstream tasks.

use burn::tensor::activation::{log_sigmoid, log_softmax, sigmoid, softmax};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::targets::{IGNORED_VOXEL, SampleTargets, TargetKind};
use crate::Result;
use crate::fused;
use crate::pretext::mean_all;
use crate::ranges::check_not_negative;

/// Loss of segmentation: a weighted sum of cross-entropy and Dice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SegmentationLoss {
    /// Weight of the cross-entropy: of softmax where classes exclude each other, of independent sigmoids where they overlap.
    pub cross_entropy: f64,
    /// Weight of one minus the soft Dice coefficient, the mean over samples and classes but the background.
    pub dice: f64,
    /// Exponent of the focal loss (Lin et al., ICCV 2017), by which the cross-entropy of well classified voxels shrinks; 0 is plain cross-entropy.
    pub focal_gamma: f64,
}

impl Default for SegmentationLoss {
    fn default() -> Self {
        Self { cross_entropy: 1.0, dice: 1.0, focal_gamma: 0.0 }
    }
}

impl SegmentationLoss {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The first setting out of range.
    pub fn check(&self) -> Result<()> {
        check_not_negative("loss.cross_entropy", self.cross_entropy)?;
        check_not_negative("loss.dice", self.dice)?;
        check_not_negative("loss.focal_gamma", self.focal_gamma)
    }
}

/// Targets of a batch of segmented samples as tensors.
pub(super) struct VoxelTargets {
    /// 1 where a voxel is of a class, `[B, V, outputs]`; with exclusive classes the background is the first.
    is_class: Tensor<3>,
    /// 1 where a voxel counts, `[B, V, 1]`; none where all do.
    counts: Option<Tensor<3>>,
    /// 1 where a class of a sample was annotated, `[B, 1, outputs]`; none where all were.
    annotated: Option<Tensor<3>>,
    /// Number of voxels of all samples that count.
    n_counted: f64,
}

impl VoxelTargets {
    /// Uploads targets.
    ///
    /// # Panics
    /// When a sample has no classes of voxels.
    pub fn new(samples: &[SampleTargets], overlapping: bool, n_outputs: usize, device: &Device) -> Self {
        let (mut is_class, mut counts, mut annotated) = (Vec::new(), Vec::new(), Vec::new());
        let first = usize::from(!overlapping);
        let (mut all_count, mut all_annotated) = (true, true);
        let mut n_voxels = 0;
        for sample in samples {
            let SampleTargets::Voxels { classes, annotated: of_sample } = sample else {
                panic!("targets of segmented samples are classes of voxels");
            };
            n_voxels = classes.len();
            let start = is_class.len();
            is_class.resize(start + n_voxels * n_outputs, 0.0f32);
            for (voxel, row) in classes.iter().zip(is_class[start..].chunks_exact_mut(n_outputs)) {
                let ignored = *voxel == IGNORED_VOXEL;
                counts.push(if ignored { 0.0f32 } else { 1.0 });
                all_count &= !ignored;
                if ignored {
                    continue;
                }
                if !overlapping && *voxel == 0 {
                    row[0] = 1.0;
                }
                for class in (0..n_outputs - first).filter(|class| voxel >> class & 1 == 1) {
                    row[class + first] = 1.0;
                }
            }
            for output in 0..n_outputs {
                let is_annotated = output.checked_sub(first).and_then(|class| of_sample.get(class)) != Some(&false);
                annotated.push(if is_annotated { 1.0f32 } else { 0.0 });
                all_annotated &= is_annotated;
            }
        }
        let n = samples.len();
        let n_counted = counts.iter().map(|count| f64::from(*count)).sum();
        let tensor = |values: Vec<f32>, shape: [usize; 3]| Tensor::from_data(TensorData::new(values, shape), device);
        Self {
            is_class: tensor(is_class, [n, n_voxels, n_outputs]),
            counts: (!all_count).then(|| tensor(counts, [n, n_voxels, 1])),
            annotated: (!all_annotated).then(|| tensor(annotated, [n, 1, n_outputs])),
            n_counted,
        }
    }
}

/// The two terms of the loss of segmented samples, each `[1]`: one minus Dice, and the cross-entropy. `logits` are `[B, V, outputs]`.
///
/// *Overlapping classes*, as in the reference: of each sample and class Dice is `2 sum(p t) / (sum(p) + sum(t) + 1)` and the cross-entropy that of a
/// sigmoid, the mean over voxels; both terms are means over the pairs of sample and class that were annotated. Where none was, both are 0.
///
/// *Exclusive classes*, as in nnU-Net: softmax, the mean cross-entropy over voxels, and of each sample and class but the background
/// `(2 sum(p t) + 1) / (sum(p) + sum(t) + 1)`. The probability of a class that was not annotated in a sample counts as the background's, in which the
/// class was drawn (Shi et al., Medical Image Analysis 2021: marginal loss).
pub(super) fn voxel_losses(
    logits: Tensor<3>,
    targets: &VoxelTargets,
    overlapping: bool,
    focal_gamma: f64,
) -> (Tensor<1>, Tensor<1>) {
    match overlapping {
        true => sigmoid_losses(logits, targets, focal_gamma),
        false => softmax_losses(logits, targets, focal_gamma),
    }
}

/// The Dice and the cross-entropy term of overlapping classes, see [`SegmentationLoss`]; `logits` `[B, V, classes]`.
///
/// # Panics
/// When there are not targets of as many voxels and classes.
pub fn dice_and_cross_entropy(logits: Tensor<3>, samples: &[SampleTargets]) -> (Tensor<1>, Tensor<1>) {
    let [_, _, n_outputs] = logits.dims();
    let targets = VoxelTargets::new(samples, true, n_outputs, &logits.device());
    sigmoid_losses(logits, &targets, 0.0)
}

fn sigmoid_losses(logits: Tensor<3>, targets: &VoxelTargets, focal_gamma: f64) -> (Tensor<1>, Tensor<1>) {
    let is_class = targets.is_class.clone();
    let [n, n_voxels, n_outputs] = logits.dims();
    let mut probability = sigmoid(logits.clone());
    // The logarithm of the probability of what is true: of the class where it is there, of its absence elsewhere.
    let signs = is_class.clone() * 2.0 - 1.0;
    let log_true = log_sigmoid(logits * signs);
    let mut cross_entropy = focal(log_true, focal_gamma).neg();
    let n_counted = match &targets.counts {
        Some(counts) => {
            probability = probability * counts.clone();
            cross_entropy = cross_entropy * counts.clone();
            counts.clone().sum_dim(1).clamp_min(1.0)
        }
        None => Tensor::from_data(TensorData::new(vec![n_voxels as f32; n], [n, 1, 1]), &is_class.device()),
    };
    let cross_entropy = cross_entropy.sum_dim(1) / n_counted;
    let both = (probability.clone() * is_class.clone()).sum_dim(1) * 2.0;
    let dice = both / (probability.sum_dim(1) + is_class.sum_dim(1) + 1.0);
    let (loss, cross_entropy) = match &targets.annotated {
        Some(annotated) => {
            let n_pairs = annotated.clone().sum().clamp_min(1.0);
            let missed = (dice.neg() + 1.0) * annotated.clone();
            (missed.sum() / n_pairs.clone(), (cross_entropy * annotated.clone()).sum() / n_pairs)
        }
        None => {
            let n_pairs = (n * n_outputs) as f64;
            ((dice.neg() + 1.0).sum() / n_pairs, cross_entropy.sum() / n_pairs)
        }
    };
    (loss, cross_entropy)
}

fn softmax_losses(logits: Tensor<3>, targets: &VoxelTargets, focal_gamma: f64) -> (Tensor<1>, Tensor<1>) {
    let [n, _, n_outputs] = logits.dims();
    let is_class = targets.is_class.clone();
    let mut probability = softmax(logits.clone(), 2);
    let log_probability = match &targets.annotated {
        None => log_softmax(logits, 2),
        Some(annotated) => {
            let hidden = (probability.clone() * (annotated.clone().neg() + 1.0)).sum_dim(2);
            let background = probability.clone().narrow(2, 0, 1) + hidden;
            let others = probability.narrow(2, 1, n_outputs - 1) * annotated.clone().narrow(2, 1, n_outputs - 1);
            probability = Tensor::cat(vec![background, others], 2);
            probability.clone().clamp_min(1e-12).log()
        }
    };
    let log_true = (log_probability * is_class.clone()).sum_dim(2);
    let mut cross_entropy = focal(log_true, focal_gamma).neg();
    if let Some(counts) = &targets.counts {
        probability = probability * counts.clone();
        cross_entropy = cross_entropy * counts.clone();
    }
    let cross_entropy = cross_entropy.sum_dim(1).sum() / targets.n_counted.max(1.0);
    let foreground = |tensor: Tensor<3>| tensor.narrow(2, 1, n_outputs - 1);
    let (probability, is_class) = (foreground(probability), foreground(is_class));
    let both = (probability.clone() * is_class.clone()).sum_dim(1) * 2.0 + 1.0;
    let dice = both / (probability.sum_dim(1) + is_class.sum_dim(1) + 1.0);
    let missed = dice.neg() + 1.0;
    let missed = match &targets.annotated {
        Some(annotated) => {
            let annotated = foreground(annotated.clone());
            (missed * annotated.clone()).sum() / annotated.sum().clamp_min(1.0)
        }
        None => missed.sum() / (n * (n_outputs - 1)) as f64,
    };
    (missed, cross_entropy)
}

/// Logarithms of probabilities, each times `(1 - p)^gamma`.
fn focal<const D: usize>(log_true: Tensor<D>, gamma: f64) -> Tensor<D> {
    if gamma == 0.0 {
        return log_true;
    }
    let wrong = (log_true.clone().exp().neg() + 1.0).clamp_min(0.0);
    wrong.powf_scalar(gamma as f32) * log_true
}

/// Loss `[1]` of a batch of samples with targets of their own: the mean cross-entropy of classes, of labels that are known, of thresholds between ordinal
/// classes; the mean squared error of a number in deviations. `outputs` are `[B, outputs]`.
///
/// # Panics
/// When targets are not of this kind.
pub fn class_losses(outputs: Tensor<2>, samples: &[SampleTargets], kind: &TargetKind) -> Tensor<1> {
    let [n, n_outputs] = outputs.dims();
    let device = outputs.device();
    let class = |sample: &SampleTargets| match sample {
        SampleTargets::Class(class) => *class,
        other => panic!("{other:?} is no class"),
    };
    // Targets and weights of independent sigmoids.
    let (is_true, known): (Vec<f32>, Vec<f32>) = match kind {
        TargetKind::Classes { .. } => {
            let classes: Vec<i32> = samples.iter().map(|sample| class(sample) as i32).collect();
            return mean_all(fused::cross_entropy(outputs, &classes));
        }
        TargetKind::Regression { mean, deviation } => {
            let number = |sample: &SampleTargets| match sample {
                SampleTargets::Number(number) => ((number - mean) / deviation) as f32,
                other => panic!("{other:?} is no number"),
            };
            let targets = TensorData::new(samples.iter().map(number).collect::<Vec<f32>>(), [n, 1]);
            let difference = outputs - Tensor::from_data(targets, &device);
            return mean_all((difference.clone() * difference).reshape([n]));
        }
        TargetKind::Ordinal { .. } => samples
            .iter()
            .flat_map(|sample| {
                let class = class(sample);
                (0..n_outputs).map(move |threshold| (if class > threshold { 1.0 } else { 0.0 }, 1.0))
            })
            .unzip(),
        TargetKind::MultiLabel { .. } => samples
            .iter()
            .flat_map(|sample| match sample {
                SampleTargets::Labels(labels) => labels.iter().map(|label| match label {
                    Some(label) => (if *label { 1.0 } else { 0.0 }, 1.0),
                    None => (0.0, 0.0),
                }),
                other => panic!("{other:?} are no labels"),
            })
            .unzip(),
        TargetKind::Segmentation { .. } => panic!("segmentation has a loss of voxels"),
    };
    let n_known = known.iter().sum::<f32>().max(1.0);
    let tensor = |values: Vec<f32>| Tensor::<2>::from_data(TensorData::new(values, [n, n_outputs]), &device);
    let signs = tensor(is_true) * 2.0 - 1.0;
    let losses = log_sigmoid(outputs * signs).neg() * tensor(known);
    losses.sum_dim(1).sum() / f64::from(n_known)
}
