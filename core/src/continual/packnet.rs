//! PackNet (Mallya and Lazebnik, CVPR 2018): each stage keeps the largest of the free weights and passes the others on.
//!
//! A stage trains the free weights, prunes all but the largest in each matrix to zero and retrains the kept ones. Weights of earlier stages do
//! not change. So an earlier model comes back exactly when the weights of later stages are set to zero ([`model_of_stage`]). The matrices of the
//! encoder are shared in this way. All other parameters that pass from stage to stage (biases, norms, LayerScale, class token, the embedder of a
//! family) are fixed after the first stage that trained them, as the paper fixes biases and norms.

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::settings::StrategySettings;
use super::strategy::{Beside, ContinualStrategy, StageEnd, StageStart, file_beside, is_shared};
use crate::confined_path::ConfinedPath;
use crate::data::TokenSpec;
use crate::model::{FlatParameters, Model, ModelConfig};
use crate::run::{RunLayout, StoredModel, load_new_model};
use crate::{DeviceError, Error, Result, SettingError};

/// Settings of PackNet: the table `[strategy.packnet]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PacknetConfig {
    /// Fraction of the free weights that a stage keeps, in (0, 1).
    pub keep_ratio: f64,
    /// Fraction of a stage's epochs in which the kept weights are retrained, in [0, 1).
    pub retrain_ratio: f64,
}

impl Default for PacknetConfig {
    fn default() -> Self {
        Self { keep_ratio: 0.5, retrain_ratio: 0.3 }
    }
}

impl StrategySettings for PacknetConfig {
    fn check(&self) -> Result<()> {
        let Self { keep_ratio, retrain_ratio } = self;
        if !(*keep_ratio > 0.0 && *keep_ratio < 1.0) {
            return Err(SettingError::out_of_range(
                "strategy.packnet.keep_ratio",
                keep_ratio,
                "above 0.0 to below 1.0",
            )
            .into());
        }
        if !(0.0..1.0).contains(retrain_ratio) {
            return Err(SettingError::out_of_range(
                "strategy.packnet.retrain_ratio",
                retrain_ratio,
                "0.0 to below 1.0",
            )
            .into());
        }
        Ok(())
    }

    /// Three sets: owners, fixed values, and the mask of trained values.
    fn n_auxiliary_models(&self) -> usize {
        3
    }

    fn recovers_earlier_models(&self) -> bool {
        true
    }

    fn build(&self, start: &StageStart<'_>) -> Result<Box<dyn ContinualStrategy>> {
        Ok(Box::new(Packnet::new(self, start)?))
    }
}

struct Packnet {
    config: PacknetConfig,
    stage: usize,
    /// The first epoch, from 0, that starts with pruned weights.
    prune_epoch: usize,
    /// Stage that owns each weight, by the path of its parameter. Weights of this stage are added by pruning.
    owners: FlatParameters,
    /// 1 where a value is trained, 0 where it is fixed, and the fixed values. Parameters that are always trained are in neither.
    trained: FlatParameters,
    fixed: FlatParameters,
}

/// Whether a parameter is a matrix of the encoder, whose weights are owned one by one.
fn is_packed(path: &str) -> bool {
    path.starts_with("encoder.") && path.ends_with(".weight")
}

impl Packnet {
    fn new(config: &PacknetConfig, start: &StageStart<'_>) -> Result<Self> {
        let epochs = start.epochs;
        let n_retrain = (epochs as f64 * config.retrain_ratio).round() as usize;
        let mut strategy = Self {
            config: config.clone(),
            stage: start.stage,
            prune_epoch: epochs - n_retrain.min(epochs - 1),
            owners: FlatParameters::new(),
            trained: FlatParameters::new(),
            fixed: FlatParameters::new(),
        };
        let shared = start.student.flat_parameters(&is_shared);
        let known = match (start.previous, file_beside(start.previous, RunLayout::OWNERS)?) {
            (Some(previous), Some(path)) => read_owners(&path, &previous.config, &start.device.clone().inner())?,
            _ => FlatParameters::new(),
        };
        for (path, values) in &shared {
            let owners = known.get(path).cloned().unwrap_or_else(|| values.zeros_like());
            strategy.owners.insert(path.clone(), owners.clone());
            let is_free: Tensor<1> = owners.equal_elem(0.0).float();
            strategy.fix(path, values.clone(), is_free);
        }
        Ok(strategy)
    }

