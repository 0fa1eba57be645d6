//! The paper's: on mixups of the buffers the student's features must match those of the frozen previous model.

use burn::tensor::Tensor;

use super::{Beginning, Lesson, Method};
use crate::model::Model;
use crate::rehearsal::{FeatureMatching, RehearsalConfig, Teacher};

pub(super) struct DistilledRehearsal {
    /// The student as it began: for earlier modalities the previous model.
    teacher: Teacher,
    config: RehearsalConfig,
}

impl DistilledRehearsal {
    pub fn new(beginning: &Beginning<'_>) -> Self {
        Self { teacher: Teacher::new(beginning.student), config: beginning.config.clone() }
    }
}

impl Method for DistilledRehearsal {
    fn recalled_loss(&self, student: &Model, lesson: &Lesson<'_>) -> Tensor<1> {
        let matching = FeatureMatching {
            student,
            teacher: &self.teacher,
            family: lesson.family,
            temporal: lesson.temporal,
            target: self.config.distillation_target,
            padding: self.config.distil_padding,
        };
        let mut depth = lesson.depth("depth");
        let mut teacher_depth = self.config.teacher_depth.then(|| lesson.depth("teacher-depth")).flatten();
        let loss = matching.loss(lesson.batch, depth.as_mut(), teacher_depth.as_mut());
        // Multiplied only where it changes something, so that the paper's numbers are not rounded once more.
        if self.config.distillation_weight == 1.0 { loss } else { loss.mul_scalar(self.config.distillation_weight) }
    }
}
