//! Elastic weight consolidation: a penalty on changes of the parameters that mattered to earlier stages.
//!
//! Kirkpatrick et al. (PNAS 2017) add `lambda / 2 * sum F (theta - theta*)^2` to the loss. `F` is the diagonal of the Fisher information, the mean over
//! samples of the squared gradient. With several previous stages this is the online form (Schwarz et al., ICML 2018): one sum of all `F`, and the
//! parameters of the latest stage as `theta*`. Only parameters that pass from stage to stage take part.

use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::settings::StrategySettings;
use super::strategy::{Beside, ContinualStrategy, StageEnd, StageStart, StepContext, file_beside, is_shared};
use crate::data::{BatchLoader, BatchRequest};
use crate::model::{DeviceBatch, FlatParameters, Model, map_gradients};
use crate::pretext::pretext_loss;
use crate::ranges::{check_count, check_not_negative};
use crate::rng;
use crate::run::{RunLayout, load_new_model};
use crate::{DataError, DeviceError, Result, SettingError};

/// Settings of elastic weight consolidation: the table `[strategy.ewc]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EwcConfig {
    /// Factor of the penalty, at least 0.
    pub lambda: f64,
    /// Factor of the importances of previous stages with each new stage, in [0, 1].
    pub decay: f64,
    /// Samples of a stage from which the importance of parameters is estimated, at least 1.
    pub n_samples: usize,
}

impl Default for EwcConfig {
    fn default() -> Self {
        Self { lambda: 100.0, decay: 1.0, n_samples: 256 }
    }
}

impl StrategySettings for EwcConfig {
    fn check(&self) -> Result<()> {
        check_not_negative("strategy.ewc.lambda", self.lambda)?;
        if !(0.0..=1.0).contains(&self.decay) {
            return Err(SettingError::out_of_range("strategy.ewc.decay", self.decay, "0.0 to 1.0").into());
        }
        check_count("strategy.ewc.n_samples", self.n_samples, 1, usize::MAX)
    }

    /// Two sets: importances and anchors.
    fn n_auxiliary_models(&self) -> usize {
        2
    }

    fn n_importance_samples(&self) -> usize {
        self.n_samples
    }

    fn build(&self, start: &StageStart<'_>) -> Result<Box<dyn ContinualStrategy>> {
        Ok(Box::new(Ewc::new(self, start)?))
    }
}

struct Ewc {
    config: EwcConfig,
    seed: u64,
    stage: usize,
    /// Importance of parameters to previous stages, and their anchors `theta*`. Empty in the first stage.
    importance: FlatParameters,
    anchor: FlatParameters,
}

impl Ewc {
    fn new(config: &EwcConfig, start: &StageStart<'_>) -> Result<Self> {
        let (mut importance, mut anchor) = (FlatParameters::new(), FlatParameters::new());
        if let (Some(previous), Some(path)) = (start.previous, file_beside(start.previous, RunLayout::IMPORTANCE)?) {
            let device = start.device.clone().inner();
            importance = load_new_model(&path, &previous.config, &device)?.flat_parameters(&is_shared);
            anchor = start.student.flat_parameters(&|path| importance.contains_key(path));
        }
        let (config, seed, stage) = (config.clone(), start.seed, start.stage);
        Ok(Self { config, seed, stage, importance, anchor })
    }

    /// Mean squared gradients over samples of the stage, one sample at a time.
    fn fisher(&self, student: &Model, end: &mut StageEnd<'_>) -> Result<FlatParameters> {
        let (dataset, family, device) = (end.dataset, end.family, end.device);
        let n = dataset.ids().len();
        let n_samples = self.config.n_samples.min(n);
        let mut rng = rng::keyed(self.seed, "importance", &[self.stage as u64]);
        let chosen: Vec<(u64, u64)> = (0..n_samples).map(|_| (rng.random_range(0..n as u64), rng.random())).collect();
        let request = |item: usize| {
            let (index, seed) = chosen[item];
            BatchRequest::pretext(dataset, vec![index], vec![seed])
        };
        let mut sums = FlatParameters::new();
        let mut n_read = 0;
        BatchLoader::new(end.num_workers, request).for_each(0..n_samples, |item, loaded| {
            // Invalid samples were reported in training.
            if let Some(batch) = loaded.batch {
                let batch = &DeviceBatch::new(batch, device);
                let step = StepContext { batch, family, temporal: 0, drop_path: 0.0, seed: self.seed, place: [0; 3] };
                let loss = pretext_loss(student, family, batch, step.encode(student));
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
            (end.progress)(item + 1, n_samples)
        })?;
        if n_read == 0 {
            return Err(
                DataError::Invalid { modality: dataset.modality().into(), n_invalid: n_samples, n_samples }.into()
            );
        }
        Ok(sums.into_iter().map(|(path, sum)| (path, sum.div_scalar(n_read as f32))).collect())
    }
}

impl ContinualStrategy for Ewc {
    fn before_update(&self, student: &Model, gradients: GradientsParams) -> GradientsParams {
        if self.importance.is_empty() {
            return gradients;
        }
        map_gradients(student, gradients, &mut |path, value, gradient| {
            let (importance, anchor) = (self.importance.get(path)?, self.anchor.get(path)?);
            let pull = (value - anchor.clone()) * importance.clone();
            Some(gradient + pull.mul_scalar(self.config.lambda))
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
                let values: Vec<f32> =
                    part.into_data().try_to_vec().map_err(|error| DeviceError::read_back("the penalty", error))?;
                sum += values.iter().map(|value| f64::from(*value)).sum::<f64>();
            }
        }
        Ok(Some(0.5 * self.config.lambda * sum))
    }