    fn fix(&mut self, path: &str, values: Tensor<1>, trained: Tensor<1>) {
        self.fixed.insert(path.into(), values * (trained.clone().neg() + 1.0));
        self.trained.insert(path.into(), trained);
    }

    /// Keeps the largest free weights of each matrix for this stage and sets the others to zero. A second call finds the same weights.
    fn prune(&mut self, student: Model) -> Result<Model> {
        let stage = self.stage as f32;
        for (path, values) in student.flat_parameters(&is_packed) {
            let device = values.device();
            let numbers = read(&values)?;
            let owners = self.owners.get(&path).map(read).transpose()?.unwrap_or_else(|| vec![0.0; numbers.len()]);
            // In a second call the weights of this stage count as free again.
            let is_free = |at: &usize| owners[*at] == 0.0 || owners[*at] == stage;
            let mut free: Vec<usize> = (0..numbers.len()).filter(is_free).collect();
            let n_kept = (free.len() as f64 * self.config.keep_ratio).round() as usize;
            free.sort_by(|a, b| numbers[*b].abs().total_cmp(&numbers[*a].abs()).then(a.cmp(b)));
            let (mut trained, mut pruned, mut now) = (vec![0.0f32; numbers.len()], numbers.clone(), owners);
            for (rank, at) in free.into_iter().enumerate() {
                let kept = rank < n_kept;
                now[at] = if kept { stage } else { 0.0 };
                trained[at] = f32::from(u8::from(kept));
                if !kept {
                    pruned[at] = 0.0;
                }
            }
            let tensor = |values: Vec<f32>| {
                let n = values.len();
                Tensor::<1>::from_data(TensorData::new(values, [n]), &device)
            };
            self.owners.insert(path.clone(), tensor(now));
            self.fix(&path, tensor(pruned), tensor(trained));
        }
        Ok(self.after_update(student))
    }
}

impl ContinualStrategy for Packnet {
    fn before_epoch(&mut self, epoch: usize, student: Model) -> Result<Model> {
        if epoch >= self.prune_epoch { self.prune(student) } else { Ok(student) }
    }

    fn after_update(&self, student: Model) -> Model {
        student.map_flat(&mut |path, values| {
            Some(values * self.trained.get(path)?.clone() + self.fixed.get(path)?.clone())
        })
    }

    fn end_stage(&mut self, student: Model, end: &mut StageEnd<'_>) -> Result<(Model, Beside)> {
        let student = self.prune(student)?;
        let stage = self.stage as f32;
        // Other parameters become this stage's where the stage used them and no earlier stage owns them. A stage uses the embedder of its own family,
        // and class token and patch norm only in a continuous family.
        let family_embedder = format!("embedders.{}.", end.family);
        let is_continuous = matches!(end.dataset.spec(), TokenSpec::Continuous { .. });
        let is_used = |path: &str| {
            path.starts_with("encoder.")
                || path.starts_with(&family_embedder)
                || (is_continuous && !path.starts_with("embedders."))
        };
        let owners = student.clone().map_flat(&mut |path, values| {
            let owners = self.owners.get(path).cloned().unwrap_or_else(|| values.zeros_like());
            Some(match is_shared(path) && !is_packed(path) && is_used(path) {
                true => owners.clone() + owners.equal_elem(0.0).float().mul_scalar(stage),
                false => owners,
            })
        });
        Ok((student, vec![(RunLayout::OWNERS, owners)]))
    }
}

/// The model of stage `stage`, recovered from a stored model: where stages own weights, the weights of later stages are set to zero. Other models are
/// read unchanged.
///
/// # Errors
/// Files that are missing, damaged, or of other sizes.
pub fn model_of_stage(stored: &StoredModel, stage: usize, device: &Device) -> Result<Model> {
    let model = stored.load(device)?;
    match file_beside(Some(stored), RunLayout::OWNERS)? {
        Some(path) => Ok(weights_of(stage, model, &read_owners(&path, &stored.config, device)?)),
        None => Ok(model),
    }
}

