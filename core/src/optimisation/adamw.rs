//! AdamW (Loshchilov and Hutter, ICLR 2019) with weight decay on matrices only.

use burn::module::{Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::optim::{AdamWState, AdaptiveMomentumState, LearningRate, ModuleOptimizer, Optimizer};
use burn::tensor::{Device, Tensor};

use super::OptimiserConfig;
use crate::fused;

/// AdamW for a model: weight decay on all parameters but one-dimensional ones.
pub fn adamw<M: Module>(config: &OptimiserConfig, model: &M) -> ModuleOptimizer {
    let group = |weight_decay: f64| AdamW {
        beta_1: config.beta_1,
        beta_2: config.beta_2,
        epsilon: config.epsilon,
        weight_decay,
    };
    let mut vectors = OneDimensional::default();
    model.visit(&mut vectors);
    ModuleOptimizer::from(group(config.weight_decay)).with_group(ParamGroup::from_ids(vectors.ids), group(0.0), None)
}

/// AdamW with weight decay on all parameters, biases and norms too.
pub fn adamw_of_all(config: &OptimiserConfig) -> ModuleOptimizer {
    ModuleOptimizer::from(AdamW {
        beta_1: config.beta_1,
        beta_2: config.beta_2,
        epsilon: config.epsilon,
        weight_decay: config.weight_decay,
    })
}

/// Burn's, with its state, but one pass over memory a step.
#[derive(Debug, Clone)]
struct AdamW {
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
    weight_decay: f64,
}

impl Optimizer for AdamW {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameters: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let (time, first, second) = match state {
            Some(AdamWState { momentum }) => (momentum.time + 1, momentum.moment_1, momentum.moment_2),
            None => (1, gradient.zeros_like(), gradient.zeros_like()),
        };
        let time_for_power = i32::try_from(time).unwrap_or(i32::MAX);
        let correction = |beta: f64| (1.0 - beta.powi(time_for_power)) as f32;
        let step = fused::AdamWStep {
            beta_1: self.beta_1 as f32,
            beta_2: self.beta_2 as f32,
            epsilon: self.epsilon as f32,
            rate: rate as f32,
            kept: (1.0 - rate * self.weight_decay) as f32,
            correction_1: correction(self.beta_1),
            correction_2: correction(self.beta_2),
        };
        let [parameters, first, second] = fused::adamw(parameters, gradient, first, second, step);
        (parameters, Some(AdamWState::new(AdaptiveMomentumState::new(time, first, second))))
    }

    fn to_device<const D: usize>(mut state: Self::State<D>, device: &Device) -> Self::State<D> {
        state.momentum = state.momentum.to_device(device);
        state
    }
}

/// Collects parameters of one dimension.
#[derive(Default)]
struct OneDimensional {
    ids: Vec<ParamId>,
}

impl ModuleVisitor for OneDimensional {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if D == 1 {
            self.ids.push(param.id);
        }
    }
}