    fn end_stage(&mut self, student: Model, end: &mut StageEnd<'_>) -> Result<(Model, Beside)> {
        let fisher = self.fisher(&student, end)?;
        let importance = student.clone().map_flat(&mut |path, values| {
            let previous = self.importance.get(path).map(|old| old.clone().mul_scalar(self.config.decay));
            Some(match (previous, fisher.get(path)) {
                (Some(previous), Some(fisher)) => previous + fisher.clone(),
                (Some(previous), None) => previous,
                (None, Some(fisher)) => fisher.clone(),
                (None, None) => values.zeros_like(),
            })
        });
        Ok((student, vec![(RunLayout::IMPORTANCE, importance)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::continual::Strategy;
    use crate::continual::testing::{TinyStage, values};
    use crate::run::save_model;

    #[test]
    fn the_penalty_and_its_gradient_are_those_of_the_paper() {
        let mut tiny = TinyStage::new(Strategy::Ewc);
        tiny.config.ewc.lambda = 6.0;
        // Importance 2 everywhere; a student that moved by 0.5 everywhere.
        let stored = tiny.stored();
        let twos = tiny.student.clone().map_flat(&mut |_, values| Some(values.zeros_like() + 2.0));
        save_model(&tiny.folder.file(RunLayout::IMPORTANCE), &twos).unwrap();
        let strategy = tiny.strategy(Some(&stored));
        assert_eq!(strategy.penalty(&tiny.student).unwrap(), Some(0.0));
        let moved = tiny.student.clone().map_flat(&mut |_, values| Some(values + 0.5));
        let n_shared: usize = moved.flat_parameters(&is_shared).values().map(|values| values.dims()[0]).sum();
        let penalty = strategy.penalty(&moved).unwrap().unwrap();
        let expected = 6.0 / 2.0 * 2.0 * 0.25 * n_shared as f64;
        assert!((penalty - expected).abs() < 1e-3 * expected, "{penalty} {expected}");

        // lambda * F * (theta - theta*) = 6 on top of each gradient of a shared parameter, 0 on others.
        let step = tiny.step();
        let gradients = || {
            let loss = pretext_loss(&moved, step.family, step.batch, step.encode(&moved));
            GradientsParams::from_grads(loss.backward(), &moved)
        };
        let mut plain = FlatParameters::new();
        map_gradients(&moved, gradients(), &mut |path, _, gradient| {
            plain.insert(path.into(), gradient);
            None
        });
        let mut n_pulled = 0;
        map_gradients(&moved, strategy.before_update(&moved, gradients()), &mut |path, _, gradient| {
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
        let mut tiny = TinyStage::new(Strategy::Ewc);
        tiny.config.ewc.n_samples = 1;
        let mut strategy = tiny.strategy(None);
        let (left, files) = tiny.end_stage(strategy.as_mut(), tiny.student.clone());
        assert_eq!(files, [RunLayout::IMPORTANCE]);
        let read = |tiny: &TinyStage| {
            load_new_model(&tiny.folder.file(RunLayout::IMPORTANCE), &tiny.model, &tiny.inference_device()).unwrap()
        };
        let first = read(&tiny).flat_parameters(&is_shared);
        assert!(first.values().all(|importance| values(importance.clone()).iter().all(|value| *value >= 0.0)));
        let total: f32 = first.values().flat_map(|importance| values(importance.clone())).sum();
        assert!(total > 0.0);
        // With the same draws and parameters a second stage finds the same again: half of the first and all of the second.
        tiny.config.ewc.decay = 0.5;
        let stored = tiny.stored();
        let mut strategy = tiny.strategy(Some(&stored));
        tiny.end_stage(strategy.as_mut(), left);
        for (path, again) in read(&tiny).flat_parameters(&is_shared) {
            for (once, both) in values(first[&path].clone()).iter().zip(values(again)) {
                assert!((both - 1.5 * once).abs() <= 1e-5 * once.abs(), "{path}: {once} {both}");
            }
        }
    }

    #[test]
    fn with_a_large_factor_important_parameters_stay_where_they_are() {
        let drift = |lambda: f64| {
            let mut tiny = TinyStage::new(Strategy::Ewc);
            tiny.config.ewc.lambda = lambda;
            let stored = tiny.stored();
            let ones = tiny.student.clone().map_flat(&mut |_, values| Some(values.zeros_like() + 1.0));
            save_model(&tiny.folder.file(RunLayout::IMPORTANCE), &ones).unwrap();
            let strategy = tiny.strategy(Some(&stored));
            let trained = tiny.train(strategy.as_ref(), tiny.student.clone(), 30);
            tiny.distance(&trained, &is_shared)
        };
        let (free, held) = (drift(0.0), drift(100.0));
        assert!(held < 0.2 * free, "{free} {held}");
    }
}
