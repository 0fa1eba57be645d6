//! AdamW (Loshchilov and Hutter, ICLR 2019) with weight decay on matrices only.

use burn::module::{Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::Tensor;

use super::OptimiserConfig;

/// The optimiser of a model: one-dimensional parameters without weight decay, the others with.
pub fn adamw<M: Module>(config: &OptimiserConfig, model: &M) -> ModuleOptimizer {
    let group = |weight_decay: f64| {
        AdamWConfig::new()
            .with_beta_1(config.beta_1 as f32)
            .with_beta_2(config.beta_2 as f32)
            .with_epsilon(config.epsilon as f32)
            .with_weight_decay(weight_decay as f32)
    };
    let mut vectors = OneDimensional::default();
    model.visit(&mut vectors);
    group(config.weight_decay).init().with_group(ParamGroup::from_ids(vectors.ids), group(0.0).build(), None)
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
