//! Initial values of parameters, drawn on the host from the run's own generator: the device's generator is global to the process, and lazily
//! initialised parameters would draw in the order of first use.

use burn::module::{Param, ParamId};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;

use super::config::InitialValues;
use crate::rng::Rng;

/// Initialiser of parameters, drawn one after another.
pub(crate) struct Initialiser<'a> {
    generator: Rng,
    device: &'a Device,
    law: InitialValues,
}

impl<'a> Initialiser<'a> {
    /// An initialiser with a random generator and the device of the parameters.
    pub fn new(generator: Rng, device: &'a Device) -> Self {
        Self { generator, device, law: InitialValues::default() }
    }

    /// The initialiser with another law for embedders.
    pub fn with_law(self, law: InitialValues) -> Self {
        Self { law, ..self }
    }

    /// A table of tokens or positions, one row each.
    pub fn table(&mut self, shape: [usize; 2]) -> Param<Tensor<2>> {
        self.normal(
            shape,
            match self.law {
                InitialValues::Vit => 0.02,
                InitialValues::Medcoss => 1.0,
            },
        )
    }

    /// A projection of patches, `[d_token, d_output]`.
    pub fn patch_projection(&mut self, d_token: usize, d_output: usize) -> Linear {
        match self.law {
            InitialValues::Vit => self.linear(d_token, d_output),
            InitialValues::Medcoss => {
                let bound = (1.0 / d_token as f32).sqrt();
                Linear { weight: self.uniform([d_token, d_output], bound), bias: Some(self.uniform([d_output], bound)) }
            }
        }
    }

    fn drawn<const D: usize>(&mut self, shape: [usize; D], mut draw: impl FnMut(&mut Rng) -> f32) -> Param<Tensor<D>> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| draw(&mut self.generator)).collect();
        let (_, tensor, mapper) = Param::from_data(TensorData::new(values, shape), self.device).consume();
        // Burn's own ids are random; from the generator, the same run writes the same bytes.
        Param::from_mapped_value(ParamId::from(self.generator.random::<u64>()), tensor, mapper)
    }

    /// A parameter with normally distributed values of mean 0.
    pub fn normal<const D: usize>(&mut self, shape: [usize; D], deviation: f32) -> Param<Tensor<D>> {
        self.drawn(shape, |generator| deviation * standard_normal(generator))
    }

    /// A parameter with given values, in row-major order, as many as the shape has.
    pub fn values<const D: usize>(&mut self, shape: [usize; D], values: impl Iterator<Item = f32>) -> Param<Tensor<D>> {
        let mut values = values;
        self.drawn(shape, |_| values.next().unwrap_or_default())
    }

    /// A parameter with one constant value.
    pub fn constant<const D: usize>(&mut self, shape: [usize; D], value: f32) -> Param<Tensor<D>> {
        self.drawn(shape, |_| value)
    }

    /// A linear layer `[d_input, d_output]`: Xavier uniform weights, zero bias.
    pub fn linear(&mut self, d_input: usize, d_output: usize) -> Linear {
        let bound = (6.0 / (d_input + d_output) as f32).sqrt();
        Linear { weight: self.uniform([d_input, d_output], bound), bias: Some(self.constant([d_output], 0.0)) }
    }

    /// The linear layer of a convolution whose kernel is one voxel, `[d_input, d_output]`: weights and bias uniform within one over the root of the fan-in,
    /// PyTorch's default.
    pub fn convolution_like(&mut self, d_input: usize, d_output: usize) -> Linear {
        let bound = (1.0 / d_input as f32).sqrt();
        Linear { weight: self.uniform([d_input, d_output], bound), bias: Some(self.uniform([d_output], bound)) }
    }

    /// A parameter with values uniform within `bound` of 0.
    pub fn uniform<const D: usize>(&mut self, shape: [usize; D], bound: f32) -> Param<Tensor<D>> {
        self.drawn(shape, |generator| (2.0 * generator.random::<f32>() - 1.0) * bound)
    }
}

/// A standard normal number (Box and Muller). Only the cosine is used: a draw then does not depend on the parity of the draws before.
fn standard_normal(generator: &mut Rng) -> f32 {
    let radius = (-2.0 * (1.0 - generator.random::<f64>()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * generator.random::<f64>()).cos()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;

    #[test]
    fn normal_draws_have_the_moments_of_a_normal() {
        let mut generator = rng::keyed(1, "test", &[]);
        let draws: Vec<f64> = (0..40_000).map(|_| f64::from(standard_normal(&mut generator))).collect();
        let moment = |power| draws.iter().map(|draw| draw.powi(power)).sum::<f64>() / draws.len() as f64;
        assert!(moment(1).abs() < 0.02 && (moment(2) - 1.0).abs() < 0.03 && (moment(4) - 3.0).abs() < 0.2);
    }
}
