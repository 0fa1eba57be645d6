//! MedCoSS (Ye et al., CVPR 2024), the paper's strategy: on mixups of the buffers the student's features must match those of the previous model.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::distillation::{DistillationTarget, FeatureMatching, Teacher};
use super::settings::{ReplaySource, StrategySettings};
use super::strategy::{ContinualStrategy, PretextOnly, StageStart, StepContext};
use crate::Result;
use crate::model::Model;
use crate::ranges::check_not_negative;

/// Settings of MedCoSS: the table `[strategy.medcoss]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MedcossConfig {
    /// Whether buffer samples are mixed within a batch before distillation.
    pub mixup: bool,
    /// Encoder outputs that the student has to match.
    pub distillation_target: DistillationTarget,
    /// Factor of the distillation loss, at least 0.
    pub distillation_weight: f64,
    /// Whether text is also distilled at padding positions, as in the reference.
    pub distil_padding: bool,
    /// Whether stochastic depth (drop path) stays on in the teacher, as in the reference.
    pub teacher_drop_path: bool,
    /// Whether the teacher draws a temporal position of its own, as in the reference, instead of the student's.
    pub teacher_temporal_position: bool,
}

impl Default for MedcossConfig {
    fn default() -> Self {
        Self {
            mixup: true,
            distillation_target: DistillationTarget::default(),
            distillation_weight: 1.0,
            distil_padding: false,
            teacher_drop_path: false,
            teacher_temporal_position: false,
        }
    }
}

impl StrategySettings for MedcossConfig {
    fn check(&self) -> Result<()> {
        check_not_negative("strategy.medcoss.distillation_weight", self.distillation_weight)
    }

    fn replay_source(&self) -> ReplaySource {
        ReplaySource::DistilledBuffers { mixup: self.mixup }
    }

    /// The teacher.
    fn n_auxiliary_models(&self) -> usize {
        1
    }

    fn build(&self, start: &StageStart<'_>) -> Result<Box<dyn ContinualStrategy>> {
        Ok(match start.previous {
            Some(_) => Box::new(Medcoss { teacher: Teacher::new(start.student), config: self.clone() }),
            None => Box::new(PretextOnly),
        })
    }
}

struct Medcoss {
    /// The student at the start of the stage: for earlier modalities the previous model.
    teacher: Teacher,
    config: MedcossConfig,
}

impl ContinualStrategy for Medcoss {
    fn replay_loss(&self, student: &Model, step: &StepContext<'_>) -> Tensor<1> {
        let matching = FeatureMatching {
            student,
            teacher: &self.teacher,
            family: step.family,
            temporal: step.temporal,
            teacher_temporal: match self.config.teacher_temporal_position {
                true => step.temporal_position("teacher-temporal", student),
                false => step.temporal,
            },
            target: self.config.distillation_target,
            padding: self.config.distil_padding,
        };
        let mut depth = step.stochastic_depth("depth");
        let mut teacher_depth = self.config.teacher_drop_path.then(|| step.stochastic_depth("teacher-depth")).flatten();
        let loss = matching.loss(step.batch, depth.as_mut(), teacher_depth.as_mut());
        // A factor of 1 is left out, so that the paper's numbers are not rounded once more.
        if self.config.distillation_weight == 1.0 { loss } else { loss.mul_scalar(self.config.distillation_weight) }
    }
}
