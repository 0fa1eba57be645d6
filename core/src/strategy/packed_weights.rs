//! PackNet (Mallya and Lazebnik, CVPR 2018): each stage keeps a share of the weights that are still free, the largest, and gives the others on.
//!
//! A stage trains the free weights, prunes all but the largest of them in each matrix to zero and trains those once more. Weights that
//! earlier stages keep do not change, so that what a stage learned comes back exactly, with the weights of later ones left out
//! ([`model_of_stage`]). Of the encoder the matrices are shared out so. Everything else that goes on from stage to stage (biases, norms, LayerScale, class
//! token, and the embedder of a family) is fixed after the first stage that learned it, as the paper fixes biases and norms.

use std::path::Path;

use super::{Beginning, Closing, Method, file_beside, is_shared};
use crate::data::TokenSpec;
use crate::model::{FlatParameters, Model, ModelConfig};
use crate::rehearsal::RehearsalConfig;
use crate::run::{StoredModel, load_model, save_model};
use crate::{Error, Result};

use burn::tensor::{Device, Tensor, TensorData};

/// Beside the model of a stage: the number of the stage that each weight belongs to, in the shape of a model; 0 is free.
const OWNERS: &str = "owners.bpk";

pub(super) struct PackedWeights {
    config: RehearsalConfig,
    stage: usize,
    /// Epoch, from 0, before which is pruned.
    prunes_before: usize,
    /// Stage of each weight, by the path of its parameter; those of this stage are added when they are pruned.
    owners: FlatParameters,
    /// 1 where a value is trained, 0 where it is held, and the values that are held. What is always trained is in neither.
    trained: FlatParameters,
    held: FlatParameters,
}

/// Matrices of the encoder, whose weights are shared out one by one.
fn is_packed(path: &str) -> bool {
    path.starts_with("encoder.") && path.ends_with(".weight")
}

impl PackedWeights {
    pub fn new(beginning: &Beginning<'_>) -> Result<Self> {
        let epochs = beginning.epochs;
        let n_retrain = (epochs as f64 * beginning.config.packnet_retrain).round() as usize;
        let mut method = Self {
            config: beginning.config.clone(),
            stage: beginning.stage,
            prunes_before: epochs - n_retrain.min(epochs - 1),
            owners: FlatParameters::new(),
            trained: FlatParameters::new(),
            held: FlatParameters::new(),
        };
        let shared = beginning.student.flat_parameters(&is_shared);
        let known = match (beginning.previous, file_beside(beginning.previous, OWNERS)) {
            (Some(previous), Some(path)) => read_owners(&path, &previous.config, &beginning.device.clone().inner())?,
            _ => FlatParameters::new(),
        };
        for (path, values) in &shared {
            let owners = known.get(path).cloned().unwrap_or_else(|| values.zeros_like());
            method.owners.insert(path.clone(), owners.clone());
            let is_free: Tensor<1> = owners.equal_elem(0.0).float();
            method.hold(path, values.clone(), is_free);
        }
        Ok(method)
    }

    fn hold(&mut self, path: &str, values: Tensor<1>, trained: Tensor<1>) {
        self.held.insert(path.into(), values * (trained.clone().neg() + 1.0));
        self.trained.insert(path.into(), trained);
    }

    /// Keeps the largest of the free weights of each matrix for this stage and sets the others to zero. Done again, it finds the same.
    fn prune(&mut self, student: Model) -> Result<Model> {
        let stage = self.stage as f32;
        for (path, values) in student.flat_parameters(&is_packed) {
            let device = values.device();
            let numbers = read(&values)?;
            let owners = self.owners.get(&path).map(read).transpose()?.unwrap_or_else(|| vec![0.0; numbers.len()]);
            // In a repetition those of this stage count as free again.
            let is_free = |at: &usize| owners[*at] == 0.0 || owners[*at] == stage;
            let mut free: Vec<usize> = (0..numbers.len()).filter(is_free).collect();
            let n_kept = (free.len() as f64 * self.config.packnet_keep).round() as usize;
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
            self.hold(&path, tensor(pruned), tensor(trained));
        }
        Ok(self.after_update(student))
    }
}

impl Method for PackedWeights {
    fn epoch_begins(&mut self, epoch: usize, student: Model) -> Result<Model> {
        if epoch >= self.prunes_before { self.prune(student) } else { Ok(student) }
    }

    fn after_update(&self, student: Model) -> Model {
        student
            .map_flat(&mut |path, values| Some(values * self.trained.get(path)?.clone() + self.held.get(path)?.clone()))
    }