fn weights_of(stage: usize, model: Model, owners: &FlatParameters) -> Model {
    model.map_flat(&mut |path, values| {
        let owners = owners.get(path).filter(|_| is_packed(path))?;
        Some(values * owners.clone().lower_equal_elem(stage as f32).float())
    })
}

fn read_owners(path: &ConfinedPath, config: &ModelConfig, device: &Device) -> Result<FlatParameters> {
    Ok(load_new_model(path, config, device)?.flat_parameters(&is_shared))
}

fn read(values: &Tensor<1>) -> Result<Vec<f32>> {
    values.to_data().try_to_vec().map_err(|error| Error::from(DeviceError::read_back("weights", error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::continual::Strategy;
    use crate::continual::testing::{TinyStage, values};

    /// One stage of four epochs, pruned before the last.
    fn stage(tiny: &TinyStage, number: usize, student: Model, previous: Option<&StoredModel>) -> Model {
        let start = StageStart { stage: number, student: &student, ..tiny.start(previous) };
        let mut strategy = tiny.config.build(&start).unwrap();
        let mut student = student.clone();
        for epoch in 0..4 {
            student = strategy.before_epoch(epoch, student).unwrap();
            let again = strategy.before_epoch(epoch, student.clone()).unwrap();
            assert_eq!(tiny.difference(&again, &student, &|_| true), 0.0, "pruned again before epoch {epoch}");
            student = tiny.train(strategy.as_ref(), student, 3);
        }
        let (left, files) = tiny.end_stage(strategy.as_mut(), student);
        assert_eq!(files, [RunLayout::OWNERS]);
        left
    }

    #[test]
    fn the_model_of_a_previous_stage_is_recovered_exactly() {
        let mut tiny = TinyStage::new(Strategy::Packnet);
        (tiny.config.packnet.keep_ratio, tiny.config.packnet.retrain_ratio) = (0.5, 0.25);
        let first = stage(&tiny, 1, tiny.student.clone(), None);
        let device = tiny.inference_device();
        let owners = || read_owners(&tiny.folder.file(RunLayout::OWNERS), &tiny.model, &device).unwrap();
        let shares = |owners: &FlatParameters| {
            let all: Vec<f32> = owners
                .iter()
                .filter(|(path, _)| is_packed(path))
                .flat_map(|(_, owners)| values(owners.clone()))
                .collect();
            [0.0, 1.0, 2.0].map(|stage| all.iter().filter(|owner| **owner == stage).count() as f64 / all.len() as f64)
        };
        let after_first = owners();
        assert_eq!(shares(&after_first), [0.5, 0.5, 0.0]);
        // Free weights are zero.
        for (path, weights) in first.flat_parameters(&is_packed) {
            for (weight, owner) in values(weights).iter().zip(values(after_first[&path].clone())) {
                assert_eq!(*weight == 0.0, owner == 0.0, "{path}");
            }
        }

        let stored = tiny.store(&first);
        let second = stage(&tiny, 2, first.clone(), Some(&stored));
        assert_eq!(shares(&owners()), [0.25, 0.5, 0.25]);
        assert!(tiny.difference(&second, &first, &is_packed) > 0.0);
        let as_first = model_of_stage(&tiny.store(&second), 1, &device).unwrap();
        assert_eq!(tiny.difference(&as_first, &first, &is_shared), 0.0);
    }

    #[test]
    fn a_short_stage_is_pruned_at_its_end() {
        let tiny = TinyStage::new(Strategy::Packnet);
        let start = StageStart { epochs: 1, ..tiny.start(None) };
        let mut strategy = tiny.config.build(&start).unwrap();
        let student = strategy.before_epoch(0, tiny.student.clone()).unwrap();
        let student = tiny.train(strategy.as_ref(), student, 2);
        let (left, _) = tiny.end_stage(strategy.as_mut(), student);
        let weights: Vec<f32> = left.flat_parameters(&is_packed).into_values().flat_map(values).collect();
        let n_zero = weights.iter().filter(|weight| **weight == 0.0).count() as f64;
        assert!((n_zero / weights.len() as f64 - 0.5).abs() < 0.01);
    }
}
