//! Scores of a fine-tuned model on the test split, with intervals, and of each case.

use anyhow::{Context, Result};
use medcoss_core::evaluation::{
    CalibrationBins, Hd95Convention, Labelled, Metric, MultiClassAuc, N_RESAMPLES, Predictions, ReliabilityCurve,
    Resamples, SampleSegmentation, SegmentationScores, brier,
};
use medcoss_core::finetuning::{IGNORED_VOXEL, Outputs, SampleTargets, TargetKind};
use serde::{Deserialize, Serialize};

/// A metric on the test split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestScore {
    /// Name of the metric, with `:class` for one class.
    pub metric: String,
    /// Value over the whole split.
    pub value: f64,
    /// Bootstrap 95 % interval over groups: its ends.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Number of samples.
    pub n: usize,
}

/// A metric of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseScore {
    /// Id of the sample.
    pub id: String,
    /// Group of the sample, such as its patient; a number within the task.
    pub group: usize,
    /// Name of the metric.
    pub metric: String,
    /// Value of the metric; none where it is undefined.
    pub value: Option<f64>,
}

/// Labels and probabilities of test samples.
pub(super) struct ClassPredictions<'a> {
    /// Names of the classes or labels.
    pub classes: &'a [String],
    /// Of each class, whether each sample is of it and with what probability; samples whose label is unknown are left out.
    pub by_class: Vec<(Vec<bool>, Vec<f64>)>,
    /// Class of each sample; empty where classes do not exclude each other.
    pub labels: Vec<usize>,
    /// The most likely class of each sample; as `labels`.
    pub predicted: Vec<usize>,
}

/// Outputs and targets of test samples, gathered for metrics.
pub(super) struct Tested {
    kind: TargetKind,
    auc: MultiClassAuc,
    hd95: Hd95Convention,
    shape: Vec<usize>,
    rows: Vec<u64>,
    labels: Vec<SampleTargets>,
    values: Vec<Vec<f32>>,
    segmented: Vec<SampleSegmentation>,
}

impl Tested {
    pub fn new(kind: TargetKind, auc: MultiClassAuc, hd95: Hd95Convention, shape: Vec<usize>) -> Self {
        let (rows, labels, values, segmented) = Default::default();
        Self { kind, auc, hd95, shape, rows, labels, values, segmented }
    }

