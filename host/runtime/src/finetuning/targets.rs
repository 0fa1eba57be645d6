//! Targets of a task's samples for the trainer.

use std::collections::HashMap;

use anyhow::{Result, bail};
use medcoss_core::Error;
use medcoss_core::evaluation::IGNORED;
use medcoss_core::finetuning::{IGNORED_VOXEL, MAX_SEGMENTED, SampleTargets, TargetKind, Targets};

use super::section::{FinetuneSection, TargetName};
use crate::evaluation::samples::TaskSamples;
use crate::evaluation::task_data::TaskMasks;

/// Targets of the samples of a task, by index in the dataset.
pub(super) struct TaskTargets<'a> {
    kind: TargetKind,
    samples: &'a TaskSamples,
    masks: Option<&'a TaskMasks>,
    /// Position of each sample among those of the task, and of its mask.
    places: HashMap<u64, (usize, usize)>,
    /// Classes of each code of the masks, as a sum of powers of two.
    members: Vec<u16>,
}

impl<'a> TaskTargets<'a> {
    /// The targets of a task; the scale of numbers is that of the samples `train`, by position.
    ///
    /// # Errors
    /// Too many classes, numbers that are all equal.
    pub fn new(
        section: &FinetuneSection,
        samples: &'a TaskSamples,
        masks: Option<&'a TaskMasks>,
        train: &[usize],
    ) -> Result<Self> {
        let classes = samples.classes.clone();
        let kind = match section.target {
            TargetName::Classes => TargetKind::Classes { classes },
            TargetName::MultiLabel => TargetKind::MultiLabel { classes },
            TargetName::Ordinal => TargetKind::Ordinal { classes },
            TargetName::Regression => {
                let numbers: Vec<f64> = train.iter().map(|at| samples.numbers[*at]).collect();
                let n = numbers.len().max(1) as f64;
                let mean = numbers.iter().sum::<f64>() / n;
                let deviation = (numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / n).sqrt();
                if !(deviation.is_finite() && deviation > 0.0) {
                    bail!("all numbers of the training split are {mean}\nhint: a model can learn nothing from them");
                }
                TargetKind::Regression { mean, deviation }
            }
            TargetName::Segmentation => {
                let overlapping = section.sigmoid || masks.is_some_and(|masks| masks.classes.overlap());
                if classes.len() > MAX_SEGMENTED {
                    bail!(
                        "the masks have {} classes; at most {MAX_SEGMENTED} are segmented together\nhint: name fewer in labels.classes",
                        classes.len()
                    );
                }
                TargetKind::Segmentation { classes, overlapping }
            }
        };
        let rows: HashMap<u64, usize> =
            masks.iter().flat_map(|masks| masks.maps.rows.iter().enumerate()).map(|(at, row)| (*row, at)).collect();
        let place = |(at, index): (usize, &u64)| (*index, (at, rows.get(index).copied().unwrap_or_default()));
        let places = samples.indices.iter().enumerate().map(place).collect();
        let members = match masks {
            Some(masks) => {
                let n = masks.classes.labels().len().max(masks.classes.names().len());
                let of_code = |code: u8| if code == IGNORED { IGNORED_VOXEL } else { masks.classes.members(code) };
                (0..=u8::MAX)
                    .map(|code| if usize::from(code) <= n || code == IGNORED { of_code(code) } else { 0 })
                    .collect()
            }
            None => Vec::new(),
        };
        Ok(Self { kind, samples, masks, places, members })
    }

    /// Classes of the voxels of a sample, in the order of its axes.
    pub fn voxels(&self, index: u64) -> Option<Vec<u16>> {
        let (masks, (_, at)) = (self.masks?, self.places.get(&index)?);
        let codes = masks.maps.in_space(masks.maps.of(*at));
        Some(codes.into_iter().map(|code| self.members[usize::from(code)]).collect())
    }
}

impl Targets for TaskTargets<'_> {
    fn kind(&self) -> &TargetKind {
        &self.kind
    }

    fn of(&self, indices: &[u64]) -> medcoss_core::Result<Vec<SampleTargets>> {
        let target = |index: &u64| {
            let unknown = || Error::Caller(format!("sample {index} is none of the task's"));
            let (at, _) = *self.places.get(index).ok_or_else(unknown)?;
            Ok(match &self.kind {
                TargetKind::Classes { .. } | TargetKind::Ordinal { .. } => {
                    SampleTargets::Class(self.samples.labels[at])
                }
                TargetKind::MultiLabel { .. } => SampleTargets::Labels(self.samples.several[at].clone()),
                TargetKind::Regression { .. } => SampleTargets::Number(self.samples.numbers[at]),
                TargetKind::Segmentation { .. } => {
                    let annotated = self.masks.and_then(|masks| masks.annotated.get(*index as usize));
                    SampleTargets::Voxels {
                        classes: self.voxels(*index).ok_or_else(unknown)?,
                        annotated: annotated.cloned().unwrap_or_default(),
                    }
                }
            })
        };
        indices.iter().map(target).collect()
    }
}