    fn finish(&mut self, student: Model, closing: &mut Closing<'_>) -> Result<(Model, Vec<String>)> {
        let student = self.prune(student)?;
        let stage = self.stage as f32;
        // What is not shared out is this stage's if it was used and nobody's before: of embedders only the family's own, of class token and
        // norm of embedded patches only in a continuous family.
        let own_embedder = format!("embedders.{}.", closing.family);
        let is_continuous = matches!(closing.source.spec(), TokenSpec::Continuous { .. });
        let is_used = |path: &str| {
            path.starts_with("encoder.")
                || path.starts_with(&own_embedder)
                || (is_continuous && !path.starts_with("embedders."))
        };
        let owners = student.clone().map_flat(&mut |path, values| {
            let owners = self.owners.get(path).cloned().unwrap_or_else(|| values.zeros_like());
            Some(match is_shared(path) && !is_packed(path) && is_used(path) {
                true => owners.clone() + owners.equal_elem(0.0).float().mul_scalar(stage),
                false => owners,
            })
        });
        save_model(&closing.folder.file(OWNERS), &owners)?;
        Ok((student, vec![OWNERS.into()]))
    }
}

/// A stored model as the stage of a number learned it: where weights belong to stages, without those of later ones. Other models are read as
/// they are.
///
/// # Errors
/// Files that are missing, damaged, or of other sizes.
pub fn model_of_stage(stored: &StoredModel, stage: usize, device: &Device) -> Result<Model> {
    let model = stored.load(device)?;
    match file_beside(Some(stored), OWNERS) {
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

fn read_owners(path: &Path, config: &ModelConfig, device: &Device) -> Result<FlatParameters> {
    Ok(load_model(path, Model::new(config, 0, 0, device))?.flat_parameters(&is_shared))
}

fn read(values: &Tensor<1>) -> Result<Vec<f32>> {
    values
        .to_data()
        .try_to_vec()
        .map_err(|error| Error::Device(format!("weights cannot be read back from the device: {error:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearsal::Strategy;
    use crate::strategy::method_of;
    use crate::strategy::toy::{Toy, values};

    /// One stage of four epochs of the toy, pruned before the last.
    fn stage(toy: &Toy, number: usize, student: Model, previous: Option<&StoredModel>) -> Model {
        let beginning = Beginning { stage: number, student: &student, ..toy.beginning(previous) };
        let mut method = method_of(&beginning).unwrap();
        let mut student = student.clone();
        for epoch in 0..4 {
            student = method.epoch_begins(epoch, student).unwrap();
            let again = method.epoch_begins(epoch, student.clone()).unwrap();
            assert_eq!(toy.difference(&again, &student, &|_| true), 0.0, "pruned again before epoch {epoch}");
            student = toy.learn(method.as_ref(), student, 3);
        }
        let (left, files) = toy.finish(method.as_mut(), student);
        assert_eq!(files, [OWNERS]);
        left
    }

    #[test]
    fn weights_are_shared_out_and_an_earlier_stage_comes_back_exactly() {
        let mut toy = Toy::new(Strategy::Packnet);
        (toy.config.packnet_keep, toy.config.packnet_retrain) = (0.5, 0.25);
        let first = stage(&toy, 1, toy.student.clone(), None);
        let device = toy.plain_device();
        let owners = || read_owners(&toy.folder.file(OWNERS), &toy.model, &device).unwrap();
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
        // What nobody keeps is zero.
        for (path, weights) in first.flat_parameters(&is_packed) {
            for (weight, owner) in values(weights).iter().zip(values(after_first[&path].clone())) {
                assert_eq!(*weight == 0.0, owner == 0.0, "{path}");
            }
        }

        let stored = toy.store(&first);
        let second = stage(&toy, 2, first.clone(), Some(&stored));
        assert_eq!(shares(&owners()), [0.25, 0.5, 0.25]);
        assert!(toy.difference(&second, &first, &is_packed) > 0.0);
        let as_first = model_of_stage(&toy.store(&second), 1, &device).unwrap();
        assert_eq!(toy.difference(&as_first, &first, &is_shared), 0.0);
    }

    #[test]
    fn a_short_stage_is_pruned_at_its_end() {
        let toy = Toy::new(Strategy::Packnet);
        let beginning = Beginning { epochs: 1, ..toy.beginning(None) };
        let mut method = method_of(&beginning).unwrap();
        let student = method.epoch_begins(0, toy.student.clone()).unwrap();
        let student = toy.learn(method.as_ref(), student, 2);
        let (left, _) = toy.finish(method.as_mut(), student);
        let weights: Vec<f32> = left.flat_parameters(&is_packed).into_values().flat_map(values).collect();
        let n_zero = weights.iter().filter(|weight| **weight == 0.0).count() as f64;
        assert!((n_zero / weights.len() as f64 - 0.5).abs() < 0.01);
    }
}
