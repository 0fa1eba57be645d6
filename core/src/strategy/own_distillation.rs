//! Distillation on the new modality, for want of samples of earlier ones: the features of the student (`lwf`), or what a predictor makes of
//! them (`cassle`), must match those that the model began the stage with.
//!
//! Learning without forgetting (Li and Hoiem, ECCV 2016) compares the outputs of old heads. A self-supervised model has none that are kept, so
//! features are compared instead. CaSSLe (Fini et al., CVPR 2022) lets them change, as long as the old ones can be predicted
//! from them. The teacher is the previous model with the student's first embedder where the modality's family is new.

use burn::tensor::Tensor;

use super::{Beginning, Lesson, Method};
use crate::model::Model;
use crate::pretext::mean_all;
use crate::rehearsal::{RehearsalConfig, Strategy, Teacher};

pub(super) struct OwnDistillation {
    teacher: Teacher,
    config: RehearsalConfig,
    width: usize,
    seed: u64,
    stage: usize,
    device: burn::tensor::Device,
}

impl OwnDistillation {
    pub fn new(beginning: &Beginning<'_>) -> Self {
        Self {
            teacher: Teacher::new(beginning.student),
            config: beginning.config.clone(),
            width: beginning.model.dimensions.width,
            seed: beginning.seed,
            stage: beginning.stage,
            device: beginning.device.clone(),
        }
    }
}

impl Method for OwnDistillation {
    fn prepare(&self, student: Model) -> Model {
        match self.config.strategy {
            Strategy::Cassle => student.with_predictor(self.width, self.seed, self.stage, &self.device),
            _ => student,
        }
    }

    fn further_loss(&self, student: &Model, lesson: &Lesson<'_>, encoded: &Tensor<3>) -> Option<Tensor<1>> {
        let given = self.teacher.encode(lesson.family, lesson.batch, lesson.temporal, None);
        let compared = |encoded| self.config.distillation_target.of(encoded, lesson.batch, self.config.distil_padding);
        let own = compared(encoded.clone());
        let own = match student.predictor() {
            Some(predictor) => predictor.forward(own),
            None => own,
        };
        Some(mean_all((own - compared(given)).square()).mul_scalar(self.config.distillation_weight))
    }

    fn finish(&mut self, student: Model, _: &mut super::Closing<'_>) -> crate::Result<(Model, Vec<String>)> {
        Ok((student.without_predictor(), Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::method_of;
    use crate::strategy::toy::Toy;

    fn scalar(loss: Tensor<1>) -> f32 {
        loss.into_scalar()
    }

    #[test]
    fn the_target_of_lwf_is_what_the_model_was_when_the_stage_began() {
        let toy = Toy::new(Strategy::Lwf);
        let method = method_of(&toy.beginning(Some(&toy.stored()))).unwrap();
        let lesson = toy.lesson();
        // At first student and teacher are one; afterwards the loss is the mean squared difference of their features.
        let encoded = lesson.encode(&toy.student);
        assert!(scalar(method.further_loss(&toy.student, &lesson, &encoded).unwrap()) < 1e-10);
        let changed =
            toy.student.clone().map_flat(&mut |path, values| path.starts_with("encoder.").then(|| values * 1.1));
        let (own, given) = (lesson.encode(&changed), lesson.encode(&toy.student));
        let expected = scalar((own.clone() - given).square().mean());
        let found = scalar(method.further_loss(&changed, &lesson, &own).unwrap());
        assert!(expected > 0.0 && (found - expected).abs() < 1e-6 * expected, "{found} {expected}");
    }

    #[test]
    fn the_predictor_of_cassle_learns_to_give_the_old_features_and_is_gone_afterwards() {
        let toy = Toy::new(Strategy::Cassle);
        let stored = toy.stored();
        let mut method = method_of(&toy.beginning(Some(&stored))).unwrap();
        let student = method.prepare(toy.student.clone());
        let lesson = toy.lesson();
        let loss = |student: &Model| {
            let encoded = lesson.encode(student);
            method.further_loss(student, &lesson, &encoded).unwrap()
        };
        // The features stay as they are, only the predictor learns.
        let before = scalar(loss(&student));
        let trained = toy.descend(student, 60, &loss, &|path| path.starts_with("predictor."));
        let after = scalar(loss(&trained));
        assert!(before > 0.1 && after < 0.5 * before, "{before} -> {after}");
        let (left, files) = toy.finish(method.as_mut(), trained);
        assert!(left.predictor().is_none() && files.is_empty());
    }
}
