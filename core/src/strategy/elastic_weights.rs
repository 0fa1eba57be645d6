//! Elastic weight consolidation: parameters that mattered to earlier stages are held where they are, the more the more they mattered.
//!
//! Kirkpatrick et al. (PNAS 2017) add `lambda / 2 * sum F (theta - theta*)^2` to the loss, where `F` is the diagonal of the Fisher information,
//! the mean over samples of the squared gradient. With several earlier stages this is the online form (Schwarz et al., ICML 2018): one sum of all
//! `F`, one `theta*`, that of the latest stage. Only parameters that go on from stage to stage take part.

use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use rand::RngExt;

use super::{Beginning, Closing, Lesson, Method, file_beside, is_shared};
use crate::data::{BatchLoader, BatchRequest};
use crate::model::{DeviceBatch, FlatParameters, Model, map_gradients};
use crate::pretext::pretext_loss;
use crate::rehearsal::RehearsalConfig;
use crate::rng;
use crate::run::{load_model, save_model};
use crate::{Error, Result};

/// Beside the model of a stage: the importance of each parameter, in the shape of a model.
const IMPORTANCE: &str = "importance.bpk";

pub(super) struct ElasticWeights {
    config: RehearsalConfig,
    seed: u64,
    stage: usize,
    /// Importance of earlier stages, and where parameters are held. Empty in the first stage.
    importance: FlatParameters,
    anchor: FlatParameters,
}

impl ElasticWeights {
    pub fn new(beginning: &Beginning<'_>) -> Result<Self> {
        let (mut importance, mut anchor) = (FlatParameters::new(), FlatParameters::new());
        if let (Some(previous), Some(path)) = (beginning.previous, file_beside(beginning.previous, IMPORTANCE)) {
            let device = beginning.device.clone().inner();
            importance = load_model(&path, Model::new(&previous.config, 0, 0, &device))?.flat_parameters(&is_shared);
            anchor = beginning.student.flat_parameters(&|path| importance.contains_key(path));
        }
        let (config, seed, stage) = (beginning.config.clone(), beginning.seed, beginning.stage);
        Ok(Self { config, seed, stage, importance, anchor })
    }

    /// Mean squared gradients over samples of the stage, one by one.
    fn fisher(&self, student: &Model, closing: &mut Closing<'_>) -> Result<FlatParameters> {
        let (source, family, device) = (closing.source, closing.family, closing.device);
        let n = source.ids().len();
        let n_samples = self.config.ewc_samples.min(n);
        let mut draw = rng::keyed(self.seed, "importance", &[self.stage as u64]);
        let chosen: Vec<(u64, u64)> = (0..n_samples).map(|_| (draw.random_range(0..n as u64), draw.random())).collect();
        let request = |item: usize| {
            let (index, seed) = chosen[item];
            BatchRequest::pretext(source, vec![index], vec![seed])
        };
        let mut sums = FlatParameters::new();
        let mut n_read = 0;
        BatchLoader::new(closing.num_workers, request).for_each(0..n_samples, |item, loaded| {
            // Invalid samples are known from the training.
            if let Some(batch) = loaded.batch {
                let batch = &DeviceBatch::new(batch, device);
                let lesson = Lesson { batch, family, temporal: 0, drop_path: 0.0, seed: self.seed, place: [0; 3] };
                let loss = pretext_loss(student, family, batch, lesson.encode(student));
                let gradients = GradientsParams::from_grads(loss.backward(), student);
                map_gradients(student, gradients, &mut |path, _, gradient| {
                    if is_shared(path) {
                        let square = gradient.square();
                        let sum = match sums.remove(path) {
                            Some(sum) => sum + square,
                            None => square,
                        };
                        sums.insert(path.into(), sum);
                    }
                    None
                });
                n_read += 1;
            }
            (closing.progress)(item + 1, n_samples)
        })?;
        if n_read == 0 {
            return Err(Error::Data(format!("none of {n_samples} samples of {} could be read", source.modality())));
        }
        Ok(sums.into_iter().map(|(path, sum)| (path, sum.div_scalar(n_read as f32))).collect())
    }
}

impl Method for ElasticWeights {
    fn before_update(&self, student: &Model, gradients: GradientsParams) -> GradientsParams {
        if self.importance.is_empty() {
            return gradients;
        }
        map_gradients(student, gradients, &mut |path, value, gradient| {
            let (importance, anchor) = (self.importance.get(path)?, self.anchor.get(path)?);
            let pull = (value - anchor.clone()) * importance.clone();
            Some(gradient + pull.mul_scalar(self.config.ewc_lambda))
        })
    }

    fn penalty(&self, student: &Model) -> Result<Option<f64>> {
        if self.importance.is_empty() {
            return Ok(None);
        }
        let mut sum = 0.0;
        for (path, value) in student.flat_parameters(&|path| self.importance.contains_key(path)) {
            if let (Some(importance), Some(anchor)) = (self.importance.get(&path), self.anchor.get(&path)) {
                let part: Tensor<1> = (value - anchor.clone()).square() * importance.clone();
                let values: Vec<f32> = part.into_data().try_to_vec().map_err(|error| {
                    Error::Device(format!("the penalty cannot be read back from the device: {error:?}"))
                })?;
                sum += values.iter().map(|value| f64::from(*value)).sum::<f64>();
            }
        }
        Ok(Some(0.5 * self.config.ewc_lambda * sum))
    }