    /// Labels and probabilities of the samples, of each class or label; none of a number or of voxels.
    pub fn predictions(&self) -> Option<ClassPredictions<'_>> {
        let classes = match &self.kind {
            TargetKind::Classes { classes } | TargetKind::Ordinal { classes } | TargetKind::MultiLabel { classes } => {
                classes
            }
            TargetKind::Regression { .. } | TargetKind::Segmentation { .. } => return None,
        };
        let excludes = !matches!(self.kind, TargetKind::MultiLabel { .. });
        let of_class = |class: usize| {
            let sample = |(label, values): (&SampleTargets, &Vec<f32>)| {
                let is = match label {
                    SampleTargets::Labels(labels) => labels[class]?,
                    label => class_of(label) == class,
                };
                Some((is, f64::from(values[class])))
            };
            self.labels.iter().zip(&self.values).filter_map(sample).unzip()
        };
        let by_class = (0..classes.len()).map(of_class).collect();
        let labels = if excludes { self.labels.iter().map(class_of).collect() } else { Vec::new() };
        let predicted = if excludes { self.values.iter().map(|values| largest(values)).collect() } else { Vec::new() };
        Some(ClassPredictions { classes, by_class, labels, predicted })
    }

    /// Adds samples. Masks are compared at once, so that the memory does not grow with voxels; `spacing_mm` is of a sample by its index.
    pub fn add(
        &mut self,
        outputs: &Outputs,
        targets: Vec<SampleTargets>,
        spacing_mm: &dyn Fn(u64) -> Option<Vec<f64>>,
    ) -> medcoss_core::Result<()> {
        let a_sample = (outputs.n_voxels * outputs.n_values).max(1);
        for ((row, values), target) in outputs.rows.iter().zip(outputs.values.chunks_exact(a_sample)).zip(targets) {
            self.rows.push(*row);
            match (&self.kind, &target) {
                (
                    TargetKind::Segmentation { classes, overlapping },
                    SampleTargets::Voxels { classes: truth, annotated },
                ) => {
                    let predicted = classes_of_voxels(values, classes.len(), *overlapping);
                    let mask = |voxels: &[u16], class: usize| {
                        let counts = |(voxel, truth): (&u16, &u16)| *truth != IGNORED_VOXEL && voxel >> class & 1 == 1;
                        voxels.iter().zip(truth).map(counts).collect::<Vec<bool>>()
                    };
                    let masks_of = |class: usize| [mask(truth, class), mask(&predicted, class)];
                    let masks: Vec<Option<[Vec<bool>; 2]>> = (0..classes.len())
                        .map(|class| (annotated.get(class) != Some(&false)).then(|| masks_of(class)))
                        .collect();
                    let spacing = spacing_mm(*row);
                    self.segmented.push(SampleSegmentation::of_masks(
                        *row,
                        &self.shape,
                        spacing.as_deref(),
                        &masks,
                        self.hd95,
                    )?);
                }
                _ => {
                    self.values.push(values.to_vec());
                    self.labels.push(target);
                }
            }
        }
        Ok(())
    }

    /// Metrics over all samples and, of masks with several classes, of each class. `groups` are of the samples in the order in which they were added.
    ///
    /// # Errors
    /// A metric that is undefined.
    pub fn scores(&self, groups: &[usize], seed: u64) -> Result<Vec<TestScore>> {
        let n = self.rows.len();
        let all: Vec<usize> = (0..n).collect();
        let mut scores = Vec::new();
        let mut add = |name: String, strata: &[usize], of: &dyn Fn(&[usize]) -> Result<f64>| -> Result<()> {
            let value = of(&all).with_context(|| format!("metric {name}"))?;
            let resamples = Resamples::draw(strata, groups, N_RESAMPLES, seed)?;
            // A resample may lack what a metric needs; the value of the whole split takes its place.
            let [low, high] = resamples.interval(|places| Ok(of(places).unwrap_or(value)))?;
            scores.push(TestScore { metric: name, value, low, high, n });
            Ok(())
        };
        let one_stratum = vec![0; n];
        match &self.kind {
            TargetKind::Segmentation { classes, .. } => {
                let every = SegmentationScores { classes: classes.clone(), samples: self.segmented.clone() };
                let by_class = (0..classes.len())
                    .filter(|_| classes.len() > 1)
                    .map(|class| (format!(":{}", classes[class]), every.of_class(class)));
                for (ending, found) in std::iter::once((String::new(), every.clone())).chain(by_class) {
                    let predictions = Predictions::Masks(found);
                    for metric in Metric::OF_MASKS {
                        if metric.of(&predictions, &all).is_ok() {
                            let of = |places: &[usize]| Ok(metric.of(&predictions, places)?);
                            add(format!("{}{ending}", metric.name()), &one_stratum, &of)?;
                        }
                    }
                }
            }
            TargetKind::Classes { classes } | TargetKind::Ordinal { classes } => {
                let labels: Vec<usize> = self.labels.iter().map(class_of).collect();
                let values: Vec<f64> = self.values.iter().flatten().map(|value| f64::from(*value)).collect();
                let (n_classes, auc) = (classes.len(), self.auc);
                let predictions =
                    Predictions::Classes { labels: labels.clone(), scores: values.clone(), n_classes, auc };
                for metric in Metric::OF_CLASSES {
                    if metric.of(&predictions, &all).is_ok() {
                        add(metric.name().into(), &labels, &|places| Ok(metric.of(&predictions, places)?))?;
                    }
                }
                // 32-bit probabilities miss a sum of 1 a little.
                let of = |places: &[usize]| -> (Vec<usize>, Vec<f64>) {
                    let row = |at: &usize| values[at * n_classes..][..n_classes].iter().copied();
                    (places.iter().map(|at| labels[*at]).collect(), places.iter().flat_map(row).collect())
                };
                add("brier".into(), &labels, &|places| {
                    let (labels, scores) = of(places);
                    Ok(brier(Labelled { labels: &labels, scores: &scores, n_classes })?)
                })?;
                add("ece".into(), &labels, &|places| {
                    let (labels, scores) = of(places);
                    let samples = Labelled { labels: &labels, scores: &scores, n_classes };
                    Ok(ReliabilityCurve::of_predicted_class(samples, CalibrationBins::default())?.expected_error())
                })?;
                if matches!(self.kind, TargetKind::Ordinal { .. }) {
                    let error = |at: &usize| largest(&self.values[*at]).abs_diff(labels[*at]) as f64;
                    add("mean_absolute_error".into(), &labels, &|places| Ok(mean(places, error)))?;
                }
            }
            TargetKind::Regression { .. } => {
                let pair = |at: &usize| (f64::from(self.values[*at][0]), number_of(&self.labels[*at]));
                let error = |at: &usize| (pair(at).0 - pair(at).1).abs();
                add("mean_absolute_error".into(), &one_stratum, &|places| Ok(mean(places, error)))?;
                add("r_squared".into(), &one_stratum, &|places| Ok(r_squared(places.iter().map(pair).collect())))?;
            }
            TargetKind::MultiLabel { classes } => {
                let known = |label: usize| -> (Vec<bool>, Vec<f64>, Vec<usize>) {
                    let mut found = (Vec::new(), Vec::new(), Vec::new());
                    for at in 0..n {
                        if let SampleTargets::Labels(labels) = &self.labels[at]
                            && let Some(is) = labels[label]
                        {
                            found.0.push(is);
                            found.1.push(f64::from(self.values[at][label]));
                            found.2.push(at);
                        }
                    }
                    found
                };
                let auc = |label: usize, places: &[usize]| -> Result<f64> {
                    let (is, scores, at) = known(label);
                    let position: std::collections::HashMap<usize, usize> =
                        at.into_iter().enumerate().map(|(position, at)| (at, position)).collect();
                    let chosen: Vec<usize> = places.iter().filter_map(|at| position.get(at).copied()).collect();
                    let is: Vec<bool> = chosen.iter().map(|at| is[*at]).collect();
                    let scores: Vec<f64> = chosen.iter().map(|at| scores[*at]).collect();
                    Ok(medcoss_core::evaluation::binary_auc(&is, &scores)?)
                };
                let defined: Vec<usize> = (0..classes.len()).filter(|label| auc(*label, &all).is_ok()).collect();
                if !defined.is_empty() {
                    let of_all = |places: &[usize]| -> Result<f64> {
                        let found: Vec<f64> = defined.iter().filter_map(|label| auc(*label, places).ok()).collect();
                        Ok(found.iter().sum::<f64>() / found.len().max(1) as f64)
                    };
                    add("auc".into(), &one_stratum, &of_all)?;
                }
                for label in defined {
                    add(format!("auc:{}", classes[label]), &one_stratum, &|places| auc(label, places))?;
                }
            }
        }
        Ok(scores)
    }

    /// Scores of each case.
    pub fn cases(&self, ids: &[String], groups: &[usize]) -> Vec<CaseScore> {
        let mut cases = Vec::new();
        for (at, row) in self.rows.iter().enumerate() {
            let mut push = |metric: String, value: Option<f64>| {
                cases.push(CaseScore { id: ids[*row as usize].clone(), group: groups[at], metric, value });
            };
            match &self.kind {
                TargetKind::Segmentation { classes, .. } => {
                    let found = &self.segmented[at];
                    for (class, name) in classes.iter().enumerate() {
                        push(format!("dice:{name}"), found.dice[class]);
                        push(format!("hd95_voxels:{name}"), found.hd95_voxels[class]);
                        push(format!("hd95_mm:{name}"), found.hd95_mm[class]);
                    }
                }
                TargetKind::Classes { .. } => {
                    let right = largest(&self.values[at]) == class_of(&self.labels[at]);
                    push("accuracy".into(), Some(f64::from(u8::from(right))));
                }
                TargetKind::Ordinal { .. } => {
                    let error = largest(&self.values[at]).abs_diff(class_of(&self.labels[at]));
                    push("absolute_error".into(), Some(error as f64));
                }
                TargetKind::Regression { .. } => {
                    let error = (f64::from(self.values[at][0]) - number_of(&self.labels[at])).abs();
                    push("absolute_error".into(), Some(error));
                }
                TargetKind::MultiLabel { classes } => {
                    let SampleTargets::Labels(labels) = &self.labels[at] else { continue };
                    for (label, name) in classes.iter().enumerate() {
                        let right = labels[label].map(|is| is == (self.values[at][label] >= 0.5));
                        push(format!("accuracy:{name}"), right.map(|right| f64::from(u8::from(right))));
                    }
                }
            }
        }
        cases
    }
}

