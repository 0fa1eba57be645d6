//! Learning without forgetting (Li and Hoiem, ECCV 2016): on the new modality the student's features must match those of the model at the start
//! of the stage.
//!
//! The paper compares the outputs of old heads. A self-supervised model keeps no heads, so that features are compared instead.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::current_task_distillation::{CurrentTaskDistillation, CurrentTaskDistillationConfig};
use super::settings::StrategySettings;
use super::strategy::{ContinualStrategy, PretextOnly, StageStart, StepContext};
use crate::Result;
use crate::model::Model;

/// Settings of learning without forgetting: the table `[strategy.lwf]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LwfConfig {
    /// Distillation on current-task batches.
    pub distillation: CurrentTaskDistillationConfig,
}

impl StrategySettings for LwfConfig {
    fn check(&self) -> Result<()> {
        self.distillation.check("lwf")
    }

    /// The teacher.
    fn n_auxiliary_models(&self) -> usize {
        1
    }

    fn build(&self, start: &StageStart<'_>) -> Result<Box<dyn ContinualStrategy>> {
        let Some(distillation) = self.distillation.build(start) else { return Ok(Box::new(PretextOnly)) };
        Ok(Box::new(Lwf { distillation }))
    }
}

struct Lwf {
    distillation: CurrentTaskDistillation,
}

impl ContinualStrategy for Lwf {
    fn auxiliary_loss(&self, _: &Model, step: &StepContext<'_>, encoded: &Tensor<3>) -> Option<Tensor<1>> {
        Some(self.distillation.loss(step, encoded, |features| features))
    }
}

#[cfg(test)]
mod tests {
    use crate::continual::Strategy;
    use crate::continual::testing::{TinyStage, scalar};

    #[test]
    fn the_teacher_is_the_model_at_the_start_of_the_stage() {
        let tiny = TinyStage::new(Strategy::Lwf);
        let strategy = tiny.strategy(Some(&tiny.stored()));
        let step = tiny.step();
        // At first student and teacher are one; afterwards the loss is the mean squared difference of their features.
        let encoded = step.encode(&tiny.student);
        assert!(scalar(strategy.auxiliary_loss(&tiny.student, &step, &encoded).unwrap()) < 1e-10);
        let changed =
            tiny.student.clone().map_flat(&mut |path, values| path.starts_with("encoder.").then(|| values * 1.1));
        let (own, given) = (step.encode(&changed), step.encode(&tiny.student));
        let expected = scalar((own.clone() - given).square().mean());
        let found = scalar(strategy.auxiliary_loss(&changed, &step, &own).unwrap());
        assert!(expected > 0.0 && (found - expected).abs() < 1e-6 * expected, "{found} {expected}");
    }
}
