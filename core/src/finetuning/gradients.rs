//! Gradients of all parameters together: their norm, and updates with a rate for each layer.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;

use super::settings::FinetuneConfig;
use super::task_model::TaskModel;
use crate::model::visit_parameters_of;
use crate::{DeviceError, Error, Result};

/// L2 norm of all gradients of a module together, in double precision over the parameters. The device is waited for once.
fn norm<M: Module>(module: &M, gradients: &GradientsParams) -> Result<f64> {
    struct Squares<'a> {
        gradients: &'a GradientsParams,
        sums: Vec<Tensor<1>>,
    }
    impl ModuleVisitor for Squares<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.gradients.get::<D>(param.id) {
                let flat: Tensor<1> = gradient.flatten(0, -1);
                self.sums.push((flat.clone() * flat).sum());
            }
        }
    }
    let mut squares = Squares { gradients, sums: Vec::new() };
    module.visit(&mut squares);
    if squares.sums.is_empty() {
        return Ok(0.0);
    }
    let sums = Tensor::cat(squares.sums, 0).into_data().try_to_vec::<f32>();
    let sums = sums.map_err(|error| Error::from(DeviceError::read_back("gradient norms", error)))?;
    Ok(sums.into_iter().map(f64::from).sum::<f64>().sqrt())
}

/// Multiplies all gradients of a module.
fn scale<M: Module>(module: &M, gradients: GradientsParams, factor: f64) -> GradientsParams {
    struct Scaled {
        gradients: GradientsParams,
        factor: f64,
    }
    impl ModuleVisitor for Scaled {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.gradients.remove::<D>(param.id) {
                self.gradients.register(param.id, gradient.mul_scalar(self.factor));
            }
        }
    }
    let mut scaled = Scaled { gradients, factor };
    module.visit(&mut scaled);
    scaled.gradients
}

/// Scales gradients whose norm is above a limit to it, as PyTorch's `clip_grad_norm_`; returns the norm before.
pub(super) fn clip<M: Module>(module: &M, gradients: GradientsParams, limit: f64) -> Result<(GradientsParams, f64)> {
    let found = norm(module, &gradients)?;
    let factor = limit / (found + 1e-6);
    Ok(match limit > 0.0 && factor < 1.0 {
        true => (scale(module, gradients, factor), found),
        false => (gradients, found),
    })
}

/// Parameters by layer, each with its share of the learning rate.
pub(super) struct LayerRates {
    layers: Vec<(f64, Vec<ParamId>)>,
}

impl LayerRates {
    /// Shares of the parameters of a model: 1 for the head, and for the encoder's blocks and embedders as much less as they are further from it.
    pub fn new(model: &TaskModel, config: &FinetuneConfig) -> Result<Self> {
        let mut layers: BTreeMap<Option<usize>, Vec<ParamId>> = BTreeMap::new();
        visit_parameters_of(model, &mut |parameter| {
            layers.entry(layer_of(parameter.path)).or_default().push(parameter.id);
            Ok(())
        })?;
        let n_layers = layers.keys().flatten().max().map_or(0, |most| most + 1);
        let share = |layer: Option<usize>| match layer {
            Some(layer) => config.layer_decay.powi((n_layers - layer) as i32),
            None => 1.0,
        };
        Ok(Self { layers: layers.into_iter().map(|(layer, ids)| (share(layer), ids)).collect() })
    }

    /// The model after an update at a rate. With one rate for all the optimiser is called once.
    pub fn step(
        &self,
        optimiser: &mut ModuleOptimizer,
        mut model: TaskModel,
        mut gradients: GradientsParams,
        rate: f64,
    ) -> TaskModel {
        if self.layers.iter().all(|(share, _)| *share == 1.0) {
            return optimiser.step(rate, model, gradients);
        }
        let parts: Vec<(f64, GradientsParams)> =
            self.layers.iter().map(|(share, ids)| (rate * share, part(&model, &mut gradients, ids))).collect();
        for (rate, part) in parts {
            model = optimiser.step(rate, model, part);
        }
        model
    }
}

/// Takes the gradients of some parameters.
fn part<M: Module>(module: &M, gradients: &mut GradientsParams, ids: &[ParamId]) -> GradientsParams {
    struct Taken<'a> {
        from: &'a mut GradientsParams,
        ids: &'a [ParamId],
        taken: GradientsParams,
    }
    impl ModuleVisitor for Taken<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if self.ids.contains(&param.id)
                && let Some(gradient) = self.from.remove::<D>(param.id)
            {
                self.taken.register(param.id, gradient);
            }
        }
    }
    let mut taken = Taken { from: gradients, ids, taken: GradientsParams::new() };
    module.visit(&mut taken);
    taken.taken
}

/// 0 for what embeds, from 1 on for the blocks of the encoder; none for the head.
fn layer_of(path: &str) -> Option<usize> {
    let of_backbone = path.strip_prefix("backbone.")?;
    let block =
        of_backbone.strip_prefix("encoder.blocks.").and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
    Some(block.map_or(0, |block| block + 1))
}