/// Classes of voxels from their probabilities, as a sum of powers of two of which the first class has the 0th: the most likely, or each that is above one
/// half where classes overlap.
pub(crate) fn classes_of_voxels(probabilities: &[f32], n_classes: usize, overlapping: bool) -> Vec<u16> {
    let n_values = n_classes + usize::from(!overlapping);
    let of_voxel = |own: &[f32]| match overlapping {
        true => (0..n_classes).map(|class| u16::from(own[class] > 0.5) << class).sum(),
        false => largest(own).checked_sub(1).map_or(0, |class| 1 << class),
    };
    probabilities.chunks_exact(n_values).map(of_voxel).collect()
}

fn largest(values: &[f32]) -> usize {
    (1..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}

fn class_of(target: &SampleTargets) -> usize {
    match target {
        SampleTargets::Class(class) => *class,
        _ => 0,
    }
}

fn number_of(target: &SampleTargets) -> f64 {
    match target {
        SampleTargets::Number(number) => *number,
        _ => f64::NAN,
    }
}

fn mean(places: &[usize], of: impl Fn(&usize) -> f64) -> f64 {
    places.iter().map(of).sum::<f64>() / places.len().max(1) as f64
}

/// Share of the variance that predictions explain, of pairs of prediction and truth.
fn r_squared(pairs: Vec<(f64, f64)>) -> f64 {
    let mean = pairs.iter().map(|(_, truth)| truth).sum::<f64>() / pairs.len().max(1) as f64;
    let all: f64 = pairs.iter().map(|(_, truth)| (truth - mean).powi(2)).sum();
    let left: f64 = pairs.iter().map(|(predicted, truth)| (predicted - truth).powi(2)).sum();
    if all > 0.0 { 1.0 - left / all } else { 0.0 }
}
