//! CaSSLe (Fini et al., CVPR 2022): on the new modality a predictor must give the features of the model at the start of the stage from the student's
//! features, which may change as long as the old ones can be predicted.

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::current_task_distillation::{CurrentTaskDistillation, CurrentTaskDistillationConfig};
use super::settings::StrategySettings;
use super::strategy::{Beside, ContinualStrategy, PretextOnly, StageEnd, StageStart, StepContext};
use crate::Result;
use crate::model::Model;

/// Settings of CaSSLe: the table `[strategy.cassle]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CassleConfig {
    /// Distillation on current-task batches.
    pub distillation: CurrentTaskDistillationConfig,
}

impl StrategySettings for CassleConfig {
    fn check(&self) -> Result<()> {
        self.distillation.check("cassle")
    }

    /// The teacher.
    fn n_auxiliary_models(&self) -> usize {
        1
    }

    fn build(&self, start: &StageStart<'_>) -> Result<Box<dyn ContinualStrategy>> {
        let Some(distillation) = self.distillation.build(start) else { return Ok(Box::new(PretextOnly)) };
        Ok(Box::new(Cassle {
            distillation,
            width: start.model.dimensions.width,
            seed: start.seed,
            stage: start.stage,
            device: start.device.clone(),
        }))
    }
}

struct Cassle {
    distillation: CurrentTaskDistillation,
    width: usize,
    seed: u64,
    stage: usize,
    device: Device,
}

impl ContinualStrategy for Cassle {
    fn prepare(&self, student: Model) -> Model {
        student.with_predictor(self.width, self.seed, self.stage, &self.device)
    }

    fn auxiliary_loss(&self, student: &Model, step: &StepContext<'_>, encoded: &Tensor<3>) -> Option<Tensor<1>> {
        let predictor = student.predictor()?;
        Some(self.distillation.loss(step, encoded, |features| predictor.forward(features)))
    }

    fn end_stage(&mut self, student: Model, _: &mut StageEnd<'_>) -> Result<(Model, Beside)> {
        Ok((student.without_predictor(), Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::continual::Strategy;
    use crate::continual::testing::{TinyStage, scalar};

    #[test]
    fn the_predictor_learns_the_old_features_and_is_removed_at_the_end_of_the_stage() {
        let tiny = TinyStage::new(Strategy::Cassle);
        let stored = tiny.stored();
        let mut strategy = tiny.strategy(Some(&stored));
        let student = strategy.prepare(tiny.student.clone());
        let step = tiny.step();
        let loss = |student: &Model| {
            let encoded = step.encode(student);
            strategy.auxiliary_loss(student, &step, &encoded).unwrap()
        };
        // The features stay as they are, only the predictor learns.
        let before = scalar(loss(&student));
        let trained = tiny.descend(student, 60, &loss, &|path| path.starts_with("predictor."));
        let after = scalar(loss(&trained));
        assert!(before > 0.1 && after < 0.5 * before, "{before} -> {after}");
        let (left, files) = tiny.end_stage(strategy.as_mut(), trained);
        assert!(left.predictor().is_none() && files.is_empty());
    }
}