    fn finish(&mut self, student: Model, closing: &mut Closing<'_>) -> Result<(Model, Vec<String>)> {
        let fisher = self.fisher(&student, closing)?;
        let importance = student.clone().map_flat(&mut |path, values| {
            let earlier = self.importance.get(path).map(|old| old.clone().mul_scalar(self.config.ewc_decay));
            Some(match (earlier, fisher.get(path)) {
                (Some(earlier), Some(fisher)) => earlier + fisher.clone(),
                (Some(earlier), None) => earlier,
                (None, Some(fisher)) => fisher.clone(),
                (None, None) => values.zeros_like(),
            })
        });
        save_model(&closing.folder.file(IMPORTANCE), &importance)?;
        Ok((student, vec![IMPORTANCE.into()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearsal::Strategy;
    use crate::strategy::method_of;
    use crate::strategy::toy::{Toy, values};

    #[test]
    fn the_penalty_and_its_gradient_are_those_of_the_paper() {
        let mut toy = Toy::new(Strategy::Ewc);
        toy.config.ewc_lambda = 6.0;
        // Importance 2 everywhere; a student that moved by 0.5 everywhere.
        let stored = toy.stored();
        let twos = toy.student.clone().map_flat(&mut |_, values| Some(values.zeros_like() + 2.0));
        save_model(&toy.folder.file(IMPORTANCE), &twos).unwrap();
        let method = method_of(&toy.beginning(Some(&stored))).unwrap();
        assert_eq!(method.penalty(&toy.student).unwrap(), Some(0.0));
        let moved = toy.student.clone().map_flat(&mut |_, values| Some(values + 0.5));
        let n_shared: usize = moved.flat_parameters(&is_shared).values().map(|values| values.dims()[0]).sum();
        let penalty = method.penalty(&moved).unwrap().unwrap();
        let expected = 6.0 / 2.0 * 2.0 * 0.25 * n_shared as f64;
        assert!((penalty - expected).abs() < 1e-3 * expected, "{penalty} {expected}");

        // lambda * F * (theta - theta*) = 6 on top of each gradient of a shared parameter, 0 on others.
        let lesson = toy.lesson();
        let gradients = || {
            let loss = pretext_loss(&moved, lesson.family, lesson.batch, lesson.encode(&moved));
            GradientsParams::from_grads(loss.backward(), &moved)
        };
        let mut plain = FlatParameters::new();
        map_gradients(&moved, gradients(), &mut |path, _, gradient| {
            plain.insert(path.into(), gradient);
            None
        });
        let mut n_pulled = 0;
        map_gradients(&moved, method.before_update(&moved, gradients()), &mut |path, _, gradient| {
            let difference = values(gradient - plain[path].clone());
            let expected = if is_shared(path) { 6.0 } else { 0.0 };
            assert!(difference.iter().all(|found| (found - expected).abs() < 1e-4), "{path} {difference:?}");
            n_pulled += usize::from(is_shared(path));
            None
        });
        assert!(n_pulled > 10);
    }

    #[test]
    fn importance_is_the_mean_squared_gradient_and_adds_up_over_stages() {
        let mut toy = Toy::new(Strategy::Ewc);
        toy.config.ewc_samples = 1;
        let mut method = method_of(&toy.beginning(None)).unwrap();
        let (left, files) = toy.finish(method.as_mut(), toy.student.clone());
        assert_eq!(files, [IMPORTANCE]);
        let read = |toy: &Toy| {
            load_model(&toy.folder.file(IMPORTANCE), Model::new(&toy.model, 0, 0, &toy.plain_device())).unwrap()
        };
        let first = read(&toy).flat_parameters(&is_shared);
        assert!(first.values().all(|importance| values(importance.clone()).iter().all(|value| *value >= 0.0)));
        let total: f32 = first.values().flat_map(|importance| values(importance.clone())).sum();
        assert!(total > 0.0);
        // With the same draws and parameters a second stage finds the same again: half of the first and all of the second.
        toy.config.ewc_decay = 0.5;
        let stored = toy.stored();
        let mut method = method_of(&toy.beginning(Some(&stored))).unwrap();
        toy.finish(method.as_mut(), left);
        for (path, again) in read(&toy).flat_parameters(&is_shared) {
            for (once, both) in values(first[&path].clone()).iter().zip(values(again)) {
                assert!((both - 1.5 * once).abs() <= 1e-5 * once.abs(), "{path}: {once} {both}");
            }
        }
    }

    #[test]
    fn with_a_large_factor_important_parameters_stay_where_they_are() {
        let drift = |lambda: f64| {
            let mut toy = Toy::new(Strategy::Ewc);
            toy.config.ewc_lambda = lambda;
            let stored = toy.stored();
            let ones = toy.student.clone().map_flat(&mut |_, values| Some(values.zeros_like() + 1.0));
            save_model(&toy.folder.file(IMPORTANCE), &ones).unwrap();
            let method = method_of(&toy.beginning(Some(&stored))).unwrap();
            let trained = toy.learn(method.as_ref(), toy.student.clone(), 30);
            toy.distance(&trained, &is_shared)
        };
        let (free, held) = (drift(0.0), drift(100.0));
        assert!(held < 0.2 * free, "{free} {held}");
    }
}
