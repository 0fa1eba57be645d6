//! Distillation on current-task batches, which `lwf` and `cassle` share: the student's features against those of the model at the start of the stage.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::distillation::{DistillationTarget, Teacher};
use super::strategy::{StageStart, StepContext};
use crate::Result;
use crate::pretext::mean_all;
use crate::ranges::check_not_negative;

/// Settings of distillation on current-task batches: the tables `[strategy.lwf]` and `[strategy.cassle]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CurrentTaskDistillationConfig {
    /// Encoder outputs that are compared.
    pub distillation_target: DistillationTarget,
    /// Factor of the distillation loss, at least 0.
    pub distillation_weight: f64,
    /// Whether text is also compared at padding positions.
    pub distil_padding: bool,
}

impl Default for CurrentTaskDistillationConfig {
    fn default() -> Self {
        Self { distillation_target: DistillationTarget::default(), distillation_weight: 1.0, distil_padding: false }
    }
}

impl CurrentTaskDistillationConfig {
    /// Checks that the settings of a strategy are in range.
    pub(super) fn check(&self, strategy: &str) -> Result<()> {
        check_not_negative(&format!("strategy.{strategy}.distillation_weight"), self.distillation_weight)
    }

    /// The distillation of a stage; none in a stage without a previous model.
    pub(super) fn build(&self, start: &StageStart<'_>) -> Option<CurrentTaskDistillation> {
        start.previous.map(|_| CurrentTaskDistillation {
            teacher: Teacher::new(start.student),
            target: self.distillation_target,
            weight: self.distillation_weight,
            padding: self.distil_padding,
        })
    }
}

/// Distillation on current-task batches. Where the family is new, the model at the start of the stage has the student's first embedder.
pub(super) struct CurrentTaskDistillation {
    teacher: Teacher,
    target: DistillationTarget,
    /// Factor of the loss.
    weight: f64,
    /// Whether padding positions of text are compared.
    padding: bool,
}

impl CurrentTaskDistillation {
    /// The distillation loss of a batch; `predict` maps the student's features `[rows, D]` before the comparison.
    pub fn loss(
        &self,
        step: &StepContext<'_>,
        encoded: &Tensor<3>,
        predict: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<1> {
        let teacher = self.teacher.encode(step.family, step.batch, step.temporal, None);
        let compared = |encoded| self.target.of(encoded, step.batch, self.padding);
        let student = predict(compared(encoded.clone()));
        mean_all((student - compared(teacher)).square()).mul_scalar(self.weight)
    }
}
